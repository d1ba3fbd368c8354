"""SQL of renderings: what was asked for, and what there is of it."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from dawa_assets.tables.artists import Artist
from dawa_assets.tables.listens import Who
from resources.database.base import Connection


@dataclass(frozen=True)
class Part:
    """One of a rendering's: whose adapter (None: the base alone), and its audio, or why there is none.

    `base_of` is the run whose base is heard, `missing` why this one can't be heard at all.
    """

    who: Who
    run_id: UUID | None
    base_of: UUID | None = None
    missing: str | None = None
    key: str | None = None
    lufs: float | None = None
    true_peak_dbtp: float | None = None
    error: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be rendered."""
        return self.missing is None and self.key is None and self.error is None

    def with_audio(self, key: str, lufs: float | None, true_peak_dbtp: float | None) -> "Part":
        """Return the part with its audio."""
        return replace(self, key=key, lufs=lufs, true_peak_dbtp=true_peak_dbtp, error=None)

    def with_error(self, error: str) -> "Part":
        """Return the part with why there is no audio."""
        return replace(self, error=error)


@dataclass(frozen=True)
class Rendering:
    """What was asked for and what there is of it; `created_at` is empty before it is stored."""

    id: str
    prompt: str
    seed: int
    seconds: float
    scale: float
    parts: list[Part]
    created_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether something is still to be rendered."""
        return any(part.is_open for part in self.parts)


_COLUMNS = "id, prompt, seed, seconds, scale, parts, created_at"
_OPEN = """exists (select from jsonb_array_elements(parts) p
  where p ->> 'missing' is null and p ->> 'key' is null and p ->> 'error' is null)"""


def claim_rendering(connection: Connection, artist: Artist, wanted: Rendering) -> Rendering:
    """Store a rendering, or give the one that is there; its failed parts are open again, and who is missing is new."""
    parts = Jsonb([_plain(part) for part in wanted.parts])
    connection.execute(
        "insert into renderings (id, artist_id, prompt, seed, seconds, scale, parts) "
        "values (%s, %s, %s, %s, %s, %s, %s) on conflict (id) do nothing",
        [wanted.id, artist.id, wanted.prompt, wanted.seed, wanted.seconds, wanted.scale, parts],
    )
    row = connection.execute(f"select {_COLUMNS} from renderings where id = %s for update", [wanted.id]).fetchone()
    assert row is not None  # noqa: S101 - inserted or found, in this transaction
    found = _rendering(row)
    there = {part.who: part for part in found.parts}
    parts_now = [
        replace(there.get(part.who, part), error=None) if part.missing is None else part for part in wanted.parts
    ]
    if parts_now != found.parts:
        _keep(connection, found.id, parts_now)
    return replace(found, parts=parts_now)


def find_rendering(connection: Connection, artist_id: UUID, rendering_id: str) -> Rendering | None:
    """Return the artist's rendering of this id."""
    row = connection.execute(
        f"select {_COLUMNS} from renderings where id = %s and artist_id = %s", [rendering_id, artist_id]
    ).fetchone()
    return None if row is None else _rendering(row)


def list_renderings(connection: Connection, artist_id: UUID, limit: int) -> list[Rendering]:
    """Return the latest first."""
    rows = connection.execute(
        f"select {_COLUMNS} from renderings where artist_id = %s order by created_at desc, id limit %s",
        [artist_id, limit],
    )
    return [_rendering(row) for row in rows]


def open_renderings(connection: Connection, artist_id: UUID) -> list[Rendering]:
    """Return those with something still to be rendered, the oldest first."""
    rows = connection.execute(
        f"select {_COLUMNS} from renderings where artist_id = %s and {_OPEN} order by created_at, id", [artist_id]
    )
    return [_rendering(row) for row in rows]


def keep_part(connection: Connection, rendering_id: str, part: Part) -> None:
    """Record what became of a part; what is recorded of the others stays."""
    row = connection.execute(f"select {_COLUMNS} from renderings where id = %s for update", [rendering_id]).fetchone()
    if row is not None:
        parts = [part if each.who == part.who else each for each in _rendering(row).parts]
        _keep(connection, rendering_id, parts)


def old_renderings(connection: Connection, artist_id: UUID, kept: int) -> list[Rendering]:
    """Return those beyond the latest `kept` that nobody listened to and nothing is to be rendered of."""
    rows = connection.execute(
        f"select {_COLUMNS} from "
        "(select * from renderings where artist_id = %s order by created_at desc, id offset %s) r "
        f"where not {_OPEN} and not exists (select from listens l where l.rendering_id = r.id)",
        [artist_id, kept],
    )
    return [_rendering(row) for row in rows]


def forget(connection: Connection, ids: list[str]) -> None:
    """Remove renderings whose files are gone."""
    connection.execute("delete from renderings where id = any(%s)", [ids])


def _keep(connection: Connection, rendering_id: str, parts: list[Part]) -> None:
    connection.execute(
        "update renderings set parts = %s where id = %s", [Jsonb([_plain(part) for part in parts]), rendering_id]
    )


def _plain(part: Part) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, UUID) else value for name, value in asdict(part).items()}


def _rendering(row: dict[str, Any]) -> Rendering:
    parts = [
        Part(**{**part, **{name: UUID(part[name]) for name in ("run_id", "base_of") if part.get(name)}})
        for part in row["parts"]
    ]
    return Rendering(**{**row, "parts": parts})
