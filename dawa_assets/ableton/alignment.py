"""Where in a Live Set's arrangement a bounce begins, and whether it is a bounce of that arrangement at all.

Onsets of the set against onsets of the sound, and pitch classes against pitch classes, at every place at once by FFT
cross-correlation (as in score following, e.g. Müller, "Fundamentals of Music Processing", chapters 3 and 6). What fits
worse than chance may, or at two places alike, is said to be so. Pure: no files, no decoding.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from dawa_assets.ableton.fit import Fit, OtherPlace, SoundProfile, best_fit
from dawa_assets.ableton.onsets import SongOnsets
from modal_app.audio.alignment_features import ONSETS_A_SECOND, AlignmentFeatures
from modal_app.tagging.tempo import estimate

VERSION = "alignment-v1"
"""Names everything that decides an answer: another one may come out under another name only."""
VERSION_AT_KNOWN_TEMPOS = f"{VERSION}, known tempos"
"""The same where the tempo that is heard in the sound was not tried."""

Answer = Literal["aligned", "not this arrangement", "can't be told"]

SHORTEST_SECONDS = 8.0
FEWEST_MOMENTS = 16
"""Distinct times at which something begins: with fewer, unrelated pairs of real files reach 0.59."""

# Under them a place is no surer than another: where the right one was nearby, in composed songs, it was 0.026 below at
# most, and 0.007 where it was elsewhere.
_LEAST_MARGIN_NEAR, _LEAST_MARGIN_FAR = 0.03, 0.015
_SURE_MARGIN = 0.08
_LEAST_FIT = 0.25
_CHANCE = 10.0  # over the square root of the frames that overlap: 2.5 times the best of all places of noise
_UNRELATED = 0.7  # of what is needed
_FEWEST_A_SECOND = 1.0  # to rule a set out: where less is known of it, its own bounce fits badly too
# Songs of one tempo have their beats in common, so pitches decide: composed bounces come to 0.61 at least, other songs
# of the same style, tempo and length to 0.42 at most. Where no pitches are known, the place has to stand out more.
_CHROMA_FITS, _CHROMA_SURE = 0.5, 0.7
_LEAST_MARGIN_ELSE, _LEAST_FIT_ELSE = 0.05, 0.35
# A related key has chords in common, so no other key may fit nearly as well: bounces stand out by 0.23 at least.
_LEAST_KEY_MARGIN = 0.2
# At a tempo that is taken from the sound, the beats of any two songs fall together: more has to speak for it. What fits
# half as well may still be it.
_CHROMA_FITS_HEARD, _LEAST_FIT_HEARD, _LEAST_SUM_HEARD, _LEAST_MARGIN_HEARD = 0.57, 0.45, 1.1, 0.045
_CHROMA_MAY_FIT = 0.3
_RELATED = (1.0, 1 / 2, 2.0, 2 / 3, 3 / 2, 3 / 4, 4 / 3, 4 / 5, 5 / 4)  # what a beat is mistaken for
_MOST_TEMPOS, _SECONDS_OF_ALL = 80, 60_000.0
_FEWEST_TEMPOS = 10
_NEAR = 0.01  # of an estimated tempo: between these bounds whole and half BPM are tried
_SLOWEST, _FASTEST = 0.5, 2.0
_LONGEST_TAIL = 10.0
_SAME_SECONDS = 0.1


@dataclass(frozen=True)
class Alignment:
    """An answer with its reasons in words, the deciding one first.

    Where it is "aligned", the sound's second t is the arrangement's second t + `offset_seconds`, counted at `tempo`,
    which is the set's own unless the bounce was rendered at another one; it is negative where something lies before the
    arrangement's zero. `bar` is the bar that the sound begins in, 1 the first. `score` is how well it fits at its best
    place and `margin` by how much better than at the next; None where nothing was compared. `confidence` is from 0.5
    to 1 for an answer, 0 for none.
    """

    answer: Answer
    confidence: float
    reasons: tuple[str, ...]
    offset_seconds: float | None = None
    bar: float | None = None
    tempo: float | None = None
    score: float | None = None
    margin: float | None = None
    version: str = VERSION


def answer_without_audio(song: SongOnsets) -> Alignment | None:
    """Return the answer for any audio, where too little is known of the set; None where the audio decides."""
    if not song.has_arrangement:
        why_not = "nothing sounds in the set's arrangement: its clips are in the session view"
    elif (moments := len(set((song.seconds * 30).round().tolist()))) < FEWEST_MOMENTS:
        why_not = (
            f"only {moments} moments are known at which something begins in the arrangement, {FEWEST_MOMENTS} are "
            "needed: what is inside of audio clips can't be seen"
        )
    else:
        return None
    return Alignment("can't be told", 0.0, (why_not, *song.warnings))


def align(song: SongOnsets, audio: AlignmentFeatures, tempos: Iterable[float] = ()) -> Alignment:
    """Return where the arrangement and the sound fit together.

    Args:
        song: what begins when in the set.
        audio: what begins when in the bounce.
        tempos: at which it may have been rendered beside the set's own, such as those of earlier saves; the sound's
            own is tried in any case.
    """
    return _align(song, audio, tempos, try_heard=True)


def align_at_known_tempos(song: SongOnsets, audio: AlignmentFeatures, tempos: Iterable[float] = ()) -> Alignment:
    """Return the same without the sound's own tempo, which takes most of the time: for one of many sets."""
    return replace(_align(song, audio, tempos, try_heard=False), version=VERSION_AT_KNOWN_TEMPOS)


def heard_tempo(audio: AlignmentFeatures) -> float:
    """Return the tempo that a sound seems to have, in BPM; 0 where nothing begins in it."""
    return estimate(audio.onsets, ONSETS_A_SECOND).bpm if audio.onsets.any() else 0.0


def _align(song: SongOnsets, audio: AlignmentFeatures, tempos: Iterable[float], *, try_heard: bool) -> Alignment:
    if (found := answer_without_audio(song)) is not None:
        return found
    why_not = _why_not_compared(audio)
    if why_not is not None:
        return Alignment("can't be told", 0.0, (why_not, *song.warnings))
    sound = SoundProfile.of(audio)
    tried: list[_Attempt] = []
    for tempo, is_known in _tempos(song, tempos, audio, try_heard=try_heard):
        fit = best_fit(song if tempo == song.tempo else song.rendered_at(tempo), sound, FEWEST_MOMENTS)
        if fit is not None:
            tried.append(_Attempt(tempo, is_known, fit))
            if tempo == song.tempo and _fits(tried[0]):
                break
    if not tried:
        words = f"no place where {FEWEST_MOMENTS} things begin in what they would have in common"
        return Alignment("can't be told", 0.0, (words, *song.warnings))
    fitting = [attempt for attempt in tried if _fits(attempt)]
    # Where none fits, what the set itself says counts: with tempos to choose among, anything fits a little.
    best = max(fitting or [*filter(_may_fit, tried)] or tried[:1], key=lambda attempt: attempt.fit.score)
    return _aligned(song, audio, best) if fitting else _not_aligned(song, best)


@dataclass(frozen=True)
class _Attempt:
    """How well they fit at a tempo; `is_known` where that is the set's or was given."""

    tempo: float
    is_known: bool
    fit: Fit

    @property
    def needed(self) -> float:
        """What the onsets have to come to."""
        least = _LEAST_FIT if self.fit.chroma is not None else _LEAST_FIT_ELSE
        return max(least, _CHANCE / math.sqrt(max(self.fit.frames, 1)))

    @property
    def words(self) -> str:
        """How well, in words."""
        fit = self.fit
        pitches = "; no pitches are known" if fit.chroma is None else f" and pitches by {fit.chroma:.2f}"
        return f"onsets fit by {fit.onsets:.2f}{pitches}"


def _fits(attempt: _Attempt) -> bool:
    fit = attempt.fit
    chroma = 1.0 if fit.chroma is None else fit.chroma
    if chroma - fit.transposed < _LEAST_KEY_MARGIN:
        return False
    if attempt.is_known:
        return fit.onsets >= attempt.needed and chroma >= _CHROMA_FITS
    if fit.onsets < max(attempt.needed, _LEAST_FIT_HEARD) or chroma < _CHROMA_FITS_HEARD:
        return False
    return fit.onsets + chroma >= _LEAST_SUM_HEARD and fit.margin >= _LEAST_MARGIN_HEARD


def _other_place(fit: Fit) -> OtherPlace | None:
    """Return another place that may be the right one as well."""
    nearby, elsewhere = _LEAST_MARGIN_NEAR, _LEAST_MARGIN_FAR
    if fit.chroma is None:
        nearby = elsewhere = _LEAST_MARGIN_ELSE
    return fit.near if fit.near.below < nearby else fit.far if fit.far.below < elsewhere else None


def _surely_its_pitches(fit: Fit) -> float:
    """Return 0 where pitches just fit, 1 where no other song's would; without any, half of that."""
    return 0.5 if fit.chroma is None else (fit.chroma - _CHROMA_FITS) / (_CHROMA_SURE - _CHROMA_FITS)


def _may_fit(attempt: _Attempt) -> bool:
    fit = attempt.fit
    chroma = 1.0 if fit.chroma is None else fit.chroma
    is_one_place = fit.margin >= _LEAST_MARGIN_NEAR and chroma >= _CHROMA_MAY_FIT
    has_its_pitches = fit.chroma is not None and fit.chroma >= _CHROMA_FITS_HEARD
    return fit.onsets >= attempt.needed and (is_one_place or has_its_pitches)


def _why_not_compared(audio: AlignmentFeatures) -> str | None:
    if audio.seconds < SHORTEST_SECONDS:
        return f"the audio lasts {audio.seconds:.1f} s; under {SHORTEST_SECONDS:g} s too much would fit"
    if not audio.onsets.any():
        return "nothing begins in the audio: it is silent or one steady sound"
    return None


def _not_aligned(song: SongOnsets, best: _Attempt) -> Alignment:
    fit, share = best.fit, best.fit.onsets / best.needed
    score, margin = round(fit.score, 3), round(fit.margin, 3)
    if fit.moments < _FEWEST_A_SECOND * fit.frames / ONSETS_A_SECOND:
        words = (
            f"{best.words} at the best place, but only {fit.moments} moments are known there at which something begins"
        )
        words += ": what is inside of audio clips can't be seen"
        return Alignment("can't be told", 0.0, (words, *song.warnings), score=score, margin=margin)
    if share < _UNRELATED and (fit.chroma is None or fit.chroma < _CHROMA_FITS):
        words = f"{best.words} at the best place; by chance onsets may come to {best.needed:.2f}"
        return Alignment(
            "not this arrangement", _between(1 - share), (words, *song.warnings), score=score, margin=margin
        )
    at = "" if best.tempo == song.tempo else f", if it was rendered at {best.tempo:g} BPM"
    words = f"{best.words} at the best place{at}: not enough to tell and too much to rule out"
    return Alignment("can't be told", 0.0, (words, *song.warnings), score=score, margin=margin)


def _aligned(song: SongOnsets, audio: AlignmentFeatures, best: _Attempt) -> Alignment:
    fit, tempo = best.fit, best.tempo
    score, margin = round(fit.score, 3), round(fit.margin, 3)
    rendered = song if tempo == song.tempo else song.rendered_at(tempo)
    lag, rival = fit.lag, _other_place(fit)
    if rival is None:
        following = _place(song, tempo, min(fit.near, fit.far, key=lambda each: each.below).lag)
        sure = _between(min(fit.onsets / best.needed - 1, fit.margin / _SURE_MARGIN, _surely_its_pitches(fit)))
        reasons = [f"{best.words}, by {fit.margin:.2f} more than at the next place ({following})"]
    else:
        other = rival.lag
        if _is_of_its_length(rendered, audio, other):
            lag, other = other, lag
        if not _is_of_its_length(rendered, audio, lag):
            places = f"{_place(song, tempo, lag)} and {_place(song, tempo, other)}"
            words = f"it may be this arrangement, but {places} fit alike"
            return Alignment("can't be told", 0.0, (words, best.words, *song.warnings), score=score, margin=margin)
        sure = _between(0.0)
        reasons = [f"{best.words}; {_place(song, tempo, other)} fits alike, but then its length would be chance"]
    if tempo != song.tempo:
        reasons.append(f"rendered at {tempo:g} BPM, the set is at {song.tempo:g} now")
    return Alignment(
        "aligned",
        sure,
        (*reasons, *_length(rendered, audio, lag), *song.warnings),
        offset_seconds=round(lag, 3),
        bar=round(song.bar_at(lag * tempo / song.tempo), 2),
        tempo=tempo,
        score=score,
        margin=margin,
    )


def _between(sure: float) -> float:
    return round(0.5 + 0.5 * min(max(sure, 0.0), 1.0), 2)


def _place(song: SongOnsets, tempo: float, lag: float) -> str:
    if lag < 0:
        return f"{-lag:.2f} s before bar 1"
    return f"bar {song.bar_at(lag * tempo / song.tempo):.4g} ({lag:.2f} s)"


def _tail(song: SongOnsets, audio: AlignmentFeatures, lag: float) -> float:
    return lag + audio.seconds - song.length_seconds


def _is_of_its_length(song: SongOnsets, audio: AlignmentFeatures, lag: float) -> bool:
    return abs(lag) < _SAME_SECONDS and -_SAME_SECONDS < _tail(song, audio, lag) < _LONGEST_TAIL


def _length(song: SongOnsets, audio: AlignmentFeatures, lag: float) -> Iterator[str]:
    """Say where the lengths agree, which speaks for the place; that they don't says nothing."""
    tail = max(_tail(song, audio, lag), 0.0)
    if _is_of_its_length(song, audio, lag):
        yield f"it is as long as the arrangement, {song.length_seconds:.1f} s, with {tail:.1f} s behind it"
    elif -_SAME_SECONDS < _tail(song, audio, lag) < _LONGEST_TAIL:
        yield "it ends where the arrangement does"


def _tempos(
    song: SongOnsets, given: Iterable[float], audio: AlignmentFeatures, *, try_heard: bool
) -> Iterator[tuple[float, bool]]:
    """Yield which tempos to try and whether they are known: the set's, those given, and what the sound seems to have.

    Of the last, what is mistaken for it, and whole and half BPM near to those; fewer of them where set or sound last
    for hours.
    """
    own = song.tempo
    yield own, True
    heard = [heard_tempo(audio)] if try_heard else []
    related = [bpm * part for bpm in heard for part in _RELATED]
    near = [
        half / 2 for bpm in related for half in range(round(bpm * (1 - _NEAR) * 2), round(bpm * (1 + _NEAR) * 2) + 1)
    ]
    done = {own}
    left = min(_MOST_TEMPOS, max(_FEWEST_TEMPOS, round(_SECONDS_OF_ALL / (audio.seconds + song.length_seconds))))
    for bpm, is_known in [*((bpm, True) for bpm in given), *((bpm, False) for bpm in [*heard, *near, *related])]:
        if left and bpm not in done and _SLOWEST <= bpm / own <= _FASTEST:
            done.add(bpm)
            left -= 1
            yield bpm, is_known
