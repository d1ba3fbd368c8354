"""What is wrong with an item's audio, by what was measured of it, of the artist's other items, and of other artists'.

Pure. Every finding has a kind, a level, a number, a sentence and a way out. `blocks` is for what teaches a generator
nothing or the wrong thing, whatever the music is like: silence, noise, the same song again, a bounce of another set.
All else `warns`: a clipped or a narrow master may be meant. docs/quality.md has each of them with its limit.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import PurePath
from statistics import median
from uuid import UUID

from dawa_assets.pipeline.wording import minutes
from dawa_assets.tables.audio_measurements import AudioMatch
from dawa_assets.tables.best_saves import BestSave
from dawa_assets.tables.item_findings import Finding, JudgedItem, Level
from modal_app.audio.quality_record import AudioQuality

VERSION = "quality-v2"
"""Of the rules. They are applied anew to what was measured whenever an artist's items are brought up to date."""

SAME_SHARE = 0.6
"""Of the shorter one, from which on two contents count as one song."""
LEAST_PASSAGE_SECONDS = 6.0
SURE_PAIR = 0.75
"""The confidence from which on a bounce of another set blocks."""

_SILENT_DBFS = -60.0
_CLIPPED_SHARE = 0.005
_LOUD_LUFS, _LOUD_CREST_DB = -9.0, 8.0
_MONO_SIDE_DB = -60.0
_LOSSY_CUTOFF_HZ, _LEAST_RATE_FOR_CUTOFF = 20_000.0, 44_100
_LEAST_RATE = 22_050
_LEAST_SECONDS = 8.0  # a one-shot's level, width and band say nothing of how a song was exported
_LOUDNESS_DISTANCE, _LEAST_ITEMS_FOR_LOUDNESS = 9.0, 5
_MAX_PASSAGES = 3
_LOSSLESS = ("pcm", "flac", "alac", "wavpack")
_COARSE = ("pcm_u8", "pcm_s8", "pcm_mulaw", "pcm_alaw", "adpcm", "gsm")
_BLIND = "a melody played anew, or a copy well under other music, is not seen"
_EXPORT = "export the bounce again"
_NOTICES: dict[str, tuple[Level, str]] = {
    "silent": ("blocks", f"{_EXPORT} with its tracks switched on"),
    "noise": ("blocks", f"{_EXPORT} as WAV or FLAC"),
    "no_numbers": ("warns", "look for a plug-in that fails in the render, and export again"),
    "dead_channel": ("warns", f"{_EXPORT} in stereo, or in mono"),
    "antiphase": ("warns", "turn the phase of one side, and export again"),
    "dc_offset": ("warns", "put a DC filter on the master, and export again"),
}


@dataclass(frozen=True)
class _Judged:
    item: JudgedItem
    quality: AudioQuality


def judge_items(
    items: Sequence[JudgedItem], matches: Sequence[AudioMatch], best_saves: Mapping[UUID, BestSave] | None = None
) -> list[Finding]:
    """Return all there is to say of one artist's items.

    Args:
        items: theirs, with audio that was measured; none that is excluded.
        matches: where their contents are found in others, their own and other artists'.
        best_saves: by item, which Live Set its audio fits best, where that was looked for and one fits.
    """
    judged = [_Judged(item, AudioQuality.from_json(item.measured)) for item in items]
    findings = [finding for each in judged for finding in _of_the_sound(each)]
    findings += [
        finding for each in judged for finding in _of_the_pair(each.item, (best_saves or {}).get(each.item.id))
    ]
    findings += _of_loudness(judged)
    accepted = {item.id: item.accepted for item in items}
    stopped = {
        finding.item_id
        for finding in findings
        if finding.level == "blocks" and finding.kind not in accepted[finding.item_id]
    }
    findings += _of_songs(judged, matches, stopped)
    findings += _of_other_artists(judged, matches)
    return findings


def _of_the_sound(each: _Judged) -> Iterator[Finding]:
    quality, found = each.quality, _Maker(each.item)
    is_lossless = quality.codec.startswith(_LOSSLESS)
    is_song = quality.seconds >= _LEAST_SECONDS
    for notice in quality.notices:
        if notice.kind in _NOTICES:
            level, way_out = _NOTICES[notice.kind]
            yield found(notice.kind, level, notice.number, notice.line, way_out)
    peak, loudness, crest = quality.peak_dbfs, quality.loudness_lufs, quality.crest_db
    if peak is not None and peak < _SILENT_DBFS:
        level, way_out = _NOTICES["silent"]
        yield found("silent", level, peak, f"nothing in it is louder than {peak:.0f} dBFS", way_out)
    if quality.clipped_share >= _CLIPPED_SHARE:
        sentence = f"{quality.clipped_share:.1%} of its samples lie flat at the peak: it is clipped"
        yield found(
            "clipped", "warns", quality.clipped_share, sentence, "lower the master, and export the bounce again"
        )
    elif is_song and loudness is not None and crest is not None and loudness > _LOUD_LUFS and crest < _LOUD_CREST_DB:
        sentence = f"it is very loud ({loudness:.1f} LUFS, peaks {crest:.1f} dB over the mean)"
        way_out = f"whether it is clipped can't be told; if it is, {_EXPORT} with a lower master"
        yield found("very_loud", "warns", loudness, sentence, way_out)
    if is_song and quality.side_db is not None and quality.side_db <= _MONO_SIDE_DB and peak is not None:
        sentence = "both of its channels are the same: it is mono in a stereo file"
        yield found("mono_as_stereo", "warns", quality.side_db, sentence, f"{_EXPORT} in stereo if it is meant to be")
    cutoff = quality.cutoff_hz
    if (
        is_song
        and is_lossless
        and cutoff is not None
        and cutoff <= _LOSSY_CUTOFF_HZ
        and quality.sample_rate >= _LEAST_RATE_FOR_CUTOFF
    ):
        sentence = (
            f"its spectrum ends at {cutoff / 1000:.1f} kHz as a lossy file's does, though it is {_codec(quality)}"
        )
        yield found("transcode", "warns", cutoff, sentence, f"{_EXPORT} from the set, not from an MP3")
    if quality.sample_rate < _LEAST_RATE:
        sentence = (
            f"its sample rate is {quality.sample_rate} Hz, so what is above {quality.sample_rate // 2} Hz is missing"
        )
        yield found("sample_rate", "warns", quality.sample_rate, sentence, f"{_EXPORT} at 44,100 Hz or more")
    if quality.codec.startswith(_COARSE):
        sentence = f"it is stored as {quality.codec}, which hisses"
        yield found("codec", "warns", None, sentence, f"{_EXPORT} with 16 bits or more")


def _codec(quality: AudioQuality) -> str:
    return "FLAC" if quality.codec == "flac" else "PCM" if quality.codec.startswith("pcm") else quality.codec


def _of_the_pair(item: JudgedItem, best: BestSave | None) -> Iterator[Finding]:
    found = _Maker(item)
    other = None if best is None or best.is_own_alike else best
    if item.answer == "not this arrangement":
        confidence = item.answer_confidence or 0.0
        is_sure = confidence >= SURE_PAIR or other is not None
        sentence = f"what is heard is not what its Live Set plays ({item.answer_reason or 'nothing fits'})"
        way_out = "upload the bounce of this set, or save the set as it was when it was bounced"
        if other is not None:
            way_out = _pairing_with(other, item)
        yield found("wrong_pair", "blocks" if is_sure else "warns", round(confidence, 2), sentence, way_out)
    elif other is not None and not other.is_own_set:
        sentence = "it fits another Live Set better than its own"
        yield found("wrong_pair", "warns", other.margin, sentence, _pairing_with(other, item))


def _pairing_with(best: BestSave, item: JudgedItem) -> str:
    """Say which set a bounce fits, and how it is paired with that."""
    fits = f"its bounce fits {best.words}"
    if best.is_own_set:
        return f"{fits}; {_EXPORT} from the set as it is now, or upload that save again"
    if best.set_has_it:
        return f"{fits}, and is paired with it too; upload the bounce of this set, or exclude this item"
    stem = PurePath(best.als_filename).stem
    bounce = f"{stem}.{item.audio_format or 'wav'}"
    files = [bounce] if best.has_one_name else [best.als_filename, bounce]
    command = shlex.join(["dawa", "upload", *files, "--artist", best.artist])
    instead = ", in place of the bounce that it has" if best.set_has_bounce else ""
    return f"{fits}; name it {bounce}, and `{command}` pairs it so{instead}"


def _of_loudness(judged: Sequence[_Judged]) -> Iterator[Finding]:
    known = {
        each.item.audio_hash: loud
        for each in judged
        if (loud := each.quality.loudness_lufs) is not None and each.quality.seconds >= _LEAST_SECONDS
    }
    if len(known) < _LEAST_ITEMS_FOR_LOUDNESS:
        return
    usual = median(known.values())
    for each in judged:
        loudness = each.quality.loudness_lufs
        if each.item.audio_hash in known and loudness is not None and abs(loudness - usual) >= _LOUDNESS_DISTANCE:
            where = "louder" if loudness > usual else "quieter"
            sentence = (
                f"it is {abs(loudness - usual):.0f} LU {where} than the artist's other songs "
                f"({loudness:.1f} LUFS, the middle one {usual:.1f})"
            )
            yield _Maker(each.item)("loudness", "warns", loudness, sentence, f"{_EXPORT} at the others' level")


def _of_songs(judged: Sequence[_Judged], matches: Sequence[AudioMatch], stopped: Set[UUID]) -> Iterator[Finding]:
    """Keep each song once, whatever its versions are: what is trained on already before others, then the newest."""
    of_audio: dict[str, list[_Judged]] = {}
    for each in judged:
        of_audio.setdefault(each.item.audio_hash, []).append(each)
    own = {
        (match.audio_hash, match.other_hash): match
        for match in matches
        if match.artist_id == match.other_artist_id and {match.audio_hash, match.other_hash} <= of_audio.keys()
    }

    def rank(audio_hash: str) -> tuple[bool, bool, bool, bool, object]:
        holders = [each.item for each in of_audio[audio_hash]]
        is_extra = any("duplicate" in item.accepted for item in holders)  # meant beside the others, not in their place
        usable = any(item.id not in stopped for item in holders)
        exported = any(item.is_exported for item in holders)
        return (
            not is_extra,
            usable,
            exported,
            any(item.is_persons for item in holders),
            max(item.created_at for item in holders),
        )

    kept: list[str] = []
    for audio_hash in sorted(of_audio, key=rank, reverse=True):
        first = next((other for other in kept if _is_same(own.get((audio_hash, other)), of_audio)), None)
        if first is None:
            kept.append(audio_hash)
            continue
        match, other = own[audio_hash, first], of_audio[first][0].item
        for each in of_audio[audio_hash]:
            yield _Maker(each.item)(
                "duplicate",
                "blocks",
                round(match.seconds, 1),
                f"it is the same music as {other.name}{_change(match)}, which is kept",
                f"exclude {other.name} to use this one instead, or accept it if both are meant ({_BLIND})",
                str(other.id),
            )
    for audio_hash, holders in of_audio.items():
        passages = [
            match
            for (audio, _), match in own.items()
            if audio == audio_hash and not _is_same(match, of_audio) and match.seconds >= LEAST_PASSAGE_SECONDS
        ]
        for match in sorted(passages, key=lambda match: -match.seconds)[:_MAX_PASSAGES]:
            other = of_audio[match.other_hash][0].item
            sentence = (
                f"{match.seconds:.0f} s of it, from {minutes(match.start_seconds)} on, are in {other.name} too, "
                f"from {minutes(match.other_start_seconds)} on{_change(match)}"
            )
            for each in holders:
                way_out = f"fine for a loop or a sample that both use; else exclude one of them ({_BLIND})"
                yield _Maker(each.item)("passage", "warns", round(match.seconds, 1), sentence, way_out, str(other.id))


def _is_same(match: AudioMatch | None, of_audio: dict[str, list[_Judged]]) -> bool:
    if match is None:
        return False
    lengths = [of_audio[audio_hash][0].quality.seconds for audio_hash in (match.audio_hash, match.other_hash)]
    return match.seconds >= SAME_SHARE * min(lengths)


def _of_other_artists(judged: Sequence[_Judged], matches: Sequence[AudioMatch]) -> Iterator[Finding]:
    """Say that music is another artist's too, and not whose: their name is not this artist's users' to know."""
    for each in judged:
        foreign = [
            match
            for match in matches
            if match.audio_hash == each.item.audio_hash
            and match.artist_id != match.other_artist_id
            and match.seconds >= min(LEAST_PASSAGE_SECONDS, SAME_SHARE * each.quality.seconds)
        ]
        if foreign:
            most = max(foreign, key=lambda match: match.seconds)
            yield _Maker(each.item)(
                "other_artist",
                "warns",
                round(most.seconds, 1),
                f"{most.seconds:.0f} s of it, from {minutes(most.start_seconds)} on, are in another artist's music too",
                f"make sure whose it is; exclude it where it is not this artist's ({_BLIND})",
            )


def _change(match: AudioMatch) -> str:
    """Return how it differs from the other, as what follows its name."""
    changes = []
    if abs(match.pitch) >= 0.25:
        semitones = f"{abs(match.pitch):.2g}"
        unit = "semitone" if semitones == "1" else "semitones"
        changes.append(f"{semitones} {unit} {'higher' if match.pitch > 0 else 'lower'}")
    if abs(match.speed - 1) >= 0.0075:
        changes.append(f"{abs(match.speed - 1):.1%} {'faster' if match.speed > 1 else 'slower'}")
    return f" ({', '.join(changes)})" if changes else ""


@dataclass(frozen=True)
class _Maker:
    item: JudgedItem

    def __call__(
        self, kind: str, level: Level, number: float | None, sentence: str, way_out: str, subject: str = ""
    ) -> Finding:
        return Finding(self.item.id, self.item.audio_hash, kind, level, number, sentence, way_out, subject)
