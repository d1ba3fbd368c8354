"""What was generated is known again: unchanged, encoded again, transposed, cut, and inside other music."""

import json
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from benchmarks._pieces import STYLES, compose
from dawa_assets.rights.content_credentials import is_installed
from dawa_assets.rights.fingerprints import can_fingerprint, pack, sha256_of_samples, unpack
from dawa_assets.rights.marks import Marker, Occasion
from dawa_assets.rights.trace import Trace, trace
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.rendered_audio import count_rendered
from modal_app.errors import UnreadableAudioError
from modal_app.marks.encode import encode
from modal_app.marks.tags import Provenance
from resources.database.base import Database
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.maintenance.typed import dawa
from tests.dawa_assets.training.catalogue import open_catalogue

pytestmark = pytest.mark.skipif(not can_fingerprint(), reason="the extra `marks` is not installed")

RATE = 44_100
Sound = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def pieces() -> list[Sound]:
    """Three renderings, and one piece that nobody rendered; 15 s each."""
    return [compose(STYLES[number], 3).signal[: 15 * RATE] for number in (0, 3, 6, 7)]


@pytest.fixture
def marked(tmp_path: Path, settings: Settings, database: Database, artist: Artist, pieces: list[Sound]) -> list[Path]:
    """The first three pieces as they were rendered, marked and put on record."""
    marker, files = Marker(settings, database), []
    for number, piece in enumerate(pieces[:3]):
        plain, out = tmp_path / f"plain-{number}.wav", tmp_path / f"marked-{number}.wav"
        _write(plain, piece)
        of = Provenance("ace_step", "tiny", f"{artist.slug}:nawfside_lora", f"run-{number}")
        marker.mark(plain, out, of, Occasion("command", f"prompt {number}", number))
        files.append(out)
    return files


def _write(path: Path, sound: Sound, rate: int = RATE) -> Path:
    soundfile.write(path, (sound * 32_767).clip(-32_768, 32_767).astype(np.int16), rate, subtype="PCM_16")
    return path


def _pitched(sound: Sound, ratio: float) -> Sound:
    """As long as it was, at another pitch: resampled, and stretched back by FFmpeg."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=RATE, format="fltp", layout="mono", time_base=None)
    chain = [source, graph.add("asetrate", str(round(RATE * ratio))), graph.add("aresample", str(RATE)),
             graph.add("atempo", f"{1 / ratio:.6f}"), graph.add("abuffersink")]  # fmt: skip
    for one, other in pairwise(chain):
        one.link_to(other)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="fltp", layout="mono")
    frame.sample_rate = RATE
    graph.push(frame)
    graph.push(None)
    parts = []
    while True:
        try:
            parts.append(graph.pull().to_ndarray()[0])
        except (av.EOFError, av.BlockingIOError):
            return np.concatenate(parts).astype(np.float64)


def _inside(sound: Sound, other: Sound) -> Sound:
    mixed = other.copy()
    mixed[3 * RATE : 11 * RATE] = sound[2 * RATE : 10 * RATE]
    return mixed


def _found(found: Trace) -> list[str | None]:
    return [each.sound.run for each in found.sounds]


def test_an_unchanged_copy_is_known_by_its_samples(
    settings: Settings, database: Database, marked: list[Path], tmp_path: Path
) -> None:
    flac = tmp_path / "copy.flac"
    encode(marked[1], flac, None)
    misnamed = tmp_path / "copy.raw"
    misnamed.write_bytes(marked[1].read_bytes())
    for file in (marked[1], flac, misnamed):
        found = trace(settings, database, file)
        assert _found(found) == ["run-1"]
        assert found.sounds[0].is_exact
        assert found.sounds[0].sound.prompt == "prompt 1"


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize(
    "change",
    [
        lambda sound, _: sound * 0.3,
        lambda sound, _: sound[4 * RATE :],
        lambda sound, _: _pitched(sound, 2 ** (1 / 12)),
        lambda sound, _: _pitched(sound, 2 ** (-1 / 12)),
        lambda sound, _: soxr.resample(sound, RATE, RATE * 0.97),
        lambda sound, other: _inside(sound, other),
    ],
    ids=["quieter", "cut", "a semitone up", "a semitone down", "3 % faster", "8 s inside other music"],
)
def test_a_changed_copy_is_known_by_its_landmarks(
    settings: Settings,
    database: Database,
    pieces: list[Sound],
    tmp_path: Path,
    change: Callable[[Sound, Sound], Sound],
) -> None:
    copy = _write(tmp_path / "copy.wav", change(pieces[2], pieces[3]))
    mp3 = tmp_path / "copy.mp3"
    encode(copy, mp3, None)
    found = trace(settings, database, mp3)
    assert _found(found) == ["run-2"]
    assert not found.sounds[0].is_exact
    assert found.sounds[0].seconds > 3


@pytest.mark.usefixtures("marked")
def test_music_that_was_not_made_here_is_not_claimed(
    settings: Settings, database: Database, pieces: list[Sound], tmp_path: Path
) -> None:
    found = trace(settings, database, _write(tmp_path / "stranger.wav", pieces[3]))
    assert not found.was_made_here
    assert found.on_record == 3


@pytest.mark.skipif(not is_installed(), reason="the extra `marks` is not installed")
def test_a_mark_is_told_by_whose_signature_it_bears(
    settings: Settings, database: Database, marked: list[Path], tmp_path: Path
) -> None:
    elsewhere = settings.model_copy(update={"home": tmp_path / "elsewhere"})
    marks = [trace(each, database, marked[0]).credentials for each in (settings, elsewhere)]
    assert [mark.state for mark in marks if mark is not None] == ["Trusted", "Valid"]


@pytest.mark.usefixtures("marked")
def test_the_same_sound_marked_again_is_one_row(
    settings: Settings, database: Database, tmp_path: Path, artist: Artist
) -> None:
    of = Provenance("ace_step", "tiny", f"{artist.slug}:nawfside_lora", "run-0")
    marker = Marker(settings, database)
    marker.mark(tmp_path / "plain-0.wav", tmp_path / "again.wav", of, Occasion("http", "prompt 0", 0))
    with database.transaction() as connection:
        assert count_rendered(connection) == (3, 0)
    assert sha256_of_samples(tmp_path / "again.wav") == sha256_of_samples(tmp_path / "plain-0.wav")


def test_marks_that_are_off_leave_the_bytes_and_no_row(
    settings: Settings, database: Database, pieces: list[Sound], tmp_path: Path
) -> None:
    plain = _write(tmp_path / "plain.wav", pieces[0])
    off = settings.model_copy(update={"marks": "off"})
    Marker(off, database).mark(plain, tmp_path / "out.wav", Provenance("g", "b"), Occasion("http", "p", None))
    assert (tmp_path / "out.wav").read_bytes() == plain.read_bytes()
    with database.transaction() as connection:
        assert count_rendered(connection) == (0, 0)


@pytest.mark.usefixtures("marked")
def test_a_damaged_row_is_passed_over(
    settings: Settings, database: Database, pieces: list[Sound], tmp_path: Path
) -> None:
    with database.transaction() as connection:
        connection.execute("update rendered_audio set landmarks = '\\x00' where run = 'run-0'")
    found = trace(settings, database, _write(tmp_path / "copy.wav", pieces[1] * 0.5))
    assert _found(found) == ["run-1"]


def test_landmarks_come_back_as_they_were_packed() -> None:
    hashes = np.array([[0, 5], [7, 2**20 - 1]], np.int32)
    assert np.array_equal(unpack(pack(hashes)), hashes)
    assert len(unpack(b"")) == len(unpack(pack(hashes)[:-3])) == 0


def test_the_answer_names_who_was_trained_on(
    ports: Ports, tmp_path: Path, pieces: list[Sound], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    catalogue = open_catalogue(ports, "Nova")
    catalogue.sql(
        "insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count) "
        "values (%s, 'f', 'done', %s, %s, 1)",
        catalogue.artist.id, f"artists/{catalogue.slug}/datasets/d.zip", f"artists/{catalogue.slug}/datasets/d.json",
    )  # fmt: skip
    item = catalogue.add("Glass/Harbour", b"sound")
    catalogue.sql(
        "insert into dataset_items (dataset_id, position, training_item_id, item_key, audio_path, audio_hash, "
        "audio_format, prompt_text) select d.id, 1, t.id, t.item_key, t.audio_path, t.audio_hash, 'wav', 'p' "
        "from datasets d, training_items t where t.id = %s",
        item,
    )
    [run] = catalogue.sql(
        "insert into training_runs (artist_id, dataset_id, fingerprint, backend, base, model_name, parameters, state) "
        "select artist_id, id, 'f', 'ace_step', 'tiny', 'm', '{}', 'done' from datasets returning id"
    )
    of = Provenance("ace_step", "tiny", f"{catalogue.slug}:m", str(run["id"]))
    plain = _write(tmp_path / "plain.wav", pieces[0])
    Marker(ports.settings, ports.database).mark(plain, tmp_path / "out.wav", of, Occasion("http", "warm house", 0))
    monkeypatch.setattr("resources.ports.open_database", lambda _: ports.database)
    monkeypatch.setattr("resources.settings.Settings.load", lambda: ports.settings)
    assert dawa(monkeypatch, ports, "trace", tmp_path / "out.wav") == 0
    told = capsys.readouterr().out
    for said in ("was made here, unchanged", f"{catalogue.slug}:m", str(run["id"]), "warm house", "Glass/Harbour"):
        assert said in told
    assert dawa(monkeypatch, ports, "trace", tmp_path / "out.wav", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["was_made_here"] is True
    assert answer["sounds"][0]["trained_on"] == ["Glass/Harbour"]


@pytest.mark.parametrize("is_able", [True, False])
def test_what_is_no_sound_is_refused(
    settings: Settings, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_able: bool
) -> None:
    monkeypatch.setattr("dawa_assets.rights.trace.can_fingerprint", lambda: is_able)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "text.raw").write_text("no sound")
    os.mkfifo(tmp_path / "pipe.wav")
    for name in ("text.wav", "text.raw", "missing.wav", "pipe.wav"):
        with pytest.raises(UnreadableAudioError):
            trace(settings, database, tmp_path / name)
