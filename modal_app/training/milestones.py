"""Milestones: at which steps of a training its adapter is kept beside the best one. Pure functions of the step.

No loss says which of them makes the best music: an evaluation renders with each.
"""

from modal_app.protocol.training import TrainParameters

FOLDER = "milestones"
"""Below a run's folder: one adapter a step, `000048.safetensors`."""

_FIRST_SHARE = 0.2  # of the steps: what is younger is hardly other than the base


def milestone_steps(parameters: TrainParameters) -> list[int]:
    """Return the steps after which an adapter is kept: spaced geometrically over the last four fifths, with the last.

    An adapter changes less and less from step to step, so that the later ones may lie further apart.
    """
    steps, count = parameters.steps, parameters.milestones
    if count < 2:
        return [steps] * count
    ratio = (1 / _FIRST_SHARE) ** (1 / (count - 1))
    return sorted({max(1, round(_FIRST_SHARE * steps * ratio**number)) for number in range(count)})


def milestone_name(step: int) -> str:
    """Return the name of a milestone's file in the run's folder."""
    return f"{FOLDER}/{step:06d}.safetensors"


def step_of(name: str) -> int | None:
    """Return the step of a file by its name in the run's folder; None where it is no milestone."""
    stem = name.removeprefix(f"{FOLDER}/").removesuffix(".safetensors")
    return int(stem) if name.startswith(f"{FOLDER}/") and stem.isdecimal() else None
