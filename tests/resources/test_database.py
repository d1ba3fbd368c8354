"""Transactions, as every database hands them out."""

import psycopg
import pytest

from resources.database import Database
from resources.errors import DatabaseError


class _Unreachable(Database):
    def __init__(self) -> None:
        self.asked = 0

    def url(self) -> str:
        return "postgresql://user:verysecret@127.0.0.1:1/dawa?connect_timeout=2"

    def reopen(self) -> bool:
        self.asked += 1
        return True


def _names(database: Database) -> list[str]:
    with database.transaction() as connection:
        return [row["name"] for row in connection.execute("select name from artists order by name").fetchall()]


def test_a_block_that_ends_is_committed_and_one_that_raises_is_rolled_back(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute("insert into artists (name) values ('Kept')")
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        connection.execute("insert into artists (name) values (%s)", [str(1 / 0)])
    with pytest.raises(psycopg.errors.UniqueViolation), database.transaction() as connection:
        connection.execute("insert into artists (name) values ('Dropped'), ('Kept')")
    assert _names(database) == ["Kept"]


def test_a_connection_is_closed_with_its_block(database: Database) -> None:
    with database.transaction() as connection:
        pass
    assert connection.closed


def test_a_database_that_does_not_answer_is_asked_twice_and_named_without_its_password() -> None:
    database = _Unreachable()
    with pytest.raises(DatabaseError, match="does not answer") as refused, database.transaction():
        pass
    assert database.asked == 1
    assert "verysecret" not in str(refused.value)
    assert "\n" not in str(refused.value)
