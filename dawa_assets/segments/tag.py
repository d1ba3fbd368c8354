"""The step `tags`: a text for every segment of the current dataset, kept in the database, published in the view."""

import logging
import time
from dataclasses import dataclass, field
from typing import Literal

from dawa_assets.pipeline.job_progress import logged
from dawa_assets.pipeline.spending import left_to_spend, mismatch
from dawa_assets.pipeline.step import artist_step
from dawa_assets.prompting.profile_facts import read_profile
from dawa_assets.segments.prepared_dataset import (
    PreparedDataset,
    TrackSegments,
    prepare_dataset,
    publish_view,
    texts_of,
)
from dawa_assets.segments.tagger import hosted_model, style_vocabulary, tagger_of
from dawa_assets.tables.artist_profiles import observed_profile
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.leases import Lease
from dawa_assets.tables.segment_tags import TagKey, add_tags
from dawa_assets.tables.spending import record_spending
from modal_app.errors import ServiceError
from modal_app.hosted_models.metered_requests import Usage
from modal_app.protocol.audio import Segment
from modal_app.protocol.tagging import SegmentToTag, TagRequest, TagResult
from resources.ports import Ports

log = logging.getLogger(__name__)

_BATCH_SIZE = 128  # a killed step loses at most so many; about ten seconds of work
_HOSTED_CONCURRENCY = 1_024  # the worker keeps each answer itself, so a killed step loses calls in flight only


@dataclass(frozen=True)
class TaggedSegment:
    """One segment of the view, for a table."""

    file: str
    item: str
    start_seconds: float
    text: str


@dataclass(frozen=True)
class TagsReport:
    """What was tagged now, and what the dataset has altogether.

    `deferred` are asked for again by the next run: a budget was used up, or the service was not to be had. Calls,
    tokens and cost count whatever was paid for and not accounted for before.
    """

    headline: str
    state: Literal["tagged", "no dataset"]
    model: str
    tag_prompt_version: str
    segments: int
    tagged: int
    known: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost_usd: float
    view: str | None
    view_changed: bool
    texts: list[TaggedSegment]
    notes: list[str]
    failed: list[tuple[str, str]]
    deferred: list[tuple[str, str]]
    seconds: float


def tag_segments(ports: Ports, slug: str) -> TagsReport:
    """Tag the segments that were never tagged with the same known facts, and publish the view with all texts.

    What could not be tagged is reported and asked for again by the next call. With no dataset yet, nothing happens
    and the report says so.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        BusyError: another process tags this artist's segments and did not end in time.
        JobError: the worker could not do it at all.
        ServiceError: the service can't be used any further; what was tagged before is kept.
    """
    started = time.monotonic()
    tagger = tagger_of(ports.settings)
    with artist_step(ports, slug, "tags") as step:
        prepared = prepare_dataset(ports, step.artist, step.held)
        if prepared is None:
            done, view, texts = _Tagging(), None, []
        else:
            done = _tag_missing(ports, step.artist, prepared, step.held)
            view = publish_view(ports, step.artist, prepared)
            texts = _texts(prepared, texts_of(ports, prepared))
    failed = done.failed if prepared is None else prepared.failed + done.failed
    return TagsReport(
        headline="tags: no dataset yet" if prepared is None else _headline(len(texts), done),
        state="no dataset" if prepared is None else "tagged",
        model=tagger.model,
        tag_prompt_version=tagger.tag_prompt_version,
        segments=len(texts),
        tagged=done.tagged,
        known=done.known,
        calls=done.used.calls,
        input_tokens=done.used.input_tokens,
        output_tokens=done.used.output_tokens,
        cost_usd=round(done.used.cost_usd, 6),
        view=None if view is None else view.view,
        view_changed=view is not None and view.changed,
        texts=texts,
        notes=done.notes,
        failed=failed,
        deferred=done.deferred,
        seconds=round(time.monotonic() - started, 3),
    )


@dataclass
class _Tagging:
    tagged: int = 0
    known: int = 0
    used: Usage = field(default_factory=Usage)
    failed: list[tuple[str, str]] = field(default_factory=list)
    deferred: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _headline(segments: int, done: _Tagging) -> str:
    line = f"tags: {segments} segments, {done.tagged} newly tagged, {len(done.failed)} failed"
    if done.deferred:
        line += f", {len(done.deferred)} put off ({done.deferred[0][1]})"
    return f"{line}, ${done.used.cost_usd:.4f}" if done.used.cost_usd else line


_Missing = tuple[TrackSegments, Segment]


def _tag_missing(ports: Ports, artist: Artist, prepared: PreparedDataset, held: Lease) -> _Tagging:
    texts = texts_of(ports, prepared)
    wanted = {(segment.sha256, part.hint): (part, segment) for part, segment in prepared.segments()}
    missing = [pair for key, pair in wanted.items() if key not in texts]
    names = {segment.sha256: f"{part.track.name}, segment {segment.index}" for part, segment in missing}
    done, asked = _Tagging(known=len(wanted) - len(missing)), Usage()
    at_once = _BATCH_SIZE if ports.settings.tagger == "offline" else _HOSTED_CONCURRENCY
    for start in range(0, len(missing), at_once):
        request = _request(ports, artist, missing[start : start + at_once], asked)
        result = ports.compute.run(request, logged(f"tags {start}+"))
        _store(ports, artist, held, result)
        _note_mismatch(ports, artist, done, result)
        asked += result.used
        done.tagged += len(result.tagged)
        done.used += result.used + result.recovered
        for failure in result.failed:
            (done.deferred if failure.deferred else done.failed).append((names[failure.sha256], failure.reason))
        if result.stopped:
            raise ServiceError(result.stopped)
    return done


def _request(ports: Ports, artist: Artist, missing: list[_Missing], asked: Usage) -> TagRequest:
    """Return the next job. What this run's jobs have used until now is no longer its to spend."""
    settings = ports.settings
    vocabulary: list[str] = []
    model = None
    if settings.tagger != "offline":
        with ports.database.transaction() as connection:
            run_budget = max(settings.tag_budget_usd - asked.cost_usd, 0.0)
            budget = left_to_spend(connection, run_budget, settings.monthly_budget_usd)
            profile = read_profile(observed_profile(connection, artist.id).master_schema)
        model = hosted_model(settings, budget_usd=budget, calls=max(settings.calls_per_run - asked.calls, 0))
        vocabulary = style_vocabulary(profile, artist.name)
    return TagRequest(
        tagger=settings.tagger,
        model=model,
        vocabulary=vocabulary,
        segments=[
            SegmentToTag(
                audio_hash=part.audio.audio_hash, index=segment.index, sha256=segment.sha256, bpm=part.track.bpm
            )
            for part, segment in missing
        ],
    )


def _store(ports: Ports, artist: Artist, held: Lease, result: TagResult) -> None:
    """Rows and what they cost, in one transaction: what is lost here is given, and accounted for, by the next run."""
    with ports.database.transaction() as connection:
        held.check(connection)
        add_tags(connection, result.tagged)
        asked = tagger_of(ports.settings).model
        for model, used in (result.used_by or {asked: result.used + result.recovered}).items():
            record_spending(connection, service="tags", model=model, artist_id=artist.id, used=used)


def _note_mismatch(ports: Ports, artist: Artist, done: _Tagging, result: TagResult) -> None:
    """Say once a run, of each model that answers in the place of the one that was asked, that it does."""
    for model in result.used_by:
        note = mismatch(tagger_of(ports.settings).model, model)
        if note and note not in done.notes:
            log.warning("%s: %s", artist.slug, note)
            done.notes.append(note)


def _texts(prepared: PreparedDataset, texts: dict[TagKey, str]) -> list[TaggedSegment]:
    return [
        TaggedSegment(
            f"seg_{number:04d}",
            part.track.name,
            segment.start_seconds,
            texts.get((segment.sha256, part.hint), "(not tagged)"),
        )
        for number, (part, segment) in enumerate(prepared.segments())
    ]
