"""What is known of a stretch of a song, for any begin and end: read off its timeline. How it is said is not here."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from modal_app.protocol.song_timeline import ROLES, Change, Section, SongTimeline, Sounding, Span, SpanFacts, Voice

VERSION = "span-facts-v1"
"""Names everything that decides a stretch's facts beside its timeline."""

_LEAST_KNOWN = 0.5  # of a stretch: where less of it lies within the arrangement, nothing is said of it
_LEAST_SECONDS = 0.25  # that sound; less is the end of a note, or the place of an mp3's encoder
_SECTION_SECONDS = 1.0
_EDGE_SECONDS = 0.75  # what begins or ends nearer to an edge is no change that is heard in the stretch
_PAUSE_BARS = 2  # and more make an instrument one that comes in, or goes
_SAME_SECONDS = 0.06  # as sure as an alignment is


def facts_of_span(timeline: SongTimeline, start: float, end: float) -> SpanFacts | None:
    """Return the facts of a stretch; None where the timeline does not reach far enough into it.

    Args:
        timeline: by the clock that start and end are of, see `SongTimeline.by_bounce_clock`.
        start: in seconds.
        end: in seconds.
    """
    known = max(start, timeline.begin), min(end, timeline.end)
    if end <= start or known[1] - known[0] < _LEAST_KNOWN * (end - start) or len(timeline.bars) < 2:
        return None
    voices = _specific(timeline.voices, known)
    return SpanFacts(
        version=VERSION,
        start=round(start, 3),
        end=round(end, 3),
        first_bar=max(1, bisect_right(timeline.bars, known[0] + _SAME_SECONDS)),
        last_bar=max(1, bisect_left(timeline.bars, known[1] - _SAME_SECONDS)),
        sections=tuple(_sections(timeline, known)),
        instruments=[_sounding(voice, known) for voice in voices],
        enters=_changes(voices, timeline, known, comes=True, start=start),
        leaves=_changes(voices, timeline, known, comes=False, start=start),
        density=_density(timeline, known),
        musical_key=timeline.musical_key,
        time_signature=_time_signature(timeline, known),
    )


def overlap(spans: Sequence[Span], within: Span) -> float:
    """Return for how many seconds spans, which are apart, sound within another one."""
    return sum(max(0.0, min(end, within[1]) - max(start, within[0])) for start, end in spans)


def _specific(voices: Sequence[Voice], known: Span) -> list[Voice]:
    """Return the voices that sound, by role, without general words where particular ones say it."""
    heard = [voice for voice in voices if any(_sounds(span, known) for span in voice.spans)]
    names = {voice.instrument for voice in heard}
    specific = [
        voice for voice in heard if not voice.told_by or len(names & set(voice.told_by)) < voice.told_by_at_least
    ]
    return sorted(specific, key=lambda voice: ROLES.index(voice.role))


def _sounds(span: Span, known: Span) -> bool:
    """Return whether enough of a sound lies in a stretch; all of a short one is."""
    inside = min(span[1], known[1]) - max(span[0], known[0])
    return inside > 0 and inside >= min(_LEAST_SECONDS, span[1] - span[0], known[1] - known[0])


def _sounding(voice: Voice, known: Span) -> Sounding:
    share = overlap(voice.spans, known) / (known[1] - known[0])
    return Sounding(instrument=voice.instrument, role=voice.role, share=round(min(share, 1.0), 3))


def _sections(timeline: SongTimeline, known: Span) -> Iterator[Section]:
    before = None
    for name, (start, end) in timeline.section_spans:
        lasting = min(end, known[1]) - max(start, known[0])
        if lasting >= min(_SECTION_SECONDS, known[1] - known[0]) and name != before:
            before = name
            yield name


def _changes(
    voices: Sequence[Voice], timeline: SongTimeline, known: Span, *, comes: bool, start: float
) -> list[Change]:
    """Return what comes in after, or goes before, a pause of some bars; the song's own ends are none.

    What sounds for less than such a pause is a hit, and neither comes nor goes.
    """
    pause = _PAUSE_BARS * _bar_seconds(timeline, known) - _SAME_SECONDS
    found = []
    for voice in voices:
        before = timeline.begin - 2 * pause
        for number, (begin, end) in enumerate(voice.spans):
            after = voice.spans[number + 1][0] if number + 1 < len(voice.spans) else timeline.end
            at = begin if comes else end
            silence = begin - before if comes else after - end
            before = end
            is_inside = known[0] + _EDGE_SECONDS < at < known[1] - _EDGE_SECONDS
            if is_inside and silence >= pause and end - begin >= pause:
                found.append(Change(instrument=voice.instrument, seconds=round(at - start, 2)))
    return sorted(found, key=lambda change: change.seconds)


def _bar_seconds(timeline: SongTimeline, known: Span) -> float:
    """Return how long a bar lasts in the middle of a stretch."""
    bars = timeline.bars
    index = min(max(bisect_right(bars, sum(known) / 2) - 1, 0), len(bars) - 2)
    return bars[index + 1] - bars[index]


def _density(timeline: SongTimeline, known: Span) -> float | None:
    """Return how many layers sound at once, over the mean of where any does."""
    whole = timeline.begin, timeline.end
    lasting = overlap(united(span for layer in timeline.layers for span in layer.spans), whole)
    if lasting <= 0:
        return None
    mean = sum(overlap(layer.spans, whole) for layer in timeline.layers) / lasting
    here = sum(overlap(layer.spans, known) for layer in timeline.layers) / (known[1] - known[0])
    return round(here / mean, 3)


def _time_signature(timeline: SongTimeline, known: Span) -> str | None:
    """Return the one that holds for the most of it."""
    held: dict[str, float] = {}
    ends = [*(each.seconds for each in timeline.metres[1:]), math.inf]
    for metre, end in zip(timeline.metres, ends, strict=False):
        lasting = min(end, known[1]) - max(metre.seconds, known[0])
        held[metre.time_signature] = held.get(metre.time_signature, 0.0) + max(lasting, 0.0)
    return max(held, key=lambda signature: held[signature]) if held else None


def united(spans: Iterable[Span], gap: float = 0.0) -> list[Span]:
    """Return spans in order, with those made into one that touch or are up to `gap` seconds apart."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
