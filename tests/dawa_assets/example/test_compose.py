import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.summary import AlsSummary
from dawa_assets.ableton.summary_builder import summarise
from dawa_assets.example.compose import Example, compose_example, write_audio
from dawa_assets.example.score import BEATS_PER_BAR, Song
from dawa_assets.example.tracks import songs
from modal_app.tagging.offline import tag_segment
from tests.prepared import example_in

PITCH_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SONGS = {song.title: song for song in songs()}
TITLES = sorted(SONGS)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return example_in(tmp_path_factory.mktemp("example"))


def _file(example: Example, title: str, *suffixes: str) -> Path:
    return next(path for path in example.files if path.stem == title and path.suffix[1:] in suffixes)


def _bounce(example: Example, title: str) -> Path:
    return _file(example, title, "mp3", "wav", "flac")


def _sound(path: Path) -> tuple[np.ndarray, int]:
    """Decoded by FFmpeg: shape (2, samples) in -1 … 1."""
    with av.open(str(path)) as container:
        frames = []
        resampler = av.AudioResampler(format="fltp")
        for frame in container.decode(audio=0):
            frames += [resampled.to_ndarray() for resampled in resampler.resample(frame)]
        return np.concatenate(frames, axis=1), container.streams.audio[0].rate


def _summary(example: Example, title: str) -> AlsSummary:
    path = _file(example, title, "als")
    return summarise(
        read_live_set(path), als_filename=path.name, project_folder=path.parent.name, artist_name=example.artist_name
    )


@pytest.mark.slow
def test_another_process_composes_the_same_bytes(example: Example, tmp_path: Path) -> None:
    code = (
        f"from pathlib import Path; from dawa_assets.example.compose import *; compose_example(Path({str(tmp_path)!r}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    ours = {path.name: path.read_bytes() for path in (*example.files, example.profile)}
    theirs = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.name in ours}
    assert theirs == ours


@pytest.mark.slow
def test_complete_files_are_kept_and_damaged_ones_are_rebuilt(example: Example) -> None:
    root, damaged = example.profile.parent, _file(example, "Night Courier", "als")
    before = {path: path.stat().st_mtime_ns for path in example.files}
    assert compose_example(root) == example
    assert {path: path.stat().st_mtime_ns for path in example.files} == before
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    compose_example(root)
    assert damaged.read_bytes() == whole
    assert not list(root.rglob("*.part"))


def test_three_sets_of_three_live_versions_each_have_a_bounce(example: Example) -> None:
    assert sorted(path.suffix for path in example.files) == [".als", ".als", ".als", ".flac", ".mp3", ".wav"]
    assert {read_live_set(path).live_version.split(".")[0] for path in example.files if path.suffix == ".als"} == {
        "8", "10", "12",
    }  # fmt: skip
    assert {path for path in example.folder.rglob("*") if path.is_file()} == set(example.files)
    assert len({(song.tempo, song.root, song.mode) for song in SONGS.values()}) == 3


@pytest.mark.parametrize("title", TITLES)
def test_the_set_read_back_says_what_the_composition_says(example: Example, title: str) -> None:
    song, summary = SONGS[title], _summary(example, title).model_dump(mode="json")
    overview = summary["overview"]
    assert overview["tempo"] == song.tempo
    assert overview["time_signature"] == "4/4"
    assert overview["midi_tracks"] == sum(part.kind == "MIDI" for part in song.parts)
    assert overview["audio_tracks"] == sum(part.kind == "Audio" for part in song.parts)
    assert overview["group_tracks"] == len(song.group_colors)
    assert overview["return_tracks"] == 2
    tracks = summary["track_breakdown"]
    assert list(tracks) == [part.name for part in song.parts]
    for part in song.parts:
        track = tracks[part.name]
        assert track["type"] == part.kind
        assert track["group"] == part.group
        assert track["clips"] == len(part.clips) + len(part.session)
        assert track["plugins"] == [plugin.name for plugin in part.plugins]
        assert set(track["sample_files"]) == {*part.samples, *(clip.sample for clip in part.clips if clip.sample)}
        assert track["has_automation"] == bool(part.sweep)
        assert track["devices"] >= len(part.devices) + len(part.plugins)
    assert summary["length_bars"] == song.beats / BEATS_PER_BAR
    assert [(at["name"], at["time"]) for at in summary["locators"]] == [
        (section.name, section.bar * BEATS_PER_BAR) for section in song.sections
    ]
    assert summary["tempo_changes"] == []


def test_a_key_stands_in_the_set_that_has_a_place_for_it(example: Example) -> None:
    scale = _summary(example, "Glass Harbour").model_dump(mode="json")["scale"]
    assert (scale["root"], scale["name"], scale["origin"]) == ("A", "Minor", "in key")


def test_every_sweep_that_is_heard_has_a_filter_on_the_track() -> None:
    assert all("AutoFilter" in part.devices for song in SONGS.values() for part in song.parts if part.sweep)


@pytest.mark.parametrize("title", TITLES)
def test_a_bounce_lasts_as_long_as_its_arrangement_and_its_tail(example: Example, title: str) -> None:
    song = SONGS[title]
    sound, rate = _sound(_bounce(example, title))
    seconds = song.beats * 60 / song.tempo
    assert sound.shape[0] == 2
    assert rate == 44_100
    assert 32 < seconds < 41
    assert seconds + 1.5 < sound.shape[1] / rate < seconds + 2.0
    assert np.abs(sound[:, -rate // 10 :]).max() < 0.05


@pytest.mark.parametrize("title", TITLES)
def test_a_bounce_peaks_near_minus_one_decibel_without_clipping(example: Example, title: str) -> None:
    sound, _ = _sound(_bounce(example, title))
    peak = 20 * np.log10(np.abs(sound).max())
    assert -1.2 < peak < (0 if SONGS[title].bounce == "mp3" else -0.95)  # lossy coding moves peaks
    assert (np.abs(sound) > 0.999 * np.abs(sound).max()).sum() < 20
    assert abs(sound.mean()) < 1e-3


@pytest.mark.parametrize("title", TITLES)
def test_the_arrangement_can_be_heard_in_the_level(example: Example, title: str) -> None:
    song = SONGS[title]
    sound, rate = _sound(_bounce(example, title))
    intro, build, drop, outro = (_level(sound, rate, song, number) for number in range(4))
    assert drop == max(intro, build, drop, outro)
    assert drop > intro + 3
    assert drop > outro + 2
    assert build > intro


@pytest.mark.parametrize("title", TITLES)
def test_the_drop_has_bass_body_presence_and_air_and_is_stereo(example: Example, title: str) -> None:
    song = SONGS[title]
    sound, rate = _sound(_bounce(example, title))
    drop = _section(sound, rate, song, 2)
    power = np.abs(np.fft.rfft(drop.mean(axis=0))) ** 2
    frequencies = np.fft.rfftfreq(drop.shape[1], 1 / rate)
    for low, high, least in ((20, 80, -12), (80, 250, -12), (250, 800, -12), (800, 2500, -20), (2500, 16_000, -24)):
        share = power[(frequencies >= low) & (frequencies < high)].sum() / power.sum()
        assert 10 * np.log10(share) > least, (low, high)
    side = ((drop[0] - drop[1]) ** 2).mean() / ((drop[0] + drop[1]) ** 2).mean()
    assert 0.01 < side < 0.5


@pytest.mark.parametrize("title", TITLES)
def test_the_tagger_hears_the_tempo_and_the_key_of_the_score(example: Example, title: str) -> None:
    song = SONGS[title]
    major = song.root if song.mode == "Major" else (song.root + 3) % 12
    names = {PITCH_NAMES[major] + " major", PITCH_NAMES[(major + 9) % 12] + " minor"}
    sound, rate = _sound(_bounce(example, title))
    mono = sound.mean(axis=0)
    segments = [mono[first : first + 15 * rate] for first in range(0, len(mono) - 5 * rate, 15 * rate)]
    heard = []
    for segment in segments:
        gain = 0.89 / np.abs(segment).max()
        tags, hinted_wrongly = (
            tag_segment((segment * gain).astype(np.float32), 20 * np.log10(gain), bpm).tags
            for bpm in (song.tempo, song.tempo * 1.07)
        )
        assert tags["tempo"] == f"{song.tempo:g} BPM"
        assert "not confirmed" in hinted_wrongly["tempo"]
        heard += [tags["key"]] if "key" in tags else []
    assert len(segments) == 3
    assert heard, "no segment has a sure key"
    assert all(set(str(key).split(" or ")) <= names for key in heard)


def test_the_kick_pushes_the_pad_down() -> None:
    from dataclasses import replace

    from dawa_assets.example.mix import play

    song = SONGS["Glass Harbour"]
    kick = next(part for part in song.parts if part.name == "Kick")
    pad = next(part for part in song.parts if part.name == "Pad")
    silent_kick = replace(kick, gain_db=-200.0)
    sound = play(replace(song, parts=(silent_kick, replace(pad, reverb=0.0, sweep=()))))
    beat = round(44_100 * 60 / song.tempo)
    first = 33 * beat  # in the drop
    beats = np.abs(sound[:, first : first + 16 * beat]).mean(axis=0).reshape(16, beat).mean(axis=0)
    assert beats[: beat // 6].mean() < 0.75 * beats[-beat // 4 :].mean()


def test_the_profile_is_plain_json_and_knows_the_songs(example: Example) -> None:
    profile = json.loads(example.profile.read_bytes())
    assert [work["title"] for work in profile["catalog"]] == [song.title for song in songs()]
    assert [work["tempo_bpm"] for work in profile["catalog"]] == [song.tempo for song in songs()]
    assert profile["artist"]["name"] == example.artist_name


@pytest.mark.parametrize("suffix", ["mp3", "wav", "flac"])
def test_written_audio_decodes_to_what_was_written(tmp_path: Path, suffix: str) -> None:
    time = np.arange(44_100) / 44_100
    tone = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 660 * time)]).astype(np.float32) * 0.5
    write_audio(tone, tmp_path / f"tone.{suffix}", 44_100)
    sound, rate = _sound(tmp_path / f"tone.{suffix}")
    assert rate == 44_100
    assert abs(sound.shape[1] - tone.shape[1]) < 3 * 1152
    for channel, frequency in enumerate((440, 660)):
        power = np.abs(np.fft.rfft(sound[channel, :44_100]))
        assert abs(int(power.argmax()) - frequency) <= 1
    assert [path.name for path in tmp_path.iterdir()] == [f"tone.{suffix}"]


def test_wav_and_flac_hold_sixteen_bits(example: Example) -> None:
    assert {soundfile.info(_bounce(example, title)).subtype for title in TITLES if title != "Glass Harbour"} == {
        "PCM_16"
    }


def _section(sound: np.ndarray, rate: int, song: Song, number: int) -> np.ndarray:
    bar = BEATS_PER_BAR * 60 / song.tempo * rate
    section = song.sections[number]
    return sound[:, round(section.bar * bar) : round((section.bar + section.bars) * bar)]


def _level(sound: np.ndarray, rate: int, song: Song, number: int) -> float:
    return float(10 * np.log10((_section(sound, rate, song, number) ** 2).mean()))
