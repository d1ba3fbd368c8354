"""Phrases of the offline writer: what the material is, and the ways in which it becomes one or two sentences.

Every word that is not in the material is a connecting word of these templates. An ingredient is used at most once.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

T = TypeVar("T")

_MAX_WORDS = 6
_SHORT = 9  # words; where the opening knows so little, nothing that is known is held back
_PLAIN = re.compile(r"[\w][\w '’&/+#-]*", re.UNICODE)
_RHYTHM, _LOW, _TONAL = ("rhythm",), ("bass",), ("harmony", "melody", "voice")


class Dice:
    """Choices that depend on nothing but the seed, on every machine and Python."""

    def __init__(self, seed: str, attempt: int) -> None:
        self._seed = hashlib.sha256(f"{attempt}\n{seed}".encode("utf-8", "surrogatepass")).digest()
        self._throws = 0

    def below(self, sides: int) -> int:
        """Return a number from 0 to `sides` - 1."""
        self._throws += 1
        drawn = hashlib.sha256(self._seed + self._throws.to_bytes(4, "big")).digest()
        return int.from_bytes(drawn[:8], "big") % sides

    def one(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return choices[self.below(len(choices))]

    def some(self, choices: Sequence[T], most: int) -> list[T]:
        """Up to `most` of the choices, each once, in their own order."""
        left = list(range(len(choices)))
        while len(left) > most:
            left.pop(self.below(len(left)))
        return [choices[index] for index in left]


@dataclass(frozen=True)
class Material:
    """What a context offers, by the part it can play in a sentence."""

    genres: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    feels: tuple[str, ...] = ()
    sounds: tuple[str, ...] = ()
    melody: tuple[str, ...] = ()
    arcs: tuple[str, ...] = ()
    scenes: tuple[str, ...] = ()
    rhythm: tuple[str, ...] = ()
    bass: tuple[str, ...] = ()
    tonal: tuple[str, ...] = ()
    texture: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    metre: tuple[str, ...] = ()
    density: str = ""
    layers: int = 0
    bars: int = 0
    tempo: float = 120.0

    @classmethod
    def of(cls, context: dict[str, Any]) -> "Material":
        """Return the material of a context as the prompting package builds it. What has another shape is left out."""
        style, work, track = (_object(context.get(name)) for name in ("style", "work", "track"))
        played = _object(track.get("instruments"))
        moods = [*_inner(work.get("moods")), *_inner(style.get("tone"))]
        metre = _phrases([track.get("time_signature")])
        return cls(
            genres=_genres(style, [*_phrases(work.get("tags")), *_phrases(track.get("genre_hints"))]),
            hints=tuple(_phrases(track.get("genre_hints"))),
            moods=_distinct(mood for mood in moods if len(mood.split()) == 1),
            feels=_distinct(mood for mood in moods if len(mood.split()) > 1),
            sounds=_distinct([*_inner(style.get("sound_design")), *_inner(style.get("synths"))]),
            melody=_distinct(_inner(style.get("melody"))),
            arcs=_distinct(_inner(style.get("energy"))),
            scenes=_distinct(_inner(style.get("sync"))),
            rhythm=_played(played, _RHYTHM),
            bass=_played(played, _LOW),
            tonal=_played(played, _TONAL),
            texture=_played(played, ("texture",)),
            sections=tuple(_phrases(track.get("sections"))),
            key=tuple((_phrases([work.get("key")]) or _phrases([track.get("key")]))[:1]),
            metre=tuple(each for each in metre if re.fullmatch(r"\d{1,2}/\d{1,2}", each)),
            density=track["density"] if track.get("density") in _DENSITY else "",
            layers=_whole(track.get("layers")),
            bars=_whole(track.get("bars")),
            tempo=float(context["tempo_bpm"]),
        )

    def filtered(self, fits: Callable[[str], bool]) -> "Material":
        """Without the phrases that don't fit."""
        kept: dict[str, Any] = {
            each.name: tuple(phrase for phrase in value if fits(phrase))
            for each in fields(self)
            if isinstance(value := getattr(self, each.name), tuple)
        }
        return replace(self, **kept)


_DENSITY: dict[str, tuple[str, ...]] = {
    "sparse": ("sparse", "pared-back", "uncluttered"),
    "medium": ("balanced", "measured", "clear"),
    "dense": ("dense", "thickly layered", "full"),
}
_STEADY: dict[str, tuple[str, ...]] = {
    "": ("holds its course", "keeps its focus"),
    "sparse": ("leaves room to breathe", "keeps every part exposed", "holds its course"),
    "medium": ("gives each part its place", "keeps its focus", "holds its course"),
    "dense": ("stacks its parts", "keeps its weight", "stays busy throughout"),
}
_PACES = ((85, ("slow", "unhurried")), (112, ("mid-tempo", "steady")), (132, ("brisk", "propulsive")))
_FAST = ("fast", "high-tempo")


def compose(material: Material, dice: Dice) -> str:
    """Return one or two sentences from the material."""
    first = dice.one(_OPENINGS)(material, dice)
    second = _second(_unused(material, first), dice, eager=len(first.split()) < _SHORT)
    return f"{_sentence(first)} {_sentence(second)}" if second else _sentence(first)


def _unused(material: Material, text: str) -> Material:
    """Return the material without what the text says already; the form is told only once anyway."""
    left = material.filtered(lambda phrase: phrase not in text and _lower(phrase) not in text)
    return replace(left, sections=material.sections)


def _opening_with_players(material: Material, dice: Dice) -> str:
    """Warm house in A minor built on kick and claps, with pads and plucks over 808."""
    players = _players(material, dice)
    several = (" built on ", " driven by ", " carried by ", " shaped by ", ": ", " led by ")
    link = dice.one(several if _many(players) else (" built on ", " led by ", " centred on "))
    return _what(material, dice) + (f"{link}{players}" if players else "") + _coloured(material, dice)


def _opening_with_sound(material: Material, dice: Dice) -> str:
    """Wistful house with glassy plucks and tape-soft transients over kick, claps and bass."""
    sounds = dice.some(material.sounds, 2)
    players = listed([*dice.some(material.tonal, 1), *dice.some(material.rhythm, 2), *dice.some(material.bass, 1)])
    if not sounds:
        return _opening_with_players(material, dice)
    link = dice.one((" over ", " on top of ", ", set against "))
    return f"{_what(material, dice)} with {listed(sounds)}" + (f"{link}{players}" if players else "")


def _opening_with_players_first(material: Material, dice: Dice) -> str:
    """Pads and plucks over kick and claps in a warm house track in A minor."""
    players = _players(material, dice)
    if not players:
        return _opening_with_players(material, dice)
    leading = re.split(r" (?:over|above|against) ", players)[0]
    link = dice.one(_DRIVE if _many(leading) or _PLURAL.search(leading) else _DRIVES)
    what = _what(material, dice)
    if not what.endswith(_NOUNS) and " in " not in what:
        what = f"{what} {dice.one(('track', 'piece'))}"
    return f"{players} {link} {article(_lower(what))} {_lower(what)}" + _coloured(material, dice)


_OPENINGS = (_opening_with_players, _opening_with_players, _opening_with_sound, _opening_with_players_first)
_PLURAL = re.compile(r"(?<![siu])s$")  # claps and keys, but bass, brass and chorus
_DRIVE = ("in", "drive", "carry", "define", "shape")
_DRIVES = ("in", "drives", "carries", "defines", "shapes")
_NOUNS = ("track", "piece", "groove", "sketch", "cut")


def _what(material: Material, dice: Dice) -> str:
    """Warm, wistful melodic house in A minor."""
    adjectives = dice.some(material.moods, dice.one((1, 2, 2, 3)))
    if not adjectives:  # an artist's own words may speak of pace, and must not be contradicted
        adjectives = [_pace(material.tempo, dice)]
    if material.genres:
        noun = dice.one(material.genres)
        noun += f" {dice.one(('track', 'piece', 'cut'))}" if dice.below(3) == 0 else ""
    elif material.rhythm:
        noun = dice.one(("groove", "track", "cut"))
    elif material.tonal or material.bass or material.texture:
        noun = dice.one(("piece", "track", "sketch"))
    else:
        noun = dice.one(("piece of music", "musical sketch"))
    what = f"{', '.join(adjectives)} {noun}" if adjectives else noun
    what += f" in {material.key[0]}" if material.key else ""
    known = material.genres or material.tonal or material.rhythm or material.bass
    if material.metre and not material.key and (material.metre[0] != "4/4" or not known):
        what += f" in {material.metre[0]}"
    return what


def _players(material: Material, dice: Dice) -> str:
    """Return what plays, in two or three groups: pads and plucks over kick, claps and sub bass."""
    low = dice.some(material.bass, 1)
    tonal = dice.some(material.tonal, dice.one((2, 3, 3)))
    rhythm = dice.some(material.rhythm, dice.one((2, 3, 3)))
    if tonal and (rhythm or low):
        link = dice.one((" over ", " above ", " against "))
        return f"{listed(tonal)}{link}{listed([*rhythm, *low])}"
    return listed([*tonal, *rhythm, *low]) or listed(dice.some(material.texture, 2))


def _coloured(material: Material, dice: Dice) -> str:
    """, with glassy plucks and a touch of vinyl crackle."""
    if material.sounds and dice.below(3):
        return f", {dice.one(('with', 'coloured by', 'framed by'))} {listed(dice.some(material.sounds, 2))}"
    if material.hints and not material.genres:
        return f", {dice.one(('with a touch of', 'with a hint of', 'leaning towards'))} {dice.one(material.hints)}"
    if material.texture and dice.below(2):
        return (
            f", {dice.one(('edged with', 'textured with', 'with touches of'))} {listed(dice.some(material.texture, 2))}"
        )
    return ""


def _second(material: Material, dice: Dice, *, eager: bool) -> str:
    """Return how it moves and what it is for; empty where nothing is known of that."""
    form, movement = _form(material, dice), _movement(material, dice, eager=eager)
    use = _use(material, dice, eager=eager)
    parts = [part for part in (form, movement, use) if part]
    if not parts:
        return ""
    if not form and not movement:
        return f"made{use.removeprefix(' made')}" if use.startswith(" made") else f"it is {use.strip()}"
    head = form or movement
    tail = (f", {movement}" if form and movement else "") + (f",{use}" if use else "")
    return f"{head}{tail}"


def _form(material: Material, dice: Dice) -> str:
    """Return a sparse 64-bar arrangement moves from intro through verse to hook."""
    words = [dice.one(_DENSITY[material.density])] if material.density else []
    if material.bars >= 8 and dice.below(3):
        words.append(f"{material.bars}-bar")
    elif material.layers >= 3 and dice.below(2):
        words.append(f"{material.layers}-layer")
    if not words and not material.sections:
        return ""
    noun = dice.one(("arrangement", "arrangement", "mix" if not material.sections else "form"))
    body = f"{' '.join(words)} {noun}".strip()
    subject = f"{article(body)} {body}" if words else f"the {body}"
    return subject + _course(material, dice)


def _course(material: Material, dice: Dice) -> str:
    parts = list(dict.fromkeys(material.sections))
    if not parts:
        return f" {dice.one(_STEADY[material.density])}"
    if len(parts) == 1:
        return f" {dice.one(('centres on', 'turns on'))} its {parts[0]}"
    middle = dice.some(parts[1:-1], 2)
    through = f" through {listed(middle)}" if middle else ""
    last = "the end" if parts[-1] == "end" else parts[-1]
    return f" {dice.one(('moves', 'travels', 'unfolds', 'leads'))} from {parts[0]}{through} to {last}"


def _movement(material: Material, dice: Dice, *, eager: bool) -> str:
    """Patient build and soft landing; or: bittersweet in its melody."""
    if material.arcs and (eager or dice.below(3)):
        return listed(dice.some(material.arcs, dice.one((1, 2))))
    if material.melody and dice.below(3):
        trait = dice.one(material.melody)
        return f"with {trait}" if " " in trait else f"{trait} in its melody"
    if material.feels and dice.below(2):
        return f"the mood {dice.one(material.feels)}"
    if material.texture and dice.below(2):
        return f"with {listed(dice.some(material.texture, 2))} at the edges"
    return ""


def _use(material: Material, dice: Dice, *, eager: bool) -> str:
    if not material.scenes or (not eager and dice.below(4) == 0):
        return ""
    return f" {dice.one(('made for', 'suited to', 'ready for'))} {listed(dice.some(material.scenes, dice.one((1, 2))))}"


def _pace(tempo: float, dice: Dice) -> str:
    return dice.one(next((words for limit, words in _PACES if tempo < limit), _FAST))


def listed(phrases: Sequence[str]) -> str:
    """a, b and c."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}" if phrases else ""


def article(text: str) -> str:
    """Return the article before these words."""
    return "an" if re.match(r"[aeiou]|8|1[18](?!\d)", text.lower()) and not text.lower().startswith("uni") else "a"


def _many(text: str) -> bool:
    return " and " in text or "," in text


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".")
    return text[:1].upper() + text[1:] + "."


def _lower(text: str) -> str:
    first = text.split(" ", 1)[0]
    return text if first.isupper() or any(letter.isupper() for letter in first[1:]) else text[:1].lower() + text[1:]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10_000 else 0


def _phrases(value: Any) -> list[str]:
    """Texts that can stand inside a sentence: short, without punctuation of their own."""
    texts = value if isinstance(value, list) else []
    plain = (text.strip().rstrip(".") for text in texts if isinstance(text, str))
    return [text for text in plain if text and len(text.split()) <= _MAX_WORDS and _PLAIN.fullmatch(text)]


def _inner(value: Any) -> list[str]:
    """Phrases for the middle of a sentence: lists are often written with capitals. Genres and keys keep theirs."""
    return [_lower(phrase) for phrase in _phrases(value)]


def _genres(style: dict[str, Any], named: list[str]) -> tuple[str, ...]:
    """Return those of the artist's genres that this very track is said to have, else the artist's main ones."""
    main, others = _phrases(style.get("genres")), _phrases(style.get("secondary_genres"))
    known = {name.casefold() for name in named}
    return tuple([genre for genre in [*main, *others] if genre.casefold() in known] or main or others)


def _played(instruments: dict[str, Any], roles: tuple[str, ...]) -> tuple[str, ...]:
    return _distinct(name for role in roles for name in _phrases(instruments.get(role)))


def _distinct(phrases: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(phrases))
