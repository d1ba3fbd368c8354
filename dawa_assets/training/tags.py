"""The step `tags`: a text for every segment of the current dataset, kept in the database, published in the view."""

import time
from dataclasses import dataclass
from typing import Literal

from dawa_assets.artists.store import get_artist
from dawa_assets.leases import Lease, lease
from dawa_assets.training import store
from dawa_assets.training.prepared import PreparedDataset, prepare_dataset, publish_view, tagger_of, texts_of
from dawa_assets.training.progress import logged
from modal_app.protocol import SegmentToTag, TagRequest
from resources.ports import Ports

_AT_ONCE = 128  # a killed step loses at most so many; about ten seconds of work


@dataclass(frozen=True)
class TaggedSegment:
    """One segment of the view, for a table."""

    file: str
    item: str
    start_seconds: float
    text: str


@dataclass(frozen=True)
class TagsReport:
    """What was tagged now, and what the dataset has altogether."""

    headline: str
    state: Literal["tagged", "no dataset"]
    model: str
    tag_prompt_version: str
    segments: int
    tagged: int
    known: int
    cost_usd: float
    view: str | None
    view_changed: bool
    texts: list[TaggedSegment]
    failed: list[tuple[str, str]]
    seconds: float


def tag_segments(ports: Ports, slug: str) -> TagsReport:
    """Tag the segments that were never tagged with the same known facts, and publish the view with all texts.

    What could not be tagged is reported and asked for again by the next call. With no dataset yet, nothing happens
    and the report says so.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        BusyError: another process tags this artist's segments and did not end in time.
        JobError: the worker could not do it at all; what was tagged before is kept.
    """
    started = time.monotonic()
    settings, tagger = ports.settings, tagger_of(ports)
    with ports.database.transaction() as connection:
        artist = get_artist(connection, slug)
    with lease(
        ports.database, artist.id, "tags", seconds=settings.lease_seconds, wait_seconds=settings.lease_wait_seconds
    ) as held:
        prepared = prepare_dataset(ports, artist, held)
        if prepared is None:
            done, view, texts = _Tagging(0, 0, 0.0, []), None, []
        else:
            done = _tag_missing(ports, prepared, held)
            view = publish_view(ports, artist, prepared)
            texts = _texts(prepared, texts_of(ports, prepared))
    failed = done.failed if prepared is None else prepared.failed + done.failed
    return TagsReport(
        headline="tags: no dataset yet"
        if prepared is None
        else f"tags: {len(texts)} segments, {done.tagged} newly tagged, {len(done.failed)} failed",
        state="no dataset" if prepared is None else "tagged",
        model=tagger.model,
        tag_prompt_version=tagger.tag_prompt_version,
        segments=len(texts),
        tagged=done.tagged,
        known=done.known,
        cost_usd=done.cost_usd,
        view=None if view is None else view.view,
        view_changed=view is not None and view.changed,
        texts=texts,
        failed=failed,
        seconds=round(time.monotonic() - started, 3),
    )


@dataclass(frozen=True)
class _Tagging:
    tagged: int
    known: int
    cost_usd: float
    failed: list[tuple[str, str]]


def _tag_missing(ports: Ports, prepared: PreparedDataset, held: Lease) -> _Tagging:
    texts = texts_of(ports, prepared)
    wanted = {(segment.sha256, part.hint): (part, segment) for part, segment in prepared.segments()}
    missing = [pair for key, pair in wanted.items() if key not in texts]
    names = {segment.sha256: f"{part.track.name}, segment {segment.index}" for part, segment in missing}
    tagged, cost, failed = 0, 0.0, []
    for start in range(0, len(missing), _AT_ONCE):
        request = TagRequest(
            tagger=ports.settings.tagger,
            segments=[
                SegmentToTag(
                    audio_hash=part.audio.audio_hash, index=segment.index, sha256=segment.sha256, bpm=part.track.bpm
                )
                for part, segment in missing[start : start + _AT_ONCE]
            ],
        )
        result = ports.compute.run(request, logged(f"tags {start}+"))
        with ports.database.transaction() as connection:
            held.check(connection)
            store.add_tags(connection, result.tagged)
        tagged += len(result.tagged)
        cost += sum(tags.cost_usd for tags in result.tagged)
        failed += [(names[failure.sha256], failure.reason) for failure in result.failed]
    return _Tagging(tagged, len(wanted) - len(missing), cost, failed)


def _texts(prepared: PreparedDataset, texts: dict[store.TagKey, str]) -> list[TaggedSegment]:
    return [
        TaggedSegment(
            f"seg_{number:04d}",
            part.track.name,
            segment.start_seconds,
            texts.get((segment.sha256, part.hint), "(not tagged)"),
        )
        for number, (part, segment) in enumerate(prepared.segments())
    ]
