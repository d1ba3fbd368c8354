"""A composition as data: notes, clips, parts, songs. What is heard and what stands in the Live Set both come from it.

No sound and no XML here: `music.py` and `mix.py` play a song, `live_set.py` writes it down.
Times are in quarter beats from the start of the song, pitches are MIDI numbers, velocities 1 to 127.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

BEATS_PER_BAR = 4
KICK, RIM, SNARE, CLAP, HAT, OPEN_HAT, CRASH, SHAKER = 36, 37, 38, 39, 42, 46, 49, 70


@dataclass(frozen=True)
class Note:
    """One note; in a clip, `start` counts from the clip's start."""

    start: float
    length: float
    pitch: int
    velocity: int = 96


@dataclass(frozen=True)
class Clip:
    """A block on a track's lane. Its notes repeat every `loop` beats; `sample` makes it an audio clip.

    One that is not `active` stands in the Live Set and is not heard.
    """

    name: str
    start: float
    length: float
    loop: float
    notes: tuple[Note, ...]
    sample: str | None = None
    active: bool = True

    def played(self) -> Iterator[Note]:
        """Yield the notes as they sound: loops unrolled, times from the start of the song, cut at the clip's end."""
        if not self.active:
            return
        for repeat in range(-(-int(self.length * 64) // int(self.loop * 64))):
            for note in self.notes:
                start = repeat * self.loop + note.start
                if start < self.length:
                    yield replace(note, start=self.start + start, length=min(note.length, self.length - start))


@dataclass(frozen=True)
class Plugin:
    """A third-party plugin on a track."""

    name: str
    format: Literal["VST2", "VST3", "AU"]


@dataclass(frozen=True)
class Part:
    """One track: how it is played and mixed, and what stands on it in the Live Set."""

    name: str
    kind: Literal["MIDI", "Audio"]
    sound: str
    clips: tuple[Clip, ...]
    color: int
    group: str | None = None
    gain_db: float = 0.0
    pan: float = 0.0  # -1 left … 1 right
    reverb: float = 0.0  # level of the send, 0 … 1
    echo: float = 0.0
    ducking: float = 0.0  # how far the kick pushes it down, 0 … 1
    sweep: tuple[tuple[float, float], ...] = ()  # (beat, cutoff in Hz): an automated low-pass filter
    devices: tuple[str, ...] = ()  # Live's own devices, by their element names
    plugins: tuple[Plugin, ...] = ()
    samples: tuple[str, ...] = ()  # in the drum rack or sampler of a MIDI track
    session: tuple[Clip, ...] = ()  # one per slot, from the first scene on
    pads: tuple[tuple[str, int], ...] = ()  # name and pitch of each pad of its drum rack; else a sample each, of any
    muted: bool = False


@dataclass(frozen=True)
class Section:
    """A stretch of the arrangement; its name is a locator in the Live Set."""

    name: str
    bar: int
    bars: int


@dataclass(frozen=True)
class Song:
    """One piece: its facts, its arrangement and its tracks, groups' members side by side."""

    title: str
    live: Literal[8, 10, 12]
    bounce: Literal["mp3", "wav", "flac"]
    tempo: float
    root: int  # pitch class of the key, 0 = C
    mode: Literal["Major", "Minor"]
    sections: tuple[Section, ...]
    parts: tuple[Part, ...]
    group_colors: dict[str, int] = field(default_factory=dict)
    scenes: tuple[str, ...] = ()
    tempo_changes: tuple[tuple[float, float], ...] = ()  # (beat, BPM): in the Live Set alone, it is played at `tempo`

    @property
    def beats(self) -> float:
        """Length of the arrangement."""
        last = self.sections[-1]
        return float((last.bar + last.bars) * BEATS_PER_BAR)


def beat_of(bar: float) -> float:
    """Return the beat at which a bar (from 0) starts."""
    return bar * BEATS_PER_BAR


def steps(pattern: str, pitch: int, *, swing: float = 0.5, velocity: int = 104, bar: int = 0) -> tuple[Note, ...]:
    """Drum notes from a line of sixteenths: `x` a hit, `X` an accent, `o` a soft one, `.` or anything else a rest.

    `swing` is where the second sixteenth of each pair falls: 0.5 straight, 0.66 triplets.
    """
    loudness = {"X": min(127, velocity + 18), "x": velocity, "o": round(velocity * 0.62)}
    return tuple(
        Note(beat_of(bar) + _swung(index, swing), 0.25, pitch, loudness[sign])
        for index, sign in enumerate(pattern)
        if sign in loudness
    )


def line(text: str, *, swing: float = 0.5, velocity: int = 96, octave: int = 0) -> tuple[Note, ...]:
    """Return a melody from words `pitch/sixteenths`, one after the other; `-` rests: `"A4/2 C5/2 -/4 E5/8"`."""
    notes: list[Note] = []
    at = 0
    for word in text.split():
        name, _, sixteenths = word.partition("/")
        length = int(sixteenths)
        if name != "-":
            start, end = _swung(at, swing), _swung(at + length, swing)
            accent = 8 if at % 4 == 0 else 0
            notes.append(Note(start, end - start, pitch_of(name) + 12 * octave, velocity + accent))
        at += length
    return tuple(notes)


def chords(text: str, rhythm: tuple[tuple[float, float], ...] = ((0.0, 4.0),), velocity: int = 84) -> tuple[Note, ...]:
    """Chords, one a bar, from words like `A3+C4+E4`; `rhythm` gives (start, length) of each hit in a bar."""
    return tuple(
        Note(beat_of(bar) + start, length, pitch_of(name), velocity - 3 * voice)
        for bar, chord in enumerate(text.split())
        for start, length in rhythm
        for voice, name in enumerate(chord.split("+"))
    )


def pitch_of(name: str) -> int:
    """Return the MIDI number of a pitch: `C4` is 60, `F#3` 54, `Bb2` 46."""
    letter, sharps, octave = name[0], name[1:-1], int(name[-1])
    return 12 * (octave + 1) + "C D EF G A B".index(letter) + sharps.count("#") - sharps.count("b")


def _swung(sixteenth: int, swing: float) -> float:
    pair, second = divmod(sixteenth, 2)
    return pair * 0.5 + second * swing * 0.5
