"""Which save a bounce fits best is looked up by keys, also where the server has not counted the rows yet."""

from typing import Any
from uuid import UUID

from dawa_assets.tables.best_saves import best_saves_of
from resources.database.base import Connection
from resources.ports import Ports
from tests.dawa_assets.intake.material import new_artist

_ITEMS = 40
_FILL = """
with sets as (
  insert into als_summaries (artist_id, parse_id, als_filename, summary)
  select %(artist)s, 'parse ' || n, n || '.als', '{}' from generate_series(1, %(items)s) n
  returning id, parse_id, als_filename),
made as (
  insert into training_items (artist_id, als_summary_id, parse_id, als_filename, item_key, audio_hash)
  select %(artist)s, id, parse_id, als_filename, parse_id, 'audio of ' || parse_id from sets)
insert into alignments (artist_id, parse_id, audio_hash, version, answer, confidence, offset_seconds, tempo, set_tempo,
  score, reasons)
select %(artist)s, parse_id, 'audio of ' || parse_id, 'v1', 'aligned', 1, 0, 120, 120, 1, '{}' from sets
"""
_UNCOUNTED = "('training_items', 'als_summaries', 'alignments')"


class _Explained:
    """A connection that says how the server went about a query, in place of its rows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.plan: dict[str, Any] = {}

    def execute(self, query: str, parameters: dict[str, Any]) -> "_Explained":
        row = self._connection.execute(f"explain (analyze, format json) {query}", parameters).fetchone()
        assert row is not None
        self.plan = row["QUERY PLAN"][0]["Plan"]
        return self

    def fetchall(self) -> list[dict[str, Any]]:
        return []


def _rows_seen(node: dict[str, Any]) -> float:
    """Return how many rows were read or thrown away by a step and those below it."""
    seen = node["Actual Rows"] + sum(node[key] for key in node if key.startswith("Rows Removed"))
    return float(seen * node["Actual Loops"] + sum(_rows_seen(below) for below in node.get("Plans", [])))


def test_tables_just_filled_are_searched_by_key(ports: Ports) -> None:
    artist: UUID = new_artist(ports).id
    with ports.database.transaction() as connection:
        connection.execute(_FILL, {"artist": artist, "items": _ITEMS})
        connection.execute(f"delete from pg_statistic where starelid::regclass::text in {_UNCOUNTED}")
        connection.execute(f"update pg_class set reltuples = -1, relpages = 0 where relname in {_UNCOUNTED}")
        explained = _Explained(connection)
        assert best_saves_of(explained, artist) == {}  # type: ignore[arg-type]
        assert _ITEMS <= _rows_seen(explained.plan) <= 20 * _ITEMS
        connection.execute("rollback")
