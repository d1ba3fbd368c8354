"""The `PromptWriter` port: turns instructions and a context into a prompt. The rules are handed in."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

Check = Callable[[str], list[str]]


@dataclass(frozen=True)
class PromptRequest:
    """One prompt that is wanted: the exact messages, and the rules that the text must meet."""

    key: str
    instructions: str
    context: str
    check: Check
    """Takes a text, gives the rules that it breaks, as one line each; empty where it is fine."""


@dataclass(frozen=True)
class PromptAnswer:
    """One answer: a text that meets the rules, or the reason why there is none; and what it cost."""

    key: str
    text: str | None
    error: str | None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    duration_ms: int = 0


class PromptWriter(ABC):
    """Writes prompts, as many at once as suits it."""

    model_name: str
    """What is recorded as the author of its texts, e.g. `offline-v1`. Part of a prompt's fingerprint."""

    @abstractmethod
    def write(self, requests: Iterable[PromptRequest]) -> Iterator[PromptAnswer]:
        """Answers as they come, in any order, one for each request; each is to be stored before the next is taken.

        Raises:
            PromptWriterError: the writer can't be used at all.
        """
