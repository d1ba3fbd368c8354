"""What the figures of an evaluation mean: a verdict with its reasons, and whether to promote. Pure.

The rule has a name: a verdict by another rule is made anew.
"""

from dataclasses import dataclass

from dawa_assets.pipeline.wording import counted, minutes
from dawa_assets.tables.listens import Preference
from dawa_assets.tables.lora_evaluations import Verdict
from modal_app.evaluation.choice import Difference, copied_codes, copy_flaw, flaws_of, is_clearly_worse
from modal_app.protocol.evaluation import CandidateFigures, CopiedPassage, CopyFindings, EvaluateResult

RULE = "evaluation-v3"

_MAX_PASSAGES = 5
_MENTIONED_SECONDS = 4.0  # of one rendering, that lie in songs that were trained on
_LEAST_ANSWERS = 3  # blind ones that name one of the two
_CLEARLY = 2  # times as many as for the other one


@dataclass(frozen=True)
class Judgement:
    """A verdict of an adapter beside its base, with every reason for it."""

    verdict: Verdict
    reasons: list[str]


@dataclass(frozen=True)
class CandidateState:
    """How a candidate stands to what is published."""

    is_promoted: bool
    has_promoted: bool  # whether any run is
    was_taken_back: bool  # by a person
    trained_on_excluded: bool = False  # the published one was trained on what is excluded now
    refused: str | None = None  # why it may not be published, for want of a permission


@dataclass(frozen=True)
class PromotionDecision:
    """Whether to promote, and why or why not."""

    promote: bool
    reason: str


def judge(found: EvaluateResult) -> Judgement:
    """`broken`: it can't be used, or what it renders is no music where the base's is sound.

    `copies`: it plays passages of what it was trained on. Else it is judged by its loss on the held-out songs; with
    nothing held out by that on trained songs, which says so.
    """
    base = CandidateFigures(who="base", worst=found.base, loss=found.base_loss)
    own = CandidateFigures(who="milestone", worst=found.lora, loss=found.lora_loss, trouble=found.trouble)
    flaws = flaws_of(base, own, found.waveform_change)
    if flaws:
        return Judgement("broken", flaws)
    copied = _copied(found.copies)
    if copy_flaw(found.copies) is not None:
        return Judgement("copies", copied)
    if found.lora_loss is None or found.base_loss is None:
        return Judgement("no better", ["the base's loss is no number, so that nothing can be compared"])
    place = (
        f"on {counted(found.segments, 'held-out segment')} ({', '.join(found.held_out)})"
        if found.held_out
        else f"on {counted(found.segments, 'trained segment')}, which says little: {found.split}"
    )
    is_better = found.lora_loss < found.base_loss
    line = f"loss {found.lora_loss:.4f}, the base's {found.base_loss:.4f}, {place}"
    reasons = [line, *_chosen(found), *_distances(found), *copied]
    return Judgement("better" if is_better else "no better", reasons)


def choose(
    finding: Judgement, found: EvaluateResult, standing: CandidateState, heard: Preference | None = None
) -> PromotionDecision:
    """Promote the first that is not broken; then what people clearly prefer; then what wins by measure.

    By measure it has to be really nearer to the held-out songs that neither has heard, and its loss on them no more
    than 2 % above; with too few of those songs its loss has to be less. Where there are none, music that is new counts
    for more than music that is gone: what is better than its base is promoted. What a person took back is theirs to
    promote again.
    """
    if standing.is_promoted:
        return PromotionDecision(False, "is promoted already")
    if finding.verdict == "broken":
        return PromotionDecision(False, f"broken: {finding.reasons[0]}")
    if finding.verdict == "copies":
        return PromotionDecision(False, f"copies: {finding.reasons[0]}")
    if standing.refused is not None:
        return PromotionDecision(False, f"{standing.refused}; once it is permitted, `dawa lora promote` publishes it")
    if standing.was_taken_back:
        return PromotionDecision(False, "a person took it back; `dawa lora promote` publishes it again")
    if not standing.has_promoted:
        return PromotionDecision(True, "the first one that is not broken")
    if standing.trained_on_excluded:
        return PromotionDecision(True, "not broken, and the published one was trained on what is excluded now")
    return (
        _by_ear(heard)
        or _by_distance(found)
        or _by_loss(found)
        or PromotionDecision(
            finding.verdict == "better",
            "better than its base and newer; no song is held out of both trainings"
            if finding.verdict == "better"
            else "no better than its base; no song is held out of both trainings",
        )
    )


def is_preferred(heard: Preference | None) -> bool | None:
    """Return whether people clearly prefer the candidate, by ear and not knowing which it was; None: not clear."""
    if heard is None or heard.candidate + heard.published < _LEAST_ANSWERS:
        return None
    if heard.candidate >= _CLEARLY * heard.published:
        return True
    return False if heard.published >= _CLEARLY * heard.candidate else None


def _by_ear(heard: Preference | None) -> PromotionDecision | None:
    prefers = is_preferred(heard)
    if prefers is None or heard is None:
        return None
    count = heard.candidate + heard.published
    chosen = heard.candidate if prefers else heard.published
    which = "it" if prefers else "the published one"
    return PromotionDecision(prefers, f"people chose {which} in {chosen} of {count} blind comparisons")


def _by_distance(found: EvaluateResult) -> PromotionDecision | None:
    """Decide by the distance to the songs that neither has heard; None where too few of them were rendered."""
    if found.rival_difference is None or found.rival_chance is None:
        return None
    difference = Difference(found.rival_difference, found.rival_chance)
    songs = f"{counted(found.rival_songs, 'held-out song')} that neither has heard"
    figures = f"({difference.value:+.2f}, chance {difference.chance:.1%})"
    if not difference.is_nearer:
        return PromotionDecision(False, f"not really nearer to {songs} than the promoted one {figures}")
    own, rivals = found.shared_lora_loss, found.shared_rival_loss
    if own is not None and rivals is not None and is_clearly_worse(own, rivals):
        return PromotionDecision(
            False, f"nearer to {songs}, but its loss {own:.4f} is {own / rivals - 1:.1%} above the promoted one's"
        )
    return PromotionDecision(True, f"nearer to {songs} than the promoted one {figures}")


def _by_loss(found: EvaluateResult) -> PromotionDecision | None:
    own, rivals = found.shared_lora_loss, found.shared_rival_loss
    if own is None or rivals is None:
        return None
    sign = "less" if own < rivals else "not less"
    where = ", ".join(found.shared)
    return PromotionDecision(own < rivals, f"loss {own:.4f} is {sign} than the promoted one's {rivals:.4f} ({where})")


def _chosen(found: EvaluateResult) -> list[str]:
    if found.chosen_step is None:
        return []
    strength = f" at strength {found.chosen_strength:g}" if found.chosen_strength != 1 else ""
    return [f"step {found.chosen_step}{strength}: {found.choice}"]


def _distances(found: EvaluateResult) -> list[str]:
    """Return how far its renderings lie from the held-out songs, beside those of base and published one, and others."""
    evidence = found.evidence
    own = next((each for each in found.candidates if each.name == _name_of_chosen(found)), None)
    if evidence is None or own is None or own.distance is None:
        return []
    beside = [
        f"{'the base' if each.who == 'base' else 'the published one'} {each.distance:.2f}"
        for each in found.candidates
        if each.who != "milestone" and each.distance is not None
    ]
    if evidence.other_distance is not None:
        beside.append(f"{evidence.other_music} {evidence.other_distance:.2f}")
    line = f"{own.distance:.2f} from {counted(evidence.songs, 'held-out song')} in {evidence.space}"
    if own.distance_low is not None and own.distance_high is not None:
        line += f" ({own.distance_low:.2f} to {own.distance_high:.2f})"
    return [f"{line}; {', '.join(beside)}" + ("" if evidence.is_evidence else "; too few songs to decide by")]


def _name_of_chosen(found: EvaluateResult) -> str:
    return CandidateFigures(who="milestone", step=found.chosen_step, strength=found.chosen_strength).name


def _copied(copies: CopyFindings | None) -> list[str]:
    """Return what was copied, the longest passage first, or that nothing was; nothing where nobody looked."""
    if copies is None:
        return []
    looked = f"{counted(copies.renderings, 'rendering')}, held against {counted(copies.songs, 'song')}"
    looked += f" from {copies.threshold} landmarks on"
    if not copies.is_calibrated:
        looked += " (too few are held out to know how alike this artist's songs are)"
    repeated = copied_codes(copies)
    lines = [] if repeated is None else [repeated]
    if copies.copied_seconds < _MENTIONED_SECONDS:
        lines.append(f"no passage that it was trained on in {looked}")
    else:
        own = [passage for passage in copies.passages if not passage.is_shared]
        own.sort(key=lambda passage: passage.start_seconds - passage.end_seconds)
        lines.append(f"{copies.copied_seconds:.0f} s of one rendering are copied, in {looked}")
        lines += [
            f"{passage.end_seconds - passage.start_seconds:.0f} s from {minutes(passage.start_seconds)} of rendering "
            f"{passage.rendering} are {passage.song} from {minutes(passage.song_seconds)}{_changed(passage)}"
            for passage in own[:_MAX_PASSAGES]
        ]
    if copies.shared_seconds >= _MENTIONED_SECONDS:
        lines.append(f"{copies.shared_seconds:.0f} s of one rendering recur across songs, by right: no copy")
    lines.append("what can't be found: a melody played anew, a copy well under other music, anything under 3 s")
    return lines


def _changed(passage: CopiedPassage) -> str:
    changes = [f"{passage.semitones:+.0f} semitones"] if abs(passage.semitones) >= 0.5 else []
    changes += [f"{passage.speed - 1:+.1%} in tempo"] if passage.speed != 1 else []
    return f" ({', '.join(changes)})" if changes else ""
