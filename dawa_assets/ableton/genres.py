"""Words for genres that a set's own names use, each with where it was found.

Never a guess: nothing is concluded from tempo, instruments or drums. Words that mostly mean something else in
the names of sounds (rock, metal, soul, ambient) are left out, and so are tracks whose name says an instrument too:
"Jazz Guitar" is a sound, whatever the song.
"""

import re
from collections.abc import Iterator

from dawa_assets.ableton.lexicon import named
from dawa_assets.ableton.live_set import LiveSet

_GENRES = {
    "afrobeat": r"afro ?beats?",
    "amapiano": r"amapiano",
    "bossa nova": r"bossa ?nova",
    "breakbeat": r"break ?beats?",
    "deep house": r"deep house",
    "disco": r"disco",
    "drum and bass": r"drum (?:and|n|&) bass|dnb|d&b|drum ?n ?bass",
    "dubstep": r"dub ?step",
    "electro": r"electro",
    "funk": r"funk",
    "gospel": r"gospel",
    "hardstyle": r"hard ?style",
    "hip hop": r"hip ?hop|boom ?bap",
    "house": r"house",
    "jazz": r"jazz",
    "jungle": r"jungle",
    "lo-fi": r"lo ?fi",
    "reggae": r"reggae",
    "reggaeton": r"reggaeton",
    "salsa": r"salsa",
    "synthwave": r"synth ?wave",
    "tech house": r"tech house",
    "techno": r"techno",
    "trance": r"trance",
    "trap": r"trap",
    "uk garage": r"uk garage|ukg",
}
_PATTERNS = {genre: re.compile(rf"(?<![a-z]){words}(?![a-z])") for genre, words in _GENRES.items()}
_BREAKS = re.compile(r"[\s_\-.]+")


def genre_indicators(live_set: LiveSet) -> list[str]:
    """`<genre>: <kind of thing> "<its name>"`, one for each genre named, with the first place that names it."""
    found: dict[str, str] = {}
    for kind, name in _names(live_set):
        plain = _BREAKS.sub(" ", name.lower())
        for genre, pattern in _PATTERNS.items():
            if genre not in found and pattern.search(plain):
                found[genre] = f'{genre}: {kind} "{name}"'
    return [found[genre] for genre in sorted(found)]


def _names(live_set: LiveSet) -> Iterator[tuple[str, str]]:
    sounding = live_set.sounding_tracks or live_set.tracks
    for track in sounding:
        if not named(track.name):
            yield "track", track.name
    for locator in live_set.locators:
        yield "locator", locator.name
    for scene in live_set.scenes:
        yield "scene", scene
    samples = {sample.name for track in sounding for sample in track.samples}
    for name in sorted(samples):
        yield "sample", name
