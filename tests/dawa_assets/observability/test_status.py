"""`dawa status`: what it says of an artist's prompts, as it is typed."""

import json
from collections.abc import Callable

import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.prompting.commands import dawa_on
from tests.dawa_assets.prompting.material import execute, give_set, profile, summary

Status = Callable[..., str]


@pytest.fixture
def status(ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Status:
    """`dawa status` with some options: what it prints."""
    dawa = dawa_on(ports, monkeypatch, capsys)

    def status(*options: str) -> str:
        said = dawa("status", *options)
        assert (said.code, said.err) == (0, "")
        return said.out

    return status


def test_prompts_are_counted_for_all_and_named_for_one(ports: Ports, artist: Artist, status: Status) -> None:
    set_profile(ports, artist, profile())
    assert "prompts    none yet" in status()
    items = [give_set(ports.database, artist, summary(100, name), name) for name in ("One", "Two", "Three")]
    refresh_prompts(ports, artist.slug)
    assert "prompts    3 current" in status()
    execute(ports.database, "update training_items set prompt_text = 'My own words.' where id = %s", items[0])
    set_profile(ports, artist, profile(schema_version="2.0"))
    assert "prompts    2 stale (schema version), 1 by people" in status()
    assert "Three/Three" not in status()
    named = status("--artist", artist.slug)
    assert "prompt: Two/Two: stale (schema version)" in named
    assert "prompt: Three/Three: stale (schema version)" in named
    assert "One/One" not in named


def test_json_has_the_counts_and_with_one_artist_the_items(ports: Ports, artist: Artist, status: Status) -> None:
    it = give_set(ports.database, artist, summary(), "One")
    assert json.loads(status("--json"))[0]["stale_prompts"] is None
    shown = json.loads(status("--json", "--artist", artist.slug))[0]
    assert shown["prompts"] == {"current": 0, "human": 0, "impossible": 0, "stale": {"missing": 1}}
    assert shown["stale_prompts"] == [{"item_id": str(it), "name": "One/One", "state": "missing", "error": None}]


def test_a_prompt_that_cannot_be_written_is_named_with_a_reason(ports: Ports, artist: Artist, status: Status) -> None:
    give_set(ports.database, artist, {"overview": {}}, "One")
    refresh_prompts(ports, artist.slug)
    said = " ".join(status("--artist", artist.slug).split())
    assert "prompts 1 impossible" in said
    assert "prompt: One/One: its summary has no tempo" in said
