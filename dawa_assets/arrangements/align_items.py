"""Holds each item's bounce against its Live Set, once for each pair of contents, and keeps where it begins.

The set's file is read from the bucket, the audio decoded once more: a second or two of CPU a song, before anything else
is made of it. Answers are kept after some seconds' work, so a worker that is killed has lost few songs'. Where that
leaves open which save the bounce is of, others are compared too (`other_saves.py`). How a bounce is found is
`dawa_assets/ableton/alignment.py`'s.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from dawa_assets.ableton import alignment
from dawa_assets.ableton.alignment import align, answer_without_audio
from dawa_assets.ableton.onsets import song_onsets
from dawa_assets.arrangements import song_timeline
from dawa_assets.arrangements.other_saves import OtherSaves
from dawa_assets.arrangements.song_timeline import timeline_of
from dawa_assets.arrangements.sources import Bounce, read_save
from dawa_assets.errors import UnreadableLiveSetError
from dawa_assets.pipeline.batches import Batch
from dawa_assets.pipeline.step import Step
from dawa_assets.tables.alignments import (
    StoredAlignment,
    UnalignedItem,
    keep_alignments,
    keep_timelines,
    unaligned_items,
)
from modal_app.errors import UnreadableAudioError
from modal_app.protocol.song_timeline import SongTimeline
from resources.errors import ObjectNotFoundError

log = logging.getLogger(__name__)


@dataclass
class AlignmentReport:
    """What was aligned now. Pairs are (name, answer with its first reason, or why it could not be compared)."""

    aligned: list[tuple[str, str]] = field(default_factory=list)
    not_compared: list[tuple[str, str]] = field(default_factory=list)


def align_items(step: Step) -> AlignmentReport:
    """Align every item of the artist that this version has not aligned with its present audio and set.

    Those that don't surely fit are compared with other saves. An item whose files can't be had is reported and asked
    for again by the next call; the others go on.

    Raises:
        LostLeaseError: somebody else took over this step.
    """
    report = AlignmentReport()
    saves = OtherSaves(step)
    with step.ports.database.transaction() as connection:
        due = unaligned_items(connection, step.artist.id, alignment.VERSION, song_timeline.VERSION)
    failed: set[UUID] = set()
    with Batch[_Found](lambda found: failed.update(_keep(step, found, saves, report))) as batch:
        for number, item in enumerate(due, 1):
            log.info("aligning %s (%d of %d)", item.name, number, len(due))
            found = None
            with _reported(report, item.name):
                found = _align(step, item)
            if found is None:
                failed.add(item.id)
            else:
                batch.add(found)
    for unsure in saves.unsure():
        if unsure.id not in failed:
            with _reported(report, unsure.name):
                saves.compare(unsure, Bounce(step, unsure.audio_path, unsure.audio_hash))
    return report


@dataclass(frozen=True)
class _Found:
    """What was found of an item: its set's timeline, and the answer where there was none; with its decoded bounce."""

    item: UnalignedItem
    bounce: Bounce
    timeline: SongTimeline
    alignment: StoredAlignment | None


@dataclass
class _Outcome:
    failed: bool = False


@contextmanager
def _reported(report: AlignmentReport, name: str) -> Iterator[_Outcome]:
    """Report what stops an item instead of raising it."""
    outcome = _Outcome()
    try:
        yield outcome
    except (UnreadableLiveSetError, UnreadableAudioError, ObjectNotFoundError) as error:
        report.not_compared.append((name, str(error)))
        log.warning("%s is not aligned: %s", name, error)
        outcome.failed = True
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        # A fault of ours in one odd set must not hold up an artist: it has no facts then, and says so.
        log.exception("%s: could not be aligned", name)
        report.not_compared.append(
            (name, f"a fault of the program ({type(error).__name__}: {error}); its log says how")
        )
        outcome.failed = True


def _align(step: Step, item: UnalignedItem) -> _Found:
    bounce = Bounce(step, item.audio_path, item.audio_hash)
    live_set = read_save(step, item.source_key, item.als_filename)
    timeline = timeline_of(live_set)
    if not item.needs_alignment:
        return _Found(item, bounce, timeline, None)
    song = song_onsets(live_set)
    found = answer_without_audio(song) or align(song, bounce.features, item.former_tempos)
    return _Found(item, bounce, timeline, bounce.stored(found, item.parse_id, live_set.played_tempo.bpm))


def _keep(step: Step, found: Sequence[_Found], saves: OtherSaves, report: AlignmentReport) -> set[UUID]:
    """Keep timelines and answers, compare other saves while the bounces are at hand, and return whose could not be."""
    answers = [each.alignment for each in found if each.alignment is not None]
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        keep_timelines(connection, step.artist.id, {each.item.parse_id: each.timeline for each in found})
        keep_alignments(connection, step.artist.id, answers)
    report.aligned += [
        (each.item.name, f"{each.alignment.answer}: {each.alignment.reasons[0]}")
        for each in found
        if each.alignment is not None
    ]
    bounces = {each.item.id: each.bounce for each in found}
    failed: set[UUID] = set()
    for unsure in saves.unsure(bounces.keys()):
        with _reported(report, unsure.name) as outcome:
            saves.compare(unsure, bounces[unsure.id])
        if outcome.failed:
            failed.add(unsure.id)
    return failed
