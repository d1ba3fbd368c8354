"""SQL of verifications: when an artist's files were last held against their rows, and what was wrong with them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dawa_assets.tables.artists import Artist
from resources.database.base import Connection

MAX_FINDINGS = 500
"""Of one artist; more are counted by `dawa verify`, and these are work enough."""


@dataclass(frozen=True)
class FileFinding:
    """A file that is not as a row says: `what` it is of, and on one line what is wrong and the way out."""

    problem: str
    what: str
    key: str
    reason: str


def keep_verification(connection: Connection, artist_id: UUID, found: Sequence[FileFinding], *, deep: bool) -> None:
    """Store what was found of an artist by a look that came to its end; nothing where they were deleted meanwhile.

    What was found before and is found again keeps its time. Wrong bytes stay until bytes are read again (`deep`).
    """
    connection.execute(
        """
        insert into verifications as v (artist_id, names_at, bytes_at, findings)
        select id, now(), case when %(deep)s then now() end, %(found)s from artists where id = %(artist)s
        on conflict (artist_id) do update set names_at = now(), bytes_at = coalesce(excluded.bytes_at, v.bytes_at),
          findings = (
            select coalesce(jsonb_agg(f || jsonb_build_object('since', coalesce(b -> 'since', f -> 'since'))), '[]')
            from jsonb_array_elements(excluded.findings) f left join jsonb_array_elements(v.findings) b
              on (b -> 'problem', b -> 'key') = (f -> 'problem', f -> 'key')
          ) || (
            select coalesce(jsonb_agg(b), '[]') from jsonb_array_elements(v.findings) b
            where not %(deep)s and b ->> 'problem' = 'wrong bytes'
          )
        """,
        {"artist": artist_id, "deep": deep, "found": Jsonb(_rows(connection, found))},
    )


def least_recently_verified(connection: Connection, before: datetime, limit: int, *, deep: bool) -> list[Artist]:
    """Return the artists who were not looked at since then, those first whose last look is longest ago."""
    column = "bytes_at" if deep else "names_at"
    with connection.cursor(row_factory=class_row(Artist)) as cursor:
        return cursor.execute(
            f"select a.id, a.slug, a.name from artists a left join verifications v on v.artist_id = a.id "
            f"where v.{column} is null or v.{column} < %s order by v.{column} nulls first, a.slug limit %s",
            [before, limit],
        ).fetchall()


def _rows(connection: Connection, found: Sequence[FileFinding]) -> list[dict[str, str]]:
    row = connection.execute("select now()::text as now").fetchone()
    assert row is not None  # noqa: S101 - a select without a table has a row
    return [asdict(each) | {"since": row["now"]} for each in found[:MAX_FINDINGS]]
