"""Pictures: what is drawn, from what, how large it may become, and what happens where it can't be drawn."""

import hashlib
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dawa_assets.plots.png_size import at_most
from dawa_assets.plots.tag_histogram import draw_words
from dawa_assets.tables.segment_tags import Word
from modal_app.audio.pcm import Signal
from modal_app.audio.recipe import MONO44
from modal_app.audio.render_plots import depict, envelope
from modal_app.audio.segments import write_segments
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.producer.forget import forget
from modal_app.protocol.audio import PreparedAudio
from modal_app.protocol.forgetting import ForgetRequest
from modal_app.protocol.pictures import DepictRequest, PicturedSegment, PicturedTrack
from modal_app.protocol.song_timeline import Layer, MetreStart, SectionStart, SongTimeline, Voice

RATE = MONO44.sample_rate
SHOWN = 150_000


def cached(root: DataRoot, sound: Signal) -> PreparedAudio:
    """Segments of a mono sound in the cache, as the job that prepares leaves them."""
    audio_hash = hashlib.sha256(sound.tobytes()).hexdigest()
    folder = root.segments(audio_hash, "mono44")
    folder.mkdir(parents=True)
    prepared = PreparedAudio(
        audio_hash=audio_hash,
        recipe="mono44",
        sample_rate=RATE,
        source_sample_rate=RATE,
        source_channels=1,
        source_samples=len(sound),
        duration_seconds=len(sound) / RATE,
        segments=write_segments([sound], RATE, folder),
        warnings=[],
    )
    (folder / "manifest.json").write_text(prepared.model_dump_json())
    return prepared


def request(*tracks: PreparedAudio, name: str = "one", title: str = "Song", index: int = 0) -> DepictRequest:
    return DepictRequest(
        producer_id="someone",
        name=name,
        tracks=[PicturedTrack(audio_hash=track.audio_hash, name=title) for track in tracks],
        of=len(tracks),
        segment=PicturedSegment(audio_hash=tracks[0].audio_hash, index=index, name=title),
    )


def noise(seconds: float, level: float = 0.3) -> Signal:
    return (level * np.random.default_rng(7).standard_normal(int(seconds * RATE))).astype(np.float32).clip(-1, 1)


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path)


def test_a_waveform_shows_the_tracks_own_level(root: DataRoot) -> None:
    quiet, loud = np.full(15 * RATE, 0.1, np.float32), np.full(15 * RATE, 0.8, np.float32)
    low, high = envelope(root, cached(root, np.concatenate([quiet, loud])), 100)
    assert high[:50] == pytest.approx(0.1, abs=0.001)
    assert high[50:] == pytest.approx(0.8, abs=0.001)
    assert low == pytest.approx(0)


SONG = SongTimeline(
    version="test",
    end=28.0,
    bars=[2.0 * bar for bar in range(15)],
    metres=[MetreStart(seconds=0.0, time_signature="4/4")],
    sections=[SectionStart(seconds=0.0, name="intro"), SectionStart(seconds=8.0, name="drop")],
    voices=[
        Voice(instrument="kick", role="rhythm", spans=[(8.0, 20.0)]),
        Voice(instrument="pads", role="harmony", spans=[(0.0, 28.0)]),
    ],
    layers=[Layer(track="Kit", spans=[(8.0, 20.0)]), Layer(track="Pad", spans=[(0.0, 28.0)])],
)


def drawn(root: DataRoot, asked: DepictRequest) -> npt.NDArray[np.uint8]:
    made = depict(asked, root, lambda _: None)
    return np.asarray(Image.open(root.root / made.waveforms).convert("RGB"))


def columns_of(image: npt.NDArray[np.uint8], colour: str) -> tuple[float, float]:
    """From where to where a colour is in a picture, as a share of its width."""
    rgb = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    found = np.flatnonzero((np.abs(image.astype(int) - rgb).max(axis=2) < 12).any(axis=0))
    return float(found[0] / image.shape[1]), float(found[-1] / image.shape[1])


def test_what_plays_is_drawn_under_its_wave_at_its_seconds(root: DataRoot) -> None:
    track = cached(root, noise(30))
    plain = drawn(root, request(track, name="plain"))
    asked = request(track, name="song")
    with_song = asked.tracks[0].model_copy(update={"timeline": SONG})
    image = drawn(root, asked.model_copy(update={"tracks": [with_song]}))
    assert image.shape[0] > plain.shape[0]
    begin, end = columns_of(image, "#b45309")  # of rhythm: the kick's lane
    assert begin == pytest.approx(0.1 + 0.88 * 8 / 30, abs=0.005)
    assert end == pytest.approx(0.1 + 0.88 * 20 / 30, abs=0.005)


def test_a_song_that_lies_outside_of_the_sound_is_drawn_too(root: DataRoot) -> None:
    asked = request(cached(root, noise(30)), name="late")
    for offset in (-25.0, 20.0, 500.0):
        song = asked.tracks[0].model_copy(update={"timeline": SONG.by_bounce_clock(offset, 1.0)})
        assert drawn(root, asked.model_copy(update={"tracks": [song]})).size


def test_both_pictures_are_small_and_only_the_latest_ones_stay(root: DataRoot) -> None:
    tracks = [cached(root, noise(20, level)) for level in (0.1, 0.2, 0.3)]
    depict(request(*tracks, name="before"), root, lambda _: None)
    done = depict(request(*tracks, name="after"), root, lambda _: None)
    for path in (done.waveforms, done.spectrogram):
        with Image.open(root.root / path) as picture:
            assert picture.width > 500
            assert picture.height > 150
    small = at_most((root.root / done.spectrogram).read_bytes(), SHOWN)
    assert small is not None
    assert len(small) <= SHOWN
    assert (root.root / done.waveforms).stat().st_size <= SHOWN
    assert {path.name for path in (root.root / "pictures/someone").iterdir()} == {
        "after-waveforms.png",
        "after-spectrogram.png",
    }


@pytest.mark.filterwarnings("error::UserWarning")  # matplotlib's of a glyph that its font has not
@settings(max_examples=6, deadline=None)
@given(title=st.text(max_size=120), seconds=st.sampled_from([0.01, 0.5, 16.0]), silent=st.booleans())
def test_any_title_and_any_length_can_be_drawn(
    tmp_path_factory: pytest.TempPathFactory, title: str, seconds: float, silent: bool
) -> None:
    root = DataRoot(tmp_path_factory.mktemp("root"))
    done = depict(request(cached(root, noise(seconds, 0.0 if silent else 0.3)), title=title), root, lambda _: None)
    assert (root.root / done.spectrogram).stat().st_size > 0


@pytest.mark.parametrize("index", [7, -1])
def test_what_is_not_in_the_cache_is_one_clear_line(root: DataRoot, index: int) -> None:
    track = cached(root, noise(1))
    with pytest.raises(JobError, match="no segment"):
        depict(request(track, index=index), root, lambda _: None)
    gone = track.model_copy(update={"audio_hash": "0" * 64})
    with pytest.raises(JobError, match="Song: its segments are not in the cache; prepare them again"):
        depict(request(gone), root, lambda _: None)
    assert list((root.root / "pictures/someone").iterdir()) == []


def test_only_a_deleted_artists_pictures_are_removed(root: DataRoot) -> None:
    track = cached(root, noise(1))
    for producer in ("someone", "someone-else"):
        depict(request(track).model_copy(update={"producer_id": producer}), root, lambda _: None)
    forget(ForgetRequest(producer_id="someone"), root, lambda _: None)
    assert [path.name for path in (root.root / "pictures").iterdir()] == ["someone-else"]


def test_a_large_picture_loses_colours_and_pixels_and_stays_one() -> None:
    file = BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (350, 825, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    small = at_most(file.getvalue(), SHOWN)
    assert small is not None
    assert len(small) <= SHOWN
    with Image.open(BytesIO(small)) as picture:
        assert picture.width / picture.height == pytest.approx(825 / 350, rel=0.02)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=400))
def test_what_is_no_picture_is_left_out(content: bytes) -> None:
    assert at_most(b"\x89PNG\r\n\x1a\n" + content, 4) is None


@pytest.mark.filterwarnings("error::UserWarning")
def test_words_of_any_script_are_drawn() -> None:
    words = [Word("energy", "hoch $x$", 9, 9), Word("mood", "夜", 4, 9), Word("genre", "x" * 300, 1, 9)]
    with Image.open(BytesIO(draw_words(words))) as picture:
        assert picture.width == 640
