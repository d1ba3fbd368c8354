"""The example artist's master_schema: every field of the interface in the specification, all of it made up."""

from dawa_assets.example.score import Song

ARTIST_NAME = "Nova Kite"
_FLATS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def key_of(song: Song) -> str:
    """Return the song's key in words, e.g. `A minor`."""
    return f"{_FLATS[song.root]} {song.mode.lower()}"


def master_schema(songs: tuple[Song, ...]) -> dict[str, object]:
    """Return the whole profile; facts of the catalogue (tempo, key) are those of the songs."""
    tempos = sorted(song.tempo for song in songs)
    plugins = sorted({plugin.name for song in songs for part in song.parts for plugin in part.plugins})
    return {
        "schema_version": "1.0.0",
        "uuids": {"name": ARTIST_NAME, "artist_id": ""},
        "artist": {
            "name": ARTIST_NAME,
            "origin": {"city": "Porto", "country": "Portugal"},
            "members": ["Nova Kite"],
            "brand_narrative": {
                "tone": ["warm", "nocturnal", "unhurried"],
                "description": "Electronic pieces between the dance floor and the walk home, built from glassy plucks, "
                "dusty drums and melodies that could be sung.",
            },
            "core_identities": {
                "tempo_center": "84 to 174 BPM, most at home around 122",
                "energy_profile": ["patient build", "open-hearted drop", "soft landing"],
                "primary_genre_space": ["melodic house", "downtempo"],
                "secondary_spaces": ["liquid drum and bass", "lo-fi beats"],
                "melodic_character": ["bittersweet", "singable", "stepwise lines over wide chords"],
                "sound_design_signature": ["glassy plucks", "dulled string pads", "tape-soft transients"],
                "sync_pitch_identity": ["night drive", "city at dawn", "quiet resolve"],
            },
        },
        "catalog": [_work(number, song) for number, song in enumerate(songs, start=1)],
        "semantic_views": {
            "by_mood": {
                "hopeful_night": {
                    "description": "Forward motion in the dark with light ahead.",
                    "typical_elements": ["arpeggiated plucks", "ducked pads", "sung lead line"],
                    "suitable_for": ["travel montage", "closing scene"],
                },
                "tender_memory": {
                    "description": "Close, slightly worn, at ease.",
                    "typical_elements": ["electric piano", "swung drums", "record crackle"],
                    "suitable_for": ["interview bed", "domestic scene"],
                },
            },
            "by_usage": {
                "trailer_build": {
                    "description": "A long rise into a clear downbeat.",
                    "features": ["noise riser", "filter sweep", "impact on the drop"],
                    "ideal_for": ["teaser", "product reveal"],
                },
                "dialogue_bed": {
                    "description": "Leaves room for a voice.",
                    "features": ["sparse midrange", "steady pulse"],
                },
            },
            "by_energy_arc": {
                "slow_bloom": {
                    "description": "Starts bare, opens step by step, ends where it began.",
                    "structure_traits": ["intro without drums", "filtered build", "full middle", "stripped outro"],
                }
            },
        },
        "creative_policy": {
            "keep_foreground": ["melody", "warmth of the low mids"],
            "no_go_zones": ["vocals", "trap hats", "aggressive distortion"],
            "production_guides": ["let the kick duck the pads", "keep transients soft", "one lead at a time"],
            "sync_specific_notes": ["clean ending within two bars", "stems on request"],
        },
        "daw_fingerprint_aggregates": {
            "core_bpm_range": {"min": tempos[0], "max": tempos[-1], "cluster_centers": tempos},
            "keys_and_modes": {
                "common_keys": [key_of(song) for song in songs],
                "modal_tendencies": ["natural minor with added ninths", "major with a borrowed softness"],
            },
            "drum_palette": {
                "kick_character": ["round", "short tail"],
                "snare_clap_character": ["wide clap", "papery snare"],
                "percussion_notes": ["seed shaker", "wooden rim"],
            },
            "bass_workflow": ["sine body with a filtered edge", "offbeat against the kick"],
            "core_synth_palette": ["two-voice string pad", "partial-tuned pluck", "frequency-modulated keys"],
            "frequent_plugins_tools": plugins,
            "arrangement_habits": ["four-section form", "riser into the drop", "filters close at the end"],
            "tempo_tendencies": [f"{tempo:g} BPM" for tempo in tempos],
        },
        "provenance": {
            "last_refreshed": "2026-01-01T00:00:00Z",
            "sources": {
                "daw": [f"{song.title} Project/{song.title}.als" for song in songs],
                "metadata_provided": ["example profile"],
            },
        },
    }


def _work(number: int, song: Song) -> dict[str, object]:
    tags, moods, notes = _WORDS[song.title]
    return {
        "work_id": f"nk-{number:03d}",
        "title": song.title,
        "primary_artist": ARTIST_NAME,
        "release_role": "original",
        "label": "Self-released",
        "tempo_bpm": song.tempo,
        "key_center": key_of(song),
        "energy_arc": " – ".join(section.name.lower() for section in song.sections),
        "core_tags": tags,
        "mood_profile": moods,
        "sync_notes": notes,
    }


_WORDS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "Glass Harbour": (
        ["melodic house", "glassy pluck", "four on the floor"],
        ["hopeful", "wistful", "gliding"],
        ["opens on bar nine", "night drive, harbour lights"],
    ),
    "Paper Lanterns": (
        ["downtempo", "electric piano", "dusty drums"],
        ["tender", "relaxed", "warm"],
        ["loops cleanly in four bars", "kitchen morning, slow travel"],
    ),
    "Night Courier": (
        ["liquid drum and bass", "broken beat", "moving bass"],
        ["restless", "determined", "bright at the edges"],
        ["impact at bar thirteen", "chase without menace"],
    ),
}
