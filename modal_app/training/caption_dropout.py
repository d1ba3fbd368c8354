"""Caption dropout: leave out parts of a caption for a step, so that training hears long, short and no prompts."""

import random
from collections.abc import Collection

from modal_app.backends.base import Conditioning
from modal_app.protocol.training import Example
from modal_app.training.caption_rule import conditioning_of_parts

_ALWAYS_KEPT = "trigger"  # a word that is not always there is none that calls the style


def shortened(
    example: Example, in_metadata: Collection[str], *, part_share: float, whole_share: float, seed: int
) -> Conditioning:
    """Return the conditioning of an example for one step.

    With `whole_share` it is empty. Else each part but the trigger word is left out with `part_share`, yet never the
    last one of the text. `in_metadata`: the kinds of parts that stand in no text, of `kinds_in_metadata`.
    """
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    if chance.random() < whole_share:
        return Conditioning(None)
    kept = [part for part in example.parts if chance.random() >= part_share or part.kind == _ALWAYS_KEPT]
    text = [part for part in example.parts if part.kind != _ALWAYS_KEPT and part.kind not in in_metadata]
    if text and not any(part in kept for part in text):
        kept = [part for part in example.parts if part in kept or part is text[0]]
    return conditioning_of_parts(kept, example, in_metadata)
