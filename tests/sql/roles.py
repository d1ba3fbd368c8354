"""A database as Supabase would have made it before anything of ours comes, and who asks it in the tests of access."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from resources.database.base import Connection, Database


@dataclass(frozen=True)
class Side:
    """One artist, their user, and a row of theirs in every table."""

    user: UUID
    artist: UUID
    slug: str
    summary: UUID
    item: UUID
    prompt: UUID
    dataset: UUID


def side(database: Database, name: str) -> Side:
    with database.transaction() as connection:

        def one(statement: LiteralString, *values: object) -> dict[str, object]:
            row = connection.execute(statement, values).fetchone()
            assert row is not None
            return row

        made = one("insert into artists (name) values (%s) returning id, slug", name)
        artist, slug, user = made["id"], made["slug"], uuid4()
        connection.execute("insert into auth.users (id) values (%s)", [user])
        connection.execute("insert into user_artists (user_id, artist_id) values (%s, %s)", [user, artist])
        connection.execute("insert into artist_profiles (artist_id, master_schema) values (%s, '{}')", [artist])
        summary = one(
            "insert into als_summaries (als_filename, parse_id, summary, artist_id, export_path) "
            "values ('a.als', left(md5(%s), 12), '{}', %s, %s) returning id",
            name, artist, f"artists/{slug}/daw-data/p/a/x",
        )["id"]  # fmt: skip
        prompt = one(
            "insert into prompts (artist_id, als_summary_id, fingerprint, origin, text) "
            "values (%s, %s, 'f', 'model', 't') returning id",
            artist, summary,
        )["id"]  # fmt: skip
        item = one(
            "insert into training_items (artist_id, als_summary_id, parse_id, prompt_id, prompt_text, audio_path, "
            "status) values (%s, %s, 'x', %s, 't', %s, 'exported') returning id",
            artist, summary, prompt, f"artists/{slug}/training/i/audio.mp3",
        )["id"]  # fmt: skip
        dataset = one(
            "insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count) "
            "values (%(a)s, 'f', 'done', %(p)s, %(p)s, 1) returning id".replace("%(a)s", "%s").replace("%(p)s", "%s"),
            artist, f"artists/{slug}/datasets/d.zip", f"artists/{slug}/datasets/d.json",
        )["id"]  # fmt: skip
        for statement, values in (
            ("insert into dataset_items (dataset_id, position, training_item_id, audio_path, audio_hash, audio_format, "
             "prompt_text) values (%s, 1, %s, %s, 'h', 'mp3', 't')",
             [dataset, item, f"artists/{slug}/training/i/audio.mp3"]),
            ("insert into uploads (artist_id, upload_id, inbox_key, name, kind, sha256, size_bytes, state) "
             "values (%s, 'u', %s, 'n', 'audio', 'h', 1, 'waiting')", [artist, f"inbox/{slug}/u/n"]),
            ("insert into artist_prompt_state (artist_id, profile_hash, schema_version, system_prompt_version, "
             "model_name) values (%s, 'h', '1', 'v', 'm')", [artist]),
            ("insert into training_runs (artist_id, dataset_id, fingerprint, backend, base, model_name, parameters, "
             "state) values (%s, %s, 'f', 'b', 'b', 'm', '{}', 'done')", [artist, dataset]),
            ("insert into training_approvals (artist_id, fingerprint, model_name, dataset_id, plan) "
             "values (%s, 'f', 'm', %s, 'p')", [artist, dataset]),
            ("insert into lora_evaluations (run_id, artist_id, rule, adapter_sha256, verdict, reasons, figures, "
             "prompt, seed, files) select id, artist_id, 'r', 'h', 'better', '{}', '{}', 'p', 0, '{}' "
             "from training_runs where artist_id = %s", [artist]),
            ("insert into lora_promotions (artist_id, model_name, run_id, promoted_by, reason) "
             "select artist_id, 'm', id, 'person', 'r' from training_runs where artist_id = %s", [artist]),
            ("insert into renderings (id, artist_id, prompt, seed, seconds, parts) values (%s, %s, 'p', 0, 1, '[]')",
             [slug, artist]),
            ("insert into listens (artist_id, run_id, who, first, second, blind) "
             "select artist_id, id, 'me', 'base', 'candidate', true from training_runs where artist_id = %s", [artist]),
            ("insert into permissions (artist_id, purposes, granted_by, valid_from, recorded_by) "
             "values (%s, '{train}', 'label', current_date, 'me')", [artist]),
            ("insert into permission_revocations (permission_id, artist_id, revoked_by) "
             "select id, artist_id, 'me' from permissions where artist_id = %s", [artist]),
            ("insert into rendered_audio (id, artist_id, audio_sha256, origin, generator, base, prompt, seconds) "
             "values (%s, %s, repeat('0', 64), 'http', 'g', 'b', 'p', 1)", [slug, artist]),
            ("insert into verifications (artist_id) values (%s)", [artist]),
            ("insert into alignments (artist_id, parse_id, audio_hash, version, answer, confidence, set_tempo, "
             "reasons) values (%s, 'p', 'h', 'v', 'not this arrangement', 0.5, 120, '{}')", [artist]),
            ("insert into song_timelines (artist_id, parse_id, version, timeline) values (%s, 'p', 'v', '{}')",
             [artist]),
            ("insert into segment_facts (artist_id, parse_id, audio_hash, index, version, facts) "
             "values (%s, 'p', 'h', 0, 'v', '{}')", [artist]),
            ("insert into leases (artist_id, step, holder, fence, expires_at) values (%s, 's', 'h', 1, now())",
             [artist]),
            ("insert into audio_segments (audio_hash, recipe, index, segment_hash, start_seconds, samples, gain_db, "
             "silent) values (%s, 'r', 0, 's', 0, 1, 0, false)", [slug]),
            ("insert into segment_tags (segment_hash, model, tag_prompt_version, text, tags, figures) "
             "values (%s, 'm', 'v', 't', '{}', '{}')", [slug]),
            ("insert into item_exclusions (artist_id, training_item_id, excluded, author) values (%s, %s, true, 'me')",
             [artist, item]),
            ("insert into audio_measurements (artist_id, audio_hash, version, measured, fingerprint) "
             "values (%s, 'h', 'v', '{}', '')", [artist]),
            ("insert into audio_matches values (%s, 'h', %s, 'h', 1, 0, 1, 1, 0, 0)", [artist, artist]),
            ("insert into item_findings (artist_id, training_item_id, kind, audio_hash, level, sentence, way_out, "
             "version) values (%s, %s, 'silent', 'h', 'blocks', 's', 'w', 'v')", [artist, item]),
            ("insert into item_acceptances (artist_id, training_item_id, audio_hash, kind, reason, author) "
             "values (%s, %s, 'h', 'silent', 'r', 'me')", [artist, item]),
            ("insert into artist_deletions (artist_id, slug, asked_by, finished_at) values (gen_random_uuid(), %s, "
             "'me', now())", [slug]),
            ("insert into spending (day, service, model, artist_id, cost_usd) "
             "values (current_date, 'prompts', 'm', %s, 1)", [artist]),
        ):  # fmt: skip
            connection.execute(statement, values)
    return Side(user, artist, slug, summary, item, prompt, dataset)


@contextmanager
def acting_as(database: Database, role: str, user: UUID | None = None) -> Iterator[Connection]:
    """A transaction as PostgREST opens it for a request; rolled back at the end."""
    with database.transaction() as connection:
        claims = json.dumps({"role": role} | ({"sub": str(user)} if user else {}))
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        yield connection
        connection.rollback()


def tables_of(database: Database) -> list[str]:
    with database.transaction() as connection:
        rows = connection.execute(
            "select relname from pg_class "
            "where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')"
        ).fetchall()
    return sorted(row["relname"] for row in rows)


def columns_of(connection: Connection, table: str) -> list[str]:
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped "
        "and attgenerated = ''",
        [f"public.{table}"],
    ).fetchall()
    return [row["attname"] for row in rows]


def lay_down_surroundings(url: str) -> None:
    """The roles, `auth` and `storage`: what `sql/embedded` holds, in the order of its files."""
    for part in sorted(files("sql").joinpath("embedded").iterdir(), key=lambda entry: entry.name):
        with psycopg.connect(url) as connection:
            connection.execute(part.read_text(encoding="utf-8").encode())
