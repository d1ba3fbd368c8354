"""Summaries of the older parser: sets get an item and a prompt from what is there, or a clear reason why not."""

from typing import Any

import pytest

from dawa_assets.ableton.summary import PARSER_VERSION
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.coexistence.dashboard import parsed_by_its_parser
from tests.dawa_assets.intake.material import als, drop, identity, items, new_artist, rows


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


def _chain(ports: Ports) -> None:
    take_in_live_sets(ports, "nova")
    refresh_prompts(ports, "nova")


@pytest.mark.parametrize(
    "summary",
    [
        {"overview": {"tempo": 124}},
        {"overview": {"tempo": 124.0, "time_signature": None}, "track_breakdown": {"Kick": {}}, "scenes": None},
        {"overview": {"tempo": 124}, "plugin_usage": {"Serum": 2}, "sample_index": {}, "genre_indicators": ["house"]},
    ],
)
def test_a_minimal_summary_gives_a_prompt(ports: Ports, nova: Artist, summary: dict[str, Any]) -> None:
    parsed_by_its_parser(ports, nova, "Old Song.als", summary=summary)
    _chain(ports)
    item = items(ports)["Old Song/Old Song"]
    assert item["prompt_text"].endswith("BPM: 124")
    assert item["status"] == "needs_audio"


@pytest.mark.parametrize("summary", [{}, {"overview": {}}, {"overview": {"tempo": "fast"}}, [], "nothing", None])
def test_a_summary_without_a_tempo_says_why_there_is_no_prompt(ports: Ports, nova: Artist, summary: object) -> None:
    parsed_by_its_parser(ports, nova, "Old Song.als", summary=summary)
    parsed_by_its_parser(ports, nova, "Good.als", project_name="P")
    _chain(ports)
    found = items(ports)
    assert found["Old Song/Old Song"]["error"] == (
        "prompt: its summary has no tempo that a set can have; upload the set again"
    )
    assert found["P/Good"]["prompt_text"]


def test_of_an_older_summary_nothing_is_changed(ports: Ports, nova: Artist) -> None:
    parsed_by_its_parser(ports, nova)
    before = rows(ports, "select * from als_summaries")
    _chain(ports)
    _chain(ports)
    assert rows(ports, "select * from als_summaries") == before
    assert before[0]["parser_version"] is None


def test_an_uploaded_set_gets_a_new_parse_beside_the_older_row(ports: Ports, nova: Artist) -> None:
    older = parsed_by_its_parser(ports, nova, "song.als", project_name="P")
    _chain(ports)
    drop(ports, "nova", {"P/song.als": als(131)})
    _chain(ports)
    [item] = items(ports).values()
    assert item["als_summary_id"] != older
    assert item["prompt_text"].endswith("BPM: 131")
    assert {row["id"] for row in rows(ports, "select id from als_summaries")} == {older, item["als_summary_id"]}


def test_an_older_row_of_the_same_bytes_is_updated_in_place(ports: Ports, nova: Artist) -> None:
    older = parsed_by_its_parser(ports, nova, "song.als", project_name="P")
    with ports.database.transaction() as connection:
        connection.execute("update als_summaries set parse_id = %s", [identity(nova, als(131))])
    drop(ports, "nova", {"P/song.als": als(131)})
    _chain(ports)
    [row] = rows(ports, "select * from als_summaries")
    assert (row["id"], row["parser_version"], row["summary"]["overview"]["tempo"]) == (older, PARSER_VERSION, 131)
