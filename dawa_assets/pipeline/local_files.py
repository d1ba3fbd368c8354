"""Files that the pipeline keeps on this machine for a while, below its home. All of them can be made again."""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from resources.settings import Settings

_WAVEFORM_FORMAT = "w1"  # of what is kept: another one is measured anew


def zips_folder(settings: Settings, slug: str) -> Path:
    """Return the folder of an artist's datasets while they are built."""
    return settings.home / "tmp" / "datasets" / slug


def incoming_folder(settings: Settings) -> Path:
    """Return the folder of uploads that arrive in parts, one folder an artist."""
    return settings.home / "incoming"


def uploads_folder(settings: Settings, artist_id: UUID) -> Path:
    """Return the folder of an artist's uploads that arrive in parts, one folder an upload."""
    return incoming_folder(settings) / str(artist_id)


def waveforms_folder(settings: Settings) -> Path:
    """Return the folder of waveforms and listening copies, named by the SHA-256 of what they were decoded from."""
    return settings.home / "cache" / "waveforms"


def waveform_file(settings: Settings, sha256: str, suffix: str) -> Path:
    """Return the waveform (`npz`) or the listening copy (`flac`) of audio with this SHA-256."""
    name = hashlib.sha256(sha256.encode()).hexdigest()  # rows of others may hold anything as a hash
    return waveforms_folder(settings) / name[:2] / f"{name}.{_WAVEFORM_FORMAT}.{suffix}"


def local_files_of(
    settings: Settings, slug: str, artist_id: UUID, audio_hashes: Iterable[str]
) -> dict[str, list[Path]]:
    """Return what `remove_local_files` would remove, by what it is; what there is none of is not named."""
    waveforms = (waveform_file(settings, sha256, suffix) for sha256 in audio_hashes for suffix in ("npz", "flac"))
    found = {
        "half-built zips": _files(zips_folder(settings, slug)),
        "uploads on their way": _files(uploads_folder(settings, artist_id)),
        "waveforms and listening copies": [path for path in waveforms if path.is_file()],
    }
    return {what: paths for what, paths in found.items() if paths}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def remove_local_files(settings: Settings, slug: str, artist_id: UUID, audio_hashes: Iterable[str]) -> None:
    """Remove what this machine keeps of an artist: half-built zips, uploads on their way, waveforms."""
    shutil.rmtree(zips_folder(settings, slug), ignore_errors=True)
    shutil.rmtree(uploads_folder(settings, artist_id), ignore_errors=True)
    for sha256 in audio_hashes:
        for suffix in ("npz", "flac"):
            waveform_file(settings, sha256, suffix).unlink(missing_ok=True)
