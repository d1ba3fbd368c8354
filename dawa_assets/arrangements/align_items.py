"""Holds each item's bounce against its Live Set, once for each pair of contents, and keeps where it begins.

The set's file is read from the bucket, the audio decoded once more: a second or two of CPU a song, before anything else
is made of it. Each answer is kept when it is there, so a worker that is killed has lost one song's at most. How a
bounce is found is `dawa_assets/ableton/alignment.py`'s.
"""

import logging
from dataclasses import dataclass, field

from dawa_assets.ableton import alignment
from dawa_assets.ableton.alignment import Alignment, align, answer_without_audio
from dawa_assets.ableton.live_set import LiveSet
from dawa_assets.ableton.onsets import song_onsets
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.arrangements import song_timeline
from dawa_assets.arrangements.song_timeline import timeline_of
from dawa_assets.artists.own_files import own_audio
from dawa_assets.artists.paths import is_own, shown_path
from dawa_assets.errors import UnreadableLiveSetError
from dawa_assets.pipeline.file_transfer import local_copy
from dawa_assets.pipeline.step import Step
from dawa_assets.tables.alignments import (
    StoredAlignment,
    UnalignedItem,
    keep_alignment,
    keep_timeline,
    unaligned_items,
)
from modal_app.audio.alignment_features import AlignmentFeatures, measure_features
from modal_app.errors import UnreadableAudioError
from resources.errors import ObjectNotFoundError

log = logging.getLogger(__name__)


@dataclass
class AlignmentReport:
    """What was aligned now. Pairs are (name, answer with its first reason, or why it could not be compared)."""

    aligned: list[tuple[str, str]] = field(default_factory=list)
    not_compared: list[tuple[str, str]] = field(default_factory=list)


def align_items(step: Step) -> AlignmentReport:
    """Align every item of the artist that this version has not aligned with its present audio and set.

    An item whose files can't be had is reported and asked for again by the next call; the others go on.

    Raises:
        LostLeaseError: somebody else took over this step.
    """
    report = AlignmentReport()
    with step.ports.database.transaction() as connection:
        due = unaligned_items(connection, step.artist.id, alignment.VERSION, song_timeline.VERSION)
    for number, item in enumerate(due, 1):
        log.info("aligning %s (%d of %d)", item.name, number, len(due))
        try:
            answer = _align(step, item)
        except (UnreadableLiveSetError, UnreadableAudioError, ObjectNotFoundError) as error:
            report.not_compared.append((item.name, str(error)))
            log.warning("%s is not aligned: %s", item.name, error)
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            # A fault of ours in one odd set must not hold up an artist: it has no facts then, and says so.
            log.exception("%s: could not be aligned", item.name)
            fault = f"a fault of the program ({type(error).__name__}: {error}); its log says how"
            report.not_compared.append((item.name, fault))
        else:
            report.aligned += [(item.name, answer)] if answer else []
    return report


def _align(step: Step, item: UnalignedItem) -> str:
    """Keep the timeline, and where it is missing the answer, which is returned in words."""
    live_set = _read_set(step, item)
    timeline = timeline_of(live_set)
    found = None
    if item.needs_alignment:
        song = song_onsets(live_set)
        found = answer_without_audio(song) or align(song, _measure(step, item), item.former_tempos)
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        keep_timeline(connection, step.artist.id, item.parse_id, timeline)
        if found is not None:
            keep_alignment(connection, step.artist.id, _stored(item, found, live_set.played_tempo.bpm))
    return "" if found is None else f"{found.answer}: {found.reasons[0]}"


def _stored(item: UnalignedItem, found: Alignment, set_tempo: float) -> StoredAlignment:
    return StoredAlignment(
        audio_hash=item.audio_hash,
        parse_id=item.parse_id,
        answer=found.answer,
        confidence=found.confidence,
        reasons=list(found.reasons),
        offset_seconds=found.offset_seconds,
        bar=found.bar,
        tempo=found.tempo,
        set_tempo=set_tempo,
        score=found.score,
        margin=found.margin,
        version=found.version,
    )


def _read_set(step: Step, item: UnalignedItem) -> LiveSet:
    if not is_own(step.artist.slug, item.source_key):
        raise UnreadableLiveSetError(f"{shown_path(item.source_key)}: is no file of the artist's own; it is not read")
    with local_copy(step.ports.bucket, item.source_key, item.als_filename) as local:
        return read_live_set(local.path, with_onsets=True)


def _measure(step: Step, item: UnalignedItem) -> AlignmentFeatures:
    with own_audio(step.ports.bucket, step.artist.slug, item.audio_path, item.audio_hash) as local:
        return measure_features(local.path)
