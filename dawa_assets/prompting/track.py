"""The half of the context that comes from a set's summary: what the track is, in facts a writer can use."""

import dataclasses
from dataclasses import dataclass

from dawa_assets.prompting.instruments import instruments
from dawa_assets.prompting.json_access import text, texts, without_empty
from dawa_assets.prompting.phrase_matching import Phrase, is_forbidden
from dawa_assets.prompting.summary_facts import UNNAMED, SetTrack, SummaryFacts

_SPARSE, _DENSE = 5, 12  # tracks with clips: up to five sit apart in any mix, from twelve on they are stacked


@dataclass(frozen=True)
class DescribedTrack:
    """What a message says of one track."""

    name: str
    clips: int
    group: str
    plugins: list[str]
    samples: list[str]
    instruments: list[str]
    automated: bool


@dataclass(frozen=True)
class TrackFacts:
    """What is known of the track, in the order in which a message says it. What is not known is empty or 0."""

    time_signature: str
    key: str
    bars: int
    density: str
    layers: int
    sections: list[str]
    instruments: dict[str, list[str]]
    genre_hints: list[str]
    tempo_range: str
    groups: list[str]
    tracks: list[DescribedTrack]
    plugins: list[str]

    def without(self, forbidden: list[Phrase]) -> "TrackFacts":
        """Return the same without the instruments and genres that are no-go; its own names stay, for they are facts."""
        allowed = {
            role: [name for name in names if not is_forbidden(name, forbidden)]
            for role, names in self.instruments.items()
        }
        return dataclasses.replace(
            self,
            instruments={role: names for role, names in allowed.items() if names},
            genre_hints=[genre for genre in self.genre_hints if not is_forbidden(genre, forbidden)],
        )

    def content(self) -> dict[str, object]:
        """Return what a message says of it; what is not known is left out."""
        tracks = [without_empty(vars(track)) for track in self.tracks]
        return without_empty({**vars(self), "tracks": tracks})


def track_facts(facts: SummaryFacts, most: int, longest: int) -> TrackFacts:
    """Return what a message says of a set: at most `most` entries a list, `longest` letters each."""
    return TrackFacts(
        time_signature=facts.time_signature,
        key=facts.key,
        bars=facts.bars,
        density=_density(facts.sounding),
        layers=facts.sounding,
        sections=facts.sections[:most],
        instruments=instruments((track.named for track in facts.tracks), max(1, min(most, 5))),
        genre_hints=list(dict.fromkeys(genre[:longest] for genre in facts.genre_hints))[:most],
        tempo_range=facts.tempo_range,
        groups=texts(facts.groups, most, longest),
        tracks=[_described(track, most, longest) for track in _worth_describing(facts.tracks)[:most]],
        plugins=texts(facts.plugins, most, longest),
    )


def _worth_describing(tracks: list[SetTrack]) -> list[SetTrack]:
    """Tracks worth describing: the busiest first, those without a name of their own or of a sample left out."""
    described = [
        track
        for track in tracks
        if track.named.others or track.named.sounds or (track.named.name and not UNNAMED.fullmatch(track.named.name))
    ]
    return sorted(described, key=lambda track: -track.named.clips)


def _described(track: SetTrack, most: int, longest: int) -> DescribedTrack:
    few = min(most, 4)
    return DescribedTrack(
        name=track.named.name[:longest],
        clips=track.named.clips,
        group=text(track.group, longest),
        plugins=texts(track.plugins, few, longest),
        samples=texts(track.samples, few, longest),
        instruments=track.instruments[:few],
        automated=track.has_automation,
    )


def _density(sounding: int) -> str:
    if not sounding:
        return ""
    return "sparse" if sounding <= _SPARSE else "dense" if sounding >= _DENSE else "medium"
