"""What the sensors and the schedule ask for, and how little they ask the database for it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import psycopg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator
from hypothesis import given, settings
from hypothesis import strategies as st

from dawa_assets.artists.profile import set_profile
from dawa_assets.defs.partitions import AT_ONCE, add_new_artists, ensure_partitions
from dawa_assets.defs.schedules import nightly_dataset_rebuild
from dawa_assets.defs.sensors.inbox import inbox_sensor
from dawa_assets.defs.sensors.orphan_cleanup import _owned
from dawa_assets.defs.sensors.retraining import retrain_sensor
from dawa_assets.defs.sensors.stale_prompts import stale_prompts_sensor
from dawa_assets.intake.inbox import complete_key
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artist_deletions import begin
from dawa_assets.tables.artists import Artist, ensure_artist
from dawa_assets.tables.datasets import _FINGERPRINT
from resources.database.base import Database
from resources.errors import SettingsError
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.automation.ticks import leave, leave_run, night, slugs, tick
from tests.dawa_assets.prompting.material import give_set, profile, summary

MakeArtist = Callable[[str], Artist]


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance on the disk: a schedule's tick opens its instance by itself."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def partitions(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.get_dynamic_partitions("artist"))


def test_artists_become_partitions_in_the_order_of_their_commits(
    instance: dg.DagsterInstance, database: Database, make_artist: MakeArtist
) -> None:
    make_artist("First")
    known = add_new_artists(instance, database, 0)
    with database.transaction() as late:
        ensure_artist(late, "Begun before, committed after")
        assert add_new_artists(instance, database, known) == known
    after = add_new_artists(instance, database, known)
    assert partitions(instance) == {"first", "begun-before-committed-after"}
    assert after > known
    assert add_new_artists(instance, database, after) == after


@pytest.mark.parametrize("known", [0, 10**12])
def test_a_lost_or_foreign_cursor_loses_no_artist(
    instance: dg.DagsterInstance, database: Database, make_artist: MakeArtist, known: int
) -> None:
    make_artist("First")
    add_new_artists(instance, database, known)
    assert partitions(instance) == {"first"}


def test_an_artist_deleted_elsewhere_loses_their_partition(
    instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist
) -> None:
    make_artist("First")
    gone, back = make_artist("Gone"), make_artist("Back")
    cursor = tick(inbox_sensor, instance, ports).cursor
    assert partitions(instance) == {"first", "gone", "back"}
    with ports.database.transaction() as connection:
        for artist in (gone, back):
            connection.execute("delete from artists where id = %s", [artist.id])
            connection.execute(
                "insert into artist_deletions (artist_id, slug, asked_by, finished_at) values (%s, %s, 'me', now())",
                [artist.id, artist.slug],
            )
    make_artist("Back")
    instance.delete_dynamic_partition("artist", "first")
    cursor = tick(inbox_sensor, instance, ports, cursor).cursor
    assert partitions(instance) == {"back"}
    ensure_partitions(instance, ["gone"])  # by a tick that saw them just before
    tick(inbox_sensor, instance, ports, cursor)
    assert partitions(instance) == {"back"}


def test_nothing_is_asked_for_who_is_being_deleted(
    instance: dg.DagsterInstance, stored: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist
) -> None:
    artists = [make_artist("Stays"), make_artist("Leaves")]
    for artist in artists:
        give_set(ports.database, artist, summary(100, "A"), "A", audio=False)
        ports.bucket.put(f"inbox/{artist.slug}/one/Set.als", b"x")
        ports.bucket.put(complete_key(artist.slug, "one"), b"")
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into training_items (artist_id, parse_id, status, audio_path, audio_hash, audio_format, "
            "prompt_text) select a.id, '-', 'ready', 'artists/' || a.slug || '/a', md5(a.slug), 'mp3', 'Warm.' "
            "from artists a"
        )
        connection.execute(
            "insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count, "
            "finished_at) "
            "select id, 'earlier', 'done', 'artists/' || slug || '/z', 'artists/' || slug || '/j', 1, now() "
            "from artists"
        )
        connection.execute(
            "insert into dataset_items (dataset_id, position, parse_id, audio_path, audio_hash, audio_format, "
            "prompt_text) select id, 1, '-', storage_path, md5(storage_path), 'mp3', 'Warm.' from datasets"
        )
    training = replace(ports, settings=ports.settings.model_copy(update={"retrain": True}))

    def asked() -> list[list[str]]:
        found = [
            sorted(slugs(tick(sensor, instance, training)))
            for sensor in (inbox_sensor, stale_prompts_sensor, retrain_sensor)
        ]
        return [*found, [request.partition_key or "" for request in night(stored, ports)]]

    assert asked() == [["leaves", "stays"]] * 4
    with ports.database.transaction() as connection:
        begin(connection, artists[1], "me")
    assert asked() == [["stays"]] * 4


def test_other_files_of_the_same_upload_are_other_work(
    instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist
) -> None:
    artist = make_artist("Nova")
    quiet = replace(ports, settings=ports.settings.model_copy(update={"quiet_seconds": 0.0}))
    for number in range(5):
        ports.bucket.put(f"inbox/{artist.slug}/Set {number}.als", b"x")
        (request,) = tick(inbox_sensor, instance, quiet).run_requests or []
        assert request.tags["dawa/attempt"].startswith("1 of ")
        leave_run(instance, request, dg.DagsterRunStatus.SUCCESS)
        assert slugs(tick(inbox_sensor, instance, quiet)) == []
        ports.bucket.delete([f"inbox/{artist.slug}/Set {number}.als"])


def test_very_many_artists_are_taken_over_in_several_ticks(
    instance: dg.DagsterInstance, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert AT_ONCE >= 1000
    monkeypatch.setattr("dawa_assets.defs.partitions.AT_ONCE", 3)
    with database.transaction() as connection:
        for number in range(7):
            ensure_artist(connection, f"Artist {number}")
    known, sizes = 0, []
    for _ in range(4):
        known = add_new_artists(instance, database, known)
        sizes.append(len(partitions(instance)))
    assert sizes == [3, 6, 7, 7]


def test_a_new_artists_upload_adds_a_run_and_a_partition_at_once(
    instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist
) -> None:
    artist = make_artist("Nova")
    ports.bucket.put(f"inbox/{artist.slug}/one/Set.als", b"x")
    ports.bucket.put(complete_key(artist.slug, "one"), b"")
    result = tick(inbox_sensor, instance, ports)
    assert slugs(result) == [artist.slug]
    assert partitions(instance) == {artist.slug}
    instance.delete_dynamic_partition("artist", artist.slug)
    assert slugs(tick(inbox_sensor, instance, ports, result.cursor)) == [artist.slug]
    assert partitions(instance) == {artist.slug}


@pytest.mark.parametrize(
    "cursor", [None, "", "nonsense", "[1]", '{"artists": 1, "more": 2}', '{"deleted": "2026-01-01"}']
)
def test_whatever_the_cursor_says_the_inbox_is_seen(
    instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist, cursor: str | None
) -> None:
    artist = make_artist("Nova")
    ports.bucket.put(f"inbox/{artist.slug}/one/Set.als", b"x")
    ports.bucket.put(complete_key(artist.slug, "one"), b"")
    assert slugs(tick(inbox_sensor, instance, ports, cursor)) == [artist.slug]


def test_one_change_is_one_tag(instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist) -> None:
    artists = [make_artist(f"Artist {number}") for number in range(5)]
    for artist in artists:
        set_profile(ports, artist, profile())
        give_set(ports.database, artist, summary(100, "A"), "A", audio=False)
        refresh_prompts(ports, artist.slug)
    assert slugs(tick(stale_prompts_sensor, instance, ports)) == []
    for artist in artists[1:4]:
        set_profile(ports, artist, {**profile(), "schema_version": "2.0"})
    result = tick(stale_prompts_sensor, instance, ports)
    assert sorted(slugs(result)) == [artist.slug for artist in artists[1:4]]
    assert {request.tags["dawa/backfill"] for request in result.run_requests or []} == {"schema version 2.0"}
    for request in result.run_requests or []:
        leave_run(instance, request, dg.DagsterRunStatus.STARTED)
    assert slugs(tick(stale_prompts_sensor, instance, ports)) == []


def test_a_schema_version_that_is_odd_makes_a_tag_all_the_same(
    instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist
) -> None:
    artist = make_artist("Nova")
    set_profile(ports, artist, profile())
    give_set(ports.database, artist, summary(100, "A"), "A", audio=False)
    refresh_prompts(ports, artist.slug)
    with ports.database.transaction() as connection:
        connection.execute(
            "update artist_profiles set "
            "master_schema = master_schema || jsonb_build_object('schema_version', %s::text)",
            ["2\n\t" + "x" * 5000],
        )
    (request,) = tick(stale_prompts_sensor, instance, ports).run_requests or []
    assert request.tags["dawa/backfill"].startswith("schema version 2  xxx")
    assert len(request.tags["dawa/backfill"]) <= 80


@pytest.fixture
def two_hundred(ports: Ports) -> list[str]:
    """Two hundred artists whose datasets of three items are up to date, but for five; the slugs of these."""
    with ports.database.transaction() as connection:
        connection.execute("insert into artists (name) select 'Artist ' || i from generate_series(1, 200) i")
        connection.execute(
            "insert into training_items "
            "(artist_id, parse_id, status, audio_path, audio_hash, audio_format, prompt_text) "
            "select a.id, '-', 'ready', 'artists/' || a.slug || '/a', md5(a.id::text || i), 'mp3', 'Warm.' "
            "from artists a, generate_series(1, 3) i"
        )
        connection.execute(f"""
            with wanted as (
              select artist_id, {_FINGERPRINT} as fingerprint from training_items group by artist_id
            )
            insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count, finished_at)
            select a.id, w.fingerprint, 'done', 'artists/' || a.slug || '/z', 'artists/' || a.slug || '/j', 3, now()
            from wanted w join artists a on a.id = w.artist_id
        """)
        rows = connection.execute(
            "update training_items set prompt_text = 'Another.' where id in (select min(id::text)::uuid "
            "from training_items where artist_id in (select id from artists order by number limit 5) "
            "group by artist_id) returning (select slug from artists where id = artist_id)"
        ).fetchall()
    return sorted(row["slug"] for row in rows)


def test_five_of_two_hundred_artists_get_runs_with_few_queries(
    stored: dg.DagsterInstance, ports: Ports, two_hundred: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    transactions, statements = [], []
    open_one = Database.transaction

    def counted(self: Database):  # type: ignore[no-untyped-def]
        transactions.append(self)
        return open_one(self)

    execute = psycopg.Connection.execute

    def told(self, query, *args, **kwargs):  # type: ignore[no-untyped-def]
        statements.append(query)
        return execute(self, query, *args, **kwargs)

    monkeypatch.setattr(Database, "transaction", counted)
    monkeypatch.setattr(psycopg.Connection, "execute", told)
    asked = night(stored, ports)
    assert sorted(request.partition_key or "" for request in asked) == two_hundred
    assert len(asked) == 5
    assert len(transactions) == 2  # who permits what, and which datasets would differ
    assert len([query for query in statements if "select" in str(query).lower()]) <= 4
    assert partitions(stored) == set(two_hundred)
    assert {request.run_key for request in asked} == {f"2026-11-21/{slug}" for slug in two_hundred}


def test_a_night_is_bounded_and_later_ones_ask_for_others(
    stored: dg.DagsterInstance, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = [f"artist-{number}" for number in range(12)]
    monkeypatch.setattr("dawa_assets.tables.datasets.artists_whose_dataset_would_differ", lambda _: everybody)
    monkeypatch.setattr("dawa_assets.defs.schedules.MAX_PER_NIGHT", 5)
    asked = [night(stored, ports, datetime(2026, 11, day, 3, tzinfo=UTC)) for day in range(1, 15)]
    assert {len(requests) for requests in asked} == {5}
    assert {request.partition_key for requests in asked for request in requests} == set(everybody)
    again = night(stored, ports, datetime(2026, 11, 1, 3, tzinfo=UTC))
    assert [request.run_key for request in again] == [request.run_key for request in asked[0]]


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), st.integers(0, 23), st.integers(0, 59), st.integers(2024, 2028), st.integers(0, 365))
def test_every_night_has_one_run_across_clock_changes(zone: str, hour: int, minute: int, year: int, day: int) -> None:
    here = ZoneInfo(zone)
    start = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day)
    ticks = schedule_execution_time_iterator(start.timestamp(), f"{minute} {hour} * * *", zone, ascending=True)
    nights = [next(ticks).astimezone(here).date() for _ in range(100)]
    assert [later - earlier for earlier, later in pairwise(nights)] == [timedelta(days=1)] * 99


@pytest.mark.usefixtures("two_hundred")
def test_the_run_key_names_the_night_where_it_is_night(stored: dg.DagsterInstance, ports: Ports) -> None:
    berlin = ports.settings.model_copy(update={"timezone": "Europe/Berlin", "nightly_cron": "30 2 * * *"})
    object.__setattr__(ports, "settings", berlin)
    for at in (
        datetime(2026, 3, 29, 1, 0, tzinfo=UTC),  # 02:30 is skipped in Berlin: Dagster asks at 03:00
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),  # the first 02:30
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),  # the second
    ):
        expected = at.astimezone(ZoneInfo("Europe/Berlin")).date().isoformat()
        assert {(request.run_key or "").split("/")[0] for request in night(stored, ports, at)} == {expected}, at


def test_the_schedule_is_what_the_settings_say(settings: Settings) -> None:
    schedule = nightly_dataset_rebuild(
        settings.model_copy(update={"nightly_cron": "5 4 * * *", "timezone": "Asia/Tokyo"})
    )
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("5 4 * * *", "Asia/Tokyo")


def test_every_unfinished_run_owns_its_artist(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dawa_assets.defs.sensors.orphan_cleanup.PAGE", 2)
    for number in range(5):
        leave(instance, "build_job", {"dagster/partition": f"a{number}"}, dg.DagsterRunStatus.STARTED)
    leave(instance, "build_job", {"dagster/partition": "done"}, dg.DagsterRunStatus.SUCCESS)
    leave(instance, "build_job", {}, dg.DagsterRunStatus.STARTED)
    assert _owned(instance) == {f"a{number}" for number in range(5)}


@pytest.mark.parametrize("cron", ["", "x", "0 3 * *", "61 3 * * *", "0 3 * * * *"])
def test_a_night_that_is_none_is_one_line(ports: Ports, cron: str) -> None:
    with pytest.raises(SettingsError, match=r"^DAWA_NIGHTLY_CRON: .*in \.env$"):
        nightly_dataset_rebuild(ports.settings.model_copy(update={"nightly_cron": cron}))
