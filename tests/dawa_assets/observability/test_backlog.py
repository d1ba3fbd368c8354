"""What stands open: each signal appears from the rows as they are, and is gone when the thing recovered."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.observability.backlog import MAX_ARTISTS, Backlog, load_backlog
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from resources.database.base import Database
from resources.ports import Ports
from tests.dawa_assets.prompting.material import execute, give_set, profile, summary

LATER = timedelta(days=3)


def look(ports: Ports, later: timedelta = LATER) -> Backlog:
    return load_backlog(ports, datetime.now(UTC) + later)


def told(found: Backlog) -> set[tuple[str, str, str]]:
    return {(each.asset, each.kind, each.slug) for each in found.signals}


@pytest.fixture
def written(ports: Ports, artist: Artist) -> UUID:
    """An item with its prompt, that waits for its bounce."""
    set_profile(ports, artist, profile())
    item = give_set(ports.database, artist, summary(100, "One"), "One")
    refresh_prompts(ports, artist.slug)
    return item


def upload_row(
    database: Database, artist: Artist, name: str, state: str, reason: str | None, kind: str = "audio"
) -> None:
    execute(
        database,
        "insert into uploads (artist_id, upload_id, inbox_key, name, kind, sha256, size_bytes, state, reason) "
        "values (%s, 'u', %s, %s, %s, 'x', 1, %s, %s)",
        artist.id,
        f"inbox/{artist.slug}/u/{uuid4()}/{name}",
        name,
        kind,
        state,
        reason,
    )


def test_nothing_stands_open_of_an_artist_without_anything(ports: Ports, artist: Artist) -> None:
    assert artist.slug
    assert told(look(ports)) == set()


def test_an_item_waits_for_its_audio_until_it_has_some(ports: Ports, artist: Artist, written: UUID) -> None:
    execute(ports.database, "update training_items set status = 'needs_audio' where id = %s", written)
    found = look(ports)
    assert told(found) == {("training_items", "waiting", artist.slug)}
    assert found.signals[0].reason == "waits for its bounce"
    execute(ports.database, "update training_items set status = 'exported' where id = %s", written)
    assert told(look(ports)) == set()


def test_a_failed_item_stands_with_its_reason_until_it_is_fixed(ports: Ports, artist: Artist, written: UUID) -> None:
    execute(
        ports.database,
        "update training_items set status = 'failed', error = 'its audio is gone' where id = %s",
        written,
    )
    found = look(ports, timedelta())
    assert told(found) == {("training_items", "failed", artist.slug)}
    assert (found.signals[0].things, found.signals[0].reason) == (1, "its audio is gone")
    execute(ports.database, "update training_items set status = 'exported', error = null where id = %s", written)
    assert told(look(ports)) == set()


def test_a_bounce_that_fits_no_set_stands_until_it_is_taken(ports: Ports, artist: Artist) -> None:
    upload_row(ports.database, artist, "alone.mp3", "waiting", "no Live Set has its name")
    found = look(ports, timedelta())
    assert told(found) == {("training_items", "unmatched", artist.slug)}
    assert (found.signals[0].name, found.signals[0].reason) == ("alone.mp3", "no Live Set has its name")
    execute(ports.database, "update uploads set state = 'taken'")
    assert told(look(ports)) == set()


def test_a_bounce_that_was_not_placed_is_not_one_without_a_set(ports: Ports, artist: Artist) -> None:
    item = give_set(ports.database, artist, summary(100, "One"), "One")
    upload_row(ports.database, artist, "One.mp3", "waiting", None)
    execute(ports.database, "update uploads set training_item_id = %s", item)
    assert told(look(ports, timedelta())) == set()  # a build may be under way
    found = look(ports)
    assert {kind for asset, kind, _ in told(found) if asset == "training_items"} == {"waiting"}
    (waits,) = [signal for signal in found.signals if signal.kind == "waiting"]
    assert (waits.name, waits.reason) == ("One.mp3", "was not put in its place; the next build goes on with it")


def test_a_rejected_set_stands_until_a_good_one_of_its_name_came(ports: Ports, artist: Artist) -> None:
    upload_row(ports.database, artist, "torn.als", "rejected", "it is cut off", "live_set")
    assert told(look(ports)) == {("als_summaries", "failed", artist.slug)}
    assert told(look(ports, timedelta(days=15))) == set()
    upload_row(ports.database, artist, "torn.als", "taken", None, "live_set")
    assert told(look(ports)) == set()


def test_prompts_are_stale_after_the_sensors_delay_until_written(ports: Ports, artist: Artist, written: UUID) -> None:
    execute(ports.database, "update training_items set status = 'exported' where id = %s", written)
    set_profile(ports, artist, profile(schema_version="2.0"))
    assert told(look(ports, timedelta())) == set()
    found = look(ports)
    assert told(found) == {("prompts", "stale", artist.slug)}
    assert (found.signals[0].reason, found.signals[0].things) == ("schema version", 1)
    refresh_prompts(ports, artist.slug)
    assert told(look(ports)) == set()


def test_a_ready_item_not_in_the_dataset_is_behind_after_a_night(ports: Ports, artist: Artist, written: UUID) -> None:
    execute(ports.database, "update training_items set status = 'ready', audio_hash = 'a' where id = %s", written)
    assert told(look(ports, timedelta(hours=2))) == set()
    assert told(look(ports)) == {("dataset_zip", "behind", artist.slug)}
    twin = give_set(ports.database, artist, summary(100, "Two"), "Two")
    refresh_prompts(ports, artist.slug)
    execute(ports.database, "update training_items set status = 'exported', audio_hash = 'a' where id = %s", twin)
    assert told(look(ports)) == set()


def test_a_lora_is_behind_while_its_dataset_is_not_current(ports: Ports, artist: Artist) -> None:
    make = (
        "insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count, finished_at) "
        "values (%s, %s, 'done', %s, %s, 3, now() - interval '1 hour' * %s)"
    )
    folder = f"artists/{artist.slug}/datasets"
    execute(ports.database, make, artist.id, "old", f"{folder}/old.zip", f"{folder}/old.json", 50)
    execute(
        ports.database,
        "insert into training_runs (artist_id, dataset_id, fingerprint, backend, base, model_name, parameters, state, "
        "candidate_at, adapter_sha256) select artist_id, id, 'f', 'ace_step', 'tiny', %s, '{}', 'done', now(), 'x' "
        "from datasets",
        ports.settings.model_name,
    )
    assert ("lora_weights", "behind", artist.slug) not in told(look(ports))
    execute(ports.database, make, artist.id, "new", f"{folder}/new.zip", f"{folder}/new.json", 0)
    assert ("lora_weights", "behind", artist.slug) not in told(look(ports, timedelta(hours=20)))
    assert ("lora_weights", "behind", artist.slug) in told(look(ports))
    execute(ports.database, "update training_runs set dataset_id = (select id from datasets where fingerprint = 'new')")
    assert ("lora_weights", "behind", artist.slug) not in told(look(ports))


def test_a_failed_training_is_open_until_a_newer_candidate(ports: Ports, artist: Artist) -> None:
    run = (
        "insert into training_runs (artist_id, fingerprint, backend, base, model_name, parameters, state, error, "
        "created_at) values (%s, %s, 'ace_step', 'tiny', %s, '{}', %s, %s, clock_timestamp())"
    )
    name = ports.settings.model_name
    execute(ports.database, run, artist.id, "one", name, "failed", "out of memory")
    found = look(ports)
    assert told(found) == {("lora_weights", "failed", artist.slug)}
    assert found.signals[0].reason == "out of memory"
    told_otherwise = found.without("lora_weights", "failed", {artist.slug})
    assert (told_otherwise.signals, told_otherwise.artists["lora_weights", "failed"]) == ([], 0)
    assert found.without("lora_weights", "failed", {"somebody-else"}) is found
    execute(ports.database, run, artist.id, "two", name, "done", None)
    assert told(look(ports)) == set()


def test_all_artists_take_no_more_queries_than_one(
    ports: Ports, make_artist: Callable[[str], Artist], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    execute_one = psycopg.Connection.execute

    def counted(self: object, query: object, *rest: object, **more: object) -> object:
        asked.append(str(query))
        return execute_one(self, query, *rest, **more)  # type: ignore[arg-type]

    def queries() -> int:
        asked.clear()
        look(ports)
        return len([query for query in asked if "select" in query.lower()])

    upload_row(ports.database, make_artist("The first"), "alone.mp3", "waiting", "why")
    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    before = queries()
    monkeypatch.undo()
    execute(
        ports.database,
        "with made as (insert into artists (name) select 'Artist ' || n from generate_series(1, 300) n returning id) "
        "insert into uploads (artist_id, upload_id, inbox_key, name, kind, sha256, size_bytes, state, reason) "
        "select id, 'u', id::text, 'alone.mp3', 'audio', 'x', 1, 'waiting', 'why' from made",
    )
    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    assert queries() == before
    monkeypatch.undo()
    found = look(ports)
    assert len(found.signals) == MAX_ARTISTS
    assert found.artists == {("training_items", "unmatched"): 301}
