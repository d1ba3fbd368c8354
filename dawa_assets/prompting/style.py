"""The half of the context that comes from the artist's profile: how this artist sounds, in their own words.

Taken are fields that say something about sound, mood or use. Left out are names, ids, provenance, plugin brands and
works other than the one at hand. What a no-go zone forbids is not offered to a writer at all.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dawa_assets.prompting.json_access import mapping, objects, text, texts
from dawa_assets.prompting.phrase_matching import Phrase, contains, is_forbidden, phrase_of, words_of

_MAX_ZONES, _MAX_ZONE_LENGTH = 500, 2_000
_SENTENCE = re.compile(r"(?<=[.!?])\s+")

_LISTS: dict[str, tuple[str, ...]] = {
    "tone": ("artist", "brand_narrative", "tone"),
    "genres": ("artist", "core_identities", "primary_genre_space"),
    "secondary_genres": ("artist", "core_identities", "secondary_spaces"),
    "energy": ("artist", "core_identities", "energy_profile"),
    "melody": ("artist", "core_identities", "melodic_character"),
    "sound_design": ("artist", "core_identities", "sound_design_signature"),
    "sync": ("artist", "core_identities", "sync_pitch_identity"),
    "foreground": ("creative_policy", "keep_foreground"),
    "production": ("creative_policy", "production_guides"),
    "sync_notes": ("creative_policy", "sync_specific_notes"),
    "kick": ("daw_fingerprint_aggregates", "drum_palette", "kick_character"),
    "snare": ("daw_fingerprint_aggregates", "drum_palette", "snare_clap_character"),
    "percussion": ("daw_fingerprint_aggregates", "drum_palette", "percussion_notes"),
    "bass": ("daw_fingerprint_aggregates", "bass_workflow"),
    "synths": ("daw_fingerprint_aggregates", "core_synth_palette"),
    "arrangement": ("daw_fingerprint_aggregates", "arrangement_habits"),
}


def no_go_zones(profile: object, most: int = _MAX_ZONES, longest: int = _MAX_ZONE_LENGTH) -> list[str]:
    """Return the artist's no-go zones, as the artist wrote them."""
    return texts(mapping(profile, "creative_policy").get("no_go_zones"), most, longest)


def names_in(profile: object, artist_name: str) -> list[str]:
    """Return names of people that a prompt must not hold: the artist's and the members'."""
    artist = mapping(profile, "artist")
    return list(dict.fromkeys([*texts([artist_name, artist.get("name")], 2), *texts(artist.get("members"), 20)]))


@dataclass(frozen=True)
class Mood:
    """A mood of the artist's, and what music of theirs has that is in it."""

    mood: str
    elements: list[str]


@dataclass(frozen=True)
class StyleFacts:
    """The artist's style in their own words: lists by the names of `_LISTS`, a description, and moods."""

    words: dict[str, list[str]]
    description: str
    moods: list[Mood]

    def content(self) -> dict[str, object]:
        """Return what a message says of it. What is empty is left out, so an empty profile gives `{}`."""
        moods = [{"mood": each.mood, "elements": each.elements} for each in self.moods]
        facts: dict[str, object] = {**self.words, "description": self.description, "moods": moods}
        return {name: fact for name, fact in facts.items() if fact}


def style_facts(profile: object, names: Iterable[str], forbidden: list[Phrase], most: int, longest: int) -> StyleFacts:
    """Read the artist's style off a profile: at most `most` entries a list, `longest` letters each."""
    words = {
        name: _allowed(mapping(profile, *path[:-1]).get(path[-1]), forbidden, most, longest)
        for name, path in _LISTS.items()
    }
    described = text(mapping(profile, "artist", "brand_narrative").get("description"), longest * 4)
    moods = [
        Mood(text(label, longest).replace("_", " "), elements)
        for label, view in sorted(mapping(profile, "semantic_views", "by_mood").items())[:most]
        if (elements := _allowed(mapping(view).get("typical_elements"), forbidden, min(most, 4), longest))
    ]
    return StyleFacts(words, _without_names(described, names), moods)


def work_facts(
    profile: object, summary: object, summary_ids: Collection[str], forbidden: list[Phrase], most: int, longest: int
) -> dict[str, object]:
    """Return what the artist's catalogue says of this very track: by the summary's id, else by its title; else `{}`."""
    work = _work_of(profile, summary, summary_ids)
    facts: dict[str, object] = {
        "key": text(work.get("key_center"), 32),
        "energy_arc": text(work.get("energy_arc"), longest),
        "tags": _allowed(work.get("core_tags"), forbidden, most, longest),
        "moods": _allowed(work.get("mood_profile"), forbidden, most, longest),
        "sync_notes": _allowed(work.get("sync_notes"), forbidden, most, longest),
    }
    return {name: fact for name, fact in facts.items() if fact}


def _work_of(profile: object, summary: object, summary_ids: Collection[str]) -> dict[str, object]:
    works = list(objects(mapping(profile).get("catalog")))
    for work in works:
        if summary_ids and text(work.get("daw_summary_id")) in summary_ids:
            return work
    title = words_of(text(mapping(summary).get("als_stem")))
    return next((work for work in works if title and words_of(text(work.get("title"))) == title), {})


def _allowed(value: object, forbidden: list[Phrase], most: int, longest: int) -> list[str]:
    return [each for each in texts(value, most * 4, longest) if not is_forbidden(each, forbidden)][:most]


def _without_names(description: str, names: Iterable[str]) -> str:
    """The description without the sentences that name the artist: a prompt describes the sound, not the person."""
    phrases = [phrase for name in names if (phrase := phrase_of(name))]
    kept = [
        sentence
        for sentence in _SENTENCE.split(description)
        if not any(contains(words_of(sentence), phrase) for phrase in phrases)
    ]
    return " ".join(kept)
