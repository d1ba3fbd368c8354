"""By what tags are keyed beside their segment: the tagger's model, the version of its instruction, the known facts."""

from dataclasses import dataclass
from typing import Literal

from modal_app.tagging.gemini import question

TaggerKind = Literal["offline", "gemini"]


@dataclass(frozen=True)
class TaggerName:
    """Another model or another instruction says other things of the same sound."""

    model: str
    tag_prompt_version: str
    any_model: bool = False
    """Whether what another model said by the same instruction is as good: nobody chose this one."""


OFFLINE = TaggerName("offline-dsp-v2", "dsp-2")
"""Of the tagger in `offline.py`. Named here, so that knowing it loads no signal processing."""


def tagger_name(kind: TaggerKind, hosted_model: str, *, any_model: bool = False) -> TaggerName:
    """Return the name of a tagger.

    `hosted_model` is the model that a hosted one asks, with `any_model` a mere default.
    """
    if kind == "offline":
        return OFFLINE
    return TaggerName(hosted_model, question.TAG_PROMPT_VERSION, any_model)


def hint_of(bpm: float | None) -> str:
    """Return the known facts as part of a row's key: `bpm=124`, `bpm=120.5`, or nothing. At most two decimals.

    The artist's vocabulary is told too but is no part of the key: a changed profile does not pay for everything again.
    """
    return f"bpm={round(bpm, 2):.10g}" if bpm else ""
