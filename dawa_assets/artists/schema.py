"""`ArtistMasterSchema` of the specification as models: names and types of its fields, nothing about their storage.

Every field may be missing (a profile grows), none may be null or of another type, and fields the interface does not
name are kept. Tempos have the range that a Live Set can have.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Texts = list[str]
Tempo = Annotated[float, Field(ge=20, le=999)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class Uuids(_Part):
    """Who the profile is of, by id."""

    name: str = ""
    artist_id: str = ""


class Origin(_Part):
    """Where the artist comes from."""

    city: str = ""
    country: str = ""


class BrandNarrative(_Part):
    """How the artist is told."""

    tone: Texts = []
    description: str = ""


class CoreIdentities(_Part):
    """What makes the artist's sound."""

    tempo_center: str = ""
    energy_profile: Texts = []
    primary_genre_space: Texts = []
    secondary_spaces: Texts = []
    melodic_character: Texts = []
    sound_design_signature: Texts = []
    sync_pitch_identity: Texts = []


class ArtistPart(_Part):
    """Who the artist is."""

    name: str = ""
    origin: Origin = Origin()
    members: Texts = []
    brand_narrative: BrandNarrative = BrandNarrative()
    core_identities: CoreIdentities = CoreIdentities()


class Work(_Part):
    """One work of the catalogue."""

    work_id: str = ""
    title: str = ""
    primary_artist: str = ""
    release_role: Literal["original", "remix"] = "original"
    remixer: str = ""
    label: str = ""
    tempo_bpm: Tempo = 120
    key_center: str = ""
    energy_arc: str = ""
    core_tags: Texts = []
    mood_profile: Texts = []
    sync_notes: Texts = []
    daw_summary_id: str = ""


class MoodView(_Part):
    """A mood and what it is made of."""

    description: str = ""
    typical_elements: Texts = []
    suitable_for: Texts = []


class UsageView(_Part):
    """A use and what it asks for."""

    description: str = ""
    features: Texts = []
    ideal_for: Texts = []


class EnergyArcView(_Part):
    """A course of energy and its parts."""

    description: str = ""
    structure_traits: Texts = []


class SemanticViews(_Part):
    """The artist's work seen by mood, use and course of energy."""

    by_mood: dict[str, MoodView] = {}
    by_usage: dict[str, UsageView] = {}
    by_energy_arc: dict[str, EnergyArcView] = {}


class CreativePolicy(_Part):
    """What to keep in front, and what never to do."""

    keep_foreground: Texts = []
    no_go_zones: Texts = []
    production_guides: Texts = []
    sync_specific_notes: Texts = []


class BpmRange(_Part):
    """The tempos the artist works in."""

    min: Tempo = 20
    max: Tempo = 999
    cluster_centers: list[Tempo] = []

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError("min is above max")
        return self


class KeysAndModes(_Part):
    """The keys the artist works in."""

    common_keys: Texts = []
    modal_tendencies: Texts = []


class DrumPalette(_Part):
    """How the artist's drums sound."""

    kick_character: Texts = []
    snare_clap_character: Texts = []
    percussion_notes: Texts = []


class DawFingerprint(_Part):
    """What the artist's sessions have in common."""

    core_bpm_range: BpmRange = BpmRange()
    keys_and_modes: KeysAndModes = KeysAndModes()
    drum_palette: DrumPalette = DrumPalette()
    bass_workflow: Texts = []
    core_synth_palette: Texts = []
    frequent_plugins_tools: Texts = []
    arrangement_habits: Texts = []
    tempo_tendencies: Texts = []


class Sources(_Part):
    """What the profile was made from."""

    daw: Texts = []
    metadata_provided: Texts = []


class Provenance(_Part):
    """When and from what the profile was made. Prompts don't use it."""

    last_refreshed: str = ""
    sources: Sources = Sources()


class MasterSchema(_Part):
    """The whole profile."""

    schema_version: str = ""
    uuids: Uuids = Uuids()
    artist: ArtistPart = ArtistPart()
    catalog: list[Work] = []
    semantic_views: SemanticViews = SemanticViews()
    creative_policy: CreativePolicy = CreativePolicy()
    daw_fingerprint_aggregates: DawFingerprint = DawFingerprint()
    provenance: Provenance = Provenance()
