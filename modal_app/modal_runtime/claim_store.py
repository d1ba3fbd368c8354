"""Who does which job: a small register that all machines share, and claims in it. Two calls never do one job at once.

A claim that nobody renews has lost its holder (its machine was taken away) and may be followed by another one. Each
claim has its number, and the next number can be written by one only: so two that follow at once can't both succeed.
"""

import hashlib
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modal_app.data_root.atomic_writes import create_atomic, write_atomic
from modal_app.protocol.base import Message

log = logging.getLogger(__name__)


class ClaimStore(ABC):
    """Keys and values that every machine sees at once. Safe across threads and machines."""

    @abstractmethod
    def get(self, key: str) -> str | None:
        """Return the value; None where there is none."""

    @abstractmethod
    def put(self, key: str, value: str) -> None:
        """Write a value, whatever is there."""

    @abstractmethod
    def put_new(self, key: str, value: str) -> bool:
        """Write a value where there is none; false where there was one. Of two at once, one succeeds."""


class FolderClaimStore(ClaimStore):
    """A register of one machine: a file for each key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> str | None:
        """Return the value; None where there is none."""
        try:
            return self._file(key).read_text()
        except FileNotFoundError:
            return None

    def put(self, key: str, value: str) -> None:
        """Write a value, whatever is there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self._file(key), value)

    def put_new(self, key: str, value: str) -> bool:
        """Write a value where there is none; false where there was one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return create_atomic(self._file(key), value)

    def _file(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()


class _Claim(Message):
    call_id: str
    renewed_at: float
    over: bool = False


@contextmanager
def claimed(
    claim_store: ClaimStore, key: str, call_id: str, *, renew_seconds: float = 15.0, lost_seconds: float = 180.0
) -> Iterator[str | None]:
    """Hold the job of this key for the length of the block.

    Gives None; or, where another call holds it, that call's id. A call that was moved to another machine follows
    itself at once.
    """
    number, holder = _take(claim_store, key, call_id, lost_seconds)
    if holder is not None:
        yield holder
        return
    stop = threading.Event()
    renewer = threading.Thread(
        target=_renew, args=(claim_store, _name(key, number), call_id, renew_seconds, stop), daemon=True
    )
    renewer.start()
    try:
        yield None
    finally:
        stop.set()
        renewer.join()
        claim_store.put(
            _name(key, number), _Claim(call_id=call_id, renewed_at=time.time(), over=True).model_dump_json()
        )


def _take(claim_store: ClaimStore, key: str, call_id: str, lost_seconds: float) -> tuple[int, str | None]:
    """Return the number of the claim that is ours now, or of the one of another call, with its id."""
    number = 0
    while True:
        claim = _read(claim_store, _name(key, number))
        if claim is None:
            mine = _Claim(call_id=call_id, renewed_at=time.time())
            if claim_store.put_new(_name(key, number), mine.model_dump_json()):
                return number, None
            continue
        is_lost = claim.over or claim.call_id == call_id or claim.renewed_at < time.time() - lost_seconds
        if not is_lost and _read(claim_store, _name(key, number + 1)) is None:
            return number, claim.call_id
        number += 1


def _renew(claim_store: ClaimStore, name: str, call_id: str, seconds: float, stop: threading.Event) -> None:
    while not stop.wait(seconds):
        try:
            claim_store.put(name, _Claim(call_id=call_id, renewed_at=time.time()).model_dump_json())
        except Exception as error:
            log.warning("the claim of this job could not be renewed: %s", type(error).__name__)


def _read(claim_store: ClaimStore, name: str) -> _Claim | None:
    value = claim_store.get(name)
    return None if value is None else _Claim.model_validate_json(value)


def _name(key: str, number: int) -> str:
    return f"claim/{key}/{number}"
