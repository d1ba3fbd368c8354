"""The `PromptWriter` port: turns instructions and a context into a prompt. The rules are handed in."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from modal_app.hosted_models.metered_requests import Usage
from modal_app.hosted_models.prices import Price as Price
from modal_app.protocol.tagging import ModelHealth

Check = Callable[[str], list[str]]
Fix = Callable[[str], str]


def _as_it_is(text: str) -> str:
    return text


@dataclass(frozen=True)
class PromptRequest:
    """One prompt that is wanted: the exact messages, and the rules that the text must meet."""

    key: str
    instructions: str
    context: str
    check: Check
    """Takes a text, gives the rules that it breaks, as one line each; empty where it is fine."""
    fix: Fix = _as_it_is
    """Takes a text, gives it with everything put right that needs no new answer: markup, quotes, the BPM line."""
    take: int = 0
    """How often another text than before was asked for with the same messages: for a writer that draws no lots."""


@dataclass(frozen=True)
class PromptAnswer:
    """One answer: a text that meets the rules, or the reason why there is none; and what it took.

    With `deferred` there is no text for a reason that passes (a budget, an outage): nothing is wrong with the request.
    """

    key: str
    text: str | None
    error: str | None
    used: Usage = field(default_factory=Usage)
    duration_ms: int = 0
    provenance: Mapping[str, str | int] = field(default_factory=dict)
    """Of a text: what is known of where it came from, e.g. `response_id`, `served_model`, `calls`, `mended`."""
    deferred: bool = False
    served_model: str | None = None
    """The model that answered last, where that is another one than the writer asked for."""


def used_by(answers: Iterable[PromptAnswer], asked: str) -> dict[str, Usage]:
    """Return what answers took, by the model that gave them; `asked` where none says otherwise."""
    used: dict[str, Usage] = {}
    for answer in answers:
        model = answer.served_model or asked
        used[model] = used.get(model, Usage()) + answer.used
    return used


class PromptWriter(ABC):
    """Writes prompts, as many at once as suits it."""

    model_name: str
    """What is recorded as the author of its texts, e.g. `offline-v1`. Part of a prompt's fingerprint."""
    takes_any_model: bool = False
    """Whether what another hosted model wrote is as good: nobody chose this one, it is the default of today."""
    price: Price = Price(0, 0)

    @abstractmethod
    def write(self, requests: Iterable[PromptRequest], budget_usd: float | None = None) -> Iterator[list[PromptAnswer]]:
        """Answers as they come, in any order, one for each request; to be stored before the next are taken.

        Those that came together are handed on together.

        Args:
            requests: drawn one at a time, possibly from another thread.
            budget_usd: what may be spent, where that is less than the writer's own budget for a run.

        Raises:
            PromptWriterError: the writer can't be used at all.
        """

    @abstractmethod
    def inspect(self) -> ModelHealth:
        """Return whether the writer can be used now: asks its service, if it has one, and spends nothing."""
