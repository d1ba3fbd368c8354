"""When a batch is full: by its rows, by its bytes, by its time."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.pipeline import batches
from dawa_assets.pipeline.batches import MAX_BYTES, MAX_ROWS, BatchLimit, batches_of


@given(st.lists(st.integers(0, 2 * MAX_BYTES), max_size=200))
def test_batches_hold_everything_once_within_bounds(sizes: list[int]) -> None:
    found = list(batches_of(sizes, lambda size: size))
    assert [size for batch in found for size in batch] == sizes
    assert all(0 < len(batch) <= MAX_ROWS for batch in found)
    assert all(sum(batch[:-1]) < MAX_BYTES for batch in found)
    assert all(len(batch) == MAX_ROWS or sum(batch) >= MAX_BYTES for batch in found[:-1])


def test_a_batch_is_read_from_its_source_as_it_is_asked_for() -> None:
    asked = iter(range(3 * MAX_ROWS))
    assert next(batches_of(asked, lambda _: 0)) == list(range(MAX_ROWS))
    assert next(asked) == MAX_ROWS


def test_a_batch_ends_by_rows_bytes_or_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = BatchLimit()
    assert [limit.add() for _ in range(MAX_ROWS)] == [False] * (MAX_ROWS - 1) + [True]
    limit = BatchLimit(max_bytes=10)
    assert [limit.add(5), limit.add(4), limit.add(1)] == [False, False, True]
    now = 100.0
    monkeypatch.setattr(batches, "time", SimpleNamespace(monotonic=lambda: now))
    limit = BatchLimit()
    now += batches.MAX_SECONDS - 0.1
    assert not limit.add()
    now += 0.1
    assert limit.add()
