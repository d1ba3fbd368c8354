"""One job on many machines: requests taken apart, results put together. What runs the parts is handed in.

The parts of a budget never add up to more than the whole.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from modal_app.data_root.layout import DataRoot
from modal_app.hosted_models.metered_requests import Usage
from modal_app.protocol.audio import PrepareRequest, PrepareResult
from modal_app.protocol.base import Event, JobResult
from modal_app.protocol.requests import AnyRequest
from modal_app.protocol.tagging import HostedModel, SegmentToTag, TagRequest, TagResult
from modal_app.tagging.tag_key import hint_of
from modal_app.worker.job_table import run_job

SOURCES_A_SHARD = 4
SEGMENTS_A_SHARD = 64
MAX_SHARDS = 16

_T = TypeVar("_T")

Mapper = Callable[[Sequence[str]], Iterable[str]]
"""Requests as JSON → their results as JSON, in the same order, each as soon as it is there."""


def run_sharded(request: AnyRequest, root: DataRoot, emit: Callable[[Event], None], mapper: Mapper) -> JobResult:
    """Do a job in parts where it can be taken apart, else here; the result is the same.

    Raises:
        DawaError: the job, or a part of it, can't be done.
    """
    if isinstance(request, PrepareRequest):
        prepares = split_prepare(request)
        if len(prepares) > 1:
            return merge_prepare(
                request, list(_reporting_progress(map_typed(prepares, PrepareResult, mapper), len(prepares), emit))
            )
    if isinstance(request, TagRequest):
        tags = split_tag(request)
        if len(tags) > 1:
            return merge_tag(list(_reporting_progress(map_typed(tags, TagResult, mapper), len(tags), emit)))
    return run_job(request, root, emit)


def map_typed(requests: Sequence[AnyRequest], result_type: type[_T], mapper: Mapper) -> Iterator[_T]:
    """Yield the results of requests, as what they are."""
    for result in mapper([request.model_dump_json() for request in requests]):
        yield result_type.model_validate_json(result)  # type: ignore[attr-defined]


def split_prepare(request: PrepareRequest) -> list[PrepareRequest]:
    """Parts of a few files each; no file in two."""
    sources = list({source.audio_hash: source for source in request.sources}.values())
    return [request.model_copy(update={"sources": part}) for part in _parts(sources, SOURCES_A_SHARD)]


def merge_prepare(request: PrepareRequest, results: Sequence[PrepareResult]) -> PrepareResult:
    """Return all parts' results, in the order that was asked for."""
    order = {key: place for place, key in enumerate(dict.fromkeys(source.audio_hash for source in request.sources))}
    return PrepareResult(
        prepared=sorted((audio for part in results for audio in part.prepared), key=lambda a: order[a.audio_hash]),
        failed=sorted((audio for part in results for audio in part.failed), key=lambda a: order[a.audio_hash]),
        computed=sum(part.computed for part in results),
    )


def split_tag(request: TagRequest) -> list[TagRequest]:
    """Parts of some segments each, with their share of the budget, of the calls, and of those at once.

    Segments of one song stay together: what is asked of a hosted model is then the same as in one piece. What is the
    same in two songs is asked once.
    """
    wanted = {(segment.sha256, hint_of(segment.bpm)): segment for segment in request.segments}
    by_audio: dict[str, list[SegmentToTag]] = {}
    for segment in wanted.values():
        by_audio.setdefault(segment.audio_hash, []).append(segment)
    most = min(MAX_SHARDS, -(-len(wanted) // SEGMENTS_A_SHARD), len(by_audio), *_at_once(request.model))
    parts: list[list[SegmentToTag]] = [[] for _ in range(max(1, most))]
    for segments in sorted(by_audio.values(), key=len, reverse=True):
        min(parts, key=len).extend(segments)
    total = len(wanted)
    return [
        request.model_copy(update={"segments": part, "model": _share(request.model, len(part), total, len(parts))})
        for part in parts
    ]


def merge_tag(results: Sequence[TagResult]) -> TagResult:
    """Return all parts' results; what they used and recovered is added up."""
    return TagResult(
        tagged=[tags for part in results for tags in part.tagged],
        failed=[failure for part in results for failure in part.failed],
        used=sum((part.used for part in results), Usage()),
        recovered=sum((part.recovered for part in results), Usage()),
        stopped=next((part.stopped for part in results if part.stopped), None),
    )


def _at_once(model: HostedModel | None) -> list[int]:
    return [] if model is None else [model.at_once]


def _share(model: HostedModel | None, some: int, total: int, parts: int) -> HostedModel | None:
    if model is None or parts == 1:
        return model
    return model.model_copy(
        update={
            "budget_usd": model.budget_usd * some / total,
            "calls": model.calls * some // total,
            "at_once": max(1, model.at_once // parts),
        }
    )


def _parts(items: list[_T], least: int) -> list[list[_T]]:
    """Runs of neighbours, as even as can be, of at least so many where there are more."""
    count = max(1, min(MAX_SHARDS, -(-len(items) // least)))
    return [items[place * len(items) // count : (place + 1) * len(items) // count] for place in range(count)]


def _reporting_progress(results: Iterable[_T], total: int, emit: Callable[[Event], None]) -> Iterator[_T]:
    for done, result in enumerate(results, 1):
        emit(Event(kind="progress", message=f"part {done} of {total} is done", done=done, total=total))
        yield result
