"""To follow a call: its events as they come, looks at it with growing pauses, until it has ended."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from modal_app.errors import UnreachableError
from modal_app.modal_runtime.call_results import EventStream
from modal_app.modal_runtime.remote_calls import Calls, CallState
from modal_app.protocol.base import Event

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """Seconds between two looks, at first and at last, and for how long no answer at all is borne."""

    first_pause: float = 0.5
    longest_pause: float = 10.0
    patience: float = 900.0


def follow(calls: Calls, call_id: str, on_event: Callable[[Event], None], pace: Pace) -> CallState:
    """Hand on a call's events, in order and each once, until it has ended; gives how.

    Raises:
        UnreachableError: no answer came for too long.
    """
    stream = EventStream(calls, call_id)
    pause, last_answer = pace.first_pause, time.monotonic()
    while True:
        try:
            state = calls.poll(call_id, pause)
            while (events := stream.next_part()) is not None:
                for event in events:
                    on_event(event)
        except UnreachableError as error:
            if time.monotonic() > last_answer + pace.patience:
                raise
            log.warning("the call %s: %s", call_id, error)
            time.sleep(pause)
        else:
            if state.name != "running":
                return state
            last_answer = time.monotonic()
        pause = min(pause * 1.5, pace.longest_pause)
