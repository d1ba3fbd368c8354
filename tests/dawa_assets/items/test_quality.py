"""The quality gate on real parts: measured once, compared with all, shown wherever an item is, overruled by people."""

from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from benchmarks._pieces import STYLES, compose
from dawa_assets.artists.delete import delete_artist
from dawa_assets.cli.main import app
from dawa_assets.datasets.build import build_dataset
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.acceptances import set_accepted
from dawa_assets.items.exclusions import set_excluded
from dawa_assets.items.update import ItemsReport, update_training_items
from dawa_assets.observability.assets import consistency_of
from dawa_assets.observability.status import artist_statuses
from dawa_assets.prompting.refresh import refresh_prompts
from modal_app.errors import InputError
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, drop, new_artist, rows
from tests.dawa_assets.maintenance.killing import Fuse, KilledError, fused, with_short_leases
from tests.modal_app.audio.odd_files import wav

RATE = 44_100
Sound = npt.NDArray[np.float64]


def piece(number: int) -> Sound:
    mono = compose(STYLES[number], number).signal.astype(np.float64)
    shifted = np.roll(mono, 400)
    return 0.5 * np.stack([mono, 0.7 * mono + 0.3 * shifted], axis=1) / np.abs(mono).max()


@pytest.fixture(scope="module")
def pieces() -> list[Sound]:
    return [piece(number) for number in range(3)]


def bring(ports: Ports, slug: str, sounds: dict[str, Sound]) -> ItemsReport:
    """Bring bounces with a set each, which is too empty to be held against them."""
    files = {f"{name}.als": als(60 + sum(name.encode()) % 97) for name in sounds}
    drop(ports, slug, files | {f"{name}.wav": wav(sound) for name, sound in sounds.items()})
    take_in_live_sets(ports, slug)
    refresh_prompts(ports, slug)
    return update_training_items(ports, slug)


def kinds(report: ItemsReport) -> list[tuple[str, str, str]]:
    return [(each.item.rpartition("/")[2], each.kind, each.standing) for each in report.findings]


def built(ports: Ports, slug: str) -> list[str]:
    return sorted(track.item.rpartition("/")[2] for track in build_dataset(ports, slug).tracks)


def test_a_good_artist_has_no_findings_and_loses_nothing(ports: Ports, pieces: list[Sound]) -> None:
    new_artist(ports)
    report = bring(ports, "nova", {"one": pieces[0], "two": pieces[1], "three": pieces[2]})
    assert report.findings == []
    assert "blocked" not in report.headline
    assert built(ports, "nova") == ["one", "three", "two"]


def test_a_song_that_comes_twice_is_kept_once_and_reported(
    ports: Ports, pieces: list[Sound], monkeypatch: pytest.MonkeyPatch
) -> None:
    new_artist(ports)
    bring(ports, "nova", {"one": pieces[0], "two": pieces[1]})
    assert built(ports, "nova") == ["one", "two"]
    report = bring(ports, "nova", {"again": 0.7 * pieces[0][RATE:]})
    assert kinds(report) == [("again", "duplicate", "blocks")]
    assert "1 blocked by what was found" in report.headline
    dataset = build_dataset(ports, "nova")
    assert dataset.state == "unchanged"
    assert dataset.headline.endswith(", 1 blocked")
    [(name, line)] = dataset.blocked
    assert name.endswith("/again")
    assert "the same music as one/one, which is kept" in line
    (status,) = artist_statuses(ports, "nova")
    assert [notice.what for notice in status.notices] == ["blocked item"]
    assert any("duplicate, blocks" in warning for warning in consistency_of(ports, "nova", "training_items").warnings)

    monkeypatch.setattr("resources.ports.open_database", lambda _settings: ports.database)
    run = CliRunner().invoke
    listed = run(app, ["item", "findings", "nova"]).output
    assert "again: duplicate, blocks: it is the same music as one/one" in listed
    assert "dawa item accept" in listed
    refused = run(app, ["item", "accept", "again.als", "--finding", "clipped", "--reason", "so it is"])
    assert isinstance(refused.exception, InputError)
    without = run(app, ["item", "accept", "again.als", "--finding", "duplicate"])
    assert isinstance(without.exception, InputError)
    said = run(app, ["item", "accept", "again.als", "--finding", "duplicate", "--reason", "the radio edit"]).output
    assert said.startswith("again/again of nova: duplicate is accepted\n")
    assert built(ports, "nova") == ["again", "one", "two"]
    assert kinds(update_training_items(ports, "nova")) == [("again", "duplicate", "accepted")]
    assert "accepted by" in run(app, ["item", "findings", "nova"]).output
    run(app, ["item", "accept", "again.als", "--finding", "duplicate", "--withdraw"])
    assert built(ports, "nova") == ["one", "two"]


def test_an_excluded_version_makes_room_for_the_other(ports: Ports, pieces: list[Sound]) -> None:
    new_artist(ports)
    bring(ports, "nova", {"one": pieces[0]})
    bring(ports, "nova", {"again": 0.7 * pieces[0][RATE:]})
    assert built(ports, "nova") == ["again"]  # the newer one, since neither was in a dataset
    set_excluded(ports.database, ["again.als"], excluded=True, author="me")
    assert kinds(update_training_items(ports, "nova")) == []
    assert built(ports, "nova") == ["one"]


def test_silence_waits_and_a_new_bounce_lets_it_go(ports: Ports, pieces: list[Sound]) -> None:
    new_artist(ports)
    report = bring(ports, "nova", {"one": np.zeros((RATE, 2)), "two": pieces[1]})
    assert kinds(report) == [("one", "silent", "blocks")]
    assert built(ports, "nova") == ["two"]
    drop(ports, "nova", {"one.wav": wav(pieces[0])})
    assert kinds(update_training_items(ports, "nova")) == []
    assert built(ports, "nova") == ["one", "two"]


def test_another_artists_music_is_said_to_both_and_names_nobody(ports: Ports, pieces: list[Sound]) -> None:
    new_artist(ports)
    new_artist(ports, "Vega")
    bring(ports, "nova", {"one": pieces[0]})
    report = bring(ports, "vega", {"stolen": np.concatenate([pieces[1], pieces[0]])})
    assert kinds(report) == [("stolen", "other_artist", "warns")]
    stored = rows(ports, "select a.slug, f.kind, f.sentence || f.way_out || f.subject as text from item_findings f "
                         "join artists a on a.id = f.artist_id order by a.slug")  # fmt: skip
    assert [(row["slug"], row["kind"]) for row in stored] == [("nova", "other_artist"), ("vega", "other_artist")]
    assert not any(name in row["text"].lower() for row in stored for name in ("nova", "vega", "stolen"))
    assert built(ports, "vega") == ["stolen"]
    delete_artist(ports, "vega", author="me")
    assert rows(ports, "select from audio_matches") == []
    assert kinds(update_training_items(ports, "nova")) == []


def test_the_operator_sees_with_whose_music_it_is_the_same(
    ports: Ports, pieces: list[Sound], monkeypatch: pytest.MonkeyPatch
) -> None:
    new_artist(ports)
    new_artist(ports, "Vega")
    bring(ports, "nova", {"one": pieces[0]})
    bring(ports, "vega", {"stolen": pieces[0] * 0.5})
    monkeypatch.setattr("resources.ports.open_database", lambda _settings: ports.database)
    assert "one/one of nova" in CliRunner().invoke(app, ["item", "findings", "vega"]).output


def test_each_content_is_measured_and_compared_once(ports: Ports, pieces: list[Sound]) -> None:
    new_artist(ports)
    bring(ports, "nova", {"one": pieces[0], "two": pieces[1]})
    query = "select audio_hash, created_at, compared_at, version from audio_measurements order by audio_hash"
    before = rows(ports, query)
    assert len(before) == 2
    assert all(row["compared_at"] is not None for row in before)
    update_training_items(ports, "nova")
    assert rows(ports, query) == before


def test_rows_of_before_are_measured_and_nothing_is_rebuilt(ports: Ports, pieces: list[Sound]) -> None:
    new_artist(ports)
    bring(ports, "nova", {"one": pieces[0], "two": pieces[1]})
    build_dataset(ports, "nova")
    with ports.database.transaction() as connection:
        connection.execute("delete from audio_measurements")
    assert build_dataset(ports, "nova").state == "unchanged"
    assert len(rows(ports, "select from audio_measurements where compared_at is not null")) == 2


def test_another_version_measures_anew(ports: Ports, pieces: list[Sound]) -> None:
    new_artist(ports)
    bring(ports, "nova", {"one": pieces[0], "again": pieces[0] * 0.5})
    with ports.database.transaction() as connection:
        connection.execute("update audio_measurements set version = 'audio-v0', fingerprint = ''")
    assert [kind for _, kind, _ in kinds(update_training_items(ports, "nova"))] == ["duplicate"]
    assert len(rows(ports, "select from audio_matches")) == 2


def test_what_was_measured_of_removed_items_goes(ports: Ports, pieces: list[Sound]) -> None:
    new_artist(ports)
    bring(ports, "nova", {"one": pieces[0], "again": pieces[0] * 0.5})
    with ports.database.transaction() as connection:
        connection.execute("delete from training_items where als_filename = 'again.als'")
    update_training_items(ports, "nova")
    for table, left in (("item_findings", 0), ("audio_matches", 0), ("audio_measurements", 1)):
        assert len(rows(ports, f"select from {table}")) == left


def test_a_gate_that_is_killed_anywhere_ends_the_same(ports: Ports, pieces: list[Sound]) -> None:
    new_artist(ports)
    sounds = {"one": pieces[0], "again": pieces[0] * 0.5}
    files = {f"{name}.als": als(60 + sum(name.encode()) % 97) for name in sounds}
    drop(ports, "nova", files | {f"{name}.wav": wav(sound) for name, sound in sounds.items()})
    take_in_live_sets(ports, "nova")
    short = with_short_leases(ports)
    for changes in (6, 9, 12, 15, 18, 21):
        with suppress(KilledError):
            update_training_items(fused(short, Fuse(changes)), "nova")
    report = update_training_items(short, "nova")
    assert [(kind, standing) for _, kind, standing in kinds(report)] == [("duplicate", "blocks")]
    assert len(rows(ports, "select from audio_matches")) == 2


def test_an_acceptance_holds_for_the_audio_that_was_heard(ports: Ports, pieces: list[Sound]) -> None:
    new_artist(ports)
    bring(ports, "nova", {"one": np.zeros((RATE, 2)), "two": pieces[1]})
    done = set_accepted(ports.database, "one.als", "silent", reason="a piece of John Cage's", author="me")
    assert done.changed
    assert not done.is_blocked
    assert not set_accepted(ports.database, "one.als", "silent", reason="again", author="me").changed
    assert built(ports, "nova") == ["one", "two"]
    drop(ports, "nova", {"one.wav": wav(np.zeros((2 * RATE, 2)))})
    assert kinds(update_training_items(ports, "nova")) == [("one", "silent", "blocks")]
    with pytest.raises(InputError, match="--reason: must be one line"):
        set_accepted(ports.database, "one.als", "silent", reason="two\nlines", author="me")
