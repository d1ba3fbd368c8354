"""Pieces of music whose tempo and key are known: composed by a seed, played by the example's instruments.

Ten styles, from four on the floor to a waltz without drums. A progression begins and ends on its tonic, its melody
keeps to the scale; what makes tempo hard is there on purpose: 3 + 3 + 2, dotted notes, half time, swing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from dawa_assets.example.score import Note, Part, Song

SECONDS = 15.0
_SCALES = {"Major": (0, 2, 4, 5, 7, 9, 11), "Minor": (0, 2, 3, 5, 7, 8, 10)}
_PROGRESSIONS = {
    "Major": ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (0, 1, 4, 0)),
    "Minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 3, 6, 0)),
}


@dataclass(frozen=True)
class Style:
    """How a kind of music goes: tempos, beats in a bar, drums as lines of sixteenths, who plays chords and when."""

    name: str
    tempos: tuple[int, int]
    beats: int = 4
    drums: tuple[tuple[str, int], ...] = ()
    chords: tuple[str, str] = ("pad", "x...............")
    bass: tuple[str, str] = ("round_bass", "x...x...x...x...")
    melody: tuple[str, str] = ("pluck", "x..x..x...x.x...")
    swing: float = 0.5


_KICK, _SNARE, _CLAP, _HAT, _OPEN = 36, 38, 39, 42, 46
STYLES: Sequence[Style] = (
    Style(
        "house",
        (116, 128),
        drums=(("x...x...x...x...", _KICK), ("....x.......x...", _CLAP), ("..x...x...x...x.", _OPEN)),
        chords=("stab", "..x..x....x..x.."),
        bass=("round_bass", "..x...x...x..xx."),
    ),
    Style(
        "techno",
        (128, 145),
        drums=(("x...x...x...x...", _KICK), ("xxxxxxxxxxxxxxxx", _HAT)),
        bass=("reese", ".xxx.xxx.xxx.xxx"),
    ),
    Style(
        "drum and bass",
        (164, 178),
        drums=(("x.........x.....", _KICK), ("....x.......x...", _SNARE), ("x.x.x.x.x.x.x.x.", _HAT)),
        bass=("reese", "x.....x...x....."),
    ),
    Style(
        "hip-hop",
        (78, 98),
        drums=(("x..x......x.....", _KICK), ("....x.......x...", _SNARE), ("x.x.x.x.x.x.x.xx", _HAT)),
        chords=("keys", "x.......x......."),
        swing=0.58,
    ),
    Style(
        "half time",
        (132, 150),
        drums=(("x.....x.........", _KICK), ("........x.......", _SNARE), ("x.xxx.x.x.xxx.x.", _HAT)),
        bass=("reese", "x.....x..x......"),
    ),
    Style(
        "rock",
        (100, 140),
        drums=(("x.......x.x.....", _KICK), ("....x.......x...", _SNARE), ("x.x.x.x.x.x.x.x.", _HAT)),
        chords=("stab", "x.x.x.x.x.x.x.x."),
        bass=("round_bass", "x.x.x.x.x.x.x.x."),
    ),
    Style(
        "3 + 3 + 2",
        (88, 108),
        drums=(("x...x...x...x...", _KICK), ("...x..x....x..x.", _SNARE)),
        chords=("keys", "x..x..x.x..x..x."),
        bass=("round_bass", "x..x..x.x..x..x."),
    ),
    Style(
        "melody alone",
        (80, 180),
        chords=("keys", "x.....x...x....."),
        bass=("round_bass", "x.......x......."),
        melody=("pluck", "x.x.x.x.x.x.x.x."),
    ),
    Style(
        "waltz",
        (90, 180),
        beats=3,
        chords=("keys", "....x...x..."),
        bass=("round_bass", "x..........."),
        melody=("pluck", "x.....x.x.x."),
    ),
    Style(
        "swing",
        (120, 180),
        drums=(("x...x...x...x...", _HAT), ("....x..x....x..x", _HAT), ("....x.......x...", _SNARE)),
        chords=("keys", "...x......x....."),
        bass=("round_bass", "x...x...x...x..."),
        swing=0.66,
    ),
)


@dataclass(frozen=True)
class Piece:
    """Fifteen seconds of music and the truth about it; `signal` is mono at 44.1 kHz, `tonic` a pitch class."""

    style: str
    tempo: float
    tonic: int
    minor: bool
    signal: npt.NDArray[np.float32]


def compose(style: Style, seed: int, *, semitones: int = 0, speed: float = 1.0) -> Piece:
    """Compose and play one piece; the same style and seed are the same piece, transposed or played faster if asked."""
    from dawa_assets.example.mix import play

    song = write(style, seed, SECONDS)
    song = replace(song, parts=_transposed(song.parts, semitones), tempo=song.tempo * speed)
    signal = play(song)[:, : round(SECONDS * 44_100)].mean(axis=0)
    minor = song.mode == "Minor"
    return Piece(style.name, song.tempo, song.root, minor, np.ascontiguousarray(signal, np.float32))


def write(style: Style, seed: int, seconds: float, tempo: float | None = None) -> "Song":
    """Compose one piece of so many seconds at least, at a tempo of its style's own where none is given."""
    from dawa_assets.example.score import Section, Song

    chance = Random(f"{style.name} {seed}")  # noqa: S311 - no secret
    own = float(chance.randint(*style.tempos))
    tempo = tempo or own
    tonic, mode = chance.randrange(12), chance.choice(["Major", "Minor"])
    bars = int(seconds * tempo / 60 / style.beats) + 2
    parts = _parts(style, chance, tonic, mode, bars)
    quarters = -(-bars * style.beats // 4)
    return Song(
        "Piece", 12, "wav", tempo, tonic, "Minor" if mode == "Minor" else "Major", (Section("A", 0, quarters),), parts
    )


def _transposed(parts: "tuple[Part, ...]", semitones: int) -> "tuple[Part, ...]":
    def moved(part: "Part") -> "Part":
        if part.sound == "kit":
            return part
        clips = [
            replace(clip, notes=tuple(replace(note, pitch=note.pitch + semitones) for note in clip.notes))
            for clip in part.clips
        ]
        return replace(part, clips=tuple(clips))

    return tuple(map(moved, parts)) if semitones else parts


def _parts(style: Style, chance: Random, tonic: int, mode: str, bars: int) -> "tuple[Part, ...]":
    from dawa_assets.example.score import Clip, Note, Part

    scale, progression = _SCALES[mode], chance.choice(_PROGRESSIONS[mode])
    length = bars * style.beats

    def pitch(degree: int, lowest: int) -> int:
        octave, step = divmod(degree, 7)
        return lowest + (tonic + scale[step] + 12 * octave - lowest) % 12 + 12 * max(0, octave)

    def at(index: int) -> float:
        return (index // 2 + (style.swing if index % 2 else 0.0)) / 2

    def hits(line: str) -> list[float]:
        return [at(index) for index, sign in enumerate(line) if sign == "x"]

    def part(name: str, sound: str, notes: "list[Note]", gain_db: float) -> "Part":
        clip = Clip(name, 0.0, float(length), float(length), tuple(notes))
        return Part(name, "MIDI", sound, (clip,), 1, gain_db=gain_db, reverb=0.15)

    drums: list[Note] = []
    chords: list[Note] = []
    bass: list[Note] = []
    melody: list[Note] = []
    for bar in range(bars):
        start, degree = float(bar * style.beats), progression[bar % len(progression)]
        for line, drum in style.drums:
            drums += [Note(start + beat, 0.25, drum, 100 + chance.randrange(20)) for beat in hits(line)]
        beats = hits(style.chords[1])
        for beat, end in zip(beats, [*beats[1:], float(style.beats)], strict=True):
            chords += [Note(start + beat, (end - beat) * 0.9, pitch(degree + third, 55), 84) for third in (0, 2, 4)]
        beats = hits(style.bass[1])
        for beat, end in zip(beats, [*beats[1:], float(style.beats)], strict=True):
            bass.append(Note(start + beat, (end - beat) * 0.9, pitch(degree, 33), 96))
        beats = hits(style.melody[1])
        for beat, end in zip(beats, [*beats[1:], float(style.beats)], strict=True):
            step = chance.choice([0, 2, 4]) if chance.random() < 0.7 else chance.randrange(7)
            melody.append(Note(start + beat, (end - beat) * 0.9, pitch(degree + step, 69), 80 + chance.randrange(30)))
    played = [part("chords", style.chords[0], chords, -8.0), part("bass", style.bass[0], bass, -5.0)]
    played.append(part("melody", style.melody[0], melody, -9.0))
    if drums:
        played.append(part("drums", "kit", drums, -3.0))
    return tuple(played)
