"""The user's message of a prompt: artist's style and track's facts as one JSON text, condensed and bounded.

The same inputs give the same text to the byte, and inputs that differ only in what prompts don't use (ids, times,
provenance, other works) give the same text too: it is part of the prompt's fingerprint.
"""

import json
from collections.abc import Collection

from dawa_assets.prompting.json_access import texts, without_empty
from dawa_assets.prompting.phrase_matching import no_go_phrases
from dawa_assets.prompting.profile_facts import ProfileFacts
from dawa_assets.prompting.style import style_facts, work_content
from dawa_assets.prompting.summary_facts import SummaryFacts
from dawa_assets.prompting.track import track_facts

# Bytes, because a tokeniser never makes more tokens of a text than it has bytes: a hard bound in any script.
# Real profiles and sets come to 2,000–5,000 bytes, some 600–1,400 tokens.
MAX_BYTES = 8_000
# (entries a list, characters an entry), from generous to bare; the first that fits is taken.
_SIZES = ((24, 160), (16, 120), (12, 100), (8, 80), (5, 60), (3, 40), (2, 24), (1, 16))


def build_context(
    profile: ProfileFacts, summary: SummaryFacts, *, artist_name: str = "", summary_ids: Collection[str] = ()
) -> str:
    """Return the message for one track.

    Args:
        profile: of the artist.
        summary: of the track's Live Set.
        artist_name: left out of the message, with the sentences that name them.
        summary_ids: ids by which the profile's catalogue may point at this summary (`daw_summary_id`).

    Returns:
        JSON of at most `MAX_BYTES` bytes, with `tempo_bpm`, and as far as known `style`, `work`, `track` and
        `no_go_zones`.
    """
    names = profile.names(artist_name)
    tempo = summary.tempo
    work = profile.work(summary_ids, summary.stem)
    forbidden = no_go_phrases(profile.no_go_zones)
    message = ""
    for most, longest in _SIZES:
        context: dict[str, object] = {
            "tempo_bpm": int(tempo) if tempo and tempo.is_integer() else tempo,
            "style": style_facts(profile, names, forbidden, most, longest).content(),
            "work": work_content(work, forbidden, most, longest),
            "track": track_facts(summary, most, longest).without(forbidden).content(),
            "no_go_zones": texts(profile.no_go_zones, most * 2, longest),
        }
        message = json.dumps(without_empty(context), ensure_ascii=False)
        if len(message.encode()) <= MAX_BYTES:
            break
    return message
