"""Starts the server as a process of its own and controls it. Needs nothing but the standard library."""

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.model_server.faults import Faults

_CHECKOUT = Path(__file__).resolve().parents[3]
_STARTED_WITHIN = 120.0  # seconds


@dataclass(frozen=True)
class ModelServer:
    """A running server."""

    url: str
    """Without a slash at its end and without `/v1`."""

    @property
    def openai_url(self) -> str:
        """What OpenAI's client takes as its base address."""
        return f"{self.url}/v1"

    def reset(self) -> None:
        """Forget all calls; nothing is wrong any more."""
        self._ask("POST", "/control/reset")

    def set(self, faults: Faults | None = None, **fields: Any) -> None:
        """Behave so from the next call on; what is not named is as in a server without faults."""
        self._ask("PUT", "/control/faults", (faults or Faults.of(fields)).as_json())

    def log(self, since: int = 0) -> list[dict[str, Any]]:
        """The calls that came, as `core.Call`, with `question_hash`."""
        calls: list[dict[str, Any]] = self._ask("GET", f"/control/log?since={since}")
        return calls

    def paid(self) -> list[dict[str, Any]]:
        """The calls that would be billed."""
        return [call for call in self.log() if call["paid"]]

    def state(self) -> dict[str, Any]:
        """`calls`, `paid`, `in_flight`, `most_in_flight`, `outcomes`: cheap, for who waits for something."""
        counts: dict[str, Any] = self._ask("GET", "/control/state")
        return counts

    def wait_until(self, fits: Callable[[dict[str, Any]], bool], seconds: float = 240.0) -> dict[str, Any]:
        """Wait for a state.

        Raises:
            TimeoutError: it did not come.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if fits(state := self.state()):
                return state
            time.sleep(0.01)
        raise TimeoutError(f"the model server is still at {self.state()}")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=280) as response:
            return json.load(response)


@contextmanager
def running_server() -> Iterator[ModelServer]:
    """A server as a child process. It ends with this process, whatever becomes of it."""
    command = [sys.executable, "-m", "tests.fakes.model_server"]
    with subprocess.Popen(command, cwd=_CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            url = child.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the model server ended with {child.wait(_STARTED_WITHIN)} before it began")
            yield ModelServer(url)
        finally:
            child.kill()
