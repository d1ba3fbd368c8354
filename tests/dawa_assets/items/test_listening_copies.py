"""Copies that one listens by: the waveform's own samples, made once, bounded, and made again when they are gone."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import soundfile

import dawa_assets.items.waveforms as waveforms
import modal_app.audio.waveform as measuring
from dawa_assets.items.waveforms import open_copy, waveform_of
from dawa_assets.pipeline.local_files import remove_local_files
from modal_app.audio.waveform import POINTS_A_SECOND
from modal_app.errors import UnreadableAudioError
from resources.errors import ObjectNotFoundError
from resources.ports import Ports
from tests.dawa_assets.intake.material import wav
from tests.modal_app.audio.conftest import encode_with_ffmpeg

RATE = 44_100
CLICKS = (0.5, 1.7, 2.9)  # seconds


def _clicks(level: float = 0.9, channels: int = 2) -> np.ndarray:
    signal = np.zeros((3 * RATE + 777, channels), np.float32)
    for at in CLICKS:
        signal[int(at * RATE) : int(at * RATE) + 40] = level
    return signal


@pytest.fixture
def store(ports: Ports, tmp_path: Path) -> Callable[[str, bytes | np.ndarray], str]:
    """A function that lays a file into the bucket, encoded as its name says; its SHA-256."""

    def lay(key: str, given: bytes | np.ndarray) -> str:
        if isinstance(given, np.ndarray):
            path = tmp_path / Path(key).name
            codec = {"mp3": "libmp3lame", "m4a": "aac"}.get(key.rpartition(".")[2])
            if codec:
                encode_with_ffmpeg(path, given, RATE, codec, 192_000)
            else:
                soundfile.write(path, given, RATE)
            given = path.read_bytes()
        ports.bucket.put(key, given)
        return hashlib.sha256(given).hexdigest()

    return lay


def _copies(ports: Ports) -> list[Path]:
    return sorted((ports.settings.home / "cache" / "waveforms").rglob("*.flac"))


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "ogg"])
def test_a_copy_has_each_click_where_the_waveform_has_it(ports: Ports, store: Callable[..., str], suffix: str) -> None:
    key = f"artists/nova/clicks.{suffix}"
    sha256 = store(key, _clicks())
    _, measured = waveform_of(ports, key, sha256)
    (kept,) = _copies(ports)
    before = kept.stat().st_ino
    with open_copy(ports, key, sha256) as file:
        signal, rate = soundfile.read(file, always_2d=True)
    assert (rate, len(signal), signal.shape[1]) == (RATE, round(measured.seconds * RATE), 2)
    for at in CLICKS:
        part = slice(int((at - 0.1) * RATE), int((at + 0.1) * RATE))
        heard = (np.abs(signal[part]).max(axis=1).argmax() + part.start) / RATE
        points = slice(int((at - 0.1) * POINTS_A_SECOND), int((at + 0.1) * POINTS_A_SECOND))
        drawn = (measured.high[points].argmax() + points.start) / POINTS_A_SECOND
        assert abs(heard - drawn) < 0.01
        assert abs(heard - at) < 0.02
    assert kept.stat().st_ino == before  # and it was made with the waveform, once


def test_what_browsers_play_exactly_has_none_until_somebody_asks(ports: Ports, store: Callable[..., str]) -> None:
    sha256 = store("artists/nova/a.wav", wav())
    waveform_of(ports, "artists/nova/a.wav", sha256)
    assert _copies(ports) == []
    with open_copy(ports, "artists/nova/a.wav", sha256) as file:
        assert soundfile.info(file).channels == 1


def test_audio_above_full_scale_is_clipped_without_wrapping(ports: Ports, store: Callable[..., str]) -> None:
    key = "artists/nova/loud.m4a"
    with open_copy(ports, key, store(key, _clicks(level=1.0) * np.float32(1.3))) as file:
        signal, _ = soundfile.read(file)
    assert signal.max() > 0.99
    assert signal.min() > -0.9  # a value that wrapped around would lie at the other end


def test_copies_that_nobody_played_for_longest_make_room(
    ports: Ports, store: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"artists/nova/{number}.aiff" for number in range(3)]
    hashes = [store(key, _clicks(0.3 + 0.2 * number)) for number, key in enumerate(keys)]
    for key, sha256 in zip(keys[:2], hashes[:2], strict=True):
        waveform_of(ports, key, sha256)
    one, _ = _copies(ports)
    monkeypatch.setattr(waveforms, "MAX_COPIES_BYTES", 2.5 * one.stat().st_size)
    with open_copy(ports, keys[1], hashes[1]), open_copy(ports, keys[0], hashes[0]) as playing:
        waveform_of(ports, keys[2], hashes[2])
        assert len(_copies(ports)) == 2
        assert waveforms.is_copied(ports.settings, hashes[0])
        assert not waveforms.is_copied(ports.settings, hashes[1])
        remove_local_files(ports.settings, "nova", uuid4(), hashes)
        assert not [path for path in (ports.settings.home / "cache").rglob("*") if path.is_file()]
        assert soundfile.info(playing).samplerate == RATE  # what somebody listens to stays until they are done
    with open_copy(ports, keys[1], hashes[1]) as again:
        assert soundfile.info(again).frames == 3 * RATE + 777


def test_a_copy_that_is_too_large_is_refused_without_decoding(
    ports: Ports, store: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MAX_COPY_BYTES", 100)
    key = "artists/nova/a.ogg"
    sha256 = store(key, _clicks())
    assert waveform_of(ports, key, sha256)[1].high.max() > 80
    ports.bucket.delete([key])
    with pytest.raises(UnreadableAudioError, match="play the file itself"):
        open_copy(ports, key, sha256)
    with pytest.raises(ObjectNotFoundError):
        open_copy(ports, "artists/nova/gone.ogg", "0" * 64)


def test_a_sample_rate_that_flac_lacks_is_still_measured(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "odd.wav", _clicks(), 96_001)
    found = measuring.measure_waveform(tmp_path / "odd.wav", tmp_path / "copy.flac")
    assert found.sample_rate == 96_001
    assert (tmp_path / "copy.flac").read_bytes() == b""
