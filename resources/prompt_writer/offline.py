"""The offline writer: composes a prompt from the words of its context, on this machine, for nothing.

Deterministic (every choice is drawn from the context's hash and the take) and true to its inputs: all it adds are
connecting words, a word for the tempo and one for the density. It knows no rule itself: ingredients and texts are tried
against the check that comes with the request.
"""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from modal_app.protocol.tagging import ModelHealth
from resources.prompt_writer.base import PromptAnswer, PromptRequest, PromptWriter
from resources.prompt_writer.phrases import Dice, Material, compose

_ATTEMPTS = 60


class OfflineWriter(PromptWriter):
    """Writes one prompt after the other, in the order in which they are asked for."""

    model_name = "offline-v1"

    def write(self, requests: Iterable[PromptRequest], budget_usd: float | None = None) -> Iterator[list[PromptAnswer]]:  # noqa: ARG002 - it spends nothing
        """Yield one answer for each request; tokens and cost are 0."""
        for request in requests:
            started = time.perf_counter()
            text, error = _write(request)
            duration_ms = round((time.perf_counter() - started) * 1000)
            yield [PromptAnswer(key=request.key, text=text, error=error, duration_ms=duration_ms)]

    def inspect(self) -> ModelHealth:
        """It is always there."""
        return ModelHealth(service="offline", model=self.model_name, state="ok", detail="on this machine, for nothing")


def _write(request: PromptRequest) -> tuple[str | None, str | None]:
    try:
        context = json.loads(request.context)
    except (ValueError, RecursionError):
        context = None
    if not isinstance(context, dict) or not isinstance(context.get("tempo_bpm"), int | float):
        return None, "the context is no JSON object with a tempo_bpm; nothing can be composed from it"
    ending = f"\nBPM: {_plain(context['tempo_bpm'])}"
    material = _usable(Material.of(context), request, ending)
    broken: list[str] = []
    for attempt in range(_ATTEMPTS):
        text = compose(material, Dice(request.context, request.take * _ATTEMPTS + attempt)) + ending
        broken = request.check(text)
        if not broken:
            return text, None
    return None, f"no composition meets the rules; the last one broke {broken[0]}"


def _usable(material: Material, request: PromptRequest, ending: str) -> Material:
    """Return the material without what would break a rule by itself, whatever the sentence around it."""
    carrier = "A steady piece of music with {}, in motion throughout." + ending
    accepted = set(request.check(carrier.format("movement")))

    def fits(phrase: str) -> bool:
        return not set(request.check(carrier.format(phrase))) - accepted

    return material.filtered(fits)


def _plain(tempo: Any) -> str:
    return f"{float(tempo):.2f}".rstrip("0").rstrip(".")
