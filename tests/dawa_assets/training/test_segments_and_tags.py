"""Segments and tags of the current dataset: each sound is worked on once, and the view always holds together."""

import shutil
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from dawa_assets.datasets.build import build_dataset
from dawa_assets.segments.prepare import prepare_segments
from dawa_assets.segments.tag import tag_segments
from modal_app.errors import JobError
from modal_app.protocol.audio import PrepareRequest
from modal_app.protocol.base import JobRequest
from modal_app.protocol.tagging import TagRequest
from modal_app.tagging.tag_key import OFFLINE, hint_of
from resources.compute.local import LocalCompute
from resources.ports import Ports
from tests.dawa_assets.training.catalogue import Catalogue, RecordingCompute, open_catalogue, tone, view


def run_all(catalogue: Catalogue) -> tuple[Any, Any]:
    build_dataset(catalogue.ports, catalogue.slug)
    return prepare_segments(catalogue.ports, catalogue.slug), tag_segments(catalogue.ports, catalogue.slug)


def expected_view(catalogue: Catalogue) -> dict[str, tuple[str, str | None]]:
    """What the view should hold by the database alone: the current dataset's segments in order, each with its tags."""
    rows = catalogue.sql(
        """
        select s.segment_hash, t.text from dataset_items i
        join audio_segments s on s.audio_hash = i.audio_hash
        join als_summaries a on a.id = i.als_summary_id
        left join segment_tags t on t.segment_hash = s.segment_hash
          and t.hint = 'bpm=' || (a.summary -> 'overview' ->> 'tempo')
        where i.dataset_id = (select id from datasets where artist_id = %s and state = 'done'
          order by finished_at desc limit 1)
        order by i.position, s.index
        """,
        catalogue.artist.id,
    )
    return {f"seg_{number:04d}": (row["segment_hash"], row["text"]) for number, row in enumerate(rows)}


def asked(worker: RecordingCompute) -> dict[str, int]:
    """How many files and segments were really worked on is in the reports; this counts what was asked to be tagged."""
    tags = [request for request in worker.requests if isinstance(request, TagRequest)]
    return {"requests": len(tags), "segments": sum(len(request.segments) for request in tags)}


def test_the_view_pairs_every_segment_with_its_own_text(catalogue: Catalogue) -> None:
    catalogue.add("one", tone(20, 220), bpm=120)
    catalogue.add("two", tone(16, 330), bpm=90)
    segments, tags = run_all(catalogue)
    assert (segments.state, segments.computed, segments.cached, segments.segments) == ("segmented", 2, 0, 3)
    assert segments.seconds_of_audio == pytest.approx(36)
    assert (tags.tagged, tags.known, tags.failed) == (3, 0, [])
    found = view(catalogue.ports, catalogue.slug)
    assert found == expected_view(catalogue)
    assert all(text for _, text in found.values())
    assert [row.item for row in tags.texts] == ["one", "one", "two"]


def test_a_second_run_computes_and_tags_nothing(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    run_all(catalogue)
    worker.forget()
    segments, tags = run_all(catalogue)
    assert (segments.computed, segments.cached, tags.tagged, tags.known) == (0, 1, 0, 1)
    assert not segments.view_changed
    assert not tags.view_changed
    assert asked(worker) == {"requests": 0, "segments": 0}


def test_a_changed_track_has_only_its_own_segments_computed(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    run_all(catalogue)

    second = catalogue.add("two", tone(16, 330))  # added
    worker.forget()
    segments, tags = run_all(catalogue)
    assert (segments.computed, segments.cached, tags.tagged) == (1, 1, 1)
    assert view(catalogue.ports, catalogue.slug) == expected_view(catalogue)

    catalogue.replace_audio(second, tone(31, 440))  # replaced
    worker.forget()
    segments, tags = run_all(catalogue)
    assert (segments.computed, segments.cached, tags.tagged) == (1, 1, asked(worker)["segments"])
    assert view(catalogue.ports, catalogue.slug) == expected_view(catalogue)

    catalogue.exclude(second)
    worker.forget()
    segments, tags = run_all(catalogue)
    assert (segments.computed, segments.cached, tags.tagged, segments.segments) == (0, 1, 0, 1)
    assert view(catalogue.ports, catalogue.slug) == expected_view(catalogue)
    assert len(view(catalogue.ports, catalogue.slug)) == 1

    catalogue.exclude(second, False)
    segments, tags = run_all(catalogue)
    assert (segments.computed, tags.tagged) == (0, 0)
    assert view(catalogue.ports, catalogue.slug) == expected_view(catalogue)


def test_a_deleted_data_root_is_rebuilt_without_tagging_again(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(20, 220))
    run_all(catalogue)
    before = view(catalogue.ports, catalogue.slug)
    shutil.rmtree(catalogue.ports.settings.data_root)
    worker.forget()
    tags = tag_segments(catalogue.ports, catalogue.slug)  # whichever step comes first
    assert tags.tagged == 0
    assert view(catalogue.ports, catalogue.slug) == before
    assert worker.count(TagRequest) == 0


def test_a_changed_tempo_is_another_hint_and_tagged_anew(catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220), bpm=120)
    run_all(catalogue)
    catalogue.sql(
        'update als_summaries set summary = \'{"overview": {"tempo": 60}}\' where artist_id = %s',
        catalogue.artist.id,
    )
    tags = tag_segments(catalogue.ports, catalogue.slug)
    assert tags.tagged == 1
    hints = {row["hint"] for row in catalogue.sql("select hint from segment_tags")}
    assert {hint_of(120), hint_of(60)} <= hints
    assert view(catalogue.ports, catalogue.slug) == expected_view(catalogue)


def test_a_file_that_is_no_audio_fails_only_its_own_item(catalogue: Catalogue) -> None:
    catalogue.add("bad", b"this is no sound at all " * 100)
    catalogue.add("good", tone(16, 220))
    segments, tags = run_all(catalogue)
    assert [name for name, _ in segments.failed] == ["bad"]
    assert (segments.segments, tags.tagged) == (1, 1)
    assert catalogue.statuses() == {"bad": "failed", "good": "exported"}
    (row,) = catalogue.sql("select error from training_items where item_key = 'bad'")
    assert row["error"]
    assert build_dataset(catalogue.ports, catalogue.slug).item_count == 1


def test_a_replaced_item_does_not_fail_for_its_old_audio(catalogue: Catalogue) -> None:
    bad = catalogue.add("one", b"this is no sound at all " * 100)
    build_dataset(catalogue.ports, catalogue.slug)
    catalogue.replace_audio(bad, tone(16, 220))
    segments = prepare_segments(catalogue.ports, catalogue.slug)
    assert [name for name, _ in segments.failed] == ["one"]
    assert catalogue.statuses() == {"one": "ready"}
    segments, _ = run_all(catalogue)
    assert (segments.failed, segments.segments) == ([], 1)


def test_missing_audio_is_no_failure_while_segments_are_cached(catalogue: Catalogue) -> None:
    item = catalogue.add("one", tone(16, 220))
    run_all(catalogue)
    catalogue.ports.bucket.delete([f"artists/{catalogue.slug}/training/{item}/audio.wav"])
    assert prepare_segments(catalogue.ports, catalogue.slug).failed == []
    shutil.rmtree(catalogue.ports.settings.data_root)
    segments = prepare_segments(catalogue.ports, catalogue.slug)
    assert segments.failed == [("one", "its audio is not in the bucket; upload the file again")]
    assert catalogue.statuses() == {"one": "failed"}


def test_identical_audio_in_two_items_is_processed_once(catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    catalogue.add("same", tone(16, 220), "Another text.\nBPM: 120")
    segments, tags = run_all(catalogue)
    assert (segments.computed, segments.segments, tags.tagged) == (1, 1, 1)
    assert view(catalogue.ports, catalogue.slug) == expected_view(catalogue)


def test_tags_stored_before_a_crash_are_not_asked_for_again(
    worker: RecordingCompute, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dawa_assets.segments.tag._BATCH_SIZE", 1)
    for number in range(3):
        catalogue.add(f"song {number}", tone(6, 200 + 50 * number))
    build_dataset(catalogue.ports, catalogue.slug)

    def fail_at(which: int) -> Callable[[JobRequest[Any]], None]:
        def before(request: JobRequest[Any]) -> None:
            if isinstance(request, TagRequest) and worker.count(TagRequest) == which:
                raise JobError("the worker went away")

        return before

    worker.before = fail_at(2)
    with pytest.raises(JobError):
        tag_segments(catalogue.ports, catalogue.slug)
    worker.before = lambda _: None
    worker.forget()
    tags = tag_segments(catalogue.ports, catalogue.slug)
    assert (tags.known, tags.tagged) == (2, 1)
    assert asked(worker) == {"requests": 1, "segments": 1}


def test_without_a_dataset_nothing_happens_and_that_is_said(worker: RecordingCompute, catalogue: Catalogue) -> None:
    assert prepare_segments(catalogue.ports, catalogue.slug).state == "no dataset"
    assert tag_segments(catalogue.ports, catalogue.slug).state == "no dataset"
    assert worker.requests == []


def test_the_worker_in_its_own_process_gives_the_same(ports: Ports) -> None:
    assert isinstance(ports.compute, LocalCompute)
    catalogue = open_catalogue(ports, f"Artist {uuid4().hex[:8]}")
    catalogue.add("one", tone(6, 220))
    segments, tags = run_all(catalogue)
    assert (segments.segments, tags.tagged + tags.known) == (1, 1)
    assert view(ports, catalogue.slug) == expected_view(catalogue)
    assert tags.model == OFFLINE.model


def test_only_files_of_the_artist_are_handed_to_the_worker(worker: RecordingCompute, catalogue: Catalogue) -> None:
    other = open_catalogue(catalogue.ports, f"Victim {uuid4().hex[:8]}")
    secret = other.add("secret", tone(6, 500))
    catalogue.add("one", tone(6, 220))
    build_dataset(catalogue.ports, catalogue.slug)
    with catalogue.ports.database.transaction() as connection:
        connection.execute("set local session_replication_role = replica")  # as if the trigger had been passed by
        connection.execute(
            "update dataset_items set audio_path = %s, audio_hash = "
            "(select audio_hash from training_items where id = %s)",
            [f"artists/{other.slug}/training/{secret}/audio.wav", secret],
        )
    segments = prepare_segments(catalogue.ports, catalogue.slug)
    assert [name for name, _ in segments.failed] == ["one"]
    (request,) = [request for request in worker.requests if isinstance(request, PrepareRequest)]
    assert all(other.slug not in source.url for source in request.sources)
