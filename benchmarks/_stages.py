"""The stages whose memory `memory.py` measures: how each is given n times its input, and how it is run.

`make` writes the input of a stage into an empty folder; `run` does the stage, and is what is measured. `scale` is how
many times the least input it is: of more files, or of a longer one. The folders lie side by side, and beside them the
home that the stages share: its database has one artist, who is new for each `make`.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import _home

if TYPE_CHECKING:
    from modal_app.protocol.audio import PreparedAudio
    from resources.ports import Ports

_RATE = 44_100
_SLUG = "artist"
_STEPS = 4


@dataclass(frozen=True)
class Stage:
    """What a stage's least input is; what makes it at a scale, in a folder; and what is done with it."""

    least: str
    make: Callable[[Path, int], None]
    run: Callable[[Path, int], None]


# --- in the pipeline's own process ---


def _make_sets(folder: Path, count: int, clips: int = 0) -> None:
    """Lay an upload of so many Live Sets into the inbox: the example's, or one of four tracks of so many clips."""
    from dataclasses import replace

    from benchmarks.als import live_set as large_set
    from dawa_assets.example.live_set import live_set
    from dawa_assets.example.tracks import songs

    inbox = _new_artist(folder)
    for number in range(count):
        song = songs()[number % 3]
        first, *others = song.parts
        named = replace(first, name=f"{first.name} {number}")  # no two sets of the same bytes
        song = replace(song, title=f"Piece {number:04d}", parts=(named, *others))
        project = inbox / f"{song.title} Project"
        project.mkdir(parents=True)
        data = large_set(4, clips) if clips else live_set(song)
        (project / f"{song.title}.als").write_bytes(data)
    (inbox / "_complete").touch()


def _take_in(folder: Path, count: int) -> None:
    from dawa_assets.intake.live_sets import take_in_live_sets

    report = take_in_live_sets(_ports(folder), _SLUG)
    assert len(report.taken) == count, report.headline


def _make_pairs(folder: Path, count: int, seconds: float) -> None:
    """Take so many Live Sets in, and leave a bounce of so many seconds for each in the inbox."""
    import soundfile

    _make_sets(folder, count)
    inbox = _inbox(folder)
    for number, path in enumerate(sorted(inbox.rglob("*.als"))):
        bounce = path.with_suffix(".wav")
        with soundfile.SoundFile(bounce, "w", _RATE, channels=2, subtype="PCM_16") as file:
            for second in range(int(seconds)):
                file.write(_second(number, second)[:, None].repeat(2, axis=1))
    _take_in(folder, count)


def _pair(folder: Path, count: int) -> None:
    from dawa_assets.items.update import update_training_items

    report = update_training_items(_ports(folder), _SLUG)
    assert (len(report.paired), report.not_compared, report.not_measured) == (count, [], []), report.headline


def _make_tracks(folder: Path, count: int, size: int) -> None:
    _new_artist(folder)
    _home.add_tracks(_ports(folder), _SLUG, count, size)


def _zip(folder: Path, count: int) -> None:
    from dawa_assets.datasets.build import build_dataset

    report = build_dataset(_ports(folder), _SLUG)
    assert (report.state, report.item_count) == ("built", count), report.headline


# --- in the worker's ---


def _make_files(folder: Path, count: int, seconds: int) -> None:
    """Write so many mp3 of so many seconds, and which they are."""
    from benchmarks.segments import write_track

    write_track(folder / "track", seconds)
    data = (folder / "track").read_bytes()
    for number in range(count):
        tag = b"TAG" + str(number).encode().ljust(125, b"\0")  # no two files of the same bytes
        (folder / f"{number}.mp3").write_bytes(data + tag)


def _cut(folder: Path, count: int) -> None:
    assert len(_prepared(folder)) == count


def _make_segments(folder: Path, count: int, seconds: int) -> None:
    """Cut so many sounds of so many seconds into segments, and write down what they are."""
    import soundfile

    for number in range(count):
        with soundfile.SoundFile(folder / f"{number}.wav", "w", _RATE, channels=1, subtype="PCM_16") as file:
            for second in range(seconds):
                file.write(_second(number, second))
    cut = [each.model_dump(mode="json") for each in _prepared(folder)]
    (folder / "prepared.json").write_text(json.dumps(cut))


def _tag(folder: Path, count: int) -> None:
    """As the step asks: a job for each 128."""
    from modal_app.protocol.tagging import SegmentToTag, TagRequest
    from modal_app.tagging.tag import tag

    segments = [
        SegmentToTag(audio_hash=each.audio_hash, index=0, sha256=each.segments[0].sha256, bpm=120)
        for each in _cut_before(folder)
    ]
    assert len(segments) == count
    result = tag(TagRequest(tagger="offline", segments=segments), _root(folder), _ignore)
    assert (len(result.tagged), result.failed) == (count, []), result.failed


def _train(folder: Path, count: int) -> None:
    """Train four steps of pieces of whole tracks, with the tiny base; `count` are the tracks' segments."""
    from modal_app.config import BackendKind
    from modal_app.protocol.training import CaptionPart, Example, TrainParameters, TrainRequest
    from modal_app.training.train import train

    examples = [
        Example(
            audio_hash=each.audio_hash,
            index=segment.index,
            sha256=segment.sha256,
            song=f"song {number}",
            parts=[CaptionPart(kind="prompt", text=f"Track {number} of a dub techno set.")],
            gain_db=segment.gain_db,
            bpm=120.0,
        )
        for number, each in enumerate(_cut_before(folder))
        for segment in each.segments
    ]
    assert len(examples) == count
    parameters = TrainParameters(
        steps=_STEPS,
        batch_size=2,
        learning_rate=1e-3,
        rank=4,
        alpha=8,
        seed=0,
        clip_seconds=2.0,
        validate_every=_STEPS,
    )
    request = TrainRequest(
        run_id="run",
        producer_id=_SLUG,
        model_name="lora",
        backend=BackendKind.ACE_STEP,
        base="tiny",
        dataset_fingerprint="memory",
        parameters=parameters,
        examples=examples,
    )
    assert train(request, _root(folder), _ignore).steps == _STEPS


# --- what they share ---


def _new_artist(folder: Path) -> Path:
    """Add the artist, with nobody and nothing else in database and bucket; returns an inbox for them."""
    import shutil

    import psycopg

    from dawa_assets.tables.artists import ensure_artist

    ports = _ports(folder)
    with psycopg.connect(ports.database.url(), autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute("truncate artists cascade")
    shutil.rmtree(folder.parent / "home" / "bucket", ignore_errors=True)
    with ports.database.transaction() as connection:
        assert ensure_artist(connection, _SLUG).slug == _SLUG
    return _inbox(folder)


def _inbox(folder: Path) -> Path:
    return folder.parent / "home" / "bucket" / "inbox" / _SLUG / "20260101T000000000000Z-00000000"


def _ports(folder: Path) -> "Ports":
    return _home.ports(folder.parent)


def _second(number: int, second: int) -> Any:
    """Return a second of a sound, int16: two beats of noise on a tone; no two of one number are the same."""
    import numpy as np

    time = np.arange(_RATE) / _RATE
    noise = np.random.default_rng([number, second]).standard_normal(_RATE) * np.exp(-10 * (time % 0.5))
    tone = np.sin(2 * np.pi * 110 * 2 ** ((number + 3 * (second // 2)) % 12 / 12) * time)
    return np.round(6_000 * noise + 9_000 * tone).clip(-32_768, 32_767).astype(np.int16)


def _prepared(folder: Path) -> "list[PreparedAudio]":
    """Bring the folder's files into the cache, as one job."""
    from modal_app.audio.prepare import prepare
    from modal_app.protocol.audio import AudioSource, PrepareRequest

    sources = []
    for path in sorted(path for path in folder.iterdir() if path.suffix in {".mp3", ".wav"} and path.stem.isdigit()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        sources.append(AudioSource(audio_hash=digest, url=path.as_uri(), name=path.name))
    result = prepare(PrepareRequest(sources=sources), _root(folder), _ignore)
    assert not result.failed, result.failed
    return result.prepared


def _cut_before(folder: Path) -> "list[PreparedAudio]":
    from modal_app.protocol.audio import PreparedAudio

    return [PreparedAudio.model_validate(each) for each in json.loads((folder / "prepared.json").read_bytes())]


def _root(folder: Path) -> Any:
    from modal_app.data_root.layout import DataRoot

    return DataRoot(folder / "data")


def _ignore(event: object) -> None:
    """Nobody listens."""


STAGES = {
    "als_summaries, more sets": Stage(
        "2 sets of the example",
        lambda folder, scale: _make_sets(folder, 2 * scale),
        lambda folder, scale: _take_in(folder, 2 * scale),
    ),
    "als_summaries, a larger set": Stage(
        "a set of 200 clips",
        lambda folder, scale: _make_sets(folder, 1, clips=50 * scale),
        lambda folder, _: _take_in(folder, 1),
    ),
    "training_items, more bounces": Stage(
        "2 bounces of 2 s",
        lambda folder, scale: _make_pairs(folder, 2 * scale, seconds=2),
        lambda folder, scale: _pair(folder, 2 * scale),
    ),
    "training_items, a longer bounce": Stage(
        "a bounce of 30 s",
        lambda folder, scale: _make_pairs(folder, 1, seconds=30 * scale),
        lambda folder, _: _pair(folder, 1),
    ),
    "dataset_zip, more and longer tracks": Stage(
        "4 tracks of 2 MB",
        lambda folder, scale: _make_tracks(folder, 4 * isqrt(scale), size=2_000_000 * isqrt(scale)),
        lambda folder, scale: _zip(folder, 4 * isqrt(scale)),
    ),
    "preprocessed_segments, more files": Stage(
        "4 mp3 of 24 s",
        lambda folder, scale: _make_files(folder, 4 * scale, seconds=24),
        lambda folder, scale: _cut(folder, 4 * scale),
    ),
    "preprocessed_segments, a longer file": Stage(
        "an mp3 of 60 s",
        lambda folder, scale: _make_files(folder, 1, seconds=60 * scale),
        lambda folder, _: _cut(folder, 1),
    ),
    "segment_tags, more segments": Stage(
        "4 segments of 15 s",
        lambda folder, scale: _make_segments(folder, 4 * scale, seconds=15),
        lambda folder, scale: _tag(folder, 4 * scale),
    ),
    "lora_weights, more and longer tracks": Stage(
        "2 tracks of 15 s, 4 steps of 2 s",
        lambda folder, scale: _make_segments(folder, 2 * isqrt(scale), seconds=15 * isqrt(scale)),
        lambda folder, scale: _train(folder, 2 * scale),
    ),
}
