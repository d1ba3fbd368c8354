"""The user's message of a prompt: artist's style and track's facts as one JSON text, condensed and bounded.

The same inputs give the same text to the byte, and inputs that differ only in what prompts don't use (ids, times,
provenance, other works) give the same text too: it is part of the prompt's fingerprint.
"""

import json
from collections.abc import Collection

from dawa_assets.prompting.phrase_matching import no_go_phrases
from dawa_assets.prompting.style import names_in, no_go_zones, style_facts, work_facts
from dawa_assets.prompting.track import known_tracks, tempo_of, track_facts

# Bytes, because a tokeniser never makes more tokens of a text than it has bytes: a hard bound in any script.
# Real profiles and sets come to 2,000–5,000 bytes, some 600–1,400 tokens.
MAX_BYTES = 8_000
# (entries a list, characters an entry), from generous to bare; the first that fits is taken.
_SIZES = ((24, 160), (16, 120), (12, 100), (8, 80), (5, 60), (3, 40), (2, 24), (1, 16))


def build_context(profile: object, summary: object, *, artist_name: str = "", summary_ids: Collection[str] = ()) -> str:
    """Return the message for one track. `profile` and `summary` may hold anything; what can't be used is left out.

    Args:
        profile: a master_schema, possibly `{}`.
        summary: an `AlsSummary`, possibly of an older parser or with fields missing.
        artist_name: left out of the message, with the sentences that name them.
        summary_ids: ids by which the profile's catalogue may point at this summary (`daw_summary_id`).

    Returns:
        JSON of at most `MAX_BYTES` bytes, with `tempo_bpm`, and as far as known `style`, `work`, `track` and
        `no_go_zones`.
    """
    names = names_in(profile, artist_name)
    tempo = tempo_of(summary)
    tracks = known_tracks(summary)
    forbidden = no_go_phrases(no_go_zones(profile))
    message = ""
    for most, longest in _SIZES:
        context = {
            "tempo_bpm": int(tempo) if tempo and tempo.is_integer() else tempo,
            "style": style_facts(profile, names, forbidden, most, longest).content(),
            "work": work_facts(profile, summary, summary_ids, forbidden, most, longest),
            "track": track_facts(summary, tracks, most, longest).without(forbidden).content(),
            "no_go_zones": no_go_zones(profile, most * 2, longest),
        }
        message = json.dumps({name: part for name, part in context.items() if part}, ensure_ascii=False)
        if len(message.encode()) <= MAX_BYTES:
            break
    return message
