"""What trainings on the well-known bases would be, for little, some and much music: to choose a base by. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from modal_app.config import BackendKind
from modal_app.protocol.training import AskedTraining
from modal_app.training.expectations import Expectation, expect
from modal_app.training.recipes import Plan, kind_of, plan_training

BASES: Mapping[str, BackendKind] = {
    "ACE-Step/acestep-v15-base-diffusers": BackendKind.ACE_STEP,
    "ACE-Step/acestep-v15-sft-diffusers": BackendKind.ACE_STEP,
    "ACE-Step/acestep-v15-turbo-diffusers": BackendKind.ACE_STEP,
    "ACE-Step/acestep-v15-xl-base-diffusers": BackendKind.ACE_STEP,
    "facebook/musicgen-small": BackendKind.MUSICGEN,
    "facebook/musicgen-medium": BackendKind.MUSICGEN,
    "facebook/musicgen-melody": BackendKind.MUSICGEN,
    "facebook/musicgen-large": BackendKind.MUSICGEN,
}
MINUTES = (15, 60, 240)
"""Of music: one amount of each of the three that recipes tell apart."""
_SEGMENT_SECONDS = 15.0


@dataclass(frozen=True)
class PlannedBase:
    """A training on one of the bases: its plan, and what it takes on a device."""

    base: str
    minutes: int
    plan: Plan
    expected: Expectation


def plan_bases(asked: AskedTraining, device: str) -> list[PlannedBase]:
    """Return what is planned for each of the bases and amounts of music.

    Raises:
        InputError: there is no such recipe.
    """
    planned = []
    for base, backend in BASES.items():
        kind, _ = kind_of(backend, base)
        for minutes in MINUTES:
            plan = plan_training(asked, backend, base, minutes * 60.0, _SEGMENT_SECONDS)
            planned.append(PlannedBase(base, minutes, plan, expect(plan, kind, device, [])))
    return planned
