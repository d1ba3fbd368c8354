"""Trying a prompt: what a writer makes of a Live Set, a profile and a system prompt. Nothing is stored.

The same context, rules and mending as in the pipeline, so that what is tried is what would be written.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from dawa_assets.prompting.context import build_context
from dawa_assets.prompting.profile_facts import ProfileFacts
from dawa_assets.prompting.repair import fixed
from dawa_assets.prompting.rules import PromptRules, rule_names, rules_for
from dawa_assets.prompting.summary_facts import SummaryFacts
from dawa_assets.prompting.system_prompt import system_prompt
from modal_app.errors import InputError
from resources.prompt_writer.base import PromptAnswer, PromptRequest, PromptWriter

MAX_INSTRUCTIONS = 60_000  # bytes; a system prompt has a page or two


@dataclass(frozen=True)
class Instructions:
    """A system prompt: its text, and what to call it, a version or a file."""

    name: str
    text: str


@dataclass(frozen=True)
class TrialSet:
    """A Live Set that prompts are tried on."""

    name: str
    summary: SummaryFacts


@dataclass(frozen=True)
class Trial:
    """What came of one set. `prompt` is None where there is none, and `error` says why.

    `cost_usd` and tokens count every call that was paid for, also of answers that could not be used.
    """

    name: str
    system_prompt: str
    model: str
    context: str
    prompt: str | None
    error: str | None
    rules_kept: list[str]
    rules_broken: list[str]
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    seconds: float


def instructions_of(version: str) -> Instructions:
    """Return the system prompt of a version.

    Raises:
        SettingsError: there is none of this version.
    """
    return Instructions(version, system_prompt(version))


def read_instructions(path: Path) -> Instructions:
    """Return a system prompt from a text file, as it would be read as a version.

    Raises:
        InputError: it can't be read, or is no text that could be one.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_INSTRUCTIONS + 1)
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); name a text file") from None
    if len(content) > MAX_INSTRUCTIONS:
        raise InputError(f"{path}: is larger than {MAX_INSTRUCTIONS:,} bytes; a system prompt is a page of text")
    try:
        text = content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    if not text or "\x00" in text:
        raise InputError(
            f"{path}: {'is empty' if not text else 'holds a NUL character'}; write the instructions into it"
        )
    return Instructions(str(path), text)


def try_prompts(
    writer: PromptWriter, sets: Iterable[TrialSet], profile: ProfileFacts, instructions: Instructions
) -> Iterator[Trial]:
    """Yield one trial for each set, as answers come.

    Raises:
        InputError: a set has no tempo, so no prompt can be written for it; nothing was asked then.
        PromptWriterError: the writer can't be used at all.
    """
    asked = {str(number): _question(each, profile) for number, each in enumerate(sets)}
    requests = [
        PromptRequest(
            key=key,
            instructions=instructions.text,
            context=question.context,
            check=question.rules.broken,
            fix=question.fix,
        )
        for key, question in asked.items()
    ]
    for answer in chain.from_iterable(writer.write(requests)):
        question = asked.pop(answer.key)
        yield _trial(question, answer, instructions.name, answer.served_model or writer.model_name)


@dataclass(frozen=True)
class _Question:
    name: str
    context: str
    rules: PromptRules

    def fix(self, text: str) -> str:
        return fixed(text, self.rules.tempo)


def _question(tried: TrialSet, profile: ProfileFacts) -> _Question:
    if tried.summary.tempo is None:
        raise InputError(f"{tried.name}: has no tempo that a set can have; no prompt can be written for it")
    context = build_context(profile, tried.summary)
    return _Question(tried.name, context, rules_for(profile, tried.summary.tempo, context=context))


def _trial(question: _Question, answer: PromptAnswer, instructions: str, model: str) -> Trial:
    broken = question.rules.broken(answer.text) if answer.text is not None else []
    names = {line.partition(":")[0] for line in broken}
    return Trial(
        name=question.name,
        system_prompt=instructions,
        model=model,
        context=question.context,
        prompt=answer.text,
        error=answer.error,
        rules_kept=[name for name in rule_names() if name not in names] if answer.text is not None else [],
        rules_broken=broken,
        calls=answer.used.calls,
        input_tokens=answer.used.input_tokens,
        output_tokens=answer.used.output_tokens,
        cost_usd=round(answer.used.cost_usd, 6),
        seconds=round(answer.duration_ms / 1000, 3),
    )
