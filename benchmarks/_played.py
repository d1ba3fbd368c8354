"""What plays when in a composed song, by its notes: the truth that facts of its segments are held against.

Made from the score alone, without anything of what reads a Live Set.
"""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dawa_assets.example.score import Part, Song

SEGMENT_SECONDS = 15.0
PADS = (("Kick 1", 36), ("Snare A", 38), ("Clap", 39), ("Closed Hat", 42), ("Open Hat", 46))
NAMES = {"melody": "Pluck Melody"}
"""What a part is called in the Live Set, where its own name says no instrument."""

_DRUMS = {36: "kick", 38: "snare", 39: "claps", 42: "hi-hats", 46: "hi-hats"}
_PARTS = {"chords": "chords", "bass": "bass", "melody": "plucks"}
_EDGE = 0.3  # of a second: so much of a note at a segment's edge may be named or not

Played = dict[str, list[tuple[float, float]]]
"""By instrument, when each of its notes begins and ends, in seconds of the rendering."""


def played(song: "Song") -> Played:
    """Return every note of a song under the instrument that plays it."""
    beat = 60 / song.tempo
    found: Played = {}
    for part in song.parts:
        for instrument, start, end in _notes(part):
            found.setdefault(instrument, []).append((start * beat, end * beat))
    return found


def _notes(part: "Part") -> "Iterable[tuple[str, float, float]]":
    for clip in part.clips:
        for note in clip.played():
            instrument = _DRUMS[note.pitch] if part.sound == "kit" else _PARTS[part.name]
            yield instrument, note.start, note.start + note.length


def is_right(named: Collection[str], notes: Played, start: float, end: float) -> bool:
    """Return whether the instruments that are named for a stretch of the rendering are those that play in it.

    Whoever plays well within it must be named, nobody else may be.
    """
    must, may = set(), set()
    for instrument, spans in notes.items():
        if any(begin < end - _EDGE and until > start + _EDGE for begin, until in spans):
            must.add(instrument)
        if any(begin < end and until > start for begin, until in spans):
            may.add(instrument)
    return must <= set(named) <= may
