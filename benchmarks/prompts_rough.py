"""The same on a rough day: 5 % of calls are turned away, 2 % break, 4 % of the answers are against the rules."""

from pathlib import Path

from benchmarks import _prompts
from benchmarks._prompts import ROUNDS, setup, teardown
from benchmarks.goals import Goal

__all__ = ["ROUNDS", "setup", "teardown"]

WHAT = "1000 prompts as in `prompts`, with 5 % 429 (Retry-After 1 s), 2 % 500 and 4 % answers against the rules"
PEER = "OpenAI's client alone with its own retries, 16 at once, whatever it answers, nothing stored"
FLOOR = "the waiting if nothing went wrong: 1000 x 200 ms / 16"
FIGURE = "wall_seconds"
GOALS = (Goal("ours / floor", at_most=1.3),)


def ours(folder: Path) -> None:
    """A refresh of one artist."""
    _prompts.write_all(folder, _prompts.FAULTS)


def peer(folder: Path) -> None:
    """The client alone."""
    _prompts.ask_by_the_client_alone(folder, _prompts.FAULTS)


def floor(folder: Path) -> None:
    """Waiting only."""
    _prompts.wait_ideally(folder)
