"""Which of several items with the same audio is in the dataset, and that nobody is left out without a word."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dawa_assets.cli.main import app
from dawa_assets.datasets.build import build_dataset
from dawa_assets.items.exclusions import list_items
from dawa_assets.items.save import NewPair, save_pair
from dawa_assets.observability.status import artist_statuses
from dawa_assets.prompting.edit import edit_prompt, give_back_to_the_model
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.chosen_items import superseded_items
from dawa_assets.tables.datasets import artists_whose_dataset_would_differ
from resources.ports import Ports
from tests.coexistence.dashboard import save
from tests.dawa_assets.intake.material import new_artist, rows, wav
from tests.dawa_assets.prompting.material import give_set, summary

FIRST, BETTER = "A first draft of words.\nBPM: 122", "Far better words, chosen with care.\nBPM: 122"


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_bytes(wav(200))
    return path


def _say(ports: Ports, artist: Artist, audio: Path, text: str) -> UUID:
    return save_pair(ports, artist, NewPair("0123456789ab", "Song.als", "Song", text), audio)


def _texts(ports: Ports) -> list[str]:
    return [track.prompt for track in build_dataset(ports, "nova").tracks]


def test_a_corrected_text_is_in_the_next_dataset_and_export(ports: Ports, nova: Artist, audio: Path) -> None:
    first = _say(ports, nova, audio, FIRST)
    assert _texts(ports) == [FIRST]
    better = _say(ports, nova, audio, BETTER)
    with ports.database.transaction() as connection:
        assert artists_whose_dataset_would_differ(connection) == ["nova"]
    export = build_dataset(ports, "nova", new_items_only=True)
    assert (export.state, [track.prompt for track in export.tracks]) == ("built", [BETTER])
    report = build_dataset(ports, "nova")
    assert [track.prompt for track in report.tracks] == [BETTER]
    assert [(each.id, each.by_id) for each in report.superseded] == [(first, better)]
    assert report.headline.endswith("2/2 items ready, 1 of them superseded")
    with ports.database.transaction() as connection:
        assert artists_whose_dataset_would_differ(connection) == []


def test_a_text_saved_again_is_the_latest_and_exported_again(ports: Ports, nova: Artist, audio: Path) -> None:
    first = _say(ports, nova, audio, FIRST)
    _say(ports, nova, audio, BETTER)
    assert _texts(ports) == [BETTER]
    assert _say(ports, nova, audio, FIRST) == first
    export = build_dataset(ports, "nova", new_items_only=True)
    assert [track.prompt for track in export.tracks] == [FIRST]
    assert _texts(ports) == [FIRST]


def test_a_repeated_save_after_a_lost_answer_changes_nothing(ports: Ports, nova: Artist, audio: Path) -> None:
    first = _say(ports, nova, audio, FIRST)
    build_dataset(ports, "nova")
    before = rows(ports, "select * from training_items")
    assert _say(ports, nova, audio, FIRST) == first
    assert rows(ports, "select * from training_items") == before


def test_saving_a_pair_again_restores_its_lost_audio(ports: Ports, nova: Artist, audio: Path) -> None:
    first = _say(ports, nova, audio, FIRST)
    ports.bucket.delete([f"artists/nova/training/{first}/audio.wav"])
    assert build_dataset(ports, "nova").failed[0][0] == "Song.als"
    assert _say(ports, nova, audio, FIRST) == first
    assert _texts(ports) == [FIRST]
    [item] = rows(ports, "select status, error from training_items")
    assert item == {"status": "exported", "error": None}


def test_an_edit_by_any_way_is_the_latest_word(ports: Ports, nova: Artist, audio: Path) -> None:
    first = _say(ports, nova, audio, FIRST)
    _say(ports, nova, audio, BETTER)
    assert _texts(ports) == [BETTER]
    with ports.database.transaction() as connection:  # as a signed-in user does it by the project's own API
        connection.execute("set local role service_role")
        connection.execute("update training_items set prompt_text = 'Edited by hand.' where id = %s", [first])
    assert _texts(ports) == ["Edited by hand."]
    refresh_prompts(ports, "nova")  # takes note of whose it is, which is no new word
    assert _texts(ports) == ["Edited by hand."]
    better = next(each.id for each in build_dataset(ports, "nova").superseded)
    edit_prompt(ports.database, str(better), BETTER, author="me")  # says what it said, so it changes nothing
    assert _texts(ports) == ["Edited by hand."]
    edit_prompt(ports.database, str(better), "At the terminal.\nBPM: 122", author="me")
    assert _texts(ports) == ["At the terminal.\nBPM: 122"]


def test_a_persons_text_is_preferred_to_a_newer_model_text(ports: Ports, nova: Artist, audio: Path) -> None:
    mine = _say(ports, nova, audio, FIRST)
    give_set(ports.database, nova, summary(), "Other", audio=False)
    with ports.database.transaction() as connection:
        connection.execute(
            "update training_items t set audio_path = s.audio_path, audio_hash = s.audio_hash, audio_format = 'wav', "
            "status = 'needs_prompt' from training_items s where s.id = %s and t.id <> s.id",
            [mine],
        )
    refresh_prompts(ports, "nova")
    report = build_dataset(ports, "nova")
    assert [track.prompt for track in report.tracks] == [FIRST]
    [left_out] = report.superseded
    assert "whose text a person wrote" in left_out.reason
    with ports.database.transaction() as connection:
        connection.execute(
            "update training_items set als_summary_id = (select id from als_summaries) where id = %s", [mine]
        )
    give_back_to_the_model(ports, str(mine))
    assert _texts(ports) != [FIRST]


def test_a_text_in_a_file_is_as_old_as_its_item(ports: Ports, nova: Artist, audio: Path) -> None:
    save(ports, nova, audio=wav(200), text=None, text_in_file=FIRST)
    better = _say(ports, nova, audio, BETTER)
    refresh_prompts(ports, "nova")
    report = build_dataset(ports, "nova")
    assert [track.prompt for track in report.tracks] == [BETTER]
    assert [each.by_id for each in report.superseded] == [better]


def test_status_and_the_list_of_items_say_by_which_one(ports: Ports, nova: Artist, audio: Path) -> None:
    first, better = _say(ports, nova, audio, FIRST), _say(ports, nova, audio, BETTER)
    [status] = artist_statuses(ports)
    assert (status.ready, status.superseded) == (2, 1)
    [notice] = status.notices
    assert (notice.what, notice.name) == ("superseded item", f"Song.als {first}")
    assert (
        notice.reason
        == f"has the same audio as Song.als {better}, whose text is the later one; that one is in the dataset"
    )
    listed = {each.id: each.superseded_by for each in list_items(ports.database, "nova")}
    assert listed == {first: better, better: None}


def test_the_commands_show_it(ports: Ports, nova: Artist, audio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, better = _say(ports, nova, audio, FIRST), _say(ports, nova, audio, BETTER)
    monkeypatch.setattr("resources.ports.open_database", lambda _: ports.database)
    monkeypatch.setattr("resources.ports.open_ports", lambda _: ports)
    shown = CliRunner().invoke(app, ["item", "list", "nova"]).output
    assert f"has the same audio as Song.als {better}" in next(line for line in shown.splitlines() if str(first) in line)
    assert "2/2 ready (2 ready, 1 superseded)" in CliRunner().invoke(app, ["status"]).output


def test_what_calls_itself_ready_and_lacks_something_is_named(ports: Ports, nova: Artist) -> None:
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into training_items (artist_id, parse_id, als_filename, status, prompt_text) "
            "values (%s, 'p', 'mute.als', 'ready', 'Words.')",
            [nova.id],
        )
    report = build_dataset(ports, "nova", new_items_only=True)
    assert (report.state, report.by_status) == ("nothing ready", {"ready": 1})
    [(name, reason)] = report.failed
    assert (name.startswith("mute.als "), reason.startswith("says that it is ready and has no audio")) == (True, True)
    assert [notice.reason for notice in artist_statuses(ports)[0].notices] == [reason]


_ITEMS = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.integers(0, 5), st.integers(0, 5), st.sampled_from("ab")),
    min_size=1,
    max_size=7,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_ITEMS)
def test_the_latest_text_of_a_person_wins_in_any_order(
    ports: Ports, given_items: list[tuple[bool, bool, int, int, str]]
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with ports.database.transaction() as connection:
        connection.execute("delete from artists")
        made: dict[str, list[dict[str, Any]]] = {}
        artist = connection.execute("insert into artists (name) values ('Nova') returning id").fetchone()
        assert artist
        for number, (human, ours, said, came, sound) in enumerate(given_items):
            prompt = connection.execute(
                "insert into prompts (artist_id, fingerprint, origin, text) values (%s, %s, %s, 'x') returning id",
                [artist["id"], str(number), "human" if human else "model"],
            ).fetchone()
            assert prompt
            row = connection.execute(
                "insert into training_items (artist_id, parse_id, item_key, audio_path, audio_hash, audio_format, "
                "prompt_text, prompt_id, prompt_text_at, created_at, status) values "
                "(%s, 'p', %s, 'artists/nova/x.wav', %s, 'wav', 'x', %s, %s, %s, 'ready') returning id",
                [
                    artist["id"], str(number) if ours else None, sound, prompt["id"],
                    start + timedelta(days=said), start + timedelta(days=came),
                ],
            ).fetchone()  # fmt: skip
            assert row
            made.setdefault(sound, []).append({"id": row["id"], "rank": (human, said, ours, came)})
        superseded = superseded_items(connection, artist["id"])
    winners = {each.by_id for each in superseded}
    for same in made.values():
        best = max(each["rank"] for each in same)
        left_out = {each["id"] for each in same} & {each.id for each in superseded}
        assert len(left_out) == len(same) - 1
        assert {each["rank"] for each in same if each["id"] not in left_out} == {best}
        assert len(same) == 1 or len(winners & {each["id"] for each in same}) == 1
