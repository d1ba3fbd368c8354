"""An artist with two six-second tracks: enough for every step of the chain, quick enough to build a dozen times."""

from pathlib import Path

from dawa_assets.example.compose import write_audio
from dawa_assets.example.live_set import live_set
from dawa_assets.example.mix import play
from dawa_assets.example.music import SAMPLE_RATE
from dawa_assets.example.score import KICK, SNARE, Clip, Part, Section, Song, chords, line, steps

NAME = "Small Artist"
SLUG = "small-artist"


def compose(folder: Path, count: int = 2) -> list[Path]:
    """Write the sets and bounces of the first `count` tracks into `folder`, a project folder a track."""
    files = []
    for song in _songs()[:count]:
        project = folder / f"{song.title} Project"
        project.mkdir(parents=True)
        files += [project / f"{song.title}.als", project / f"{song.title}.{song.bounce}"]
        files[-2].write_bytes(live_set(song))
        write_audio(play(song), files[-1], SAMPLE_RATE)
    return files


def _songs() -> list[Song]:
    return [
        _song("First Light", 120.0, "A1/8 E2/4 A1/4", "A3+C4+E4 F3+A3+C4 G3+B3+D4"),
        _song("Second Wind", 132.0, "D2/6 D2/2 A1/8", "D4+F4+A4 Bb3+D4+F4 C4+E4+G4"),
    ]


def _song(title: str, tempo: float, low: str, changes: str) -> Song:
    beat = steps("X.......X.......", KICK) + steps("....x.......x...", SNARE)
    return Song(
        title=title,
        live=12,
        bounce="wav",
        tempo=tempo,
        root=9,
        mode="Minor",
        sections=(Section("All", 0, 3),),
        parts=(
            Part("Drums", "MIDI", "kit", (Clip("Beat", 0, 12, 4, beat),), 1, devices=("DrumGroupDevice",)),
            Part("Bass", "MIDI", "round_bass", (Clip("Low", 0, 12, 4, line(low)),), 2, gain_db=-8.0),
            Part("Keys", "MIDI", "keys", (Clip("Chords", 0, 12, 12, chords(changes)),), 3, gain_db=-12.0),
        ),
    )
