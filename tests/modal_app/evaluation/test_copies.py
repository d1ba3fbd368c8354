"""Passages of songs that were trained on are found in renderings, also changed ones; other music has none."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from benchmarks._pieces import STYLES, compose
from modal_app.audio.landmarks import SAMPLE_RATE, LandmarkIndex, find_peaks, hashes_of
from modal_app.audio.prepare import prepare
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.evaluation import copy_gate
from modal_app.evaluation.copies import Material, find_copies
from modal_app.evaluation.evaluate import evaluate
from modal_app.protocol.audio import AudioSource, PrepareRequest
from modal_app.protocol.evaluation import CopyFindings, EvaluateRequest, EvaluationPrompt
from modal_app.protocol.training import CaptionPart, Example
from tests.modal_app.training.conftest import Trained, ignore

RATE = 44_100
Sound = np.ndarray


@dataclass(frozen=True)
class Catalogue:
    """Three songs of 30 s that were trained on, and a piece that was not."""

    root: DataRoot
    material: Material
    songs: list[Sound]
    stranger: Sound


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    folder = tmp_path_factory.mktemp("copies")
    pieces = [compose(STYLES[number], seed).signal for number in (0, 3, 6) for seed in (1, 2)]
    songs = [np.concatenate(pieces[start : start + 2]) for start in (0, 2, 4)]
    return catalogue_of(folder, songs, compose(STYLES[7], 5).signal)


def catalogue_of(folder: Path, songs: list[Sound], stranger: Sound) -> Catalogue:
    """Songs in a cache of their own, by the names `song 0`, `song 1` …."""
    root, examples = DataRoot(folder / "data"), []
    for number, song in enumerate(songs):
        path = folder / f"{number}.wav"
        soundfile.write(path, song, RATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        source = AudioSource(audio_hash=digest, url=path.as_uri(), name=path.name)
        (prepared,) = prepare(PrepareRequest(sources=[source]), root, ignore).prepared
        examples += [
            Example(
                audio_hash=digest,
                index=segment.index,
                sha256=segment.sha256,
                song=f"song {number}",
                parts=[CaptionPart(kind="prompt", text="Dub.")],
                gain_db=segment.gain_db,
            )
            for segment in prepared.segments
        ]
    return Catalogue(root, Material(examples, [], "mono44"), songs, stranger)


def look(catalogue: Catalogue, *sounds: Sound, rate: float = RATE) -> CopyFindings:
    renderings = [sound[None].repeat(2, axis=0) for sound in sounds]
    return find_copies(renderings, round(rate), catalogue.material, catalogue.root, ignore)


@pytest.mark.parametrize(
    "change",
    [
        lambda sound: sound,
        lambda sound: 0.1 * sound + 0.001 * np.random.default_rng(0).standard_normal(len(sound)),
        lambda sound: soxr.resample(sound, RATE, RATE * 0.97),  # a tape that runs 3 % faster
        lambda sound: soxr.resample(sound, RATE, RATE * 2 ** (1 / 12)),  # … or a semitone lower
    ],
)
def test_a_passage_is_found_with_its_place_in_the_song(catalogue: Catalogue, change: Callable[[Sound], Sound]) -> None:
    begin, length = 6.0, 12.0
    copy = change(catalogue.songs[1][round(begin * RATE) : round((begin + length) * RATE)])

    found = look(catalogue, catalogue.stranger, copy.astype(np.float32))

    assert (found.renderings, found.songs, found.is_calibrated) == (2, 3, False)
    assert {(passage.rendering, passage.song) for passage in found.passages} == {(1, "song 1")}
    (passage,) = found.passages
    speed = length / (len(copy) / RATE)
    assert passage.song_seconds - passage.start_seconds * speed == pytest.approx(begin, abs=0.3)
    assert passage.speed == pytest.approx(speed, abs=0.02)
    assert found.copied_seconds > 8


def test_eight_seconds_inside_other_music_are_found_in_place(catalogue: Catalogue) -> None:
    copy = catalogue.songs[2][10 * RATE : 18 * RATE]
    mixed = np.concatenate([catalogue.stranger[: 4 * RATE], copy, catalogue.stranger[4 * RATE : 10 * RATE]])

    (passage, *_) = look(catalogue, mixed).passages

    assert passage.song == "song 2"
    assert passage.start_seconds == pytest.approx(4, abs=0.7)
    assert passage.end_seconds == pytest.approx(12, abs=0.7)
    assert passage.song_seconds == pytest.approx(10, abs=0.7)


def test_a_loop_that_recurs_across_songs_is_no_copy(catalogue: Catalogue, tmp_path: Path) -> None:
    loop, first, second = catalogue.songs[0][: 15 * RATE], catalogue.songs[1], catalogue.stranger
    own = catalogue_of(tmp_path, [np.concatenate([first, loop]), np.concatenate([loop, second])], second)

    found = look(own, loop[: 12 * RATE], first[: 12 * RATE])

    assert {(passage.rendering, passage.is_shared) for passage in found.passages} == {(0, True), (1, False)}
    assert found.shared_seconds > 8
    assert found.copied_seconds > 8
    assert look(own, loop[: 12 * RATE]).copied_seconds == 0.0


def test_other_music_noise_and_silence_hold_no_copy(catalogue: Catalogue) -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal(20 * RATE).astype(np.float32)
    found = look(catalogue, catalogue.stranger, noise, np.zeros(20 * RATE, np.float32), np.zeros(1, np.float32))
    assert (found.passages, found.copied_seconds) == ([], 0.0)


def test_landmarks_are_kept_and_made_again_where_damaged(catalogue: Catalogue) -> None:
    copy = catalogue.songs[0][: 12 * RATE]
    before = look(catalogue, copy)
    files = sorted(catalogue.root.landmarks().rglob("*.npz"))
    assert len(files) == 3
    files[0].write_bytes(b"no archive")
    files[1].write_bytes(files[1].read_bytes()[:100])
    assert look(catalogue, copy) == before
    assert all(path.stat().st_size > 1000 for path in files)


def test_a_song_whose_segments_are_gone_is_named(catalogue: Catalogue, tmp_path: Path) -> None:
    empty = Catalogue(DataRoot(tmp_path), catalogue.material, catalogue.songs, catalogue.stranger)
    with pytest.raises(JobError, match="song 0: its segments are not in the cache; prepare it again"):
        look(empty, catalogue.stranger)


def test_an_index_without_sounds_finds_nothing(catalogue: Catalogue) -> None:
    peaks = find_peaks(soxr.resample(catalogue.stranger, RATE, SAMPLE_RATE).astype(np.float32))
    assert LandmarkIndex({}).best(peaks) is None
    assert LandmarkIndex({"nothing": hashes_of(peaks[:0])}).best(peaks) is None
    assert LandmarkIndex({"itself": hashes_of(peaks)}).best(peaks[:0]) is None


def test_an_evaluation_renders_captions_and_looks_for_copies(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(trained.root.root, tmp_path / "data")
    root, looked_at = DataRoot(tmp_path / "data"), []

    def found(renderings: list[Sound], rate: int, *_: object) -> CopyFindings:
        looked_at.extend((signal.shape[1] / rate) for signal in renderings)
        return look(catalogue, catalogue.stranger, catalogue.songs[0][: 12 * RATE])

    monkeypatch.setattr(copy_gate, "find_copies", found)
    request = EvaluateRequest(
        training=trained.request,
        prompts=[EvaluationPrompt(kind="held out", text="Dub techno.")],
        seeds=[3],
        duration_seconds=2.0,
        copy_renderings=2,
        copy_seconds=1.0,
    )
    result = evaluate(request, root, ignore)

    assert looked_at == [2.0, 1.0, 1.0]
    assert result.copies is not None
    assert result.copies.copied_seconds > 8
    # what it is heard in is kept beside the others
    assert "runs/run-1/evaluation-copy.wav" in result.files
    assert soundfile.info(root.run("run-1") / "evaluation-copy.wav").duration == 1.0
