"""A database in which the source's tables, rows and open policies are: taken over, nothing lost, its clients go on."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from dawa_assets.datasets.build import build_dataset
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.observability.status import artist_statuses
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.segments.prepare import prepare_segments
from dawa_assets.segments.tag import tag_segments
from resources.bucket.base import Bucket
from resources.compute.base import Compute
from resources.database.migrations import migrate
from resources.ports import Ports
from resources.prompt_writer.base import PromptWriter
from resources.settings import Settings
from tests.databases import GivenDatabase
from tests.dawa_assets.training.catalogue import tone

SOURCE = (Path(__file__).parent / "source_schema.sql").read_text(encoding="utf-8")
SOURCE_TABLES = ("artists", "artist_profiles", "user_artists", "als_summaries", "training_items")
ARTIST = "00000000-0000-4000-8000-00000000000"


@pytest.fixture
def adopted(empty_database_url: str) -> str:
    """The source's database after `migrate`; what was in it before is checked to be in it still."""
    for part in sorted((Path(__file__).parents[2] / "sql" / "embedded").glob("*.sql")):
        _execute(empty_database_url, part.read_text(encoding="utf-8"))
    _execute(empty_database_url, SOURCE)
    before = _rows(empty_database_url)
    assert sum(len(rows) for rows in before.values()) == 50
    migrate(empty_database_url)
    after = _rows(empty_database_url)
    for table, rows in before.items():
        assert len(after[table]) == len(rows), table
        for was, now in zip(rows, after[table], strict=True):
            kept = {name: value for name, value in now.items() if name in was}
            if kept.get("status") == "failed":
                kept["status"], kept["updated_at"] = was["status"], was["updated_at"]
            assert kept == was, table
    return empty_database_url


def _execute(url: str, statement: str, *values: object) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def _rows(url: str) -> dict[str, list[dict[str, Any]]]:
    return {
        table: sorted(_execute(url, f"select * from public.{table}"), key=lambda row: json.dumps(row, default=str))
        if table not in ("artists", "training_items", "als_summaries")
        else _execute(url, f"select * from public.{table} order by id")
        for table in SOURCE_TABLES
    }


def test_every_artist_gets_the_slug_their_files_lie_under(adopted: str) -> None:
    slugs = {row["name"]: row["slug"] for row in _execute(adopted, "select name, slug from artists")}
    assert slugs == {
        "Nawf Side": "nawf-side",
        "Foo Bar": "foo-bar",
        "foo-bar": "foo-bar-2",
        "🎹🎶": "artist-00000000",
        "Renamed Since": "old-name",
        "Ödd Földers": "odd-folders",
        "Late": "late",
        "nawfside": "nawfside",
    }


def test_an_unknown_status_becomes_failed_and_is_reported(adopted: str) -> None:
    rows = _execute(adopted, "select error, count(*) from training_items where status = 'failed' group by 1 order by 1")
    assert [(row["error"], row["count"]) for row in rows] == [("its status was weird", 2), (None, 2)]


def test_rows_from_before_the_guards_can_still_be_worked_on(adopted: str) -> None:
    _execute(adopted, "update als_summaries set parser_version = '1', summary = '{\"a\": 1}'")
    _execute(adopted, "update training_items set status = 'ready', error = null, audio_path = audio_path")


def test_the_dashboard_s_own_writes_go_on(adopted: str) -> None:
    for statement in (
        "insert into artists (name) values ('New One') on conflict (name) do nothing",
        "insert into als_summaries (project_name, als_filename, parse_id, summary, export_path, artist_id) "
        f"values ('P', 'Same.als', 'new', '{{}}', 'artists/nawf-side/daw-data/P/Same/new', '{ARTIST}1')",
        "insert into als_summaries (als_filename, parse_id, summary, artist_id) values ('x.als', 'none', '{}', null)",
        "insert into training_items (artist_id, als_summary_id, parse_id, audio_path, prompt_text, status) "
        "select artist_id, id, parse_id, 'artists/nawf-side/training/1/audio.mp3', 'Text.', 'ready' "
        "from als_summaries where parse_id = 'new'",
        f"update artist_profiles set master_schema = '{{\"schema_version\": \"2\"}}' where artist_id = '{ARTIST}1'",
    ):
        with psycopg.connect(adopted) as connection:
            connection.execute("set local role service_role")
            assert connection.execute(statement.encode()).rowcount == 1, statement
    assert _execute(adopted, "select slug from artists where name = 'New One'") == [{"slug": "new-one"}]


def test_open_policies_go_and_a_linked_user_keeps_read_access(adopted: str) -> None:
    policies = _execute(adopted, "select policyname, roles::text from pg_policies where schemaname = 'public'")
    assert {row["roles"] for row in policies} == {"{authenticated}", "{anon,authenticated}"}
    assert not [row for row in policies if row["policyname"].startswith(("Users can", "read summaries"))]
    with psycopg.connect(adopted, row_factory=dict_row) as connection:
        connection.execute("set local role authenticated")
        claims = json.dumps({"sub": "10000000-0000-4000-8000-000000000001", "role": "authenticated"})
        connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        assert [row["name"] for row in connection.execute("select * from artists")] == ["Nawf Side"]
        assert len(connection.execute("select * from als_summaries").fetchall()) == 3
        assert len(connection.execute("select * from training_items").fetchall()) == 2
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("insert into user_artists (user_id, artist_id) select auth.uid(), gen_random_uuid()")
    with psycopg.connect(adopted) as connection:
        connection.execute("set local role anon")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("update artists set name = 'x'")


def test_storage_s_open_policies_are_gone_too(adopted: str) -> None:
    policies = _execute(adopted, "select policyname from pg_policies where schemaname = 'storage'")
    assert policies
    assert [row for row in policies if not row["policyname"].startswith("dawa: ")] == []


def test_the_pipeline_runs_on_what_it_adopted(
    adopted: str, settings: Settings, bucket: Bucket, prompt_writer: PromptWriter, compute: Compute
) -> None:
    ports = Ports(settings, GivenDatabase(adopted), bucket, prompt_writer, compute)
    overview = {"overview": {"tempo": 124, "time_signature": "4/4"}}
    _execute(adopted, "update als_summaries set summary = %s where parse_id = 'parse-1'", json.dumps(overview))
    items = _execute(adopted, f"select id, audio_path, prompt_text from training_items where artist_id = '{ARTIST}1'")
    for number, item in enumerate(items):
        bucket.put(item["audio_path"], tone(16, 220 * (number + 1)))

    take_in_live_sets(ports, "nawf-side")
    refresh_prompts(ports, "nawf-side")
    update_training_items(ports, "nawf-side")
    dataset = build_dataset(ports, "nawf-side")
    segments = prepare_segments(ports, "nawf-side")
    tags = tag_segments(ports, "nawf-side")

    now = {row["id"]: row for row in _execute(adopted, "select * from training_items")}
    written_by_people = [item for item in items if item["prompt_text"] is not None]
    assert written_by_people
    for item in written_by_people:
        assert now[item["id"]]["prompt_text"] == item["prompt_text"]
        assert now[item["id"]]["status"] == "exported"
        assert bucket.stat(now[item["id"]]["prompt_path"]) is not None
    assert dataset.item_count >= len(written_by_people)
    assert tags.tagged == segments.segments == dataset.item_count
    mine = [row for row in now.values() if row["artist_id"] == UUID(f"{ARTIST}1")]
    summaries = _execute(adopted, f"select id from als_summaries where artist_id = '{ARTIST}1'")
    assert {row["id"] for row in summaries} <= {row["als_summary_id"] for row in mine}
    written = next(row for row in mine if row["parse_id"] == "parse-1")
    assert written["prompt_text"].endswith("BPM: 124")


def test_a_second_migrate_does_nothing(adopted: str) -> None:
    assert migrate(adopted) == []


_LOOSE = (  # as the source's own first definitions had them
    ("status text not null default 'needs_audio'", "status text default 'needs_audio'"),
    ("role text not null default 'owner'", "role text"),
    ("parse_timestamp timestamptz not null default now()", "parse_timestamp timestamptz"),
)
_EMPTY_ROWS = f"""
insert into public.training_items (id, artist_id, parse_id, audio_path, prompt_text, status, created_at)
select ('20000000-0000-4000-8000-00000000000' || n)::uuid, '{ARTIST}1', 'empty', audio, text, null, null
from (values
  (1, 'artists/nawf-side/training/1/audio.mp3', 'Words. BPM: 120'),
  (2, 'artists/nawf-side/training/2/audio.mp3', ' '),
  (3, null, 'Words. BPM: 120')
) as v (n, audio, text);
insert into public.als_summaries (als_filename, parse_id, summary, artist_id, parse_timestamp, created_at)
values ('empty.als', 'empty', '{{}}', '{ARTIST}1', null, null);
insert into public.user_artists (user_id, artist_id) values (gen_random_uuid(), '{ARTIST}1');
"""


@pytest.fixture
def loose(empty_database_url: str) -> str:
    """The source's database where columns that say what a row is may be empty, and are, after `migrate`."""
    for part in sorted((Path(__file__).parents[2] / "sql" / "embedded").glob("*.sql")):
        _execute(empty_database_url, part.read_text(encoding="utf-8"))
    source = SOURCE
    for strict, as_it_was in _LOOSE:
        assert strict in source
        source = source.replace(strict, as_it_was)
    _execute(empty_database_url, source)
    _execute(empty_database_url, _EMPTY_ROWS)
    migrate(empty_database_url)
    return empty_database_url


def test_empty_statuses_roles_and_times_are_filled_for_good(loose: str) -> None:
    filled = _execute(loose, "select status from training_items where parse_id = 'empty' order by id")
    assert [row["status"] for row in filled] == ["ready", "needs_prompt", "needs_audio"]
    for statement in (
        f"insert into training_items (artist_id, parse_id, status) values ('{ARTIST}1', 'later', null)",
        "update training_items set status = null where parse_id = 'later'",
        f"insert into user_artists (user_id, artist_id, role) values (gen_random_uuid(), '{ARTIST}1', null)",
        "insert into als_summaries (als_filename, parse_id, summary, artist_id, parse_timestamp) "
        f"values ('later.als', 'later', '{{}}', '{ARTIST}1', null)",
    ):
        with psycopg.connect(loose) as connection:
            connection.execute("set local role service_role")
            assert connection.execute(statement.encode()).rowcount == 1, statement
    assert _execute(loose, "select status from training_items where parse_id = 'later'") == [{"status": "needs_audio"}]
    for table, column in (
        ("training_items", "status"), ("user_artists", "role"), ("als_summaries", "parse_timestamp")
    ):  # fmt: skip
        assert _execute(loose, f"select 1 from {table} where {column} is null") == []
        with pytest.raises(psycopg.errors.NotNullViolation):
            _execute(loose, f"set local session_replication_role = replica; update {table} set {column} = null")
    assert _execute(loose, "select 1 from training_items where created_at is null") == []


def test_items_without_a_status_join_the_dataset(
    loose: str, settings: Settings, bucket: Bucket, prompt_writer: PromptWriter, compute: Compute
) -> None:
    ports = Ports(settings, GivenDatabase(loose), bucket, prompt_writer, compute)
    bucket.put("artists/nawf-side/training/1/audio.mp3", tone(2, 220))
    [status] = artist_statuses(ports, "nawf-side")
    assert status.by_status["ready"] >= 1
    dataset = build_dataset(ports, "nawf-side")
    assert [track.item for track in dataset.tracks] == ["20000000-0000-4000-8000-000000000001"]
