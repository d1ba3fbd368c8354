"""Databases that can't be reached. What those that can promise is in `tests/contracts/test_database.py`."""

import pytest

from resources.database.base import Database
from resources.errors import DatabaseError


class _Unreachable(Database):
    def __init__(self) -> None:
        self.asked = 0

    def url(self) -> str:
        return "postgresql://user:verysecret@127.0.0.1:1/dawa?connect_timeout=2"

    def reopen(self) -> bool:
        self.asked += 1
        return True


def test_an_unreachable_database_is_named_without_its_password() -> None:
    database = _Unreachable()
    with pytest.raises(DatabaseError, match="does not answer") as refused, database.transaction():
        pass
    assert database.asked == 1
    assert "verysecret" not in str(refused.value)
    assert "\n" not in str(refused.value)
