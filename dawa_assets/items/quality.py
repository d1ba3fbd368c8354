"""The quality gate: every item's audio measured, looked for among all others, and judged, before it is in a dataset.

What a bounce's decoding measured on the way in is kept with it; audio that came otherwise is measured here, once for
each content. A step that is killed goes on where it was. What is judged is decided in `quality_rules.py`.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import UUID

from dawa_assets.artists.own_files import own_audio
from dawa_assets.items import quality_rules
from dawa_assets.pipeline.batches import Batch
from dawa_assets.pipeline.step import Step, artist_step
from dawa_assets.tables import audio_measurements as measurements
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.audio_measurements import AudioMatch, Content, Measurement, UnmeasuredAudio
from dawa_assets.tables.best_saves import best_saves_of
from dawa_assets.tables.item_findings import (
    ShownFinding,
    judged_items,
    lock_findings,
    replace_findings,
    shown_findings,
)
from modal_app.audio.quality_record import VERSION
from modal_app.errors import UnreadableAudioError
from resources.database.base import Connection, Database
from resources.errors import ObjectNotFoundError
from resources.ports import Ports

if TYPE_CHECKING:
    from modal_app.audio.fingerprint import Fingerprint
    from modal_app.audio.quality import MeasuredAudio

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FindingRow:
    """A finding, for a table."""

    item: str
    kind: str
    standing: str
    number: float | None
    finding: str
    way_out: str


@dataclass
class QualityReport:
    """What the gate says, and what it could not measure. Pairs are (item, reason)."""

    unmeasured: list[tuple[str, str]] = field(default_factory=list)
    findings: list[ShownFinding] = field(default_factory=list)


def check_quality(step: Step) -> QualityReport:
    """Bring the findings of the artist's items up to date, and those of artists who have the same music.

    Audio that can't be had is reported and tried again by the next call; the others go on.

    Raises:
        LostLeaseError: somebody else took over this step.
    """
    report = QualityReport()
    database, artist = step.ports.database, step.artist
    with database.transaction() as connection:
        step.held.check(connection)
        before = set(measurements.artists_matched(connection, artist.id))
        measurements.forget_unused_audio(connection, artist.id)
        due = measurements.unmeasured_audio(connection, artist.id, VERSION)
    for number, audio in enumerate(due, 1):
        log.info("measuring the audio of %s (%d of %d)", audio.name, number, len(due))
        try:
            _measure(step, audio)
        except (UnreadableAudioError, ObjectNotFoundError) as error:
            report.unmeasured.append((audio.name, str(error)))
            log.warning("%s: its audio is not measured: %s", audio.name, error)
    _compare(step)
    with database.transaction() as connection:
        step.held.check(connection)
        concerned = before | set(measurements.artists_matched(connection, artist.id))
    for artist_id in [artist.id, *sorted(concerned - {artist.id})]:
        judge_artist(database, artist_id)
    with database.transaction() as connection:
        report.findings = shown_findings(connection, artist.id)
    return report


def check_new_audio(ports: Ports, artist: Artist) -> None:
    """Check the quality of an artist's items where audio came since that was done last.

    Raises:
        BusyError: another process is updating this artist's items and did not end in time.
    """
    with ports.database.transaction() as connection:
        is_new = measurements.unmeasured_audio(connection, artist.id, VERSION) or measurements.uncompared_audio(
            connection, artist.id, VERSION
        )
    if is_new:
        with artist_step(ports, artist, "items") as step:
            check_quality(step)


def finding_row(finding: ShownFinding) -> FindingRow:
    """Return a finding as a table has it."""
    way_out = finding.way_out if finding.accepted_at is None else f"accepted: {finding.accepted_reason}"
    return FindingRow(finding.item, finding.kind, finding.standing, finding.number, finding.sentence, way_out)


def judge_artist(database: Database, artist_id: UUID) -> None:
    """Apply the rules to what is stored of an artist's audio."""
    with database.transaction() as connection:
        lock_findings(connection, artist_id)
        items = judged_items(connection, artist_id, VERSION)
        best = best_saves_of(connection, artist_id)
        findings = quality_rules.judge_items(items, measurements.matches_of(connection, artist_id), best)
        replace_findings(connection, artist_id, quality_rules.VERSION, findings)


def keep_measured(connection: Connection, artist_id: UUID, measured: "Mapping[str, MeasuredAudio | None]") -> None:
    """Store what was measured of contents while they were decoded, by SHA-256; None where nothing was."""
    measurements.keep_measurements(
        connection,
        VERSION,
        [
            Measurement(Content(artist_id, audio_hash), each.quality.to_json(), each.fingerprint.to_bytes())
            for audio_hash, each in measured.items()
            if each is not None
        ],
    )


def _measure(step: Step, audio: UnmeasuredAudio) -> None:
    content = Content(step.artist.id, audio.audio_hash)
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        if measurements.copy_measurement(connection, content, VERSION):
            return
    from modal_app.audio.decode import probe

    with own_audio(step.ports.bucket, step.artist.slug, audio.audio_path, audio.audio_hash) as local:
        measured = probe(local.path, measure=True).measured
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        keep_measured(connection, step.artist.id, {audio.audio_hash: measured})


def _compare(step: Step) -> None:
    """Look for every content of the artist that was not compared yet among all there are."""
    database = step.ports.database
    with database.transaction() as connection:
        due = measurements.uncompared_audio(connection, step.artist.id, VERSION)
        everything = measurements.measured_contents(connection, VERSION) if due else []
    if not due:
        return
    from modal_app.audio.fingerprint_index import FingerprintIndex

    log.info("looking for %d songs among %d", len(due), len(everything))
    present: list[Content] = []
    with TemporaryDirectory(prefix="dawa-fingerprints-") as folder:
        index = FingerprintIndex(_fingerprints(database, everything, present), Path(folder))
        places = {content: place for place, content in enumerate(present)}
        own = [Content(step.artist.id, audio_hash) for audio_hash in due]
        with Batch[tuple[Content, list[AudioMatch]]](partial(_keep_matches, step)) as batch:
            for content, fingerprint in _stored(database, own):
                if content not in places:
                    continue
                matches = [
                    AudioMatch(
                        *content,
                        *present[match.sound],
                        match.hits,
                        match.pitch,
                        match.speed,
                        match.seconds,
                        match.start,
                        match.other_start,
                    )
                    for match in index.find(fingerprint, places[content])
                ]
                batch.add((content, matches))


def _keep_matches(step: Step, found: Sequence[tuple[Content, list[AudioMatch]]]) -> None:
    with step.ports.database.transaction() as connection:
        step.held.check(connection)
        measurements.keep_matches(connection, VERSION, dict(found))


def _fingerprints(database: Database, contents: list[Content], present: list[Content]) -> "Iterator[Fingerprint]":
    """Yield the fingerprints of contents that are still there, and note in `present` which those are."""
    for content, fingerprint in _stored(database, contents):
        present.append(content)
        yield fingerprint


def _stored(database: Database, contents: list[Content]) -> "Iterator[tuple[Content, Fingerprint]]":
    """Yield contents that are still there with their fingerprints, a hundred of them in memory at a time."""
    from modal_app.audio.fingerprint import Fingerprint

    for start in range(0, len(contents), 100):
        with database.transaction() as connection:
            stored = measurements.fingerprints_of(connection, contents[start : start + 100])
        for content, fingerprint in stored:
            yield content, Fingerprint.from_bytes(fingerprint)
