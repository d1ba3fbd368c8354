"""Which of a training's milestones is kept, at which strength, and why each other one is not. Pure.

The order: what is broken or copies is out; of the rest, what learnt clearly worse than the best by the held-out loss is
out too. That loss goes no further, since nobody has shown that it finds the music that sounds best. Then the one whose
renderings lie nearest to the held-out songs, and of those that chance can't tell from it the one of fewest steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modal_app.protocol.evaluation import CandidateFigures, CopyFindings

WORSE_LOSS = 0.02
"""A loss above the best one by more than this share rules a candidate out."""
COPIED_SECONDS = 8.0
"""Of one rendering, that lie in songs that were trained on, from which on it copies."""
CODE_RUN_SECONDS = 5.0
"""Of a song's own codes in one run, from which on it copies."""
STRENGTHS = (1.0, 0.75)
"""At which the chosen one is tried; the first holds unless another is really nearer."""

LEVEL = 0.05
"""How often a difference is taken for real that is none."""

_SILENT = 0.99  # of the time
_CLIPPED = 0.02  # of the samples


@dataclass(frozen=True)
class Difference:
    """How much farther one lies than another (below 0: nearer), and how likely chance alone makes as much of it."""

    value: float
    chance: float
    """Two-sided: 1 for the same, 0 for what chance never does."""

    @property
    def is_real(self) -> bool:
        """Whether it is more than chance would make of it."""
        return self.chance <= LEVEL

    @property
    def is_nearer(self) -> bool:
        """Whether the first really lies nearer."""
        return self.value < 0 and self.is_real


@dataclass(frozen=True)
class Contender:
    """What the rule knows of a milestone; None is not known."""

    step: int
    loss: float | None
    distance: float | None
    flaw: str | None = None
    """Why it is broken, or copies, in one line."""


@dataclass(frozen=True)
class Choice:
    """Which one, by its place, and for each contender a line that says why or why not."""

    place: int | None
    verdicts: list[str]


def flaws_of(base: CandidateFigures, found: CandidateFigures, change: float | None = None) -> list[str]:
    """Return why a candidate is broken: it can't be used, or what it renders is no music where the base's is sound.

    `change` is how much what it renders differs from what the base does; 0 is not at all.
    """
    if found.trouble is not None:
        return [found.trouble]
    flaws = []
    if found.worst is not None and base.worst is not None:
        if found.worst.samples != found.worst.expected_samples:
            asked = found.worst.expected_samples
            flaws.append(f"it renders {found.worst.samples} samples where {asked} were asked for")
        if found.worst.silent_share > _SILENT >= base.worst.silent_share:
            flaws.append("it renders silence")
        if found.worst.clipped_share > _CLIPPED >= base.worst.clipped_share:
            flaws.append(f"{found.worst.clipped_share:.0%} of what it renders is clipped")
    if change == 0:
        flaws.append("it changes nothing in what is rendered")
    if found.loss is None:
        flaws.append("its loss is no number")
    return flaws


def copy_flaw(copies: CopyFindings | None) -> str | None:
    """Return why what was found makes a copy of a candidate, in one line; None where it does not."""
    if copies is None:
        return None
    if copies.copied_seconds >= COPIED_SECONDS:
        return f"copies: {copies.copied_seconds:.0f} s of one rendering are what it was trained on"
    repeated = copied_codes(copies)
    return None if repeated is None else f"copies: {repeated}"


def copied_codes(copies: CopyFindings) -> str | None:
    """Return which song a rendering repeats code by code, in one line; None where there is no such run."""
    if copies.code_seconds is None or copies.code_seconds < CODE_RUN_SECONDS:
        return None
    return f"{copies.code_seconds:.1f} s of one rendering are {copies.code_song}'s, code by code"


def is_clearly_worse(loss: float, than: float) -> bool:
    """Return whether a loss is so much above another one that no distance makes up for it."""
    return loss > (1 + WORSE_LOSS) * than


def choose_checkpoint(contenders: Sequence[Contender], difference: Callable[[int, int], Difference] | None) -> Choice:
    """Return the contender to keep; None where all are broken or copy.

    Args:
        contenders: in any order.
        difference: how much farther the first lies than the second, by their places; None where there are too few
            held-out songs for distances to say anything: then the smallest loss decides.
    """
    verdicts = [contender.flaw or "" for contender in contenders]
    left = [place for place, contender in enumerate(contenders) if contender.flaw is None]
    left = _within_guard(contenders, left, verdicts)
    if not left:
        return Choice(None, verdicts)
    with_distance = [place for place in left if contenders[place].distance is not None]
    if difference is None or len(with_distance) < len(left):
        best = _least_loss(contenders, left)
        for place in left:
            verdicts[place] = "not the smallest loss; too few songs are held out to decide by distance"
        verdicts[best] = "the smallest loss; too few songs are held out to decide by distance"
        return Choice(best, verdicts)
    return _nearest(contenders, left, difference, verdicts)


def choose_strength(
    difference: Difference | None, flaw: str | None, loss: float | None, full_loss: float | None
) -> bool:
    """Return whether the lower strength is kept: where it is really nearer to the held-out songs, sound, and no worse.

    Args:
        difference: how much farther the lower strength lies than the full one; None where that says nothing.
        flaw: why the lower strength is broken.
        loss: its held-out loss.
        full_loss: that of the full strength.
    """
    if difference is None or flaw is not None:
        return False
    if loss is not None and full_loss is not None and is_clearly_worse(loss, full_loss):
        return False
    return difference.is_nearer


def _within_guard(contenders: Sequence[Contender], left: Sequence[int], verdicts: list[str]) -> list[int]:
    losses = [loss for place in left if (loss := contenders[place].loss) is not None]
    if not losses:
        return list(left)
    best, kept = min(losses), []
    for place in left:
        loss = contenders[place].loss
        if loss is not None and not is_clearly_worse(loss, best):
            kept.append(place)
        else:
            shown = "no number" if loss is None else f"{loss:.4f}, {loss / best - 1:.1%} above the best"
            verdicts[place] = f"its loss is {shown}; from {WORSE_LOSS:.0%} on it is out"
    return kept


def _least_loss(contenders: Sequence[Contender], left: Sequence[int]) -> int:
    def order(place: int) -> tuple[float, int]:
        loss, step = contenders[place].loss, contenders[place].step
        return (loss, step) if loss is not None else (0.0, -step)  # with no loss at all, the last one

    return min(left, key=order)


def _nearest(
    contenders: Sequence[Contender],
    left: Sequence[int],
    difference: Callable[[int, int], Difference],
    verdicts: list[str],
) -> Choice:
    nearest = min(left, key=lambda place: (contenders[place].distance or 0.0, contenders[place].step))
    alike = [nearest]
    for place in left:
        if place == nearest:
            continue
        farther = difference(place, nearest)
        if farther.is_real:
            verdicts[place] = (
                f"farther from the held-out songs than step {contenders[nearest].step} by {farther.value:.2f} "
                f"(chance {farther.chance:.1%})"
            )
        else:
            alike.append(place)
    chosen = min(alike, key=lambda place: contenders[place].step)
    for place in alike:
        verdicts[place] = f"as near to the held-out songs as step {contenders[chosen].step}, which has fewer steps"
    if chosen == nearest:
        verdicts[chosen] = "the nearest to the held-out songs" + (", of fewest steps" if len(alike) > 1 else "")
    else:
        verdicts[chosen] = (
            f"of fewest steps among {len(alike)} that chance can't tell from the nearest, "
            f"step {contenders[nearest].step}"
        )
    return Choice(chosen, verdicts)
