"""The half of the context that comes from the artist's profile: how this artist sounds, in their own words.

Left out are names, and works other than the one at hand. What a no-go zone forbids is not offered to a writer at all.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from dawa_assets.prompting.json_access import text, texts, without_empty
from dawa_assets.prompting.phrase_matching import Phrase, contains, is_forbidden, phrase_of, words_of
from dawa_assets.prompting.profile_facts import Mood, ProfileFacts, Work

_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class StyleFacts:
    """The artist's style in their own words: lists by the names that a message gives them, a description, and moods."""

    lists: dict[str, list[str]]
    description: str
    moods: list[Mood]

    def content(self) -> dict[str, object]:
        """Return what a message says of it. What is empty is left out, so an empty profile gives `{}`."""
        moods = [asdict(each) for each in self.moods]
        return without_empty({**self.lists, "description": self.description, "moods": moods})


def style_facts(
    profile: ProfileFacts, names: Iterable[str], forbidden: list[Phrase], most: int, longest: int
) -> StyleFacts:
    """Return the artist's style: at most `most` entries a list, `longest` letters each."""
    lists = {name: _allowed(entries, forbidden, most, longest) for name, entries in profile.lists.items()}
    moods = [
        Mood(text(each.mood, longest).replace("_", " "), elements)
        for each in profile.moods[:most]
        if (elements := _allowed(each.elements, forbidden, min(most, 4), longest))
    ]
    return StyleFacts(lists, _without_names(text(profile.description, longest * 4), names), moods)


def work_content(work: Work, forbidden: list[Phrase], most: int, longest: int) -> dict[str, object]:
    """Return what a message says of a work; what is empty is left out."""
    return without_empty(
        {
            "key": work.key,
            "energy_arc": text(work.energy_arc, longest),
            "tags": _allowed(work.tags, forbidden, most, longest),
            "moods": _allowed(work.moods, forbidden, most, longest),
            "sync_notes": _allowed(work.sync_notes, forbidden, most, longest),
        }
    )


def _allowed(entries: Iterable[str], forbidden: list[Phrase], most: int, longest: int) -> list[str]:
    return [each for each in texts(list(entries), most * 4, longest) if not is_forbidden(each, forbidden)][:most]


def _without_names(description: str, names: Iterable[str]) -> str:
    """The description without the sentences that name the artist: a prompt describes the sound, not the person."""
    phrases = [phrase for name in names if (phrase := phrase_of(name))]
    return " ".join(
        sentence
        for sentence in _SENTENCE.split(description)
        if not any(contains(words_of(sentence), phrase) for phrase in phrases)
    )
