"""Runs the files of `supabase/tests/database` as `supabase test db` does, with pgTAP in the schema `extensions`."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

FOLDER = Path(__file__).resolve().parents[2] / "supabase" / "tests" / "database"
FILES = sorted(FOLDER.glob("*.test.sql"))
_DEBIAN = "/usr/share/postgresql"
_POINT = re.compile(r"(not )?ok (\d+)(?: - (.*))?")


@dataclass
class Tap:
    """What a file said: how many points there were, and what was not ok."""

    points: int = 0
    failed: list[str] = field(default_factory=list)


def pgtap_script() -> Path | None:
    """pgTAP as one SQL script, from Debian's `postgresql-*-pgtap`; None where that is not installed."""
    found = sorted(Path(_DEBIAN).glob("*/extension/pgtap--*.sql"))
    return next((path for path in found if re.fullmatch(r"pgtap--[\d.]+\.sql", path.name)), None)


def lay_down_pgtap(url: str, script: Path | None = None) -> None:
    """Put pgTAP where Supabase has extensions; from a script where the server has none of Debian's extensions."""
    with psycopg.connect(url) as connection:
        connection.execute("create schema if not exists extensions")
        connection.execute("grant usage on schema extensions to public")
        connection.execute("set local client_min_messages = error")
        if script is None:
            connection.execute("create extension pgtap with schema extensions")
        else:
            connection.execute("set local search_path = extensions")
            connection.execute(_plain(script.read_text(encoding="utf-8")).encode())


def run_script(url: str, script: str, name: str) -> Tap:
    """Run a file's text in a session that finds `extensions`, as a project's do. It rolls back what it did."""
    tap = Tap()
    with psycopg.connect(url, autocommit=True, options="-c search_path=public,extensions") as connection:
        cursor = connection.execute(script.encode())
        planned = None
        while True:
            for line in _lines(cursor):
                if point := _POINT.match(line):
                    tap.points += 1
                    tap.failed += [point[3] or point[2]] if point[1] else []
                elif plan := re.match(r"1\.\.(\d+)", line):
                    planned = int(plan[1])
            if not cursor.nextset():
                break
    assert planned == tap.points, f"{name}: {tap.points} of {planned} points"
    return tap


def _lines(cursor: psycopg.Cursor[tuple[object, ...]]) -> list[str]:
    if cursor.description is None:
        return []
    return [line for row in cursor.fetchall() if isinstance(row[0], str) for line in row[0].splitlines()]


def _plain(script: str) -> str:
    """The script without what only `create extension` and `psql` understand."""
    return "\n".join(line for line in script.splitlines() if not line.startswith("\\"))
