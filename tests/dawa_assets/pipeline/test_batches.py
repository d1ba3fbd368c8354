"""When a batch is full: by its rows, by its bytes, by its time."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.pipeline import batches
from dawa_assets.pipeline.batches import MAX_BYTES, MAX_ROWS, Batch, batches_of


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
    committed: list[list[int]] = []
    with Batch[int](lambda things: committed.append(list(things)), max_bytes=10) as batch:
        for number in range(MAX_ROWS - 1):
            batch.add(number)
        assert committed == []
        batch.add(MAX_ROWS - 1)
        assert committed.pop() == list(range(MAX_ROWS))
        for size in (5, 4, 1, 0):
            batch.add(size, size)
        assert committed.pop() == [5, 4, 1]
        batch.flush()
        batch.flush()
        assert committed.pop() == [0]
        assert committed == []
        now = 100.0
        monkeypatch.setattr(batches, "time", SimpleNamespace(monotonic=lambda: now))
        batch.flush()
        now += batches.MAX_SECONDS - 0.1
        batch.add(1)
        assert committed == []
        now += 0.1
        batch.add(2)
        assert committed.pop() == [1, 2]
        batch.add(3)
    assert committed == [[3]]


def test_what_a_block_that_failed_collected_is_not_committed() -> None:
    committed: list[int] = []

    def collect_and_fail() -> None:
        with Batch[int](committed.extend) as batch:
            batch.add(1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        collect_and_fail()
    assert committed == []
