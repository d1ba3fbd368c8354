"""What plays in a set, read from the names of its tracks, samples and plugins. Nothing is concluded from anything else.

An instrument counts once for each track that names it. Tracks without clips don't sound, so they count only where
no track has any (a template, or a summary that knows no clips).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

ROLES = ("rhythm", "bass", "harmony", "melody", "voice", "texture")

# role → instrument → the words that name it. Longer names come first where one holds another.
_LEXICON: dict[str, dict[str, str]] = {
    "rhythm": {
        "kick": r"kicks?|bass drums?|bd",
        "snare": r"snares?|sd",
        "claps": r"claps?",
        "hi-hats": r"hi ?hats?|hats?|hh|chh|ohh",
        "cymbals": r"cymbals?|crash|ride cymbal|rides?",
        "toms": r"toms?",
        "shaker": r"shakers?",
        "tambourine": r"tambourines?|tambo|tamb",
        "rim": r"rims?|rimshots?|rim shots?",
        "congas": r"congas?",
        "bongos": r"bongos?",
        "timbales": r"timbales?",
        "cowbell": r"cowbells?",
        "percussion": r"perc|percs|percussions?",
        "breakbeat": r"break ?beats?|breaks",
        "drums": r"drum ?kits?|drums?|kits?",
    },
    "bass": {
        "808": r"808s?",
        "sub bass": r"sub ?bass|sub",
        "bass": r"bass ?line|bass|basses|rbass",
    },
    "harmony": {
        "electric piano": r"electric pianos?|e pianos?|epianos?|rhodes|wurlitzers?|wurli|wurly",
        "piano": r"grand pianos?|pianos?|pno",
        "clavinet": r"clavinets?|clavs?",
        "organ": r"organs?|hammond",
        "keys": r"keys|keyboards?",
        "pads": r"pads?",
        "strings": r"strings?",
        "chords": r"chords?",
        "stabs": r"stabs?",
        "choir": r"choirs?",
        "synth": r"synths?|synthesi[sz]ers?|saws?|supersaws?|serum|massive|sylenth|diva|vital|pigments|omnisphere|"
        r"wavetable|juno|jupiter|prophet|moog|minimoog|dx ?7",
    },
    "melody": {
        "lead lines": r"leads?",
        "plucks": r"plucks?",
        "arpeggio": r"arps?|arpeggios?|arpeggiators?",
        "acoustic guitar": r"acoustic guitars?|acoustic gtrs?",
        "guitar": r"12 strings?|twelve strings?|guitars?|gtrs?",
        "violin": r"violins?",
        "cello": r"cellos?|celli",
        "viola": r"violas?",
        "trumpet": r"trumpets?",
        "trombone": r"trombones?",
        "saxophone": r"sax|saxes|saxophones?",
        "horns": r"horns?",
        "brass": r"brass",
        "flute": r"flutes?",
        "clarinet": r"clarinets?",
        "harp": r"harps?",
        "marimba": r"marimbas?",
        "vibraphone": r"vibraphones?",
        "xylophone": r"xylophones?",
        "kalimba": r"kalimbas?",
        "bells": r"bells?|glockenspiel|celesta",
        "harmonica": r"harmonicas?",
        "accordion": r"accordions?",
        "sitar": r"sitars?",
        "erhu": r"erhus?",
        "koto": r"kotos?",
        "banjo": r"banjos?",
        "ukulele": r"ukuleles?",
        "mandolin": r"mandolins?",
    },
    "voice": {
        "vocal chops": r"vocal chops?|vox chops?",
        "vocals": r"vocals?|vox|vocoders?|vocal synth|voices?|acapp?ellas?",
    },
    "texture": {
        "vinyl crackle": r"vinyl crackles?|crackles?",
        "noise": r"pink noise|white noise|noise",
        "risers": r"risers?|uplifters?",
        "impacts": r"impacts?",
        "sweeps": r"sweeps?",
        "drone": r"drones?",
        "atmosphere": r"atmos|atmospheres?|ambien[ct]e?s?",
        "field recordings": r"field recordings?|foley",
    },
}
_OF_A_KIT = {"kick", "snare", "claps", "hi-hats", "cymbals"}
_ORDER = [(role, name) for role, names in _LEXICON.items() for name in names]
# One search for everything: longer words first, so that `bass drum` is a kick and no bass.
_CHOICES = sorted(
    ((words, index) for index, (role, name) in enumerate(_ORDER) for words in _LEXICON[role][name].split("|")),
    key=lambda choice: -len(choice[0]),
)
_PATTERN = re.compile(
    r"(?<![a-z0-9])(?:"
    + "|".join(f"(?P<i{index}_{place}>{words})" for place, (words, index) in enumerate(_CHOICES))
    + r")(?![a-z0-9])"
)
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LETTER_DIGIT = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_BREAKS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class NamedTrack:
    """A track's names: its own, its samples' and its plugins'."""

    name: str
    others: tuple[str, ...]
    clips: int


def instruments(tracks: Iterable[NamedTrack], most_per_role: int) -> dict[str, list[str]]:
    """Role → instruments of that role, the one on most tracks first; roles without any are left out."""
    tracks = list(tracks)
    if any(track.clips for track in tracks):
        tracks = [track for track in tracks if track.clips]
    weights: dict[int, int] = {}
    for track in tracks:
        for index in {index for name in (track.name, *track.others) for index in _named(name)}:
            weights[index] = weights.get(index, 0) + 1
    found: dict[str, list[str]] = {}
    for index in sorted(weights, key=lambda index: (-weights[index], index)):
        role, name = _ORDER[index]
        if len(found.setdefault(role, [])) < most_per_role:
            found[role].append(name)
    return {role: _without_repetition(found[role]) for role in ROLES if role in found}


@lru_cache(maxsize=8192)  # a sample pack's names come back in set after set
def _named(name: str) -> frozenset[int]:
    spaced = _LETTER_DIGIT.sub(" ", _CAMEL.sub(" ", name))
    plain = " ".join(word for word in _BREAKS.split(spaced.lower()) if word.isascii())
    found = (match.lastgroup for match in _PATTERN.finditer(plain))
    return frozenset(int(group.split("_")[0][1:]) for group in found if group)


def _without_repetition(names: list[str]) -> list[str]:
    """Without the general word beside the particular ones: `drums` beside kick and snare, `bass` beside 808."""
    general = {
        word
        for word, particular in {"drums": _OF_A_KIT, "percussion": _OF_A_KIT, "bass": {"808", "sub bass"}}.items()
        if len(particular & set(names)) >= (1 if word == "bass" else 2)
    }
    return [name for name in names if name not in general]
