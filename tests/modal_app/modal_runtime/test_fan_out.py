"""A job taken apart and put together is the same job: nothing lost or done twice, no more spent."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.hosted_models.metered_requests import Usage
from modal_app.modal_runtime.fan_out import MAX_SHARDS, merge_prepare, merge_tag, run_sharded, split_prepare, split_tag
from modal_app.protocol.audio import AudioSource, FailedAudio, PrepareRequest, PrepareResult
from modal_app.protocol.base import Event
from modal_app.protocol.tagging import FailedTags, HostedModel, SegmentToTag, TagRequest, TagResult

digests = st.integers(0, 60).map(lambda number: f"{number:064x}")
segments = st.lists(
    st.builds(
        SegmentToTag,
        audio_hash=digests,
        index=st.integers(0, 5),
        sha256=st.integers(0, 400).map("{:064x}".format),
        bpm=st.sampled_from([None, 120.0]),
    ),
    max_size=300,
)
models = st.none() | st.builds(
    HostedModel,
    name=st.just("m"),
    budget_usd=st.floats(0, 50),
    calls=st.integers(0, 1000),
    at_once=st.integers(1, 40),
)


@given(segments, models)
def test_parts_of_tags_hold_each_question_once_and_spend_no_more(
    asked: list[SegmentToTag], model: HostedModel | None
) -> None:
    parts = split_tag(TagRequest(tagger="gemini", model=model, vocabulary=["warm"], segments=asked))

    questions = [(segment.sha256, segment.bpm) for part in parts for segment in part.segments]
    assert len(questions) == len(set(questions))
    assert set(questions) == {(segment.sha256, segment.bpm) for segment in asked}
    assert 1 <= len(parts) <= MAX_SHARDS
    assert all(part.vocabulary == ["warm"] and part.tagger == "gemini" for part in parts)
    if model:
        shares = [part.model for part in parts if part.model]
        assert len(shares) == len(parts)
        assert sum(share.budget_usd for share in shares) <= model.budget_usd * (1 + 1e-9)
        assert sum(share.calls for share in shares) <= model.calls
        assert sum(share.at_once for share in shares) <= model.at_once


@given(st.lists(digests, max_size=80))
def test_parts_of_audio_are_merged_in_the_requested_order(hashes: list[str]) -> None:
    request = PrepareRequest(sources=[AudioSource(audio_hash=key, url="missing:", name=key) for key in hashes])

    results = [
        PrepareResult(
            prepared=[],
            failed=[FailedAudio(audio_hash=source.audio_hash, name=source.name, reason="x") for source in part.sources],
            computed=0,
        )
        for part in split_prepare(request)
    ]

    merged = merge_prepare(request, results[::-1])
    assert [failure.audio_hash for failure in merged.failed] == list(dict.fromkeys(hashes))


def test_what_parts_used_is_added_up_and_why_one_stopped_is_told() -> None:
    parts = [
        TagResult(
            tagged=[], failed=[FailedTags(sha256=f"{n:064x}", reason="r", deferred=True)], used=Usage(1, 2, 3, 0.5)
        )
        for n in range(3)
    ]
    stopped = parts[1].model_copy(update={"stopped": "the key is wrong", "recovered": Usage(1, 1, 1, 1.0)})

    merged = merge_tag([parts[0], stopped, parts[2]])

    assert merged.used == Usage(3, 6, 9, 1.5)
    assert merged.recovered == Usage(1, 1, 1, 1.0)
    assert merged.stopped == "the key is wrong"
    assert len(merged.failed) == 3


def test_a_spread_job_tells_how_many_parts_are_done(tmp_path_factory: pytest.TempPathFactory) -> None:
    sources = [AudioSource(audio_hash=f"{n:064x}", url="missing:", name=f"{n}") for n in range(10)]
    events: list[Event] = []

    def mapper(requests: Sequence[str]) -> Iterable[str]:
        for request in requests:
            part = PrepareRequest.model_validate_json(request)
            yield PrepareResult(prepared=[], failed=[], computed=len(part.sources)).model_dump_json()

    root = DataRoot(tmp_path_factory.mktemp("data"))
    result = run_sharded(PrepareRequest(sources=sources), root, events.append, mapper)

    assert isinstance(result, PrepareResult)
    assert result.computed == 10
    assert [(event.done, event.total) for event in events] == [(1, 3), (2, 3), (3, 3)]


def test_a_part_that_fails_fails_the_job_with_its_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    sources = [AudioSource(audio_hash=f"{n:064x}", url="missing:", name=f"{n}") for n in range(10)]

    def mapper(_requests: Sequence[str]) -> Iterable[str]:
        raise JobError("the disk is full; make room")

    with pytest.raises(JobError, match="the disk is full"):
        run_sharded(PrepareRequest(sources=sources), DataRoot(tmp_path_factory.mktemp("d")), lambda _: None, mapper)


def test_a_small_job_is_done_where_it_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    def mapper(_requests: Sequence[str]) -> Iterable[str]:
        raise AssertionError

    source = AudioSource(audio_hash="0" * 64, url="missing:", name="one")
    root = DataRoot(tmp_path_factory.mktemp("data"))
    result = run_sharded(PrepareRequest(sources=[source]), root, lambda _: None, mapper)

    assert isinstance(result, PrepareResult)
    assert [failure.name for failure in result.failed] == ["one"]
