"""Live Sets and bounces whose place in their set is known: composed by a seed, cut as people render.

A piece of `_pieces.py` becomes an arrangement by blocks of four bars of which parts are left out; from one rendering of
it come the bounces. Where the sound can stay and the set be written otherwise (another tempo, a tempo that changes, a
loop), nothing is rendered again.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from benchmarks._pieces import STYLES, Style, write
from benchmarks._played import NAMES, PADS, SEGMENT_SECONDS, played

if TYPE_CHECKING:
    from dawa_assets.ableton.alignment import Alignment
    from dawa_assets.example.score import Part, Song

RATE = 44_100
Signal = npt.NDArray[np.float32]

_BLOCK_BARS = 4
_LEFT_OUT = 0.25
_NEAR_SECONDS = 0.05
_ALIGNED, _OTHER, _UNTOLD = "aligned", "not this arrangement", "can't be told"


@dataclass(frozen=True)
class Case:
    """A bounce, the set that it is held against, and what is right to say of the two.

    The bounce are the samples from `first` to `last` of a rendering, so many times over, with seconds of silence (or a
    count-in) before and behind them; `notes` is the file of what plays in it. `begins` is the right offset, the same at
    each multiple of `repeats` where that is not 0; `tempo` is the one that it was rendered at, 0 where that changes.
    """

    kind: str
    live_set: str
    rendering: str
    first: int
    last: int
    answers: tuple[str, ...] = (_ALIGNED,)
    begins: float = 0.0
    repeats: float = 0.0
    tempo: float = 0.0
    before: float = 0.0
    clicks: float = 0.0
    behind: float = 0.0
    times: int = 1
    notes: str = ""

    def bounce(self, folder: Path) -> Signal:
        """Return its sound, mono at `RATE`."""
        part = np.load(folder / self.rendering, mmap_mode="r")[self.first : self.last].astype(np.float32) / 32_767
        silence = [np.zeros(round(seconds * RATE), np.float32) for seconds in (self.before, self.behind)]
        if self.clicks:
            click = np.sin(np.arange(1_000) * 0.15) * np.linspace(0.5, 0, 1_000)
            for number in range(4):
                silence[0][round(number * self.clicks * RATE) :][:1_000] += click.astype(np.float32)
        return np.concatenate([silence[0], *[part] * self.times, silence[1]])

    def segments(self, folder: Path) -> "Iterator[tuple[float, float, float]]":
        """Yield the bounce's whole segments: begin and end in its own seconds, and how much later in the rendering."""
        lasting = min(self.last, len(np.load(folder / self.rendering, mmap_mode="r"))) - self.first
        end = self.before + lasting / RATE
        for number in range(int((end + self.behind) // SEGMENT_SECONDS)):
            yield number * SEGMENT_SECONDS, (number + 1) * SEGMENT_SECONDS, self.first / RATE - self.before

    def is_right(self, found: "Alignment") -> bool:
        """Return whether an answer is a right one, and the place that it tells."""
        if found.answer not in self.answers:
            return False
        if found.answer != _ALIGNED or found.offset_seconds is None:
            return True
        off = found.offset_seconds - self.begins
        off -= self.repeats * round(off / self.repeats) if self.repeats else 0.0
        return abs(off) <= _NEAR_SECONDS and (not self.tempo or abs((found.tempo or 0.0) / self.tempo - 1) < 1e-3)


def compose(folder: Path, songs: int, seconds: float) -> None:
    """Compose so many songs of so many seconds, and write down their cases."""
    cases: list[Case] = []
    for number in range(songs):
        cases += _cases(folder, STYLES[number % len(STYLES)], number // len(STYLES), seconds)
    (folder / "cases.json").write_text(json.dumps([asdict(case) for case in cases]))


def cases_in(folder: Path) -> list[Case]:
    """Return the cases that were composed."""
    plain = json.loads((folder / "cases.json").read_text())
    return [Case(**{**each, "answers": tuple(each["answers"])}) for each in plain]


def _cases(folder: Path, style: Style, seed: int, seconds: float) -> Iterator[Case]:
    from dawa_assets.example.mix import TAIL_SECONDS, play

    name = f"{style.name} {seed}"
    chance = Random(f"bounce {name}")  # noqa: S311 - no secret
    whole_song = write(style, seed, seconds)
    song = replace(whole_song, parts=tuple(_arranged(part, style, chance) for part in whole_song.parts))
    sound = np.round(play(song).mean(axis=0) * 32_767).astype(np.int16)
    rendering = f"{name}.npy"
    np.save(folder / rendering, sound)
    (folder / f"{name}.json").write_text(json.dumps(played(song)))
    beat = 60 / song.tempo
    own = _written(folder, name, song)

    def case(kind: str, live_set: str = own, first: float = 0.0, lasting: float = 1e9, **more: object) -> Case:
        begin, end = round(first * RATE), min(round((first + lasting) * RATE), len(sound))
        known = {"begins": first, "tempo": song.tempo, "notes": f"{name}.json", **more}
        return Case(kind, live_set, rendering, begin, end, **known)  # type: ignore[arg-type]

    yield case("whole")
    bar = style.beats * beat
    for kind, first in (
        ("section, from a bar", bar * chance.randrange(2, int(seconds / bar / 2))),
        ("section, from anywhere", chance.uniform(2, seconds / 2)),
    ):
        yield case(kind, first=first, lasting=chance.uniform(14, seconds / 2))
    silence = chance.uniform(0.5, 6)
    yield case("silence before", before=silence, begins=-silence)
    yield case("count-in", before=4 * beat, clicks=beat, begins=-4 * beat)
    yield case("tail", behind=chance.uniform(2, 9))
    yield case("breaks off", lasting=chance.uniform(seconds / 2, seconds * 0.9))
    yield case("stray clip far behind", _written(folder, f"{name} stray", _with_a_stray_clip(song)))
    yield case("muted and deactivated parts", _written(folder, f"{name} mutes", _with_silent_parts(song)))
    told = round(song.tempo * chance.choice([0.75, 0.9, 1.1, 4 / 3]))
    yield case("at another tempo", _written(folder, f"{name} at {told}", replace(song, tempo=told)))
    yield case("tempo automation", _written(folder, f"{name} automated", _automated(song, chance)), tempo=0.0)
    block = _BLOCK_BARS * style.beats
    loops, lasting = _looped(song, block), block * beat
    yield case(
        "a loop that comes again",
        _written(folder, f"{name} loop", loops),
        first=lasting,
        lasting=lasting,
        times=3,
        begins=0.0,
        repeats=lasting,
        answers=(_ALIGNED, _UNTOLD),
    )
    session = replace(song, parts=tuple(replace(part, clips=(), session=part.clips[:1]) for part in song.parts))
    yield case("session alone", _written(folder, f"{name} session", session), answers=(_UNTOLD,))
    others = [each for each in STYLES if each.name != style.name]
    for kind, other in (
        ("another song", write(chance.choice(others), seed, seconds)),
        ("another song, same style and tempo", _of_another_key(song, style, seed, seconds)),
    ):
        yield case(kind, _written(folder, f"{name} {kind}", other), answers=(_OTHER, _UNTOLD))
    assert len(sound) / RATE < song.beats * beat + TAIL_SECONDS + 1


def _of_another_key(song: "Song", style: Style, seed: int, seconds: float) -> "Song":
    """Compose another song at a song's tempo. In its key it could have its chords too, and be a version of it."""
    drafts = (write(style, seed + 1_000 * number, seconds, song.tempo) for number in range(1, 100))
    return next(draft for draft in drafts if draft.root != song.root)


def _written(folder: Path, name: str, song: "Song") -> str:
    from dawa_assets.example.live_set import live_set

    racks = tuple(
        replace(part, devices=("DrumGroupDevice",), pads=PADS)
        if part.sound == "kit"
        else replace(part, name=NAMES.get(part.name, part.name), devices=("OriginalSimpler",))
        for part in song.parts
    )
    (folder / f"{name}.als").write_bytes(live_set(replace(song, parts=racks)))
    return f"{name}.als"


def _arranged(part: "Part", style: Style, chance: Random) -> "Part":
    """Cut a part's clip into blocks, and leave some of them out: chords stay, so that there is always something."""
    from dawa_assets.example.score import Clip

    [clip] = part.clips
    block = float(_BLOCK_BARS * style.beats)
    blocks = []
    for number in range(int(clip.length // block) + 1):
        start, length = number * block, min(block, clip.length - number * block)
        notes = tuple(
            replace(note, start=note.start - start) for note in clip.notes if start <= note.start < start + length
        )
        if notes and (part.name == "chords" or chance.random() >= _LEFT_OUT):
            blocks.append(Clip(part.name, start, length, block, notes))
    return replace(part, clips=tuple(blocks))


def _with_a_stray_clip(song: "Song") -> "Song":
    first, *others = song.parts
    stray = replace(first.clips[0], start=song.beats + 128)
    return replace(song, parts=(replace(first, clips=(*first.clips, stray)), *others))


def _with_silent_parts(song: "Song") -> "Song":
    """The song with a part that is muted, and one whose clips are deactivated: neither is heard."""
    lead = song.parts[0]
    return replace(
        song,
        parts=(
            *song.parts,
            replace(lead, name="Strings", muted=True),
            replace(lead, name="Vocals", clips=tuple(replace(clip, active=False) for clip in lead.clips)),
        ),
    )


def _looped(song: "Song", block: int) -> "Song":
    """The song's second block, four times over; what isn't played in it isn't played at all."""
    parts = []
    for part in song.parts:
        clips = [
            replace(clip, start=0.0, length=4.0 * block, loop=float(block))
            for clip in part.clips
            if clip.start == block and clip.length == block
        ]
        parts.append(replace(part, clips=tuple(clips)))
    return replace(song, parts=tuple(parts))


def _automated(song: "Song", chance: Random) -> "Song":
    """Write the song so that it sounds the same under a tempo that jumps and glides."""
    from dawa_assets.ableton.time_map import TempoMap, TempoPoint
    from dawa_assets.example.score import Clip

    middle, end = song.beats / 3, song.beats
    factors = [chance.choice([0.8, 0.9, 1.15, 1.25]) for _ in range(3)]
    points = [(0.0, factors[0]), (middle, factors[0]), (middle, factors[1]), (end, factors[2])]
    changes = tuple((beat, round(song.tempo * factor, 3)) for beat, factor in points)
    tempo = TempoMap([TempoPoint(*change) for change in changes], song.tempo)

    def moved(beat: float) -> float:
        return tempo.beat_at(beat * 60 / song.tempo)

    parts = []
    for part in song.parts:
        notes = tuple(
            replace(note, start=moved(note.start), length=moved(note.start + note.length) - moved(note.start))
            for clip in part.clips
            for note in clip.played()
        )
        length = max((note.start + note.length for note in notes), default=4.0)
        parts.append(replace(part, clips=(Clip(part.name, 0.0, length, length, notes),) if notes else ()))
    return replace(song, parts=tuple(parts), tempo_changes=changes)
