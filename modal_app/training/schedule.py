"""What happens at which step: the learning rate, and when the adapter is judged. Pure functions of the step."""

import math

from modal_app.protocol.training import TrainParameters

_WARMUP_SHARE, _MAX_WARMUP = 0.05, 100
_JUDGED_SHARE, _SHORTEST_INTERVAL = 0.1, 10


def learning_rate_factor(step: int, parameters: TrainParameters) -> float:
    """Warm-up, then half a cosine down to the final share; 0 ≤ `step` < all steps, the factor is in (0, 1]."""
    steps, warmup = parameters.steps, parameters.warmup_steps
    if warmup is None:
        warmup = min(_MAX_WARMUP, max(1, round(_WARMUP_SHARE * steps)))
    if step < warmup:
        return (step + 1) / warmup
    height = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
    return parameters.final_learning_rate + (1 - parameters.final_learning_rate) * height


def interval(parameters: TrainParameters) -> int:
    """After how many steps the adapter is judged again."""
    return parameters.validate_every or max(_SHORTEST_INTERVAL, round(_JUDGED_SHARE * parameters.steps))


def is_judged(step: int, parameters: TrainParameters) -> bool:
    """Return whether the adapter is judged after this step: now and then, and at the end."""
    return step % interval(parameters) == 0 or step == parameters.steps


def seconds_left(elapsed: float, done: int, total: int) -> int:
    """Return how long the rest takes at the pace so far, in whole seconds, rounded up."""
    return math.ceil(elapsed / done * (total - done))
