"""Which artists are asked for: one query over all of them, whose answer names the work to be done."""

from collections.abc import Callable

from dawa_assets.artists.store import Artist
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.prompting.staleness import _STALE, StaleArtist, stale_artists
from resources.ports import Ports
from tests.prompting.material import execute, give_set, summary


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


def test_the_question_can_be_answered_from_the_small_index_of_what_is_due(ports: Ports) -> None:
    with ports.database.transaction() as connection:
        connection.execute("set local enable_seqscan = off")
        plan = connection.execute("explain " + _STALE, {"version": "train-v1", "model": "offline-v1"}).fetchall()
    assert "training_items_prompt_due" in "\n".join(row["QUERY PLAN"] for row in plan)
