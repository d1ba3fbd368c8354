"""Which artists are asked for, in one query whose answer names the work; and what people are told item by item."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID

import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.prompt_staleness import (
    _STALE,
    PromptCounts,
    StaleArtist,
    item_prompts,
    prompt_counts,
    stale_artists,
    stale_page,
)
from resources.errors import PromptWriterError
from resources.ports import Ports
from tests.dawa_assets.prompting.material import CountingWriter, execute, give_set, item, profile, summary, with_writer


def stale(ports: Ports) -> list[StaleArtist]:
    return stale_artists(ports.database, "train-v1", "offline-v1")


def test_the_state_names_the_work_and_changes_with_it(ports: Ports, make_artist: Callable[[str], Artist]) -> None:
    one, other = make_artist("One"), make_artist("Other")
    assert stale(ports) == [], "an artist without any set is not asked for"
    give_set(ports.database, one, summary(), "A")
    give_set(ports.database, other, summary(), "A")
    first = {each.slug: each.state for each in stale(ports)}
    assert {each.slug: each.state for each in stale(ports)} == first
    give_set(ports.database, one, summary(), "B")
    second = {each.slug: each.state for each in stale(ports)}
    assert second["other"] == first["other"]
    assert second["one"] != first["one"]
    assert [each.reason for each in stale(ports)] == ["missing", "missing"]


def test_only_the_artist_with_something_due_is_asked_for(ports: Ports, make_artist: Callable[[str], Artist]) -> None:
    artists = [make_artist(f"Artist {number}") for number in range(5)]
    for each in artists:
        give_set(ports.database, each, summary(), "A")
        refresh_prompts(ports, each.slug)
    assert stale(ports) == []
    execute(
        ports.database,
        "update als_summaries set summary = summary || '{\"length_bars\": 8}' where artist_id = %s",
        artists[3].id,
    )
    assert [each.slug for each in stale(ports)] == [artists[3].slug]


def test_the_stale_query_can_use_the_index_of_due_items(ports: Ports) -> None:
    with ports.database.transaction() as connection:
        connection.execute("set local enable_seqscan = off")
        values = {"version": "train-v1", "model": "offline-v1", "after": UUID(int=0), "artists": 10, "items": 100}
        values |= {"any_model": False, "offline": "offline-v1"}
        plan = connection.execute("explain " + _STALE, values).fetchall()
    assert "training_items_prompt_due" in "\n".join(row["QUERY PLAN"] for row in plan)


def test_artists_come_page_by_page_and_none_is_left_out(ports: Ports, make_artist: Callable[[str], Artist]) -> None:
    for number in range(5):
        give_set(ports.database, make_artist(f"Artist {number}"), summary(100, "A"), "A")
    pages, after = [], None
    while page := stale_page(ports.database, "train-v1", "offline-v1", after, limit=2):
        pages.append([each.slug for each in page])
        after = page[-1].id
    assert [len(page) for page in pages] == [2, 2, 1]
    slugs = sorted(slug for page in pages for slug in page)
    assert slugs == [f"artist-{number}" for number in range(5)]
    assert [each.slug for each in stale_artists(ports.database, "train-v1", "offline-v1")] == slugs


def states(ports: Ports, artist: Artist, version: str = "train-v1", model: str = "offline-v1") -> dict[str, str]:
    """Where each prompt stands, by name; what is counted must be what is named."""
    with ports.database.transaction() as connection:
        named = item_prompts(connection, artist.slug, version, model)
        counts = prompt_counts(connection, version, model, artist.slug).get(artist.slug, PromptCounts())
        everybody = prompt_counts(connection, version, model)
    counted = {"current": counts.current, "human": counts.human, "impossible": counts.impossible} | counts.stale
    assert Counter(each.state for each in named) == Counter(counted)
    assert everybody.get(artist.slug, PromptCounts()) == counts
    return {each.name.partition("/")[0]: each.state for each in named}


def test_each_reason_is_told_item_by_item(ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, profile())
    items = {name: give_set(ports.database, artist, summary(100, name), name) for name in "ABCD"}
    give_set(ports.database, artist, {"overview": {}}, "No tempo")
    assert set(states(ports, artist).values()) == {"missing"}
    refresh_prompts(ports, artist.slug)
    current = dict.fromkeys("ABCD", "current") | {"No tempo": "impossible"}
    assert states(ports, artist) == current

    assert states(ports, artist, version="train-v2")["A"] == "system prompt"
    assert states(ports, artist, model="another")["A"] == "model"
    assert states(ports, artist, model="another")["No tempo"] == "missing", "to be looked at again"
    execute(ports.database, "update training_items set prompt_text = 'Mine, all of it.' where id = %s", items["A"])
    execute(ports.database, "update training_items set prompt_text = ' ' where id = %s", items["B"])
    execute(
        ports.database,
        "update als_summaries set summary = summary || '{\"length_bars\": 8}' where als_filename = 'C.als'",
    )
    execute(
        ports.database,
        "update training_items set prompt_take = prompt_take + 1, prompt_summary_id = null where id = %s",
        items["D"],
    )
    changed = {"A": "human", "B": "missing", "C": "summary", "D": "another take"}
    assert states(ports, artist) == current | changed
    set_profile(ports, artist, profile(schema_version="2.0"))
    assert states(ports, artist) == changed | {"C": "schema version", "No tempo": "missing"}
    refresh_prompts(ports, artist.slug)
    assert states(ports, artist) == current | {"A": "human"}


def test_a_changed_profile_makes_items_stale_until_a_refresh(ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, profile())
    give_set(ports.database, artist, summary(), "A")
    refresh_prompts(ports, artist.slug)
    set_profile(ports, artist, profile(provenance={"last_refreshed": "2027-05-05"}))
    assert states(ports, artist) == {"A": "current"}
    set_profile(ports, artist, profile(catalog=[{"title": "Another work", "mood": ["bright"]}]))
    assert states(ports, artist) == {"A": "profile"}
    report = refresh_prompts(ports, artist.slug)
    assert (report.written, report.unchanged) == (0, 1), "another work's entry is not in this track's context"
    assert states(ports, artist) == {"A": "current"}, "though its row was written with the older profile"


def test_excluded_items_and_those_without_a_set_are_not_counted(ports: Ports, artist: Artist) -> None:
    it = give_set(ports.database, artist, summary(), "A")
    execute(ports.database, "update training_items set excluded_at = now() where id = %s", it)
    execute(
        ports.database,
        "insert into training_items (artist_id, parse_id, status) values (%s, 'abc', 'needs_prompt')",
        artist.id,
    )
    assert states(ports, artist) == {}


def test_what_a_refresh_rewrites_is_what_was_called_stale(ports: Ports, make_artist: Callable[[str], Artist]) -> None:
    artists = [make_artist(f"Artist {number}") for number in range(50)]
    for each in artists:
        set_profile(ports, each, profile())
        give_set(ports.database, each, summary(), "A")
        refresh_prompts(ports, each.slug)
    set_profile(ports, artists[17], profile(schema_version="2.0"))
    with ports.database.transaction() as connection:
        counts = prompt_counts(connection, "train-v1", "offline-v1")
    assert {slug: each.stale for slug, each in counts.items() if each.stale} == {
        artists[17].slug: {"schema version": 1}
    }
    written = {each.slug: refresh_prompts(ports, each.slug).written for each in artists}
    assert [slug for slug, number in written.items() if number] == [artists[17].slug]


def test_a_rewrite_that_was_stopped_and_called_off_is_taken_back(ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, profile())
    items = [give_set(ports.database, artist, summary(100 + number, name), name) for number, name in enumerate("AB")]
    refresh_prompts(ports, artist.slug)
    texts = [item(ports.database, each)["prompt_text"] for each in items]
    other = profile()
    other["artist"]["core_identities"]["primary_genre_space"] = ["slow disco"]
    set_profile(ports, artist, other)
    with pytest.raises(PromptWriterError):
        refresh_prompts(with_writer(ports, CountingWriter(dies_after=1)), artist.slug)
    set_profile(ports, artist, profile())
    assert states(ports, artist) == {"A": "profile", "B": "current"}
    assert [each.slug for each in stale(ports)] == [artist.slug]
    assert refresh_prompts(ports, artist.slug).reused == 1
    assert [item(ports.database, each)["prompt_text"] for each in items] == texts
    assert (states(ports, artist), stale(ports)) == ({"A": "current", "B": "current"}, [])
