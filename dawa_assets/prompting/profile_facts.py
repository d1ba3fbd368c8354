"""An artist's profile as facts: read once, at the border, off whatever a stored profile holds.

Taken are fields that say something about sound, mood or use. Left out are ids, provenance and plugin brands; what
can't be used of the rest is left out as well. Texts are clean lines and lists are bounded.
"""

from collections.abc import Collection
from dataclasses import dataclass

from dawa_assets.prompting.json_access import mapping, objects, text, texts
from dawa_assets.prompting.phrase_matching import words_of

_MAX_ZONES, _MAX_ZONE_LENGTH = 500, 2_000
_MAX_ENTRIES = 100  # of a list
_MAX_MOODS = 100
_MAX_DESCRIPTION = 1_000

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


@dataclass(frozen=True)
class Mood:
    """A mood of the artist's as they label it, and what music of theirs has that is in it."""

    mood: str
    elements: list[str]


@dataclass(frozen=True)
class Work:
    """A track in the artist's catalogue; empty texts and lists where it says nothing."""

    title: str = ""
    summary_id: str = ""
    key: str = ""
    energy_arc: str = ""
    tags: tuple[str, ...] = ()
    moods: tuple[str, ...] = ()
    sync_notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProfileFacts:
    """What a profile says of its artist. `lists` go by the names that a message gives them; moods are by name."""

    name: str
    members: list[str]
    description: str
    lists: dict[str, list[str]]
    moods: list[Mood]
    catalogue: list[Work]
    no_go_zones: list[str]

    def names(self, artist_name: str) -> list[str]:
        """Return names of people that a prompt must not hold: the artist's and the members'."""
        return list(dict.fromkeys([*texts([artist_name, self.name], 2), *self.members]))

    def work(self, summary_ids: Collection[str], title: str) -> Work:
        """Return the work that is made from this very summary, else the one of this title, else an empty one."""
        for work in self.catalogue:
            if work.summary_id and work.summary_id in summary_ids:
                return work
        words = words_of(title)
        return next((work for work in self.catalogue if words and words_of(work.title) == words), Work())


def read_profile(profile: object) -> ProfileFacts:
    """Return the facts of a master_schema, which may hold anything; `{}` gives none."""
    artist = mapping(profile, "artist")
    moods = sorted(mapping(profile, "semantic_views", "by_mood").items())[:_MAX_MOODS]
    return ProfileFacts(
        name=text(artist.get("name")),
        members=texts(artist.get("members"), 20),
        description=text(mapping(artist, "brand_narrative").get("description"), _MAX_DESCRIPTION),
        lists={name: texts(mapping(profile, *path[:-1]).get(path[-1]), _MAX_ENTRIES) for name, path in _LISTS.items()},
        moods=[Mood(text(label), texts(mapping(view).get("typical_elements"), _MAX_ENTRIES)) for label, view in moods],
        catalogue=[_work(each) for each in objects(mapping(profile).get("catalog"))],
        no_go_zones=texts(mapping(profile, "creative_policy").get("no_go_zones"), _MAX_ZONES, _MAX_ZONE_LENGTH),
    )


def _work(work: dict[str, object]) -> Work:
    return Work(
        title=text(work.get("title")),
        summary_id=text(work.get("daw_summary_id")),
        key=text(work.get("key_center"), 32),
        energy_arc=text(work.get("energy_arc")),
        tags=_entries(work.get("core_tags")),
        moods=_entries(work.get("mood_profile")),
        sync_notes=_entries(work.get("sync_notes")),
    )


def _entries(value: object) -> tuple[str, ...]:
    return tuple(texts(value, _MAX_ENTRIES))
