"""The half of the context that comes from a set's summary: what the track is, in facts a writer can use.

Works on every summary there is: this parser's, older ones without locators or lengths, and adopted ones that hold
little more than a tempo. No ids, times or paths: what does not matter to the prompt must not make it stale.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from dawa_assets.ableton.devices import sound_of_live_instrument
from dawa_assets.ableton.lexicon import named
from dawa_assets.ableton.plugins import known_plugin
from dawa_assets.prompting.instruments import NamedTrack, instruments
from dawa_assets.prompting.json_access import count, mapping, number, objects, text, texts
from dawa_assets.prompting.phrase_matching import Phrase, is_forbidden

_MAX_TRACKS_HEARD = 400
_MAX_DEVICES = 200
# What nothing is said with where the track's own names say more: a synth plays bass lines, pads and leads.
_GENERIC = frozenset({"synth", "drums"})
_MAX_SAMPLES = 2_000  # of a track; a multi-sampled piano has some hundred
_UNNAMED = re.compile(r"\d+[- ](?:MIDI|Audio|Group)(?: \(\d+\))?", re.IGNORECASE)
_SECTION = re.compile(
    r"\b(intro|verse|pre-?chorus|chorus|hook|refrain|bridge|build(?:-?up)?|drop|break(?:down)?|interlude|solo|middle|"
    r"main|theme|climax|coda|outro|end(?:ing)?)\b",
    re.IGNORECASE,
)
_SPARSE, _DENSE = 5, 12  # tracks with clips: up to five sit apart in any mix, from twelve on they are stacked


def tempo_of(summary: object) -> float | None:
    """Return the set's tempo in BPM, at most two decimals; None where the summary has none that a set can have."""
    tempo = number(mapping(summary, "overview").get("tempo"))
    return round(tempo, 2) if tempo is not None and 20 <= tempo <= 999 else None


@dataclass(frozen=True)
class KnownTracks:
    """The tracks that are listened to, in the set's order, and how many tracks sound in all."""

    heard: list[NamedTrack]
    sounding: int


def known_tracks(summary: object) -> KnownTracks:
    """Return what a summary tells of its tracks; of thousands, only the busiest are listened to.

    Where the summary says which tracks sound, the others are left out altogether, unless no track has any clip.
    """
    whole = mapping(summary)
    breakdown = mapping(whole, "track_breakdown")
    knows_sound = any("sounding" in mapping(details) for details in breakdown.values())
    if knows_sound and any(count(mapping(details).get("clips")) for details in breakdown.values()):
        breakdown = {name: details for name, details in breakdown.items() if mapping(details).get("sounding") is True}
    elif knows_sound:  # a template: what isn't muted would be heard
        breakdown = {name: details for name, details in breakdown.items() if mapping(details).get("muted") is False}
    position = {name: place for place, name in enumerate(_hierarchy_names(whole))}
    clips = {name: _clips(details) for name, details in breakdown.items()}
    busiest = sorted(breakdown, key=lambda name: (-clips[name], position.get(name, len(position)), name))
    names = sorted(busiest[:_MAX_TRACKS_HEARD], key=lambda name: (position.get(name, len(position)), name))
    heard = [_named(whole, name, clips[name]) for name in names]
    if knows_sound:
        return KnownTracks(heard, sum(mapping(details).get("sounding") is True for details in breakdown.values()))
    if not breakdown:
        heard = [NamedTrack(text(name, 120)) for name in list(position)[:_MAX_TRACKS_HEARD]]
    knows_clips = any("clips" in mapping(details) for details in breakdown.values())
    sounding = sum(1 for number in clips.values() if number) if knows_clips else len(breakdown or position)
    return KnownTracks(heard, sounding)


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
    tracks: list[dict[str, object]]
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
        return {name: fact for name, fact in vars(self).items() if fact}


def track_facts(summary: object, known: KnownTracks, most: int, longest: int) -> TrackFacts:
    """Read the track off a summary: at most `most` entries a list, `longest` letters each."""
    whole = mapping(summary)
    tracks, sounding = known.heard, known.sounding
    return TrackFacts(
        time_signature=text(mapping(whole, "overview").get("time_signature"), 8),
        key=_key(whole),
        bars=round(number(whole.get("length_bars")) or 0),
        density=_density(sounding),
        layers=sounding,
        sections=_sections(whole, most),
        instruments=instruments(tracks, max(1, min(most, 5))),
        genre_hints=_genre_hints(whole, most, longest),
        tempo_range=_tempo_range(whole),
        groups=_groups(whole, most, longest),
        tracks=[_described(whole, track, most, longest) for track in _telling(tracks)[:most]],
        plugins=_plugins(whole, most, longest),
    )


def _clips(details: object) -> int:
    """Return how busy a track is; one that sounds without a clip of its own is played by another."""
    known = mapping(details)
    clips = count(known.get("active_clips", known.get("clips")))
    return max(clips, 1) if known.get("sounding") is True else clips


def _named(summary: dict[str, object], name: str, clips: int) -> NamedTrack:
    details = mapping(summary, "track_breakdown", name)
    if details.get("sounding") is True:
        return _heard(details, name, clips)
    samples = texts(details.get("sample_files"), _MAX_SAMPLES, 120)
    plugins = texts(details.get("plugins") or mapping(summary, "plugins_by_track").get(name), 20, 80)
    return NamedTrack(text(name, 120), tuple(samples), clips, sources=_sounds_of(plugins))


def _heard(details: dict[str, object], name: str, clips: int) -> NamedTrack:
    """Return a track of a summary that says what of it is heard."""
    devices = [each for each in objects(details.get("device_list")) if each.get("active") is True][:_MAX_DEVICES]
    sounds_known = _sounds_of(texts(details.get("plugins_in_use"), 20, 80)) + _sounds_of_live(devices)
    presets = _presets(devices)
    pads = list(itertools.islice(objects(details.get("pads")), _MAX_SAMPLES))
    behind_pads = {sample for pad in pads for sample in texts(pad.get("samples"), 40, 120)}
    beats = {text(each, 120): number(share) or 0.0 for each, share in mapping(details, "samples_in_use").items()}
    played = {each: share for each, share in beats.items() if each and each not in behind_pads}
    plays = [count(pad.get("plays")) for pad in pads]
    sounds = [
        ((text(pad.get("name"), 120), *texts(pad.get("samples"), 8, 120)), share)
        for pad, share in zip(pads, _shares([float(each) for each in plays]), strict=True)
    ]
    sounds += [((each,), share) for each, share in zip(played, _shares(list(played.values())), strict=True)]
    return NamedTrack(
        text(name, 120),
        (),
        clips,
        sounds=tuple(sounds),
        sources=tuple(sound for sound in sounds_known if sound not in _GENERIC),
        instead=(
            *presets,
            *texts(details.get("clip_names"), 4, 120),
            *([] if details.get("clip_names") is None else [text(details.get("group"), 120)]),
            *(sound for sound in sounds_known if sound in _GENERIC),
        ),
        hits=_hits(zip((names for names, _ in sounds), plays, strict=False)),
    )


def _hits(pads: Iterable[tuple[tuple[str, ...], int]]) -> dict[str, int]:
    """Return how often pads are hit, by the name that says what each is."""
    hits: dict[str, int] = {}
    for names, plays in pads:
        name = next((name for name in names if named(name)), "")
        if name and plays:
            hits[name] = hits.get(name, 0) + plays
    return hits


def _shares(amounts: list[float]) -> list[float]:
    total = sum(amounts)
    return [amount / total if total > 0 else 0.0 for amount in amounts]


def _presets(devices: Iterable[dict[str, object]]) -> list[str]:
    """Return what instruments and their racks were loaded from, or were called."""
    playing = (each for each in devices if each.get("kind") in {"instrument", "sampler", "drums", "rack"})
    return list(
        dict.fromkeys(name for each in playing for name in texts([each.get("preset"), each.get("label")], 2, 80))
    )


def _sounds_of_live(devices: Iterable[dict[str, object]]) -> tuple[str, ...]:
    """Return the sounds of Live's own instruments that always sound alike."""
    sounds = (sound_of_live_instrument(text(each.get("name"), 80)) for each in devices)
    return tuple(dict.fromkeys(sound for sound in sounds if sound))


def _sounds_of(plugins: Iterable[str]) -> tuple[str, ...]:
    """Return the sounds of instruments; effects and what is not known say nothing."""
    known = (known_plugin(name) for name in plugins)
    return tuple(dict.fromkeys(plugin.sound for plugin in known if plugin is not None and plugin.sound))


def _hierarchy_names(summary: dict[str, object]) -> list[str]:
    top = list(objects(summary.get("track_hierarchy")))
    rows = itertools.chain.from_iterable((each, *objects(each.get("children"))) for each in top)
    named = ((row.get("name"), row.get("type")) for row in rows)
    return [name for name, kind in named if isinstance(name, str) and kind != "Group"]


def _telling(tracks: list[NamedTrack]) -> list[NamedTrack]:
    """Tracks worth describing: the busiest first, those without a name of their own or of a sample left out."""
    telling = [
        track for track in tracks if track.others or track.sounds or (track.name and not _UNNAMED.fullmatch(track.name))
    ]
    return sorted(telling, key=lambda track: -track.clips)


def _described(summary: dict[str, object], track: NamedTrack, most: int, longest: int) -> dict[str, object]:
    details = mapping(summary, "track_breakdown", track.name)
    samples = mapping(details, "samples_in_use") if "samples_in_use" in details else details.get("sample_files")
    described = {
        "name": track.name[:longest],
        "clips": track.clips,
        "group": text(details.get("group"), longest),
        "plugins": texts(details.get("plugins_in_use", details.get("plugins")), min(most, 4), longest),
        "samples": texts(list(samples) if isinstance(samples, dict) else samples, min(most, 4), longest),
        "instruments": _instrument_names(details)[: min(most, 4)],
        "automated": details.get("has_automation") is True,
    }
    return {name: value for name, value in described.items() if value}


def _instrument_names(details: dict[str, object]) -> list[str]:
    """Live's own instruments that are in use, and the presets of them and of their racks."""
    devices = [each for each in objects(details.get("device_list")) if each.get("active") is True][:_MAX_DEVICES]
    own = [text(each.get("name"), 80) for each in devices if each.get("kind") in {"instrument", "sampler", "drums"}]
    return list(dict.fromkeys([*own, *_presets(devices)]))


def _key(summary: dict[str, object]) -> str:
    scale = mapping(summary, "scale")
    root, name = text(scale.get("root"), 8), text(scale.get("name"), 32)
    return f"{root} {name.lower()}" if root and name else ""


def _density(sounding: int) -> str:
    if not sounding:
        return ""
    return "sparse" if sounding <= _SPARSE else "dense" if sounding >= _DENSE else "medium"


def _sections(summary: dict[str, object], most: int) -> list[str]:
    """Return the form, from locators in their order in time, else from scenes; only names that are parts of a song."""
    locators = sorted(objects(summary.get("locators")), key=lambda each: number(each.get("time")) or 0.0)
    if "layers" in summary and (end := number(summary.get("length_beats"))):
        locators = [each for each in locators if (number(each.get("time")) or 0.0) <= end]
    names: Iterable[str] = (text(each.get("name"), 80) for each in locators)
    parts = [match.group(1).lower() for name in names if (match := _SECTION.search(name))]
    if not parts:
        scenes = texts(summary.get("scenes"), 200, 80)
        parts = [match.group(1).lower() for name in scenes if (match := _SECTION.search(name))]
    return [part for part, _ in itertools.groupby(parts)][:most]


def _genre_hints(summary: dict[str, object], most: int, longest: int) -> list[str]:
    """Genres that the set names itself. A single sample's file name ("Kick Trap.wav") says nothing of the track."""
    hints = texts(summary.get("genre_indicators"), 50, 200)
    genres = (hint.partition(":")[0].strip()[:longest] for hint in hints if ": sample " not in hint)
    return list(dict.fromkeys(genre for genre in genres if genre))[:most]


def _tempo_range(summary: dict[str, object]) -> str:
    known = mapping(summary, "tempo_range")
    lowest, highest = number(known.get("lowest")), number(known.get("highest"))
    if lowest is not None and highest is not None:
        return f"{lowest:g} to {highest:g}" if highest - lowest > 0.5 else ""
    tempos = [tempo for each in objects(summary.get("tempo_changes")) if (tempo := number(each.get("tempo")))]
    return f"{min(tempos):g} to {max(tempos):g}" if tempos and min(tempos) != max(tempos) else ""


def _groups(summary: dict[str, object], most: int, longest: int) -> list[str]:
    tops = [each for each in objects(summary.get("track_hierarchy")) if each.get("type") == "Group"]
    breakdown = mapping(summary, "track_breakdown")
    if "layers" in summary:
        tops = [
            each
            for each in tops
            if any(
                mapping(breakdown.get(name)).get("sounding") is True
                for child in objects(each.get("children"))
                if isinstance(name := child.get("name"), str)
            )
        ]
    names = texts([each.get("name") for each in tops[:200]], 200, longest)
    return [name for name in names if not _UNNAMED.fullmatch(name)][:most]


def _plugins(summary: dict[str, object], most: int, longest: int) -> list[str]:
    usage = mapping(summary, "plugins_in_use" if "plugins_in_use" in summary else "plugin_usage")
    return texts(sorted(usage, key=lambda name: (-count(usage[name]), name))[:200], most, longest)
