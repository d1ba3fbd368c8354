"""What plays in a set, read from the names of what is heard. Nothing is concluded from anything else.

Names are the track's own, those of its pads that are hit, of its samples that are played, and of its instruments.
An instrument counts once for each track that names it; what is played more comes first among equals.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dawa_assets.ableton.lexicon import lexicon, named
from modal_app.protocol.song_timeline import ROLES

_OF_A_KIT = 2  # so many drums that are named make the word "drums" say nothing
_SURE_DRUMS = 2  # so many of the most-played drums are told whatever else there is


@dataclass(frozen=True)
class NamedTrack:
    """A track that is heard, by the names that it gives.

    `sounds` are its pads and samples with their share of what it plays: a sound's names in order, of which the first
    that says anything counts. `others` are names that count as well, `sources` instruments that are known for certain
    (a synthesiser). `instead` are names to look at where neither the track's own nor any other says anything.
    """

    name: str
    others: tuple[str, ...] = ()
    clips: int = 0
    sounds: tuple[tuple[tuple[str, ...], float], ...] = ()
    sources: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    hits: Mapping[str, int] = field(default_factory=dict)


def instruments(tracks: Iterable[NamedTrack], most_per_role: int) -> dict[str, list[str]]:
    """Role → instruments of that role, the one on most tracks first; roles without any are left out."""
    tracks = list(tracks)
    if any(track.clips for track in tracks):
        tracks = [track for track in tracks if track.clips]
    weights: dict[str, float] = {}
    for track in tracks:
        for name, share in heard_on(track).items():
            weights[name] = weights.get(name, 0.0) + 1 + share / 2
    order = {name: place for place, name in enumerate(lexicon().role_of)}
    ranked = sorted(weights, key=lambda name: (-weights[name], order[name]))
    sure = most_played_drums(tracks)[:_SURE_DRUMS]
    found: dict[str, list[str]] = {}
    for name in ranked:
        found.setdefault(lexicon().role_of[name], []).append(name)
    return {
        role: _most_specific(found[role], sure if role == "rhythm" else [], most_per_role)
        for role in ROLES
        if role in found
    }


def heard_on(track: NamedTrack) -> dict[str, float]:
    """Return what one track's names say plays on it, each with its share of what the track plays (0..1)."""
    shares: dict[str, float] = {}
    for names, share in track.sounds:
        for instrument in next((found for name in names if (found := named(name))), ()):
            shares[instrument] = min(shares.get(instrument, 0.0) + share, 1.0)
    particular = set(shares)
    by_name = {instrument for name in (track.name, *track.others) for instrument in named(name)}
    for instrument in (*by_name, *track.sources):
        if not lexicon().general.get(instrument, frozenset()) & (particular | by_name):
            shares.setdefault(instrument, 0.0)
    if not shares:
        fallback = next((found for name in track.instead if (found := named(name))), frozenset())
        shares = dict.fromkeys(fallback, 0.0)
    return shares


def most_played_drums(tracks: Iterable[NamedTrack]) -> list[str]:
    """Return the drums whose pads are hit, the most hit first."""
    hits: Counter[str] = Counter()
    for track in tracks:
        for name, count in track.hits.items():
            for instrument in named(name):
                if lexicon().role_of[instrument] == "rhythm":
                    hits[instrument] += count
    return [name for name, _ in sorted(hits.items(), key=lambda hit: (-hit[1], hit[0]))]


def _most_specific(names: list[str], sure: list[str], most: int) -> list[str]:
    """At most so many, without the general word beside the particular ones: `drums` beside kick and snare."""
    general = lexicon().general
    named_ones = []
    for name in names:
        needed = 1 if name not in {"drums", "percussion"} else _OF_A_KIT
        if name in sure or len(general.get(name, frozenset()) & set(names)) < needed:
            named_ones.append(name)
    first = [name for name in sure if name in named_ones][:most]
    others = [name for name in named_ones if name not in first][: most - len(first)]
    return [name for name in named_ones if name in first or name in others]
