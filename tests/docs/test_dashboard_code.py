"""docs/dashboard-code.md: what is said to come of each query comes of it, asked as the role that is named there.

The JavaScript beside the queries is held to them where supabase-js is installed: by the requests that it sends.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID, uuid4

import psycopg
import pytest

from resources.database.base import Database
from tests.loopback import QuietHandler, serving
from tests.npm_packages import file_of
from tests.sql.roles import acting_as

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "dashboard-code.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n-- as (\w+): (\w+(?: rows?)?)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
NODE = shutil.which("node")


@pytest.fixture
def names(database: Database) -> dict[str, UUID]:
    """What stands behind a colon in the page's queries."""
    user = uuid4()
    with database.transaction() as connection:

        def one(statement: str, *values: object) -> UUID:
            row = connection.execute(statement.encode(), values).fetchone()
            assert row is not None
            return UUID(str(row["id"]))

        one("insert into auth.users (id) values (%s) returning id", user)
        artist, bare, another = (
            one("insert into artists (name) values (%s) returning id", name) for name in ("Nova Kite", "Bare", "Other")
        )
        for each in (artist, bare):
            connection.execute("insert into user_artists (user_id, artist_id) values (%s, %s)", [user, each])
        connection.execute("insert into artist_profiles (artist_id, master_schema) values (%s, '{}')", [artist])
        summary = one(
            "insert into als_summaries (als_filename, parse_id, summary, artist_id) "
            "values ('a.als', 'a1b2c3d4e5f6', '{}', %s) returning id",
            artist,
        )
        item = one(
            "insert into training_items (artist_id, als_summary_id, parse_id, prompt_text, audio_path, status) "
            "values (%s, %s, 'a1b2c3d4e5f6', 'Text.', 'artists/nova-kite/training/1/audio.mp3', 'ready') returning id",
            artist,
            summary,
        )
        for slug in ("nova-kite", "other"):
            connection.execute(
                "insert into storage.objects (bucket_id, name) values ('dawa-exports', %s)",
                [f"artists/{slug}/training/1/audio.mp3"],
            )
    return {
        "user": user,
        "artist": artist,
        "artist_without_profile": bare,
        "another_artist": another,
        "summary": summary,
        "item": item,
    }


def test_the_page_has_a_query_for_each_role() -> None:
    assert len(QUERIES) == len(re.findall(r"^```sql", PAGE, flags=re.MULTILINE))
    assert {role for role, _, _ in QUERIES} == {"anon", "authenticated", "service_role"}


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_a_query_comes_to_what_the_page_says(database: Database, names: dict[str, UUID], number: int) -> None:
    role, outcome, query = QUERIES[number]
    asked = re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", query.replace("%", "%%"))
    if "from artists join user_artists" in query:  # the example of one artist
        with database.transaction() as connection:
            connection.execute("delete from user_artists where artist_id = %s", [names["artist_without_profile"]])
    with acting_as(database, role, names["user"] if role == "authenticated" else None) as connection:
        if " row" in outcome:
            assert connection.execute(asked.encode(), names).rowcount == int(outcome.split()[0])
            return
        with pytest.raises(psycopg.Error) as refused, connection.transaction():
            connection.execute(asked.encode(), names)
    assert refused.value.sqlstate == outcome


def test_a_new_artist_s_slug_is_not_made_of_the_name_alone(database: Database, names: dict[str, UUID]) -> None:
    assert names["artist"]
    with acting_as(database, "service_role") as connection:
        row = connection.execute("insert into artists (name) values ('Nova & Kite') returning slug").fetchone()
    assert row == {"slug": "nova-and-kite"}


# What the API makes of a request is PostgREST's; what is sent is supabase-js', and is held to the queries here.
_INSERT = ("POST", "training_items")
CALLS = """
import { createRequire } from "node:module";
const { createClient } = createRequire(import.meta.url)(process.env.SUPABASE_JS);
const realtime = { transport: class {} }; // Node 20 has no WebSocket, and nothing is followed here
const supabase = createClient(process.env.URL, "sb_publishable_x", { auth: { persistSession: false }, realtime });
const [artistId, itemId, profile, text] = ["a", "i", {}, "t"];
const [artist_id, als_summary_id, parse_id, als_filename, project_name] = ["a", "s", "p", "f", "n"];
"""


class _Recorder(QuietHandler):
    asked: list[tuple[str, str, Any]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.asked.append((self.command, unquote(self.path), json.loads(body) if body else None))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - called so by the base class


@contextmanager
def _recording() -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    asked: list[tuple[str, str, Any]] = []
    with serving(type("Recorder", (_Recorder,), {"asked": asked})) as address:
        yield address, asked


@pytest.mark.skipif(NODE is None, reason="no Node is installed")
def test_the_page_s_calls_send_what_its_queries_ask(tmp_path: Path) -> None:
    library = file_of("@supabase/supabase-js", "dist/index.cjs")
    code = re.findall(r"^```js\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    calls = "\n".join(f"{{\n{block}\n}}" for block in code if "await supabase" in block)
    [save] = [block for block in code if "saveProfile" in block]
    script = tmp_path / "calls.mjs"
    script.write_text(f"{CALLS}\n{calls}\n{save}\nawait saveProfile(supabase, artistId, profile);\n", encoding="utf-8")
    with _recording() as (url, asked):
        environment = {"URL": url, "SUPABASE_JS": str(library), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [str(NODE), str(script)], env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr
    sent = [(method, path.removeprefix("/rest/v1/"), body) for method, path, body in asked]
    assert ("GET", "artists?select=*,user_artists!inner(role),artist_profiles(master_schema)", None) in sent
    assert ("GET", "als_summaries?select=*&artist_id=eq.a&order=parse_timestamp.desc", None) in sent
    assert ("GET", "training_items?select=*&artist_id=eq.a&status=eq.ready", None) in sent
    assert ("PATCH", "training_items?id=eq.i", {"prompt_text": "t"}) in sent
    assert ("POST", "artist_profiles", {"artist_id": "a", "master_schema": {}}) in sent
    assert ("PATCH", "artist_profiles?artist_id=eq.a&select=artist_id", {"master_schema": {}}) in sent
    references = {"artist_id": "a", "als_summary_id": "s", "parse_id": "p", "als_filename": "f", "project_name": "n"}
    assert references in [body for method, path, body in sent if (method, path.partition("?")[0]) == _INSERT]
