"""A training on crops of whole tracks: their latents kept by track, what a step hears, kills, the held-out side.

With MusicGen's tiny base, whose encoder is quick; ACE-Step's where its own latents matter. A training encodes its songs
and is done three times to be stopped and killed: the longest of these take ten seconds and more on a busy machine.
"""

import contextlib
import dataclasses
import hashlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.audio.prepare import prepare
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.backends.base import Signal, TrainBackend
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.producer.forget import forget
from modal_app.protocol.audio import AudioSource, PreparedAudio, PrepareRequest
from modal_app.protocol.base import Event
from modal_app.protocol.forgetting import ForgetRequest
from modal_app.protocol.song_timeline import Layer, MetreStart, SectionStart, SongTimeline, Voice
from modal_app.protocol.training import CaptionPart, Example, TrackTimeline, TrainRequest
from modal_app.training.data import load_examples
from modal_app.training.latent_cache import prune
from modal_app.training.split import split_by_song
from modal_app.training.track_audio import encode_in_chunks, joined_track
from modal_app.training.tracks import Tracks, crop_data, load_tracks
from modal_app.training.train import train
from tests.modal_app.training.conftest import RATE, ignore, parameters, track, train_request

STEPS = 6
LENGTHS = {"long": 47.0, "paused": 50.0, "short": 21.0, "loop": 8.0}
TEMPO = 120.0


TIMELINE = SongTimeline(
    version="test",
    begin=0.5,
    end=46.5,
    bars=[0.5 + 2 * bar for bar in range(24)],
    metres=[MetreStart(seconds=0.5, time_signature="3/4")],
    sections=[SectionStart(seconds=0.5, name="intro"), SectionStart(seconds=20.5, name="drop")],
    voices=[
        Voice(instrument="pad", role="harmony", spans=[(0.5, 46.5)]),
        Voice(instrument="kick", role="rhythm", spans=[(20.5, 46.5)]),
    ],
    layers=[Layer(track="1", spans=[(0.5, 46.5)]), Layer(track="2", spans=[(20.5, 46.5)])],
)


def signals() -> dict[str, np.ndarray]:
    made = {name: track(90.0 + 20 * number, seconds) for number, (name, seconds) in enumerate(LENGTHS.items())}
    made["paused"][15 * RATE : 30 * RATE] = 0.0
    return made


class Songs:
    """Four songs in the cache, one of them with a silent segment, and what a training on crops of them is."""

    def __init__(self, folder: Path) -> None:
        self.root = DataRoot(folder / "data")
        sources = []
        for name, signal_ in signals().items():
            path = folder / f"{name}.wav"
            soundfile.write(path, signal_, RATE)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            sources.append(AudioSource(audio_hash=digest, url=path.as_uri(), name=name))
        prepared = prepare(PrepareRequest(sources=sources), self.root, ignore).prepared
        self.manifests: dict[str, PreparedAudio] = dict(zip(LENGTHS, prepared, strict=True))
        self.examples = [
            Example(
                audio_hash=audio.audio_hash,
                index=segment.index,
                sha256=segment.sha256,
                song=name,
                parts=[CaptionPart(kind="prompt", text=f"Song {name}, part {segment.index}.")],
                gain_db=segment.gain_db,
                bpm=TEMPO,
            )
            for name, audio in self.manifests.items()
            for segment in audio.segments
            if not segment.silent
        ]

    def hash_of(self, name: str) -> str:
        return self.manifests[name].audio_hash

    def request(self, run_id: str = "run-c", clip: float = 10.0, **changes: object) -> TrainRequest:
        timelines = [TrackTimeline(audio_hash=self.hash_of("long"), timeline=TIMELINE)]
        asked = parameters(steps=STEPS, batch_size=2, validate_every=3, clip_seconds=clip, caption_dropout=0.0)
        request = train_request(
            self.examples, run_id, parameters=asked, backend=BackendKind.MUSICGEN, timelines=timelines
        )
        return request.model_copy(update=changes)

    def copy_to(self, folder: Path, *, encoded: bool = False) -> DataRoot:
        """A data root with these segments, and what is encoded of them or nothing."""
        (folder / "cache").mkdir(parents=True)
        for name in ["segments", "latents"] if encoded else ["segments"]:
            (folder / "cache" / name).symlink_to(self.root.root / "cache" / name)
        return DataRoot(folder)


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Songs:
    return Songs(tmp_path_factory.mktemp("songs"))


@pytest.fixture(scope="module")
def musicgen() -> MusicGenBackend:
    return MusicGenBackend.load("tiny")


@pytest.fixture(scope="module")
def tracks(songs: Songs, musicgen: MusicGenBackend) -> Tracks:
    return load_tracks(songs.request(), musicgen, songs.root, ignore)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each piece that is encoded."""
    plain, seconds = MusicGenBackend.encode, []

    def counted(self: MusicGenBackend, audio: Signal) -> dict[str, object]:
        seconds.append(audio.shape[1] / self.sample_rate)
        return plain(self, audio)

    monkeypatch.setattr(MusicGenBackend, "encode", counted)
    return seconds


# --- whole tracks ---


def test_segments_join_to_the_track_that_was_cut(songs: Songs) -> None:
    class At44:
        sample_rate, channels = RATE, 2

    for name, original in signals().items():
        joined = np.concatenate(list(joined_track(songs.manifests[name], songs.root, At44())), axis=1)  # type: ignore[arg-type]
        kept = sum(segment.samples for segment in songs.manifests[name].segments)
        gain = 10 ** (min(s.gain_db for s in songs.manifests[name].segments if not s.silent) / 20)
        assert joined.shape == (2, kept)
        assert kept > len(original) - 5 * RATE
        assert np.abs(joined[0] - gain * original[:kept]).max() < 1.1e-4
        assert np.array_equal(joined[0], joined[1])


class Sums:
    """An encoder that sums up what lies within its reach of a frame, in whole numbers."""

    sample_rate, channels, frame_samples = 100, 1, 10

    def __init__(self, reach: int) -> None:
        self.reach, self.context_seconds, self.longest = reach, reach / self.sample_rate, 0

    def encode(self, audio: Signal) -> dict[str, object]:
        import torch

        self.longest = max(self.longest, audio.shape[1])
        padded = np.pad(audio[0].astype(np.float64), (self.reach, -audio.shape[1] % 10 + self.reach))
        sums = [
            padded[start : start + 10 + 2 * self.reach].sum() for start in range(0, len(padded) - 2 * self.reach, 10)
        ]
        return {"sum": torch.tensor(sums)[:, None]}


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=8).filter(lambda blocks: sum(blocks) > 0),
    st.integers(0, 60),
    st.floats(0.05, 5),
)
def test_chunks_encode_as_the_whole_does(blocks: list[int], reach: int, seconds: float) -> None:
    signal_ = np.random.default_rng(0).integers(-9, 9, (1, sum(blocks))).astype(np.float32)
    pieces = np.split(signal_, np.cumsum(blocks)[:-1], axis=1)
    backend = Sums(reach)

    found = encode_in_chunks(pieces, backend, seconds)  # type: ignore[arg-type]

    assert backend.longest <= (round(seconds * 10) + 1) * 10 + 2 * (reach + 10) + max(blocks)
    assert found["sum"].tolist() == Sums(reach).encode(signal_)["sum"].tolist()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "seconds", "chunk"), [(AceStepBackend, 4.0, 0.8), (MusicGenBackend, 24.0, 5.0)])
def test_the_seams_of_chunks_can_not_be_found(kind: type[TrainBackend], seconds: float, chunk: float) -> None:
    backend = kind.load("tiny")
    signal_ = track(110.0, seconds)[None, : round(seconds * backend.sample_rate)]
    whole_track = np.broadcast_to(signal_, (backend.channels, signal_.shape[1]))

    whole = backend.encode(whole_track)
    chunks = encode_in_chunks(np.array_split(whole_track, 5, axis=1), backend, chunk)

    for name, part in whole.items():
        assert chunks[name].shape == part.shape
        if name == "codes":
            assert chunks[name].equal(part)
        else:
            assert float((chunks[name] - part).abs().max()) < 1e-4 * float(part.std())


# --- what is kept of them ---


def test_nothing_is_encoded_twice_however_it_is_cut(songs: Songs, tmp_path: Path, encoded: list[float]) -> None:
    root = songs.copy_to(tmp_path / "data")
    request = songs.request(clip=2.0)

    train(request, root, ignore)
    once = list(encoded)
    train(songs.request("run-d", clip=4.0), root, ignore)
    load_examples(request, MusicGenBackend.load("tiny"), root, ignore)

    whole = sum(segment.samples / RATE for audio in songs.manifests.values() for segment in audio.segments)
    assert whole <= sum(once) <= 1.5 * whole  # and what lies beside the chunks
    assert encoded == once
    files = sorted(path.name[:64] for path in root.latents().rglob("*.safetensors"))
    assert files == sorted(audio.audio_hash for audio in songs.manifests.values())


def test_latents_belong_to_the_segments_that_they_are_of(
    songs: Songs, tracks: Tracks, musicgen: MusicGenBackend, tmp_path: Path
) -> None:
    root = songs.copy_to(tmp_path / "data")
    other = load_tracks(songs.request(recipe="mono44"), musicgen, root, ignore)
    for key, latents in tracks.latents.items():
        assert other.latents[key]["codes"].equal(latents["codes"])
        assert other.files[key].name == tracks.files[key].name
        seconds = sum(segment.samples / RATE for segment in tracks.manifests[key].segments)
        assert len(latents["codes"]) == pytest.approx(50 * seconds, abs=1)


def test_segments_are_pieces_of_their_tracks(songs: Songs, tracks: Tracks, musicgen: MusicGenBackend) -> None:
    examples = load_examples(songs.request(), musicgen, songs.root, ignore)
    for example, loaded in zip(songs.examples, examples, strict=True):
        latents = tracks.latents[example.audio_hash]["codes"]
        segment = tracks.manifests[example.audio_hash].segments[example.index]
        frames = -int(-segment.samples / RATE * 50 // 1)
        assert loaded.encoded["codes"].equal(latents[750 * example.index : 750 * example.index + frames])
        assert loaded.key == example.sha256


def test_a_damaged_latent_of_a_track_is_made_again(songs: Songs, musicgen: MusicGenBackend, tmp_path: Path) -> None:
    root = songs.copy_to(tmp_path / "data")
    before = load_tracks(songs.request(), musicgen, root, ignore)
    path = before.files[songs.hash_of("short")]
    beginning = path.read_bytes()[:200]
    path.unlink()
    path.write_bytes(beginning)

    again = load_tracks(songs.request(), musicgen, root, ignore)

    key = songs.hash_of("short")
    assert again.latents[key]["codes"].equal(before.latents[key]["codes"])
    assert path.stat().st_size > 200


def test_the_least_recently_used_latents_go_first(tmp_path: Path) -> None:
    root = DataRoot(tmp_path)
    folder = root.latents() / "ace_step" / "0" / "ab"
    folder.mkdir(parents=True)
    paths = [folder / f"{number}.safetensors" for number in range(5)]
    for age, path in zip((3, 5, 1, 4, 2), paths, strict=True):
        path.write_bytes(b"x" * 100)
        os.utime(path, (1_000_000 - age, 1_000_000 - 10))

    assert prune(root, [paths[1]], most=1000) == 0
    assert prune(root, [paths[1]], most=300) == 2

    assert [path.exists() for path in paths] == [False, True, True, False, True]
    assert prune(root, paths, most=0) == 0
    assert prune(DataRoot(tmp_path / "none"), [], most=0) == 0


def test_latents_of_tracks_are_forgotten_with_their_artist(
    songs: Songs, musicgen: MusicGenBackend, tmp_path: Path
) -> None:
    root = songs.copy_to(tmp_path / "data")
    kept = load_tracks(songs.request(), musicgen, root, ignore)
    gone = songs.hash_of("long")
    landmarks = root.landmarks() / gone[:2] / f"{gone}.mono44.npz"
    landmarks.parent.mkdir(parents=True)
    landmarks.write_bytes(b"1234")

    counted = forget(ForgetRequest(producer_id="x", audio_hashes=[gone], dry_run=True), root, ignore).removed
    assert counted["latents"].files == counted["landmarks"].files == 1
    (root.root / "cache" / "segments").unlink()  # they are other tests' too
    forget(ForgetRequest(producer_id="x", audio_hashes=[gone]), root, ignore)

    assert [path.exists() for key, path in kept.files.items() if key == gone] == [False]
    assert all(path.exists() for key, path in kept.files.items() if key != gone)
    assert not landmarks.exists()


# --- what a step hears ---


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


# --- stopped, and asked for again ---


class Stopped(BaseException):
    """What the worker raises at SIGTERM."""


def at_step(step: int, do: Callable[[], None]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if event.figures.get("step") == step:
            do()

    return listen


@contextlib.contextmanager
def child(work: Callable[[], object]) -> Iterator[int]:
    """A fork of this process that does the work."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            work()
        os._exit(0)
    try:
        yield pid
    finally:
        os.waitpid(pid, 0)


def adapter_bytes(root: DataRoot) -> bytes:
    return (root.run("run-c") / "adapter_model.safetensors").read_bytes()


@pytest.mark.usefixtures("tracks")
def test_a_training_on_crops_resumes_to_the_same_bits(songs: Songs, tmp_path: Path) -> None:
    names = ("whole", "stopped", "killed")
    undisturbed, stopped, killed = (songs.copy_to(tmp_path / name, encoded=True) for name in names)
    request = songs.request(clip=3.0)
    result = train(request, undisturbed, ignore)

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        train(request, stopped, at_step(2, stop))
    with child(lambda: train(request, killed, at_step(5, lambda: os.kill(os.getpid(), signal.SIGKILL)))):
        pass
    events: list[Event] = []
    results = [train(request, stopped, ignore), train(request, killed, events.append)]

    assert f"going on after step 3 of {STEPS}" in [event.message for event in events]
    assert [again.losses for again in results] == [result.losses] * 2
    assert [again.files for again in results] == [result.files] * 2
    assert adapter_bytes(stopped) == adapter_bytes(killed) == adapter_bytes(undisturbed)
    assert result.held_out
    assert len(result.validations) > 1


def test_a_cache_killed_in_the_middle_of_a_track_goes_on(songs: Songs, tmp_path: Path, encoded: list[float]) -> None:
    root = songs.copy_to(tmp_path / "data")

    def die(event: Event) -> None:
        if event.message.startswith("encoded track 2"):
            os.kill(os.getpid(), signal.SIGKILL)

    with child(lambda: load_tracks(songs.request(), MusicGenBackend.load("tiny"), root, die)):
        pass
    there = {path.name[:64] for path in root.latents().rglob("*.safetensors")}
    tracks = load_tracks(songs.request(), MusicGenBackend.load("tiny"), root, ignore)

    assert len(there) == 2
    missing = [audio for audio in songs.manifests.values() if audio.audio_hash not in there]
    seconds = sum(segment.samples / RATE for audio in missing for segment in audio.segments)
    assert seconds <= sum(encoded) <= 1.5 * seconds
    assert sorted(tracks.latents) == sorted(audio.audio_hash for audio in songs.manifests.values())


def test_ace_step_trains_on_crops_too(songs: Songs, tmp_path: Path) -> None:
    root = songs.copy_to(tmp_path / "data")
    short = [example for example in songs.examples if example.song in ("short", "loop")]
    request = songs.request(examples=short, backend=BackendKind.ACE_STEP, timelines=[], clip=3.0)

    once = train(request, root, ignore)
    again = train(request.model_copy(update={"run_id": "run-e"}), root, ignore)

    assert once.losses == again.losses
    assert once.samples_per_second
    frames = [
        len(part["mean"]) for part in load_tracks(request, AceStepBackend.load("tiny"), root, ignore).latents.values()
    ]
    assert frames == [525, 200]


def test_a_training_of_segments_is_asked_for_as_it_was(songs: Songs) -> None:
    request = train_request(songs.examples, parameters=parameters())
    assert "clip_seconds" not in request.model_dump_json()
    assert '"timelines"' not in request.model_dump_json()
    of_crops = songs.request()
    assert TrainRequest.model_validate_json(of_crops.model_dump_json()) == of_crops
