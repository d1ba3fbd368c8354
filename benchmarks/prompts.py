"""What writing a thousand prompts by a hosted model costs beside the waiting: slots, rules, storing each at once."""

from pathlib import Path

from benchmarks import _prompts
from benchmarks._prompts import ROUNDS, setup, teardown
from benchmarks.goals import Goal

__all__ = ["ROUNDS", "setup", "teardown"]

WHAT = "1000 prompts by a hosted model that answers after 200 ms, 16 at once, each stored when it comes"
PEER = "OpenAI's client alone, 16 at once, nothing stored"
FLOOR = "the waiting: 1000 x 200 ms / 16"
FIGURE = "wall_seconds"
GOALS = (Goal("ours / floor", at_most=1.1),)


def ours(folder: Path) -> None:
    """A refresh of one artist."""
    _prompts.write_all(folder, {})


def peer(folder: Path) -> None:
    """The client alone."""
    _prompts.ask_by_the_client_alone(folder, {})


def floor(folder: Path) -> None:
    """Waiting only."""
    _prompts.wait_ideally(folder)
