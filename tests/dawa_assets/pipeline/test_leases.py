"""One worker per artist and step: waiting, killed holders, holders that slept too long."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dawa_assets.errors import BusyError, LostLeaseError
from dawa_assets.pipeline.leases import lease
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.leases import Lease
from resources.database.base import Database
from tests.waiting import until


def test_two_at_once_work_one_after_the_other(database: Database, artist: Artist) -> None:
    inside: list[str] = []

    def work(name: str) -> None:
        with lease(database, artist.id, "items", seconds=10, wait_seconds=20):
            inside.append(f"{name} in")
            time.sleep(0.2)
            inside.append(f"{name} out")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry[0] for entry in inside[::2]] == [entry[0] for entry in inside[1::2]]
    assert len(inside) == 6


def test_who_may_not_wait_is_told_that_another_works_on_it(database: Database, artist: Artist) -> None:
    with (
        lease(database, artist.id, "items", seconds=10, wait_seconds=0),
        pytest.raises(BusyError, match="another process is working"),
        lease(database, artist.id, "items", seconds=10, wait_seconds=0.3),
    ):
        pass


def test_other_steps_and_other_artists_are_not_waited_for(
    database: Database, make_artist: Callable[[str], Artist]
) -> None:
    one, other = make_artist("One"), make_artist("Other")
    with (
        lease(database, one.id, "items", seconds=10, wait_seconds=0),
        lease(database, one.id, "prompts", seconds=10, wait_seconds=0),
        lease(database, other.id, "items", seconds=10, wait_seconds=0),
    ):
        pass


def test_a_killed_holder_of_this_machine_is_not_waited_for(database: Database, artist: Artist) -> None:
    code = """
import sys, time
from uuid import UUID
from dawa_assets.pipeline.leases import lease
from resources.database.base import Database
class Given(Database):
    def url(self): return sys.argv[1]
with lease(Given(), UUID(sys.argv[2]), "items", seconds=600, wait_seconds=0):
    print("held", flush=True)
    time.sleep(600)
"""
    holder = subprocess.Popen(
        [sys.executable, "-c", code, database.url(), str(artist.id)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with (
        pytest.raises(BusyError),
        lease(database, artist.id, "items", seconds=10, wait_seconds=0),
    ):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with lease(database, artist.id, "items", seconds=10, wait_seconds=0) as held:
        assert held.fence == 2


def test_another_machines_lease_is_waited_for_until_it_expires(database: Database, artist: Artist) -> None:
    with database.transaction() as connection:
        connection.execute(
            "insert into leases (artist_id, step, holder, fence, expires_at) "
            "values (%s, 'items', 'elsewhere:1:1', 7, now() + interval '0.8 seconds')",
            [artist.id],
        )
    with pytest.raises(BusyError), lease(database, artist.id, "items", seconds=10, wait_seconds=0):
        pass
    with lease(database, artist.id, "items", seconds=10, wait_seconds=20) as held:
        assert held.fence == 8


def test_work_longer_than_the_lease_keeps_it_by_renewing(database: Database, artist: Artist) -> None:
    with lease(database, artist.id, "items", seconds=1.5, wait_seconds=0) as held:
        first = _expiry(database)
        until(lambda: _expiry(database) > first + timedelta(seconds=1.2))  # renewed twice or more
        with database.transaction() as connection:
            held.check(connection)


def test_nothing_is_committed_under_a_lease_taken_over(database: Database, artist: Artist) -> None:
    with lease(database, artist.id, "items", seconds=600, wait_seconds=0) as held:
        with database.transaction() as connection:  # as if this process had slept through its expiry
            connection.execute("update leases set fence = fence + 1, holder = 'elsewhere:1:1'")
        with pytest.raises(LostLeaseError, match="took over"):
            _write_under(held, database)
    with database.transaction() as connection:
        assert connection.execute("select name from artists").fetchall() == [{"name": artist.name}]
        left = connection.execute("select fence, expires_at > now() as live from leases").fetchall()
    assert left == [{"fence": 2, "live": True}]  # the successor's lease is not given back by its loser


def test_nobody_takes_over_between_the_check_and_the_commit(database: Database, artist: Artist) -> None:
    taken: list[int] = []

    def take() -> None:
        with lease(database, artist.id, "items", seconds=10, wait_seconds=20) as successor:
            taken.append(successor.fence)

    with lease(database, artist.id, "items", seconds=600, wait_seconds=0) as held:
        with database.transaction() as connection:
            held.check(connection)
            connection.execute("update leases set expires_at = now() - interval '1 second'")
            thread = threading.Thread(target=take)
            thread.start()
            time.sleep(0.4)
            assert taken == []
        thread.join()
    assert taken == [2]


def test_a_lease_is_given_back_when_the_work_fails(database: Database, artist: Artist) -> None:
    with pytest.raises(ValueError, match="work"), lease(database, artist.id, "items", seconds=600, wait_seconds=0):
        raise ValueError("work")
    with lease(database, artist.id, "items", seconds=10, wait_seconds=0):
        pass


def _expiry(database: Database) -> datetime:
    with database.transaction() as connection:
        row = connection.execute("select expires_at from leases").fetchone()
    assert row is not None
    return row["expires_at"]


def _write_under(held: Lease, database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("update artists set name = 'Overwritten'")
        held.check(connection)
