"""Latents of whole tracks: their pieces join without seams, and the cache keeps them by track."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.backends.base import Signal, TrainBackend
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.data_root.layout import DataRoot
from modal_app.producer.forget import forget
from modal_app.protocol.forgetting import ForgetRequest
from modal_app.training.data import load_examples
from modal_app.training.latent_cache import prune
from modal_app.training.track_audio import encode_in_chunks, joined_track
from modal_app.training.tracks import Tracks, load_tracks
from modal_app.training.train import train
from tests.modal_app.training.conftest import RATE, ignore, track
from tests.modal_app.training.tracks.conftest import Songs, signals

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
