"""Comparing words: phrases found in a text whatever the case, plural or punctuation, and no-go zones as phrases.

Used by the rules (a prompt must not say these) and by the context (what must not be said is not offered).
"""

import re
import unicodedata
from collections.abc import Iterable

Phrase = tuple[str, ...]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_PARTS = re.compile(r"[,;\n]|\s+or\s+|\s+nor\s+")
_ASIDE = re.compile(r"\([^)]*\)")
# Words that ask for something to be left out; what follows them is what must not be there.
_REFUSALS = frozenset(
    re.findall(
        r"\S+",
        "no not never avoid avoids avoiding don don't dont do don’t use using any without anything stay away steer "
        "clear from of too overly the a an zero skip exclude excluding",
    )
)
# A phrase of such words alone says nothing: forbidding them would forbid every text.
STOP_WORDS = frozenset(
    re.findall(
        r"\S+",
        "a an and are as at be bpm by for from in into is it its like more no not of off on or over per so than that "
        "the then this to under up very via with without",
    )
)
# One thing under several words; the first stands for all. Kept to where a no-go zone would else be missed often.
_SAME = dict.fromkeys(
    re.findall(r"\S+", "vocal vocals voice voices vox sung sing singing singer singers vocalist vocalists"), "vocal"
)


def words_of(text: str) -> list[str]:
    """Return the words of a text in a comparable form: lower case, no plural s, one word for synonyms."""
    return [_comparable(word) for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold())]


def phrase_of(text: str) -> Phrase | None:
    """Return a text as a phrase to look for; None where it has no word that means something."""
    words = tuple(words_of(text))
    return words if any(word not in STOP_WORDS for word in words) else None


def no_go_phrases(zones: Iterable[str]) -> list[Phrase]:
    """Return what the no-go zones forbid. "Avoid vocals, trap hats" is two phrases.

    Refusing words in front are dropped.
    """
    found: dict[Phrase, None] = {}
    for zone in zones:
        for part in _PARTS.split(_ASIDE.sub(" ", zone)):
            words = _WORD.findall(unicodedata.normalize("NFKC", part).casefold())
            while words and words[0] in _REFUSALS:
                words.pop(0)
            phrase = tuple(_comparable(word) for word in words)
            if any(word not in STOP_WORDS for word in phrase):
                found.setdefault(phrase)
    return list(found)


def contains(words: list[str], phrase: Phrase) -> bool:
    """Return whether the words of `phrase` stand in `words` one after the other."""
    size = len(phrase)
    return phrase[0] in words and any(
        tuple(words[start : start + size]) == phrase for start in range(len(words) - size + 1)
    )


def is_forbidden(text: str, phrases: Iterable[Phrase]) -> bool:
    """Return whether a text says, or is itself a telling part (two words or more) of, something forbidden."""
    words = words_of(text)
    significant = {word for word in words if word not in STOP_WORDS}
    return any(contains(words, phrase) or (len(significant) > 1 and significant <= set(phrase)) for phrase in phrases)


def _comparable(word: str) -> str:
    if word in _SAME:
        return _SAME[word]
    if word.endswith(("sses", "xes", "shes", "ches")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
