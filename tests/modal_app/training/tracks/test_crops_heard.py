"""What the steps of a training on crops hear, and with which captions; the held-out side is not in it."""

import dataclasses
import hashlib
from pathlib import Path

import soundfile

from modal_app.audio.prepare import prepare
from modal_app.backends.base import TrainBackend
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.audio import AudioSource, PrepareRequest
from modal_app.training.split import split_by_song
from modal_app.training.tracks import Tracks, crop_data, load_tracks
from tests.modal_app.training.conftest import RATE, ignore, track
from tests.modal_app.training.tracks.conftest import Songs


def crops_heard(tracks: Tracks, training: list[int], backend: TrainBackend, steps: int) -> set[tuple[str, int, int]]:
    prepare_step = crop_data(tracks, training, backend)
    keys = {example.key for step in range(1, steps + 1) for batch in prepare_step(step) for example in batch.examples}
    return {
        (key.partition("@")[0], int(first), int(first) + int(frames))
        for key in keys
        for first, frames in [key.partition("@")[2].split("+")]
    }


def test_a_step_is_batches_of_one_shape_each(tracks: Tracks, musicgen: MusicGenBackend) -> None:
    training = split_by_song(tracks.request.examples, 0.1, 0).training
    prepare_step = crop_data(tracks, training, musicgen)
    for step in (1, 7, 3, 7):
        data = prepare_step(step)
        assert sum(len(batch.examples) for batch in data) == 2
        for batch in data:
            assert len({musicgen.bucket_key(example) for example in batch.examples}) == 1
            assert len(batch.seeds) == len(batch.examples)
    one, other = prepare_step(5), crop_data(tracks, training, musicgen)(5)
    for batch, same in zip(one, other, strict=True):
        assert batch.seeds == same.seeds
        for example, again in zip(batch.examples, same.examples, strict=True):
            assert (example.key, example.conditioning, example.seconds) == (
                again.key,
                again.conditioning,
                again.seconds,
            )
            assert example.encoded["codes"].equal(again.encoded["codes"])


def test_no_held_out_or_silent_second_is_heard(songs: Songs, tracks: Tracks, musicgen: MusicGenBackend) -> None:
    split = split_by_song(songs.examples, 0.1, 0)
    assert split.held_out
    heard = crops_heard(tracks, split.training, musicgen, 120)

    allowed: dict[str, set[int]] = {}
    for index in split.training:
        example = songs.examples[index]
        segment = tracks.manifests[example.audio_hash].segments[example.index]
        frames = -int(-segment.samples / RATE * 50 // 1)
        allowed.setdefault(example.audio_hash, set()).update(range(750 * example.index, 750 * example.index + frames))
    for key, first, end in heard:
        assert set(range(first, end)) <= allowed[key]
    assert {songs.examples[index].audio_hash for index in split.held_out}.isdisjoint(key for key, *_ in heard)


def test_of_one_song_the_end_and_the_gap_are_not_heard(songs: Songs, musicgen: MusicGenBackend, tmp_path: Path) -> None:
    path, root = tmp_path / "one.wav", DataRoot(tmp_path / "data")
    soundfile.write(path, track(100.0, 95.0), RATE)
    source = AudioSource(audio_hash=hashlib.sha256(path.read_bytes()).hexdigest(), url=path.as_uri(), name="one")
    (audio,) = prepare(PrepareRequest(sources=[source]), root, ignore).prepared
    examples = [
        songs.examples[0].model_copy(
            update={"audio_hash": audio.audio_hash, "index": each.index, "sha256": each.sha256, "song": "one"}
        )
        for each in audio.segments
    ]
    split = split_by_song(examples, 0.1, 0)
    assert split.training == [0, 1, 2, 3, 4]
    request = songs.request(examples=examples, timelines=[])

    heard = crops_heard(load_tracks(request, musicgen, root, ignore), split.training, musicgen, 160)

    assert {frame for _, first, end in heard for frame in range(first, end)} == set(range(5 * 750))


def test_crops_begin_on_downbeats_where_they_are_known(songs: Songs, tracks: Tracks, musicgen: MusicGenBackend) -> None:
    everything = list(range(len(songs.examples)))
    heard = [crop for crop in crops_heard(tracks, everything, musicgen, 120) if crop[0] == songs.hash_of("long")]
    downbeats = {25 + 100 * bar for bar in range(24)}

    assert len(heard) > 5
    assert all(first == 0 or min(abs(first - beat) for beat in downbeats) <= 1 for _, first, _ in heard)
    assert {end - first for _, first, end in heard if end != 2250 and first} == {400}  # four bars: 8 s of 10


def heard_captions(tracks: Tracks, musicgen: MusicGenBackend, name: str, songs: Songs) -> dict[tuple[int, int], str]:
    """What is told of each crop of a song, by where it begins and how long it is; in frames."""
    prepare_step = crop_data(tracks, list(range(len(songs.examples))), musicgen)
    return {
        (int(first), int(frames)): example.conditioning.caption
        for step in range(1, 60)
        for batch in prepare_step(step)
        for example in batch.examples
        for key, _, place in [example.key.partition("@")]
        for first, frames in [place.split("+")]
        if key == songs.hash_of(name) and example.conditioning.caption
    }


def test_a_crop_is_captioned_by_what_it_has_most_of(tracks: Tracks, songs: Songs, musicgen: MusicGenBackend) -> None:
    captions = heard_captions(tracks, musicgen, "short", songs)
    for (first, frames), caption in captions.items():
        in_second = max(0, first + frames - 750) / 50
        if abs(in_second - frames / 100) > 0.1:
            assert caption == f"Song short, part {int(in_second > frames / 100)}."
    assert len(set(captions.values())) == 2


def test_a_crop_is_told_what_plays_in_it_to_the_second(songs: Songs, musicgen: MusicGenBackend, tracks: Tracks) -> None:
    parameters_ = tracks.request.parameters.model_copy(update={"part_dropout": 0.0})
    plain = dataclasses.replace(tracks, request=tracks.request.model_copy(update={"parameters": parameters_}))
    captions = heard_captions(plain, musicgen, "long", songs)
    told = set()
    for (first, frames), caption in captions.items():
        start, end = first / 50, (first + frames) / 50
        if end <= 20.5:
            assert "Section: intro. Sparse: pad." in caption or "Section: intro. Pad." in caption
            told.add("before")
        elif start + 1 < 20.5 < end - 1:
            assert f"Section: intro, drop. Pad; kick enters at {round(20.5 - start)} s." in caption.replace(
                "Sparse: pad", "Pad"
            )
            told.add("at")
        elif start >= 20.5:
            assert "Section: drop." in caption
            assert "kick and pad." in caption.lower()
            told.add("behind")
    assert told == {"before", "at", "behind"}
