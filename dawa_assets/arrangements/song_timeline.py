"""What plays when in a Live Set's arrangement: instruments by the names that prompts give them, sections, bars.

What doesn't sound isn't in it: tracks that are muted or not soloed, deactivated clips, clips without gain, notes that
are switched off. A pad of a drum rack sounds where its own notes are. What is inside of sound files is not known: they
sound for as long as their clip does. Reading is `dawa_assets/ableton`'s, what an instrument is called `prompting`'s.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from dawa_assets.ableton.lexicon import lexicon, named
from dawa_assets.ableton.live_set import LiveSet, Track
from dawa_assets.ableton.naming import unique_names
from dawa_assets.ableton.scales import key_of
from dawa_assets.ableton.summary import PARSER_VERSION
from dawa_assets.ableton.summary_builder import summarise
from dawa_assets.ableton.time_map import TempoMap, bar_times
from dawa_assets.ableton.usage import pads_in_use
from dawa_assets.arrangements.sections import sections_of
from dawa_assets.prompting.instruments import heard_on
from dawa_assets.prompting.summary_facts import read_summary
from modal_app.protocol.song_timeline import Layer, MetreStart, SectionStart, SongTimeline, Span, Voice
from modal_app.training.span_facts import united

VERSION = f"timeline-v1 {PARSER_VERSION}"
"""Names everything that decides a timeline: the reader's version too, as whatever it reads otherwise may be in it."""

_SHORTEST_BEATS = 0.25  # that a note is taken to sound: a drum's note says only when it is hit
_MAX_LAYERS = 400
_OF_A_KIT = {"drums": 2, "percussion": 2}  # so many that are named make the word say nothing


def timeline_of(live_set: LiveSet) -> SongTimeline:
    """Return the timeline of a set that was read with its onsets; without a voice where its arrangement is empty."""
    tempo, gap = live_set.tempo_map, live_set.played_time_signature.beats_per_bar
    names = unique_names([track.name for track in live_set.tracks])
    summary = summarise(live_set, als_filename=live_set.name, project_folder="", artist_name="").model_dump(mode="json")
    heard = {track.named.name: track.named for track in read_summary(summary).tracks}
    end = live_set.length_beats
    layers: list[tuple[str, list[Span]]] = []
    voices: dict[str, list[Span]] = {}
    for name, track in zip(names, live_set.tracks, strict=True):
        if not live_set.sounds(track) or not live_set.has_arrangement:
            continue
        parts = _parts(live_set, track)
        spans = _within(united((span for part in parts.values() for span in part), gap), end)
        if not spans:
            continue
        layers.append((name, spans))
        for instrument in heard_on(heard[name]) if name in heard else ():
            voices.setdefault(instrument, []).extend(parts.get(instrument) or spans)
    bars = bar_times(tempo, live_set.metre_map, live_set.length_bars)
    return SongTimeline(
        version=VERSION,
        end=_seconds(tempo, end),
        bars=bars,
        metres=[
            MetreStart(seconds=_seconds(tempo, beat), time_signature=str(signature))
            for beat, signature in live_set.metre_map.changes
        ],
        sections=[
            SectionStart(seconds=_seconds(tempo, start.beat), name=start.name)
            for start in sections_of(live_set, _layers_by_bar(live_set, len(bars) - 1, [spans for _, spans in layers]))
        ],
        voices=[_voice(live_set, name, _within(united(voices[name], gap), end)) for name in _ordered(voices)],
        layers=[Layer(track=name, spans=_in_seconds(tempo, spans)) for name, spans in layers[:_MAX_LAYERS]],
        musical_key=_key(live_set),
    )


def _parts(live_set: LiveSet, track: Track) -> dict[str, list[Span]]:
    """Return when a track sounds, in beats: of what its pads and samples say by that instrument, the rest by ""."""
    parts: dict[str, list[Span]] = {}
    pads: dict[int, frozenset[str]] = {}
    for pad in () if track.notes_unsure else pads_in_use(track):
        found = next((found for name in (pad.name, *pad.samples) if (found := named(name))), frozenset[str]())
        if pad.note is not None:
            pads[pad.note] = pads.get(pad.note, frozenset()) | found
    for each in (track, *(live_set.tracks[index] for index in track.fed_by)):
        if each.type != "MIDI":
            continue
        onsets = each.onsets
        for beat, length, pitch in zip(onsets.beats, onsets.lengths, onsets.pitches, strict=True):
            if pitch < 0:
                continue
            span = (beat, beat + max(length, _SHORTEST_BEATS))
            for instrument in pads.get(pitch) or ("",):
                parts.setdefault(instrument, []).append(span)
    for clip in track.arrangement_clips:
        if track.type != "MIDI" and clip.heard:
            for instrument in named(clip.sample) or ("",):
                parts.setdefault(instrument, []).append((clip.start, clip.end))
    return parts


def _voice(live_set: LiveSet, instrument: str, spans: Sequence[Span]) -> Voice:
    general = lexicon().general.get(instrument, frozenset())
    return Voice(
        instrument=instrument,
        role=lexicon().role_of[instrument],
        spans=_in_seconds(live_set.tempo_map, spans),
        told_by=sorted(general),
        told_by_at_least=_OF_A_KIT.get(instrument, 1),
    )


def _ordered(instruments: Iterable[str]) -> list[str]:
    """Return instruments as the lexicon lists them."""
    place = {name: number for number, name in enumerate(lexicon().role_of)}
    return sorted(instruments, key=lambda name: place[name])


def _layers_by_bar(live_set: LiveSet, bars: int, layers: Iterable[Sequence[Span]]) -> list[int]:
    """Return how many tracks sound in the most of each bar."""
    starts = [live_set.metre_map.beat(bar) for bar in range(bars + 1)]
    counts = [0] * bars
    for spans in layers:
        filled = [0.0] * bars
        for start, end in spans:
            for bar in range(max(bisect_right(starts, start) - 1, 0), bars):
                if starts[bar] >= end:
                    break
                filled[bar] += min(end, starts[bar + 1]) - max(start, starts[bar])
        for bar in range(bars):
            counts[bar] += filled[bar] >= (starts[bar + 1] - starts[bar]) / 2
    return counts


def _within(spans: Iterable[Span], end: float) -> list[Span]:
    clipped = ((max(start, 0.0), min(stop, end)) for start, stop in spans)
    return [(start, stop) for start, stop in clipped if stop > start]


def _in_seconds(tempo: TempoMap, spans: Iterable[Span]) -> list[Span]:
    return [(_seconds(tempo, start), _seconds(tempo, end)) for start, end in spans]


def _seconds(tempo: TempoMap, beat: float) -> float:
    return round(tempo.seconds_at(beat), 3)


def _key(live_set: LiveSet) -> str | None:
    key = key_of(live_set)
    scale = key.scale if key else None
    return f"{scale.root} {scale.name.lower()}" if scale and scale.name in ("Major", "Minor") else None
