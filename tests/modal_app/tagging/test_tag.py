"""The `tag` job: which segments are described, and which fail alone."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.prepare import prepare
from modal_app.audio.segment_cache import find_prepared
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.audio import AudioSource, PreparedAudio, PrepareRequest
from modal_app.protocol.base import Event
from modal_app.protocol.tagging import SegmentToTag, TagRequest
from modal_app.tagging.tag import tag
from modal_app.tagging.tag_key import hint_of


def quiet(_: Event) -> None:
    """Nobody listens."""


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "data")


@pytest.fixture
def prepared(root: DataRoot, tmp_path: Path, drums: Callable[..., np.ndarray]) -> PreparedAudio:
    path = tmp_path / "drums.wav"
    signal = np.concatenate([drums(124, 30), np.zeros(15 * 44_100, np.float32)])
    soundfile.write(path, signal, 44_100)
    source = AudioSource(audio_hash=hashlib.sha256(path.read_bytes()).hexdigest(), url=path.as_uri(), name="drums.wav")
    return prepare(PrepareRequest(sources=[source]), root, quiet).prepared[0]


def wanted(prepared: PreparedAudio, bpm: float | None = 124) -> list[SegmentToTag]:
    return [
        SegmentToTag(audio_hash=prepared.audio_hash, index=part.index, sha256=part.sha256, bpm=bpm)
        for part in prepared.segments
    ]


def test_every_segment_gets_tags_with_the_keys_of_its_row(root: DataRoot, prepared: PreparedAudio) -> None:
    events: list[Event] = []
    result = tag(TagRequest(segments=wanted(prepared)), root, events.append)
    assert [tags.sha256 for tags in result.tagged] == [part.sha256 for part in prepared.segments]
    assert {(tags.model, tags.tag_prompt_version, tags.hint, tags.cost_usd) for tags in result.tagged} == {
        ("offline-dsp-v2", "dsp-2", "bpm=124", 0.0)
    }
    assert "124 BPM" in result.tagged[0].text
    assert result.tagged[2].text == "silence"
    assert [(event.done, event.total) for event in events] == [(1, 3), (2, 3), (3, 3)]
    assert tag(TagRequest(segments=wanted(prepared)), root, quiet) == result


def test_another_hint_is_another_answer(root: DataRoot, prepared: PreparedAudio) -> None:
    both = wanted(prepared)[:1] + wanted(prepared, 132.5)[:1] + wanted(prepared, None)[:1]
    result = tag(TagRequest(segments=[*both, *both]), root, quiet)
    assert [tags.hint for tags in result.tagged] == ["bpm=124", "bpm=132.5", ""]
    assert ["BPM" in tags.text for tags in result.tagged] == [True, False, True]


def test_missing_and_damaged_segments_fail_alone(root: DataRoot, prepared: PreparedAudio) -> None:
    damaged = root.segments(prepared.audio_hash, "mono44") / "seg_0001.wav"
    data = bytearray(damaged.read_bytes())
    data[1_000] ^= 1
    damaged.chmod(0o644)
    damaged.write_bytes(data)
    unknown = SegmentToTag(audio_hash="a" * 64, index=0, sha256="b" * 64)
    stale = wanted(prepared)[0].model_copy(update={"sha256": "c" * 64})
    result = tag(TagRequest(segments=[unknown, *wanted(prepared)[:2], stale]), root, quiet)
    assert [tags.sha256 for tags in result.tagged] == [prepared.segments[0].sha256]
    assert [failure.sha256 for failure in result.failed] == ["b" * 64, prepared.segments[1].sha256, "c" * 64]
    assert "is not in the cache; prepare it again" in result.failed[0].reason
    assert "is taken out of the cache; prepare it again" in result.failed[1].reason
    assert find_prepared(root, prepared.audio_hash, "mono44") is None  # so that the next prepare makes it again


@pytest.mark.parametrize(
    ("bpm", "hint"),
    [(124, "bpm=124"), (120.5, "bpm=120.5"), (99.999, "bpm=100"), (87.126, "bpm=87.13"), (None, ""), (0, "")],
)
def test_a_hint_has_one_spelling(bpm: float | None, hint: str) -> None:
    assert hint_of(bpm) == hint
