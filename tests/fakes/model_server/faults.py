"""What goes wrong at the server, by chance or on purpose, and the drawing of it from a seed.

A draw depends on the seed, the question and how often that question has come, and not on the order in which
questions arrive: the same run gives the same faults, however many calls are in flight.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

GOOD = "good"

# Refused before anything is answered: name -> HTTP status.
REFUSALS: Mapping[str, int] = {
    "busy": 429,
    "server_error": 500,
    "bad_gateway": 502,
    "unavailable": 503,
    "overloaded": 529,
    "request_timeout": 408,
    "wrong_key": 401,
    "forbidden": 403,
    "no_model": 404,
    "no_credit": 429,
    "too_long": 400,
    "bad_request": 400,
}
# Of the line itself.
BROKEN_LINES = ("hang", "cut", "cut_in_body")
# A body with status 200 that is not the API's.
BROKEN_BODIES = ("half_json", "no_json", "other_json")

RULE_BREAKING = ("markdown", "quoted", "no_bpm", "other_bpm", "three_sentences", "no_go", "link", "chatter")
"""Answers that an API gives as good ones; what is wrong is their text."""


@dataclass(frozen=True)
class Faults:
    """How the server behaves. Every field may be set over HTTP."""

    seed: int = 0
    latency_seconds: float = 0.0
    latency_spread: float = 0.0
    """Latencies are drawn from 1 - spread to 1 + spread times the latency."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Kind of fault -> share of calls, 0 to 1."""
    first: tuple[str, ...] = ()
    """What becomes of the first calls, in the order in which they come."""
    each: tuple[str, ...] = ()
    """What becomes of the first calls with each question."""
    hang_seconds: float = 600.0
    retry_after: Mapping[str, str] = field(default_factory=lambda: {"retry-after": "1"})
    """Headers of `busy`, `unavailable` and `overloaded`."""
    text: str | None = None
    """The text of every good answer, where it is not to be made from the question."""
    models: Mapping[str, str | None] = field(default_factory=dict)
    """Further models, or other dates: name -> when it is shut down, as its API says it."""
    answered_by: Mapping[str, str] = field(default_factory=dict)
    """Models that another one answers for, as the answers name it."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Faults":
        """From JSON."""
        for name in ("first", "each"):
            if name in given:
                given = {**given, name: tuple(given[name])}
        return cls(**given)

    def as_json(self) -> dict[str, Any]:
        """For the control endpoint."""
        return asdict(self)

    def kind(self, question: str, number: int, time: int) -> str:
        """What becomes of a call.

        Args:
            question: what is asked.
            number: which call it is of all, from 0.
            time: which call it is with this question, from 0.
        """
        if number < len(self.first):
            return self.first[number]
        if time < len(self.each):
            return self.each[time]
        drawn, reached = self._draw(question, time, "kind"), 0.0
        for kind, share in self.shares.items():
            reached += share
            if drawn < reached:
                return kind
        return GOOD

    def latency(self, question: str, time: int) -> float:
        """How long a call takes, in seconds."""
        spread = self.latency_spread * (2 * self._draw(question, time, "latency") - 1)
        return self.latency_seconds * (1 + spread)

    def _draw(self, question: str, time: int, what: str) -> float:
        data = f"{self.seed}\n{what}\n{time}\n{question}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(data).digest()[:8], "big") / 2**64
