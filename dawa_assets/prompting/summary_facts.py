"""A Live Set's summary as facts: read once, at the border, off whatever a summary holds.

Works on every summary there is: this parser's, older ones without locators or lengths, and adopted ones that hold
little more than a tempo. No ids, times or paths: what does not matter to the prompt must not make it stale. Texts are
clean lines and lists are bounded; how much of them a message has room for is `track.py`'s.
"""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from dawa_assets.ableton.devices import sound_of_live_instrument
from dawa_assets.ableton.lexicon import named
from dawa_assets.ableton.plugins import known_plugin
from dawa_assets.prompting.instruments import NamedTrack
from dawa_assets.prompting.json_access import count, mapping, number, objects, text, texts

UNNAMED = re.compile(r"\d+[- ](?:MIDI|Audio|Group)(?: \(\d+\))?", re.IGNORECASE)
"""What Live calls a track or group that nobody named."""

_MAX_TRACKS = 400
_MAX_DEVICES = 200
# What nothing is said with where the track's own names say more: a synth plays bass lines, pads and leads.
_GENERIC = frozenset({"synth", "drums"})
_MAX_SAMPLES = 2_000  # of a track; a multi-sampled piano has some hundred
_MAX_NAMES = 200  # of plugins, groups and scenes
_MAX_OF_A_TRACK = 40  # plugins or samples that are named of one track
_SECTION = re.compile(
    r"\b(intro|verse|pre-?chorus|chorus|hook|refrain|bridge|build(?:-?up)?|drop|break(?:down)?|interlude|solo|middle|"
    r"main|theme|climax|coda|outro|end(?:ing)?)\b",
    re.IGNORECASE,
)


def tempo_of(value: object) -> float | None:
    """Return what is stored as a tempo, in BPM, at most two decimals; None where it is none that a set can have."""
    tempo = number(value)
    return round(tempo, 2) if tempo is not None and 20 <= tempo <= 999 else None


@dataclass(frozen=True)
class SetTrack:
    """A track of a set: what names its instruments, and what it is made of."""

    named: NamedTrack
    group: str = ""
    plugins: list[str] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    instruments: list[str] = field(default_factory=list)
    """Live's own that are in use, and the presets of them and of their racks."""
    has_automation: bool = False


@dataclass(frozen=True)
class SummaryFacts:
    """What a summary says of its set. What it does not say is empty, 0 or None.

    `tracks` are those that are listened to, in the set's order; `sounding` is how many sound in all. `sections` are the
    form in its order in time, `bars` the length.
    """

    stem: str
    tempo: float | None
    time_signature: str
    key: str
    bars: int
    tracks: list[SetTrack]
    sounding: int
    sections: list[str]
    genre_hints: list[str]
    tempo_range: str
    groups: list[str]
    plugins: list[str]


def read_summary(summary: object) -> SummaryFacts:
    """Return the facts of a summary, which may hold anything; what can't be used is left out."""
    whole = mapping(summary)
    overview = mapping(whole, "overview")
    tracks, sounding = _tracks(whole)
    return SummaryFacts(
        stem=text(whole.get("als_stem")),
        tempo=tempo_of(overview.get("tempo")),
        time_signature=text(overview.get("time_signature"), 8),
        key=_key(whole),
        bars=round(number(whole.get("length_bars")) or 0),
        tracks=tracks,
        sounding=sounding,
        sections=_sections(whole),
        genre_hints=_genre_hints(whole),
        tempo_range=_tempo_range(whole),
        groups=_groups(whole),
        plugins=_plugins(whole),
    )


def _tracks(whole: dict[str, object]) -> tuple[list[SetTrack], int]:
    """Return the tracks that are listened to, of thousands the busiest only, and how many tracks sound.

    Where the summary says which tracks sound, the others are left out altogether, unless no track has any clip.
    """
    breakdown = mapping(whole, "track_breakdown")
    knows_sound = any("sounding" in mapping(details) for details in breakdown.values())
    if knows_sound and any(count(mapping(details).get("clips")) for details in breakdown.values()):
        breakdown = {name: details for name, details in breakdown.items() if mapping(details).get("sounding") is True}
    elif knows_sound:  # a template: what isn't muted would be heard
        breakdown = {name: details for name, details in breakdown.items() if mapping(details).get("muted") is False}
    position = {name: place for place, name in enumerate(_hierarchy_names(whole))}
    clips = {name: _clips(details) for name, details in breakdown.items()}
    busiest = sorted(breakdown, key=lambda name: (-clips[name], position.get(name, len(position)), name))
    names = sorted(busiest[:_MAX_TRACKS], key=lambda name: (position.get(name, len(position)), name))
    tracks = [_track(whole, name, clips[name]) for name in names]
    if knows_sound:
        return tracks, sum(mapping(details).get("sounding") is True for details in breakdown.values())
    if not breakdown:
        tracks = [SetTrack(NamedTrack(text(name, 120))) for name in list(position)[:_MAX_TRACKS]]
    knows_clips = any("clips" in mapping(details) for details in breakdown.values())
    sounding = sum(1 for number in clips.values() if number) if knows_clips else len(breakdown or position)
    return tracks, sounding


def _clips(details: object) -> int:
    """Return how busy a track is; one that sounds without a clip of its own is played by another."""
    known = mapping(details)
    clips = count(known.get("active_clips", known.get("clips")))
    return max(clips, 1) if known.get("sounding") is True else clips


def _track(whole: dict[str, object], name: str, clips: int) -> SetTrack:
    named_track = _named(whole, name, clips)
    details = mapping(whole, "track_breakdown", named_track.name)
    samples = mapping(details, "samples_in_use") if "samples_in_use" in details else details.get("sample_files")
    return SetTrack(
        named=named_track,
        group=text(details.get("group")),
        plugins=texts(details.get("plugins_in_use", details.get("plugins")), _MAX_OF_A_TRACK),
        samples=texts(list(samples) if isinstance(samples, dict) else samples, _MAX_OF_A_TRACK),
        instruments=_instrument_names(details),
        has_automation=details.get("has_automation") is True,
    )


def _named(summary: dict[str, object], name: str, clips: int) -> NamedTrack:
    details = mapping(summary, "track_breakdown", name)
    if details.get("sounding") is True:
        return _sounding_track(details, name, clips)
    samples = texts(details.get("sample_files"), _MAX_SAMPLES, 120)
    plugins = texts(details.get("plugins") or mapping(summary, "plugins_by_track").get(name), 20, 80)
    return NamedTrack(text(name, 120), tuple(samples), clips, sources=_sounds_of(plugins))


def _sounding_track(details: dict[str, object], name: str, clips: int) -> NamedTrack:
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
    playing = (each for each in devices if text(each.get("kind"), 20) in {"instrument", "sampler", "drums", "rack"})
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


def _instrument_names(details: dict[str, object]) -> list[str]:
    """Live's own instruments that are in use, and the presets of them and of their racks."""
    devices = [each for each in objects(details.get("device_list")) if each.get("active") is True][:_MAX_DEVICES]
    own = [
        text(each.get("name"), 80)
        for each in devices
        if text(each.get("kind"), 20) in {"instrument", "sampler", "drums"}
    ]
    return list(dict.fromkeys([*own, *_presets(devices)]))


def _key(summary: dict[str, object]) -> str:
    scale = mapping(summary, "scale")
    root, name = text(scale.get("root"), 8), text(scale.get("name"), 32)
    return f"{root} {name.lower()}" if root and name else ""


def _sections(summary: dict[str, object]) -> list[str]:
    """Return the form, from locators in their order in time, else from scenes; only names that are parts of a song."""
    locators = sorted(objects(summary.get("locators")), key=lambda each: number(each.get("time")) or 0.0)
    if "layers" in summary and (end := number(summary.get("length_beats"))):
        locators = [each for each in locators if (number(each.get("time")) or 0.0) <= end]
    names: Iterable[str] = (text(each.get("name"), 80) for each in locators)
    parts = [match.group(1).lower() for name in names if (match := _SECTION.search(name))]
    if not parts:
        scenes = texts(summary.get("scenes"), _MAX_NAMES, 80)
        parts = [match.group(1).lower() for name in scenes if (match := _SECTION.search(name))]
    return [part for part, _ in itertools.groupby(parts)][:_MAX_NAMES]


def _genre_hints(summary: dict[str, object]) -> list[str]:
    """Genres that the set names itself. A single sample's file name ("Kick Trap.wav") says nothing of the track."""
    hints = texts(summary.get("genre_indicators"), 50, 200)
    genres = (hint.partition(":")[0].strip() for hint in hints if ": sample " not in hint)
    return list(dict.fromkeys(genre for genre in genres if genre))


def _tempo_range(summary: dict[str, object]) -> str:
    known = mapping(summary, "tempo_range")
    lowest, highest = number(known.get("lowest")), number(known.get("highest"))
    if lowest is not None and highest is not None:
        return f"{lowest:g} to {highest:g}" if highest - lowest > 0.5 else ""
    tempos = [tempo for each in objects(summary.get("tempo_changes")) if (tempo := number(each.get("tempo")))]
    return f"{min(tempos):g} to {max(tempos):g}" if tempos and min(tempos) != max(tempos) else ""


def _groups(summary: dict[str, object]) -> list[str]:
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
    names = texts([each.get("name") for each in tops[:_MAX_NAMES]], _MAX_NAMES)
    return [name for name in names if not UNNAMED.fullmatch(name)]


def _plugins(summary: dict[str, object]) -> list[str]:
    usage = mapping(summary, "plugins_in_use" if "plugins_in_use" in summary else "plugin_usage")
    return texts(sorted(usage, key=lambda name: (-count(usage[name]), name))[:_MAX_NAMES], _MAX_NAMES)
