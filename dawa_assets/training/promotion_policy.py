"""What the figures of an evaluation mean: a verdict with its reasons, and whether to promote. Pure.

The rule has a name: a verdict by another rule is made anew.
"""

from dataclasses import dataclass

from dawa_assets.pipeline.wording import counted, minutes
from dawa_assets.tables.lora_evaluations import Verdict
from modal_app.protocol.training import CopiedPassage, CopyFindings, EvaluateResult, Rendering

RULE = "evaluation-v2"

_SILENT = 0.99  # of the time
_CLIPPED = 0.02  # of the samples
_MAX_PASSAGES = 5
_MENTIONED_SECONDS, _COPIED_SECONDS = 4.0, 8.0  # of one rendering, that lie in songs that were trained on


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
    flaws = [found.trouble] if found.trouble else [] if found.lora is None else _flaws(found.base, found.lora)
    if found.waveform_change == 0:
        flaws.append("it changes nothing in what is rendered")
    if found.lora_loss is None and not found.trouble:
        flaws.append("its loss is no number")
    if flaws:
        return Judgement("broken", flaws)
    copied = _copied(found.copies)
    if found.copies is not None and found.copies.copied_seconds >= _COPIED_SECONDS:
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
    return Judgement("better" if is_better else "no better", [line, *copied])


def choose(finding: Judgement, found: EvaluateResult, standing: CandidateState) -> PromotionDecision:
    """Promote the first that is not broken; then what is better than the promoted one on songs that neither heard.

    Where there are no such songs, music that is new counts for more than music that is gone: what is better than its
    base is promoted. What a person took back is theirs to promote again.
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
    own, rivals = found.shared_lora_loss, found.shared_rival_loss
    if own is not None and rivals is not None:
        sign = "less" if own < rivals else "not less"
        where = ", ".join(found.shared)
        return PromotionDecision(
            own < rivals, f"loss {own:.4f} is {sign} than the promoted one's {rivals:.4f} ({where})"
        )
    if finding.verdict == "better":
        return PromotionDecision(True, "better than its base and newer; no song is held out of both trainings")
    return PromotionDecision(False, "no better than its base; no song is held out of both trainings")


def _copied(copies: CopyFindings | None) -> list[str]:
    """Return what was copied, the longest passage first, or that nothing was; nothing where nobody looked."""
    if copies is None:
        return []
    looked = f"{counted(copies.renderings, 'rendering')}, held against {counted(copies.songs, 'song')}"
    looked += f" from {copies.threshold} landmarks on"
    if not copies.is_calibrated:
        looked += " (too few are held out to know how alike this artist's songs are)"
    if copies.copied_seconds < _MENTIONED_SECONDS:
        return [f"no passage that it was trained on in {looked}; a melody played anew can't be found"]
    passages = sorted(copies.passages, key=lambda passage: passage.start_seconds - passage.end_seconds)
    told = [
        f"{passage.end_seconds - passage.start_seconds:.0f} s from {minutes(passage.start_seconds)} of rendering "
        f"{passage.rendering} are {passage.song} from {minutes(passage.song_seconds)}{_changed(passage)}"
        for passage in passages[:_MAX_PASSAGES]
    ]
    return [f"{copies.copied_seconds:.0f} s of one rendering are copied, in {looked}", *told]


def _changed(passage: CopiedPassage) -> str:
    changes = [f"{passage.semitones:+.0f} semitones"] if abs(passage.semitones) >= 0.5 else []
    changes += [f"{passage.speed - 1:+.1%} in tempo"] if passage.speed != 1 else []
    return f" ({', '.join(changes)})" if changes else ""


def _flaws(base: Rendering, lora: Rendering) -> list[str]:
    """Return what is wrong with a rendering that is not wrong with the base's."""
    flaws = []
    if lora.samples != lora.expected_samples:
        flaws.append(f"it renders {lora.samples} samples where {lora.expected_samples} were asked for")
    if lora.silent_share > _SILENT >= base.silent_share:
        flaws.append("it renders silence")
    if lora.clipped_share > _CLIPPED >= base.clipped_share:
        flaws.append(f"{lora.clipped_share:.0%} of what it renders is clipped")
    return flaws
