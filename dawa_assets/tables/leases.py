"""The table `leases`: who works on which step of which artist, until when, and how far they are.

How a lease is held while its holder works is in `dawa_assets/pipeline/leases.py`.
"""

import logging
import os
import socket
import threading
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from dawa_assets.errors import ArtistBeingDeletedError, LostLeaseError
from resources.database.base import Connection, Database
from resources.errors import DatabaseError

log = logging.getLogger(__name__)

DELETION = "deletion"
"""The step that takes an artist's data out: from its beginning on no other one begins or commits."""

_MAX_MESSAGE_LENGTH = 300
_LEAVING = "exists (select from artist_deletions d where d.artist_id = {artist} and d.finished_at is null)"


@dataclass(frozen=True)
class Lease:
    """The right to work on one step of one artist."""

    artist_id: UUID
    step: str
    fence: int

    def check(self, connection: Connection) -> None:
        """Make the transaction fail unless this lease still holds; locks its row until the commit.

        Raises:
            LostLeaseError: somebody else took over, or the artist is being deleted.
        """
        leaving = _LEAVING.format(artist="l.artist_id")
        row = connection.execute(
            f"select l.fence, {leaving} as leaving from leases l where artist_id = %s and step = %s for update of l",
            [self.artist_id, self.step],
        ).fetchone()
        if row is None or (row["leaving"] and self.step != DELETION):
            raise LostLeaseError(f"{self.step}: the artist was deleted meanwhile, or is being; nothing was written")
        if row["fence"] != self.fence:
            raise LostLeaseError(
                f"{self.step}: another process took over while this one was silent; nothing was written, run it again"
            )


@dataclass(frozen=True)
class UnderWay:
    """A step that somebody works on: since when, for how long, and how far it said it is."""

    step: str
    since: datetime | None
    seconds: float | None
    done: int | None
    total: int | None
    message: str | None

    @property
    def seconds_left(self) -> float | None:
        """How long it will take at this pace; None where it can't be told."""
        if not self.done or not self.total or self.seconds is None or self.done > self.total:
            return None
        return round(self.seconds / self.done * (self.total - self.done), 1)


def take(database: Database, artist_id: UUID, step: str, seconds: float) -> int | None:
    """Take a lease for this thread for so many seconds; gives its fencing number, None where another one holds it."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}:{threading.get_ident()}"
    with database.transaction() as connection:
        _refuse_who_leaves(connection, artist_id, step)
        connection.execute(
            "insert into leases (artist_id, step, holder, fence, expires_at) values (%s, %s, '', 0, now()) "
            "on conflict do nothing",
            [artist_id, step],
        )
        row = connection.execute(
            "select holder, fence, expires_at > now() as live from leases "
            "where artist_id = %s and step = %s for update",
            [artist_id, step],
        ).fetchone()
        if row is None or (row["live"] and not _is_gone(row["holder"])):
            return None
        fence = int(row["fence"]) + 1
        connection.execute(
            "update leases set holder = %s, fence = %s, expires_at = now() + make_interval(secs => %s), "
            "started_at = now(), progress = null where artist_id = %s and step = %s",
            [holder, fence, seconds, artist_id, step],
        )
        return fence


def renew(database: Database, held: Lease, seconds: float) -> None:
    """Hold a lease for so many seconds from now; does nothing where another one took over."""
    with database.transaction() as connection:
        connection.execute(
            "update leases set expires_at = now() + make_interval(secs => %s) "
            "where artist_id = %s and step = %s and fence = %s",
            [seconds, held.artist_id, held.step, held.fence],
        )


def release(database: Database, held: Lease) -> None:
    """End a lease; does nothing where another one took over."""
    with database.transaction() as connection:
        connection.execute(
            "update leases set expires_at = now() where artist_id = %s and step = %s and fence = %s",
            [held.artist_id, held.step, held.fence],
        )


def is_being_deleted(connection: Connection, artist_id: UUID) -> bool:
    """Return whether an artist is being deleted."""
    row = connection.execute(f"select {_LEAVING.format(artist='%s')} as leaving", [artist_id]).fetchone()
    return row is not None and bool(row["leaving"])


def steps_at_work(connection: Connection, artist_id: UUID) -> list[str]:
    """Return the steps that somebody works on, deletion aside."""
    rows = connection.execute(
        "select step, holder from leases where artist_id = %s and step <> %s and expires_at > now() order by step",
        [artist_id, DELETION],
    ).fetchall()
    return [row["step"] for row in rows if not _is_gone(row["holder"])]


def steps_under_way(connection: Connection, artist_id: UUID) -> list[UnderWay]:
    """Return what somebody works on for an artist, deletion aside, and how far it is; the longest at work first."""
    rows = connection.execute(
        "select step, holder, started_at, progress, extract(epoch from now() - started_at)::float8 as seconds "
        "from leases where artist_id = %s and step <> %s and expires_at > now() order by started_at nulls first, step",
        [artist_id, DELETION],
    ).fetchall()
    return [
        UnderWay(
            step=row["step"],
            since=row["started_at"],
            seconds=row["seconds"],
            done=(row["progress"] or {}).get("done"),
            total=(row["progress"] or {}).get("total"),
            message=(row["progress"] or {}).get("message"),
        )
        for row in rows
        if not _is_gone(row["holder"])
    ]


def report_progress(database: Database, held: Lease, done: int | None, total: int | None, message: str) -> None:
    """Say how far a step is, for people who wait. Nothing depends on it: where it can't be said, it is not."""
    try:
        with database.transaction() as connection:
            connection.execute(
                "update leases set progress = %s where artist_id = %s and step = %s and fence = %s",
                [
                    Jsonb({"done": done, "total": total, "message": " ".join(message.split())[:_MAX_MESSAGE_LENGTH]}),
                    held.artist_id,
                    held.step,
                    held.fence,
                ],
            )
    except DatabaseError as error:
        log.debug("%s: its progress could not be kept: %s", held.step, error)


def _refuse_who_leaves(connection: Connection, artist_id: UUID, step: str) -> None:
    """The lock makes it certain: who is here before a deletion's beginning is seen by it, who comes after sees it."""
    there = connection.execute("select from artists where id = %s for key share", [artist_id])
    if there.rowcount == 0:
        raise ArtistBeingDeletedError(f"{step}: the artist was deleted meanwhile; nothing was written")
    if step != DELETION and is_being_deleted(connection, artist_id):
        raise ArtistBeingDeletedError(f"{step}: the artist is being deleted; nothing begins for them any more")


def _is_gone(holder: str) -> bool:
    """Return whether the holder was a process of this machine that has ended. Unknown counts as alive."""
    host, _, rest = holder.partition(":")
    pid, _, rest = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    started = rest.partition(":")[0]
    now_started = _started(int(pid))
    if now_started is not None:
        return now_started != started
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _started(pid: int) -> str | None:
    """Return when a process started, in the kernel's ticks: tells a reused pid from the same one. None off Linux."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] == b"Z" else fields[19].decode()
