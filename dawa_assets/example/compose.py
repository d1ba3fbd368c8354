"""Composes the example artist into a folder: Live Sets, bounces and profile. Also writes the bounces' formats.

Deterministic: the same code gives the same bytes. What is composed is in `tracks.py`; here is only what lies where.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dawa_assets.example.live_set import live_set
from dawa_assets.example.profile import ARTIST_NAME, master_schema
from dawa_assets.example.score import Song
from dawa_assets.example.tracks import songs

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
    files = tuple(
        _project(uploads, song) / f"{song.title}.{suffix}" for song in pieces for suffix in ("als", song.bounce)
    )
    example = Example(ARTIST_NAME, folder / "master_schema.json", uploads, files)
    record = folder / "composed.json"
    if not _is_complete(record, example):
        for song in pieces:
            log.info(
                "composing %s: %g BPM, a set of Live %d and its .%s", song.title, song.tempo, song.live, song.bounce
            )
            _write(_project(uploads, song) / f"{song.title}.als", live_set(song))
            _bounce(song, _project(uploads, song) / f"{song.title}.{song.bounce}")
        profile = json.dumps(master_schema(pieces), indent=2, ensure_ascii=False) + "\n"
        _write(example.profile, profile.encode())
        _write(record, json.dumps(_hashes(example), indent=2).encode())
    return example


def write_audio(audio: "Audio", target: Path, sample_rate: int) -> None:
    """Write sound of shape (2, samples) in -1 … 1 as mp3 (192 kbit/s), wav or flac (16 bit), by the target's suffix."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}.part")
    if target.suffix == ".mp3":
        _write_mp3(audio, fresh, sample_rate)
    else:
        import soundfile

        soundfile.write(fresh, audio.T, sample_rate, format=target.suffix[1:].upper(), subtype="PCM_16")
    fresh.replace(target)


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


def _project(uploads: Path, song: Song) -> Path:
    return uploads / f"{song.title} Project"


def _is_complete(record: Path, example: Example) -> bool:
    try:
        return bool(json.loads(record.read_bytes()) == _hashes(example))
    except (OSError, ValueError):
        return False


def _hashes(example: Example) -> dict[str, str]:
    """Every file's hash, and that of the code that made them: composed by another version is composed again."""
    made = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (example.profile, *example.files)}
    code = hashlib.sha256(b"".join(path.read_bytes() for path in _sources())).hexdigest()
    return {"code": code} | made


def _sources() -> Iterator[Path]:
    return iter(sorted(Path(__file__).parent.glob("*.py")))


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.{os.getpid()}.part")
    fresh.write_bytes(content)
    fresh.replace(target)
