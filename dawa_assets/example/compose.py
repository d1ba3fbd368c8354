"""Composes the example artist into a folder: Live Sets, bounces and profile. Also writes the bounces' formats.

Deterministic: the same code gives the same bytes. What is composed is in `tracks.py`; here is only what lies where.
"""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dawa_assets.example.live_set import live_set
from dawa_assets.example.profile import ARTIST_NAME, master_schema
from dawa_assets.example.score import Song
from dawa_assets.example.tracks import songs
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.digests import sha256_file
from modal_app.data_root.scratch import sweep

if TYPE_CHECKING:
    from dawa_assets.example.music import Audio

log = logging.getLogger(__name__)

_MP3_FRAME = 1152  # samples a frame of MPEG layer III holds
_MP3_BITS_PER_SECOND = 192_000


@dataclass(frozen=True)
class Example:
    """The example artist on disk; `files` (sets and bounces) lie in `folder`, the profile beside it."""

    artist_name: str
    profile: Path
    folder: Path
    files: tuple[Path, ...]


def compose_example(folder: Path) -> Example:
    """Compose the example artist into `folder`, a project folder a track: about five seconds of CPU.

    What lies there complete and untouched from an earlier call is left as it is; a call that was killed is made
    good by the next one.
    """
    pieces = songs()
    uploads = folder / ARTIST_NAME
    makers: dict[Path, Callable[[Path], None]] = {}
    for song in pieces:
        project = uploads / f"{song.title} Project"
        makers[project / f"{song.title}.als"] = partial(_write_set, song)
        makers[project / f"{song.title}.{song.bounce}"] = partial(_bounce, song)
    example = Example(ARTIST_NAME, folder / "master_schema.json", uploads, tuple(makers))
    makers[example.profile] = partial(_write_profile, pieces)
    _make(makers, folder / "composed.json")
    return example


def write_audio(audio: "Audio", target: Path, sample_rate: int) -> None:
    """Write sound of shape (2, samples) in -1 … 1 as mp3 (192 kbit/s), wav or flac (16 bit), by the target's suffix."""
    if target.suffix == ".mp3":
        _write_mp3(audio, target, sample_rate)
    else:
        import soundfile

        soundfile.write(target, audio.T, sample_rate, format=target.suffix[1:].upper(), subtype="PCM_16")


def _make(makers: dict[Path, Callable[[Path], None]], record: Path) -> None:
    """Make the files that are missing, changed, or made by another version of the code, as the record tells."""
    scratch = record.parent / ".scratch"
    sweep(scratch)
    code = hashlib.sha256(
        b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    ).hexdigest()
    made = _recorded(record, code)
    for path, make in makers.items():
        if path.is_file() and made.get(path.name) == sha256_file(path):
            continue
        log.info("composing %s", path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_path(path, scratch) as fresh:
            make(fresh)
            made[path.name] = sha256_file(fresh)
        with scratch_path(record, scratch) as fresh:
            fresh.write_text(json.dumps({"code": code, "files": made}, indent=2))


def _recorded(record: Path, code: str) -> dict[str, str]:
    try:
        known = json.loads(record.read_bytes())
        return dict(known["files"]) if known["code"] == code else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write_set(song: Song, target: Path) -> None:
    target.write_bytes(live_set(song))


def _write_profile(pieces: tuple[Song, ...], target: Path) -> None:
    target.write_text(json.dumps(master_schema(pieces), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _bounce(song: Song, target: Path) -> None:
    from dawa_assets.example.mix import play
    from dawa_assets.example.music import SAMPLE_RATE

    write_audio(play(song), target, SAMPLE_RATE)


def _write_mp3(audio: "Audio", target: Path, sample_rate: int) -> None:
    import av
    import numpy as np

    with av.open(str(target), "w", format="mp3", container_options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libmp3lame", rate=sample_rate, options={"compression_level": "7"})
        stream.bit_rate = _MP3_BITS_PER_SECOND
        stream.layout = "stereo"
        stream.format = "fltp"
        for first in range(0, audio.shape[1], _MP3_FRAME):
            block = np.ascontiguousarray(audio[:, first : first + _MP3_FRAME], dtype=np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = sample_rate, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
