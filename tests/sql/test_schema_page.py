"""docs/supabase-schema.md says of the tables what a migrated database says of itself."""

import re
from pathlib import Path

from resources.database.base import Database
from tests.sql.test_access_table import MEANT_FOR_USERS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "supabase-schema.md").read_text(encoding="utf-8")
_SHORT = {"timestamp with time zone": "timestamptz", "double precision": "float8", "ARRAY": "text[]"}


def _told() -> dict[str, dict[str, tuple[str, bool]]]:
    """Table → column → type, and whether it may be null."""
    told: dict[str, dict[str, tuple[str, bool]]] = {}
    for table, body in re.findall(r"^### `(\w+)`\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL):
        rows = re.findall(r"^\| `(\w+)`(?: ＋)? \| ([\w\[\]]+) \| (yes)? ?\|", body, flags=re.MULTILINE)
        told[table] = {column: (kind, null == "yes") for column, kind, null in rows}
    return told


def test_every_table_and_column_is_told_as_it_is(database: Database) -> None:
    with database.transaction() as connection:
        rows = connection.execute(
            "select table_name, column_name, data_type, is_nullable from information_schema.columns "
            "where table_schema = 'public'"
        ).fetchall()
    there: dict[str, dict[str, tuple[str, bool]]] = {}
    for row in rows:
        kind = _SHORT.get(row["data_type"], row["data_type"])
        there.setdefault(row["table_name"], {})[row["column_name"]] = (kind, row["is_nullable"] == "YES")
    assert _told() == there


def test_every_trigger_is_documented(database: Database) -> None:
    with database.transaction() as connection:
        names = connection.execute(
            "select distinct trigger_name from information_schema.triggers where trigger_schema = 'public'"
        ).fetchall()
    guards = PAGE.partition("## Guards")[2].partition("## ")[0]
    assert set(re.findall(r"`(dawa_\w+|als_summaries_prompts_due)`", guards)) == {row["trigger_name"] for row in names}


def test_every_table_that_users_reach_is_listed() -> None:
    section = PAGE.partition("## Who may what\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, flags=re.MULTILINE)
    listed = {f"public.{table}" for row in rows for table in re.findall(r"`(\w+)`", row)}
    assert listed | {"storage.objects"} == set(MEANT_FOR_USERS)
