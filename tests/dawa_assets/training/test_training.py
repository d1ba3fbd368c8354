"""Training runs: what decides one, what is restored, what happens after a crash; with a stand-in for the trainer."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from dawa_assets.datasets.build import build_dataset
from dawa_assets.segments.tag import tag_segments
from dawa_assets.training.evaluation import evaluate_lora
from dawa_assets.training.preview import render_preview
from dawa_assets.training.runs import train_lora
from modal_app.audio.segment_cache import find_prepared
from modal_app.data_root.layout import DataRoot
from modal_app.errors import JobError
from modal_app.protocol.base import JobRequest
from modal_app.protocol.tagging import TagRequest
from modal_app.protocol.training import GenerateRequest, InstallRequest, TrainRequest
from modal_app.training.song_titles import song_key
from modal_app.training.split import split_by_song
from tests.dawa_assets.training.catalogue import Catalogue, RecordingCompute, caption_of, tone


class Killed(BaseException):
    """Stands for a SIGKILL: nothing may catch it."""


def train(catalogue: Catalogue) -> Any:
    build_dataset(catalogue.ports, catalogue.slug)
    tag_segments(catalogue.ports, catalogue.slug)
    return train_lora(catalogue.ports, catalogue.slug)


def runs(catalogue: Catalogue) -> list[dict[str, Any]]:
    return catalogue.sql("select * from training_runs where artist_id = %s order by created_at", catalogue.artist.id)


def published(catalogue: Catalogue) -> bytes:
    settings = catalogue.ports.settings
    return (settings.data_root / "loras" / f"{catalogue.slug}_{settings.model_name}.safetensors").read_bytes()


def kept(catalogue: Catalogue, report: Any) -> set[str]:
    return {
        stored.key.removeprefix(f"{report.adapter_key}/") for stored in catalogue.ports.bucket.list(report.adapter_key)
    }


def test_a_training_keeps_its_files_as_an_unpublished_candidate(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(20, 220), "Dark dub.\nBPM: 120")
    report = train(catalogue)
    assert (report.state, report.examples, report.untagged) == ("trained", 2, 0)
    assert kept(catalogue, report) == {"adapter.safetensors", "peft/adapter_model.safetensors", "card.json", "loss.png"}
    (row,) = runs(catalogue)
    assert (row["state"], row["promoted"], row["adapter_key"]) == ("done", False, report.adapter_key)
    assert row["candidate_at"] is not None
    assert row["metrics"]["final_loss"] == 1.0
    assert worker.count(InstallRequest) == 0
    (request,) = [request for request in worker.requests if isinstance(request, TrainRequest)]
    assert all(caption_of(example).startswith("Dark dub. ") for example in request.examples)
    assert all(caption_of(example).endswith(". BPM: 120") for example in request.examples)
    assert all([part.kind for part in example.parts][:2] == ["prompt", "tags"] for example in request.examples)
    assert {example.song for example in request.examples} == {"one"}


@pytest.mark.parametrize(
    ("scale", "key"),
    [(("F#", "Minor"), "F# minor"), (("C", "Major"), "C major"), (("C", "Dorian"), None)],
)
def test_the_live_sets_key_and_metre_are_told_of_each_segment(
    worker: RecordingCompute, catalogue: Catalogue, scale: tuple[str, str], key: str | None
) -> None:
    catalogue.add("one", tone(20, 220), "Dark dub.\nBPM: 120", scale=scale)
    train(catalogue)
    (request,) = [request for request in worker.requests if isinstance(request, TrainRequest)]
    assert {(example.musical_key, example.time_signature, example.bpm) for example in request.examples} == {
        (key, "3/4", 120.0)
    }
    for example in request.examples:
        assert [part.text for part in example.parts if part.kind == "key"] == ([f"Key: {key}."] if key else [])


def test_why_a_training_was_needed_is_reported(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(20, 220), "Dark dub.\nBPM: 120")
    assert train(catalogue).why == "the first training"
    assert train(catalogue).why is None
    with catalogue.ports.database.transaction() as connection:  # as an earlier version of the rule left it
        connection.execute(
            "update training_runs set fingerprint = repeat('0', 64), "
            """parameters = parameters || '{"caption_rule": "caption-v2"}'"""
        )
    again = train(catalogue)
    assert (again.state, again.why) == ("trained", "caption_rule is caption-v4 now, was caption-v2")
    catalogue.add("two", tone(20, 330), "Bright dub.\nBPM: 120")
    assert train(catalogue).why == "the examples or the base changed"
    assert worker.count(TrainRequest) == 3


@pytest.mark.parametrize(("backend", "recipe"), [("ace_step", "stereo48"), ("musicgen", "mono44")])
def test_training_audio_is_cut_where_the_tagged_segments_are(
    worker: RecordingCompute, catalogue: Catalogue, backend: str, recipe: str
) -> None:
    catalogue.add("one", tone(46, 220))
    settings = catalogue.ports.settings.model_copy(update={"backend": backend})
    train(replace(catalogue, ports=replace(catalogue.ports, settings=settings)))
    (request,) = [request for request in worker.requests if isinstance(request, TrainRequest)]
    assert (request.recipe, len(request.examples)) == (recipe, 3)
    root = DataRoot(catalogue.ports.settings.data_root)
    tagged, heard = (find_prepared(root, request.examples[0].audio_hash, name) for name in ("mono44", recipe))
    assert tagged is not None
    assert heard is not None
    assert [example.sha256 for example in request.examples] == [segment.sha256 for segment in heard.segments]
    assert [part.start_seconds for part in heard.segments] == [part.start_seconds for part in tagged.segments]
    assert all(len(example.parts) > 1 for example in request.examples), "tags are found by the segment that was tagged"


def test_versions_of_a_song_stay_on_one_side_of_the_split(worker: RecordingCompute, catalogue: Catalogue) -> None:
    """On the manifest of a real dataset, cut by the real worker."""
    catalogue.add("Night Project/Night", tone(31, 220))
    catalogue.add("Night Project/Night v2 final", tone(31, 225))
    catalogue.add("Dawn Project/Dawn", tone(16, 330))
    catalogue.add("Somewhere else/Sunrise", tone(16, 330))
    for number in range(4):
        catalogue.add(f"Track {number}/Track {number}", tone(16, 400 + 30 * number))
    catalogue.accept("duplicate")
    train(catalogue)
    (request,) = [request for request in worker.requests if isinstance(request, TrainRequest)]
    songs = [{"night"}, {"dawn", "sunrise"}, *({f"track{number}"} for number in range(4))]

    for seed in range(12):
        split = split_by_song(request.examples, 0.1, seed)
        sides = [
            {song_key(request.examples[index].song) for index in side} for side in (split.training, split.held_out)
        ]
        assert 0.1 * len(request.examples) <= len(split.held_out) <= 0.5 * len(request.examples)
        assert sum(len(side) for side in (split.training, split.held_out)) == len(request.examples)
        for song in songs:
            assert [bool(song & side) for side in sides].count(True) == 1


def test_the_same_content_is_trained_once(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    first = train(catalogue)
    worker.forget()
    second = train(catalogue)
    assert (second.state, second.run_id, second.losses) == ("unchanged", first.run_id, first.losses)
    assert worker.count(TrainRequest) == 0


def test_returning_content_reuses_its_run_without_training(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    extra = catalogue.add("two", tone(16, 330))
    both = train(catalogue)
    catalogue.exclude(extra)
    one = train(catalogue)
    assert one.run_id != both.run_id
    catalogue.exclude(extra, False)
    worker.forget()
    again = train(catalogue)
    assert (again.state, again.run_id) == ("candidate again", both.run_id)
    assert worker.count(TrainRequest) == 0
    assert [row["candidate_at"] is not None for row in runs(catalogue)] == [True, False]


def test_a_deleted_data_root_is_restored_without_training(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    train(catalogue)
    evaluate_lora(catalogue.ports, catalogue.slug)
    before = published(catalogue)
    shutil.rmtree(catalogue.ports.settings.data_root)
    worker.forget()
    report = train_lora(catalogue.ports, catalogue.slug)
    assert report.state == "unchanged"
    assert evaluate_lora(catalogue.ports, catalogue.slug).state == "unchanged"
    assert published(catalogue) == before
    assert (worker.count(TrainRequest), worker.count(TagRequest)) == (0, 0)


def test_files_lost_from_the_bucket_are_restored_by_the_worker(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    report = train(catalogue)
    names = kept(catalogue, report)
    catalogue.ports.bucket.delete([f"{report.adapter_key}/{name}" for name in names])
    worker.forget()
    assert train_lora(catalogue.ports, catalogue.slug).state == "unchanged"
    assert kept(catalogue, report) == names
    assert worker.count(TrainRequest) == 0


def test_a_run_whose_files_are_gone_everywhere_is_trained_again(catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    report = train(catalogue)
    catalogue.ports.bucket.delete([f"{report.adapter_key}/{name}" for name in kept(catalogue, report)])
    shutil.rmtree(catalogue.ports.settings.data_root)
    again = train_lora(catalogue.ports, catalogue.slug)
    assert (again.state, again.run_id) == ("trained", report.run_id)
    assert len(runs(catalogue)) == 1


def _kill_before(kind: type[JobRequest[Any]]) -> Callable[[JobRequest[Any]], None]:
    def before(request: JobRequest[Any]) -> None:
        if isinstance(request, kind):
            raise Killed

    return before


def test_a_run_that_a_dead_process_left_is_taken_over(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    worker.before = _kill_before(TrainRequest)
    with pytest.raises(Killed):
        train(catalogue)
    (left,) = runs(catalogue)
    assert left["state"] == "running"
    worker.before = lambda _: None
    report = train_lora(catalogue.ports, catalogue.slug)
    assert report.run_id == str(left["id"])
    assert worker.count(TrainRequest) == 1
    assert [row["state"] for row in runs(catalogue)] == ["done"]


def test_two_trainings_at_once_train_once(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    build_dataset(catalogue.ports, catalogue.slug)
    tag_segments(catalogue.ports, catalogue.slug)
    start = threading.Barrier(2)

    def both() -> str:
        start.wait()
        return train_lora(catalogue.ports, catalogue.slug).state

    with ThreadPoolExecutor(2) as pool:
        states = [future.result() for future in (pool.submit(both), pool.submit(both))]
    assert sorted(states) == ["trained", "unchanged"]
    assert worker.count(TrainRequest) == 1
    assert len(runs(catalogue)) == 1


def test_a_failed_training_has_its_reason_and_is_tried_again(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))

    def before(request: JobRequest[Any]) -> None:
        if isinstance(request, TrainRequest):
            raise JobError("out of memory; use a smaller batch")

    worker.before = before
    with pytest.raises(JobError):
        train(catalogue)
    (row,) = runs(catalogue)
    assert (row["state"], row["error"], row["promoted"]) == ("failed", "out of memory; use a smaller batch", False)
    worker.before = lambda _: None
    assert train_lora(catalogue.ports, catalogue.slug).state == "trained"
    (row,) = runs(catalogue)
    assert (row["state"], row["error"]) == ("done", None)


def test_silence_is_left_out_of_the_examples(catalogue: Catalogue) -> None:
    catalogue.add("silence", tone(16, 220, level=0))
    catalogue.accept("silent")
    nothing = train(catalogue)
    assert (nothing.state, nothing.silent_left_out) == ("nothing to train on", 1)
    catalogue.add("sound", tone(16, 220))
    report = train(catalogue)
    assert (report.examples, report.silent_left_out) == (1, 1)


def test_without_a_dataset_nothing_happens_and_that_is_said(worker: RecordingCompute, catalogue: Catalogue) -> None:
    assert train_lora(catalogue.ports, catalogue.slug).state == "nothing to train on"
    assert evaluate_lora(catalogue.ports, catalogue.slug).state == "nothing to evaluate"
    assert render_preview(catalogue.ports, catalogue.slug).state == "no LoRA"
    assert worker.requests == []


def test_previews_are_rendered_once_with_and_without_the_adapter(
    worker: RecordingCompute, catalogue: Catalogue
) -> None:
    catalogue.add("one", tone(16, 220), "First prompt.\nBPM: 120")
    catalogue.add("two", tone(16, 330), "Second prompt.\nBPM: 120")
    trained = train(catalogue)
    assert render_preview(catalogue.ports, catalogue.slug).state == "no LoRA"
    evaluate_lora(catalogue.ports, catalogue.slug)
    report = render_preview(catalogue.ports, catalogue.slug)
    assert (report.state, report.rendered, report.differs) == ("rendered", 2, True)
    assert report.prompt == "First prompt.\nBPM: 120"
    assert {file.key for file in report.files} == {
        f"{trained.adapter_key}/preview-base.wav",
        f"{trained.adapter_key}/preview-lora.wav",
    }
    assert worker.count(GenerateRequest) == 1
    worker.forget()
    assert render_preview(catalogue.ports, catalogue.slug).state == "unchanged"
    assert worker.requests == []


def test_a_preview_restores_the_adapter_to_a_deleted_data_root(worker: RecordingCompute, catalogue: Catalogue) -> None:
    catalogue.add("one", tone(16, 220))
    train(catalogue)
    evaluate_lora(catalogue.ports, catalogue.slug)
    shutil.rmtree(catalogue.ports.settings.data_root)
    worker.forget()
    assert render_preview(catalogue.ports, catalogue.slug).rendered == 2
    assert published(catalogue)
    assert worker.count(TrainRequest) == 0
