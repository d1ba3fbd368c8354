"""`dawa status`: what it says of an artist's prompts, as it is typed."""

import json
from collections.abc import Callable

import psycopg
import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.observability.overview import overview
from dawa_assets.observability.status import artist_statuses
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


@pytest.fixture
def many(ports: Ports, make_artist: Callable[[str], Artist]) -> list[Artist]:
    """Twenty-four artists: an item of the last one failed, one of the last but one waits."""
    artists = [make_artist(f"Artist {number:02}") for number in range(24)]
    for artist, reason in ((artists[-1], "it is torn"), (artists[-2], None)):
        item = give_set(ports.database, artist, summary(), "One", audio=False)
        if reason:
            execute(
                ports.database, "update training_items set status = 'failed', error = %s where id = %s", reason, item
            )
    return artists


def test_of_many_a_screenful_with_what_is_urgent_first(many: list[Artist], status: Status) -> None:
    lines = status().splitlines()
    assert lines[0].split() == ["artist", "ready", "prompts", "tracks", "LoRA", "open"]
    assert " ".join(lines[1].split()) == "artist-23 0/1 0, 1 stale - - 1 failed: One/One: it is torn"
    assert " ".join(lines[2].split()).startswith("artist-22 0/1 0, 1 stale - - 1 waiting: One/One: waits for")
    assert [line.split()[0] for line in lines[3:21]] == [artist.slug for artist in many[:18]]
    said = " ".join(" ".join(lines[21:]).split())
    assert said == (
        "24 artists: 0 of 2 items ready, 2 prompts stale, 0 LoRAs. Artists with something open: 1 failed, 1 waiting. "
        "4 more artists: `dawa status --all`. All of one: `dawa status --artist SLUG`."
    )
    every = status("--all")
    assert all(artist.slug in every for artist in many)
    assert "more artists" not in every
    one = status("--artist", "artist-23")
    assert "failed item: One/One: it is torn" in one
    assert len(json.loads(status("--json"))) == len(many)


@pytest.mark.usefixtures("many")
def test_a_line_is_cut_where_the_terminal_ends(ports: Ports, status: Status) -> None:
    execute(ports.database, "update training_items set error = repeat('long ', 99) where error is not null")
    line = status().splitlines()[1]
    assert line.rstrip().endswith("…")
    assert len(line) <= 80


def test_of_one_artist_a_screenful_unless_they_are_named(ports: Ports, artist: Artist, status: Status) -> None:
    for number in range(23):
        give_set(ports.database, artist, summary(), f"Set {number}", audio=False)
    execute(ports.database, "update training_items set audio_findings = '{is mono}'")
    said = status()
    assert "  … and 20 more: dawa status --artist test-artist" in said
    assert said.count("waits for its bounce") == 20
    assert status("--artist", artist.slug).count("is mono") == 20


def test_many_artists_take_no_more_queries_than_one(
    ports: Ports, make_artist: Callable[[str], Artist], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for kind in (psycopg.Connection, psycopg.Cursor):
        execute_one = kind.execute

        def counted(self: object, query: object, *rest: object, _by: object = execute_one, **more: object) -> object:
            asked.append(str(query))
            return _by(self, query, *rest, **more)  # type: ignore[operator]

        monkeypatch.setattr(kind, "execute", counted)

    def queries() -> int:
        asked.clear()
        overview(ports, artist_statuses(ports))
        return len(asked)

    def furnish(name: str) -> None:
        """An artist with each thing that is looked up: a superseded item, an incomplete one, an excluded one heard."""
        mine = make_artist(name)
        one, two, three = (give_set(ports.database, mine, summary(), f"{name} {word}") for word in "abc")
        execute(ports.database, "update training_items set status = 'ready', audio_hash = 'x', prompt_text = 't', "
                "audio_format = 'mp3' where id in (%s, %s)", one, two)  # fmt: skip
        execute(ports.database, "update training_items set status = 'ready', audio_path = null where id = %s", three)
        path = f"artists/{mine.slug}/datasets/d"
        execute(ports.database, "insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, "
                "item_count, finished_at) values (%s, 'f', 'done', %s, %s, 1, now())", mine.id, path, path)  # fmt: skip
        execute(ports.database, "insert into dataset_items (dataset_id, position, training_item_id, audio_path, "
                "audio_hash, audio_format, prompt_text) select d.id, 1, i.id, i.audio_path, 'y', 'mp3', 't' "
                "from datasets d, training_items i where d.artist_id = %s and i.id = %s", mine.id, one)  # fmt: skip
        execute(ports.database, "insert into training_runs (artist_id, dataset_id, fingerprint, backend, base, "
                "model_name, parameters, state, promoted, created_at) select artist_id, id, 'f', 'b', 'b', 'm', '{}', "
                "'done', true, now() - interval '1 hour' from datasets where artist_id = %s", mine.id)  # fmt: skip
        execute(ports.database, "update training_items set excluded_at = now() where id = %s", one)

    furnish("First")
    alone = queries()
    for name in ("Second", "Third", "Fourth"):
        furnish(name)
    assert queries() == alone
    whats = [{notice.what for notice in each.notices} for each in artist_statuses(ports)]
    assert len(whats) == 4
    assert all(each == whats[0] >= {"item", "published LoRA"} for each in whats)
