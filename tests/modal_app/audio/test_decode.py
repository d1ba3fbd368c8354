"""What is said of an audio file, and what hostile or broken files can and can't do."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.audio.decode import open_audio, probe
from modal_app.errors import UnreadableAudioError

Encode = Callable[..., Path]
Music = Callable[..., np.ndarray]


def mono_of(path: Path) -> np.ndarray:
    with open_audio(path) as audio:
        return np.concatenate(list(audio.blocks()))


@pytest.mark.parametrize(
    ("suffix", "codec", "rate"),
    [
        ("mp3", "libmp3lame", 44_100),
        ("mp3", "libmp3lame", 32_000),
        ("m4a", "aac", 44_100),
        ("m4a", "aac", 48_000),
        ("m4a", "alac", 44_100),
        ("opus", "libopus", 48_000),
    ],
)
@pytest.mark.parametrize("samples", [1_000, 308_713])
def test_an_encoders_delay_and_padding_are_taken_off(
    tmp_path: Path, encode: Encode, music: Music, suffix: str, codec: str, rate: int, samples: int
) -> None:
    path = encode(tmp_path / f"a.{suffix}", music(samples, 2, rate=rate), rate, codec)
    info = probe(path)
    assert (info.samples, info.sample_rate, info.channels) == (samples, rate, 2)
    assert info.duration_seconds == samples / rate
    assert info.warnings == ()
    assert len(mono_of(path)) == samples


@pytest.mark.parametrize("suffix", ["mp3", "m4a", "opus"])
def test_lossy_sound_stays_where_it_was_in_time(tmp_path: Path, encode: Encode, suffix: str) -> None:
    codec = {"mp3": "libmp3lame", "m4a": "aac", "opus": "libopus"}[suffix]
    click = np.zeros((96_000, 1), np.float32)
    click[48_000:48_050] = 0.9
    mono = mono_of(encode(tmp_path / f"a.{suffix}", click, 48_000, codec))
    assert abs(int(np.argmax(np.abs(mono))) - 48_025) < 60


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [
        ("wav", "PCM_U8", 1e-2),
        ("wav", "PCM_16", 1e-4),
        ("wav", "PCM_24", 1e-6),
        ("wav", "PCM_32", 1e-6),
        ("wav", "FLOAT", 1e-6),
        ("wav", "DOUBLE", 1e-6),
        ("aiff", "PCM_24", 1e-6),
        ("caf", "PCM_24", 1e-6),
        ("w64", "PCM_24", 1e-6),
        ("flac", "PCM_16", 1e-4),
        ("flac", "PCM_24", 1e-6),
    ],
)
def test_every_sample_format_becomes_the_same_mean_of_channels(
    tmp_path: Path, music: Music, suffix: str, subtype: str, tolerance: float
) -> None:
    signal = music(70_001, 3)
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, signal, 44_100, subtype=subtype)
    np.testing.assert_allclose(mono_of(path), signal.mean(axis=1), atol=tolerance)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (96_000, 2), (44_100, 6), (192_000, 1)])
def test_unusual_rates_and_channel_counts_are_read(tmp_path: Path, music: Music, rate: int, channels: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, music(rate + 1, channels, rate=rate), rate)
    info = probe(path)
    assert (info.samples, info.sample_rate, info.channels) == (rate + 1, rate, channels)


def test_what_is_no_number_is_zeroed_and_counted(tmp_path: Path, music: Music) -> None:
    signal = music(100_000, 2)
    signal[10, 0], signal[20, 1], signal[30, 0], signal[40, 1] = np.nan, np.inf, -np.inf, 1e30
    path = tmp_path / "a.wav"
    soundfile.write(path, signal, 44_100, subtype="FLOAT")
    mono = mono_of(path)
    assert mono[10] == pytest.approx(signal[10, 1] / 2)  # the other channel is kept
    assert np.isfinite(mono).all()
    with open_audio(path) as audio:
        list(audio.blocks())
        assert audio.warnings() == ["4 samples are not numbers and were set to zero"]


def test_only_antiphase_channels_get_a_warning(tmp_path: Path, music: Music) -> None:
    signal = music(44_100)
    for name, right, warned in (("anti", -signal, True), ("in", signal, False), ("one-sided", 0 * signal, False)):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, np.hstack([signal, right]), 44_100)
        with open_audio(path) as audio:
            list(audio.blocks())
            said = any(line.startswith("its channels are in antiphase") for line in audio.warnings())
            assert said is warned, name


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "ogg", "mp3"])
def test_a_truncated_file_gives_what_is_there_and_says_so(
    tmp_path: Path, encode: Encode, music: Music, suffix: str
) -> None:
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    if suffix == "mp3":
        encode(whole, music(44_100 * 4), 44_100, "libmp3lame")
    else:
        soundfile.write(whole, music(44_100 * 4), 44_100)
    assert probe(whole).warnings == ()
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 6 // 10])
    info = probe(cut)
    assert 44_100 < info.samples < 44_100 * 3
    assert info.warnings[0].startswith("truncated: only ")


def test_a_truncated_m4a_is_refused_as_truncated(tmp_path: Path, encode: Encode, music: Music) -> None:
    path = encode(tmp_path / "a.m4a", music(44_100), 44_100, "aac")
    path.write_bytes(path.read_bytes()[:8_000])
    with pytest.raises(UnreadableAudioError, match=r"^a\.m4a: it is truncated"):
        probe(path)


def test_a_wav_whose_size_was_never_filled_in_is_read_to_its_end(tmp_path: Path, music: Music) -> None:
    path = tmp_path / "streamed.wav"
    soundfile.write(path, music(44_100), 44_100)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    info = probe(path)
    assert (info.samples, info.warnings) == (44_100, ())


def test_a_compressed_wav_is_not_taken_for_a_truncated_one(tmp_path: Path, music: Music) -> None:
    for subtype in ("IMA_ADPCM", "MS_ADPCM", "ULAW", "ALAW"):
        path = tmp_path / f"{subtype}.wav"
        soundfile.write(path, music(44_100), 44_100, subtype=subtype)
        info = probe(path)
        assert abs(info.samples - 44_100) < 2_048, subtype  # ADPCM comes in whole blocks
        assert info.warnings == (), subtype


def test_cover_art_is_not_taken_for_the_music(tmp_path: Path, encode: Encode, music: Music) -> None:
    path = encode(tmp_path / "a.mp3", music(44_100 * 3), 44_100, "libmp3lame")
    path.write_bytes(_id3_picture(12_000_000) + _without_id3(path.read_bytes()))
    assert probe(path).samples == 44_100 * 3


def test_a_wrong_suffix_and_junk_before_the_music_do_no_harm(tmp_path: Path, encode: Encode, music: Music) -> None:
    mp3 = encode(tmp_path / "a.mp3", music(44_100 * 3), 44_100, "libmp3lame")
    named_wav = tmp_path / "really an mp3.wav"
    named_wav.write_bytes(mp3.read_bytes())
    assert probe(named_wav).samples == 44_100 * 3
    junk = tmp_path / "junk.mp3"
    junk.write_bytes(b"\0" * 5_000 + _without_id3(mp3.read_bytes()))
    assert abs(probe(junk).samples - 44_100 * 3) <= 2 * 1_152


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("nothing.wav", b"", "the file is empty"),
        ("text.mp3", b"Dear all, the bounces are on the other disk.\n" * 300, "no audio format"),
        ("zeros.wav", bytes(100_000), "no audio format"),
        ("half a header.wav", b"RIFF\x24\0\0\0WAVEfmt ", "."),
        ("png.flac", b"\x89PNG\r\n\x1a\n" + bytes(2_000), "no audio format"),
    ],
)
def test_what_is_no_audio_is_refused_in_one_line(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableAudioError, match=reason) as caught:
        probe(path)
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


def test_a_header_without_audio_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "header.wav"
    soundfile.write(path, np.zeros(0), 44_100)
    with pytest.raises(UnreadableAudioError, match="it holds a header but no audio"):
        probe(path)


def test_missing_files_folders_and_devices_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.wav", tmp_path, Path("/dev/zero"), tmp_path / "nul\0.wav"):
        with pytest.raises(UnreadableAudioError):
            probe(path)


@pytest.mark.parametrize(
    ("rate", "channels"), [(0, 1), (1, 1), (4_000_000_000, 1), (44_100, 0), (44_100, 255), (44_100, 65_535)]
)
def test_absurd_headers_are_refused(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "absurd.wav"
    block = min(2 * channels, 65_535)
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * block % 2**32, block, 16)
    data = bytes(200_000)
    path.write_bytes(
        b"RIFF"
        + struct.pack("<I", 36 + len(data))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + fmt
        + b"data"
        + struct.pack("<I", len(data))
        + data
    )
    with pytest.raises(UnreadableAudioError):
        probe(path)


def test_a_file_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modal_app.audio.decode.MAX_SECONDS", 3_600)
    path = tmp_path / "bomb.flac"  # two hours of silence are a few hundred kilobytes
    with soundfile.SoundFile(path, "w", 8_000, 1) as file:
        for _ in range(60 * 121):
            file.write(np.zeros(8_000))
    with pytest.raises(UnreadableAudioError, match="longer than 1 hours"):
        probe(path)


def test_a_channel_change_is_mixed_and_a_rate_change_refused(tmp_path: Path, encode: Encode, music: Music) -> None:
    stereo = encode(tmp_path / "stereo.mp3", music(44_100 * 2, 2), 44_100, "libmp3lame").read_bytes()
    mono = encode(tmp_path / "mono.mp3", music(44_100 * 2), 44_100, "libmp3lame").read_bytes()
    other = encode(tmp_path / "other.mp3", music(48_000 * 2, 2, rate=48_000), 48_000, "libmp3lame").read_bytes()
    both, changing = tmp_path / "both.mp3", tmp_path / "changing.mp3"
    both.write_bytes(_without_id3(stereo) + _without_id3(mono))
    assert len(mono_of(both)) == probe(both).samples
    assert probe(both).samples == pytest.approx(44_100 * 4, abs=3 * 1_152)
    changing.write_bytes(_without_id3(stereo) + _without_id3(other))
    with pytest.raises(UnreadableAudioError, match="sample rate changes from 44100 to 48000 Hz"):
        probe(changing)


@pytest.mark.parametrize("name", ["list.m3u8", "list.wav", "list.mp3"])
@pytest.mark.parametrize("kind", ["hls", "concat", "sdp", "dash"])
def test_a_playlist_opens_no_other_file(tmp_path: Path, music: Music, name: str, kind: str) -> None:
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, music(44_100), 44_100)
    text = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret.as_uri()}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile '{secret}'\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        f'<AdaptationSet mimeType="audio/wav"><Representation id="0"><BaseURL>{secret.as_uri()}</BaseURL>'
        f"</Representation></AdaptationSet></Period></MPD>",
    }[kind]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UnreadableAudioError):
        probe(path)


def test_the_playlists_above_would_be_followed_without_the_rules(tmp_path: Path, music: Music) -> None:
    """Else the test above proves nothing."""
    import av

    secret, playlist = tmp_path / "secret.wav", tmp_path / "list.txt"
    soundfile.write(secret, music(44_100), 44_100)
    playlist.write_text("ffconcat version 1.0\nfile 'secret.wav'\n")
    with av.open(str(playlist), options={"safe": "0"}) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 44_100


def _without_id3(data: bytes) -> bytes:
    if data[:3] != b"ID3":
        return data
    return data[10 + sum(byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True)) :]


def _id3_picture(size: int) -> bytes:
    body = b"\0image/png\0\x03\0" + b"\x89PNG\r\n\x1a\n" + bytes(size)
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    length = len(frame)
    return b"ID3\x03\0\0" + bytes(length >> shift & 0x7F for shift in (21, 14, 7, 0)) + frame
