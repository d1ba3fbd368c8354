"""Caption dropout: leave out parts of a caption for a step, so that training hears long, short and no prompts."""

import dataclasses
import random
from collections.abc import Sequence

from modal_app.backends.base import TrainExample
from modal_app.protocol.training import CaptionPart

_ALWAYS_KEPT = "trigger"  # a word that is not always there is none that calls the style


def shortened(
    example: TrainExample, parts: Sequence[CaptionPart], *, part_share: float, whole_share: float, seed: int
) -> TrainExample:
    """Return the example as a step hears it.

    With `whole_share` it has no text at all. Else each part but the trigger word is left out with `part_share`, yet
    never the last one. A tempo or a key that is not in the caption is not told beside it either.
    """
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    if chance.random() < whole_share:
        return dataclasses.replace(example, caption=None, bpm=None, musical_key=None)
    kept = [part for part in parts if chance.random() >= part_share or part.kind == _ALWAYS_KEPT]
    others = [part for part in parts if part.kind != _ALWAYS_KEPT]
    if others and not any(part in kept for part in others):
        kept = [part for part in parts if part in kept or part is others[0]]
    gone = {part.kind for part in parts} - {part.kind for part in kept}
    return dataclasses.replace(
        example,
        caption=" ".join(part.text for part in kept),
        bpm=None if "tempo" in gone else example.bpm,
        musical_key=None if "key" in gone else example.musical_key,
    )
