"""The plan for eight bases and three amounts of music, held against the figures that it is to follow."""

import pytest

from modal_app.protocol.training import AskedTraining
from modal_app.training.plan_table import BASES, plan_bases

# By base and minutes of music: rank, alpha, learning rate, seconds of audio to hear, passes at most. These are written
# out here once more, as they were found: a recipe that drifts from them fails.
LITTLE, SOME, MUCH = 15, 60, 240
OF_2B = {LITTLE: (32, 64, 3e-4, 40_000, 80), SOME: (64, 128, 3e-4, 100_000, 60), MUCH: (64, 128, 3e-4, 250_000, 40)}
OF_TURBO = {minutes: (rank, alpha, 2e-4, *rest) for minutes, (rank, alpha, _, *rest) in OF_2B.items()}
OF_XL = {LITTLE: (32, 64, 2e-4, 40_000, 80), SOME: (64, 128, 3e-4, 85_000, 60), MUCH: (128, 256, 3e-4, 200_000, 40)}
OF_SMALL = {LITTLE: (16, 16, 2e-4, 6_000, 6), SOME: (16, 16, 2e-4, 15_000, 5), MUCH: (32, 32, 2e-4, 60_000, 4)}


def at_rank_16(low: float, high: float) -> dict[int, tuple[int, int, tuple[float, float], int, int]]:
    return {minutes: (16, 16, (low, high), *OF_SMALL[minutes][3:]) for minutes in OF_SMALL}


MEANT = {
    "ACE-Step/acestep-v15-base-diffusers": OF_2B,
    "ACE-Step/acestep-v15-sft-diffusers": OF_2B,
    "ACE-Step/acestep-v15-turbo-diffusers": OF_TURBO,
    "ACE-Step/acestep-v15-xl-base-diffusers": OF_XL,
    "facebook/musicgen-small": OF_SMALL,
    "facebook/musicgen-medium": at_rank_16(1e-4, 2e-4),
    "facebook/musicgen-melody": at_rank_16(2e-4, 2e-4),
    "facebook/musicgen-large": at_rank_16(1e-4, 1e-4),
}


def test_eight_bases_and_three_amounts_follow_the_figures() -> None:
    planned = plan_bases(AskedTraining(), "H100")

    assert len(planned) == 24
    assert set(MEANT) == set(BASES)
    for each in planned:
        rank, alpha, rate, hears, passes = MEANT[each.base][each.minutes]  # type: ignore[index]
        asked = each.plan.parameters
        assert (asked.rank, asked.alpha, asked.targets) == (rank, alpha, "attention+mlp"), each
        low, high = rate if isinstance(rate, tuple) else (rate, rate)
        assert low <= asked.learning_rate <= high, each
        step = asked.batch_size * asked.clip_seconds
        assert step == 120
        assert each.plan.heard_seconds == pytest.approx(min(hears, passes * each.minutes * 60), abs=step), each


def test_each_of_them_is_told_what_it_takes() -> None:
    planned = plan_bases(AskedTraining(), "H100")
    seconds = {(each.base.rpartition("/")[2], each.minutes): each.expected.seconds or 0.0 for each in planned}

    assert all(60 < took < 4 * 3600 for took in seconds.values())
    assert seconds["acestep-v15-xl-base-diffusers", SOME] > 1.5 * seconds["acestep-v15-base-diffusers", SOME]
    assert seconds["musicgen-medium", MUCH] > 2 * seconds["musicgen-small", MUCH]
    assert all(each.expected.seconds is None for each in plan_bases(AskedTraining(), "abacus"))
