"""When each beat and bar of a set sounds: beats to seconds, by its tempo and how that is automated. Pure numbers."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_BARS = 20_000
_SAME_BEAT = 1e-9


@dataclass(frozen=True)
class TempoMap:
    """The set's time line. Between two points the tempo changes evenly by the beat, as Live draws it."""

    beats: tuple[float, ...]
    tempos: tuple[float, ...]
    seconds: tuple[float, ...]
    """When each point sounds; beat 0 is at 0 s."""

    def seconds_at(self, beat: float) -> float:
        """When a beat sounds; beats before 0 sound before 0 s."""
        place = bisect_right(self.beats, beat) - 1
        if place < 0:
            return self.seconds[0] - (self.beats[0] - beat) * 60 / self.tempos[0]
        start, tempo = self.beats[place], self.tempos[place]
        if place == len(self.beats) - 1:
            return self.seconds[place] + (beat - start) * 60 / tempo
        slope = (self.tempos[place + 1] - tempo) / (self.beats[place + 1] - start)
        return self.seconds[place] + _lasting(beat - start, tempo, slope)


def tempo_map(tempo: float, changes: Iterable[tuple[float, float]] = ()) -> TempoMap:
    """The time line of a set of this tempo, or of the automated one where there are changes.

    Args:
        tempo: in BPM, above 0.
        changes: (beat, BPM) in any order; at one beat, the last counts from there on. Tempos of 0 or below are none.
    """
    points = sorted(((beat, bpm) for beat, bpm in changes if bpm > 0), key=lambda point: point[0]) or [(0.0, tempo)]
    beats, tempos, seconds = [points[0][0]], [points[0][1]], [0.0]
    for beat, bpm in points[1:]:
        if beat - beats[-1] < _SAME_BEAT:  # a jump: the ramp before it ends at the tempo that stood there first
            if len(beats) > 1 and beats[-2] == beats[-1]:
                tempos[-1] = bpm
                continue
            beats.append(beats[-1])
            tempos.append(bpm)
            seconds.append(seconds[-1])
            continue
        span = beat - beats[-1]
        seconds.append(seconds[-1] + _lasting(span, tempos[-1], (bpm - tempos[-1]) / span))
        beats.append(beat)
        tempos.append(bpm)
    raw = TempoMap(tuple(beats), tuple(tempos), tuple(seconds))
    zero = raw.seconds_at(0.0)
    return TempoMap(raw.beats, raw.tempos, tuple(second - zero for second in seconds))


def bar_times(line: TempoMap, beats_per_bar: float, bars: float) -> list[float]:
    """When each bar begins, from bar 1 on: so many bars and the end of the last one, in seconds to the microsecond."""
    count = min(math.ceil(bars - 1e-6), MAX_BARS)
    return [round(line.seconds_at(bar * beats_per_bar), 6) for bar in range(count + 1)]


def beats_per_bar(time_signature: str) -> float:
    """Quarter beats a bar of "6/8"; 4 where it can't be told."""
    above, _, below = time_signature.partition("/")
    if above.isascii() and below.isascii() and above.isdigit() and below.isdigit() and 0 < int(below[:4]) <= 64:
        return 4 * min(int(above[:4]), 99) / int(below[:4]) or 4.0
    return 4.0


def _lasting(span: float, tempo: float, slope: float) -> float:
    """Seconds that `span` beats last from `tempo` on, changing by `slope` BPM a beat."""
    end = tempo + slope * span
    if abs(end - tempo) < 1e-9 * tempo:
        return span * 60 / tempo
    return 60 / slope * math.log(end / tempo)


def sections_between(places: Sequence[tuple[str, float]], end: float) -> list[tuple[str, float, float]]:
    """(name, begin, end) from each named place to the next, the last one to the end; empty ones are left out."""
    ordered = sorted(places, key=lambda place: place[1])
    ends = [begin for _, begin in ordered[1:]] + [end]
    return [(name, begin, until) for (name, begin), until in zip(ordered, ends, strict=False) if until > begin]
