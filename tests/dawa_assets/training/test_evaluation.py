"""Candidates, promotions and rollbacks: who is published, whatever is killed; with a stand-in for the trainer."""

import json
import shutil
from collections.abc import Callable
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from dawa_assets.cli.lora import app
from dawa_assets.datasets.build import build_dataset
from dawa_assets.training import promotion
from dawa_assets.training.evaluation import EvaluationReport, evaluate_lora
from dawa_assets.training.preview import render_preview
from dawa_assets.training.promotion import list_loras, promote_lora, rollback_lora
from dawa_assets.training.runs import train_lora
from modal_app.errors import InputError, JobError
from modal_app.protocol.base import JobRequest
from modal_app.protocol.evaluation import EvaluateRequest, EvaluateResult, Rendering
from modal_app.protocol.training import GenerateRequest, InstallRequest, TrainRequest
from tests.dawa_assets.training.catalogue import Catalogue, RecordingCompute, tone

FOUND = EvaluateResult(
    files={},
    split="held out: 1 of 4 segments (Night)",
    held_out=["Night"],
    segments=1,
    base_loss=2.0,
    lora_loss=1.5,
    base=Rendering(sample_rate=9, samples=9, expected_samples=9, peak_dbfs=-1, silent_share=0, clipped_share=0),
    lora=Rendering(sample_rate=9, samples=9, expected_samples=9, peak_dbfs=-1, silent_share=0, clipped_share=0),
    waveform_change=0.3,
    spectrum_change_db=2.0,
)


class Killed(BaseException):
    """Stands for a SIGKILL: nothing may catch it."""


def candidate(catalogue: Catalogue, name: str, hertz: float) -> str:
    """One more song, and the training of all of them."""
    catalogue.add(name, tone(5, hertz))
    build_dataset(catalogue.ports, catalogue.slug)
    run_id = train_lora(catalogue.ports, catalogue.slug).run_id
    assert run_id
    return run_id


def item_of(catalogue: Catalogue, name: str) -> UUID:
    query = "select id from training_items where artist_id = %s and item_key = %s"
    (row,) = catalogue.sql(query, catalogue.artist.id, name)
    return UUID(str(row["id"]))


def evaluate(catalogue: Catalogue) -> EvaluationReport:
    return evaluate_lora(catalogue.ports, catalogue.slug)


def promoted(catalogue: Catalogue) -> list[str]:
    rows = catalogue.sql("select id from training_runs where artist_id = %s and promoted", catalogue.artist.id)
    return [str(row["id"]) for row in rows]


def published(catalogue: Catalogue) -> str | None:
    """The run whose adapter lies under the LoRA's name."""
    settings = catalogue.ports.settings
    path = settings.data_root / "loras" / f"{catalogue.slug}_{settings.model_name}.safetensors"
    if not path.exists():
        return None
    for run in list_loras(catalogue.ports, catalogue.slug):
        with catalogue.ports.bucket.open(f"{run.run.adapter_key}/adapter.safetensors") as stream:
            if stream.read() == path.read_bytes():
                return str(run.run.id)
    raise AssertionError("what is published is no run's adapter")


def state(catalogue: Catalogue) -> tuple[list[str], str | None]:
    return promoted(catalogue), published(catalogue)


# --- what becomes of a candidate ---


def test_the_first_candidate_is_promoted_and_published(worker: RecordingCompute, catalogue: Catalogue) -> None:
    first = candidate(catalogue, "one", 220)
    assert state(catalogue) == ([], None)
    report = evaluate(catalogue)
    assert (report.state, report.verdict, report.decision) == (
        "evaluated",
        "better",
        "promoted: the first one that is not broken",
    )
    assert state(catalogue) == ([first], first)
    assert report.promoted_run_id == first
    for key in report.files:
        assert catalogue.ports.bucket.stat(key)
    worker.forget()
    again = evaluate(catalogue)
    assert (again.state, again.decision) == ("unchanged", report.decision)
    assert (worker.count(EvaluateRequest), len(worker.requests)) == (0, 1)


@pytest.mark.parametrize(("own", "is_promoted"), [(1.2, True), (1.3, False), (1.4, False)])
def test_a_candidate_better_on_songs_new_to_both_is_promoted(
    worker: RecordingCompute, catalogue: Catalogue, own: float, is_promoted: bool
) -> None:
    first = candidate(catalogue, "one", 220)
    evaluate(catalogue)
    second = candidate(catalogue, "two", 330)
    worker.figures = {"shared": ["two"], "shared_lora_loss": own, "shared_rival_loss": 1.3}
    report = evaluate(catalogue)
    winner = second if is_promoted else first
    assert state(catalogue) == ([winner], winner)
    assert report.decision is not None
    assert report.decision.startswith("promoted: loss" if is_promoted else "not promoted: loss")
    rivals = [request.rival for request in worker.requests if isinstance(request, EvaluateRequest)]
    assert rivals[0] is None
    assert rivals[1] is not None
    assert (rivals[1].run_id, rivals[1].songs) == (first, ["one"])
    evaluate(catalogue)
    assert state(catalogue) == ([winner], winner)


def test_a_broken_candidate_is_promoted_only_when_forced(worker: RecordingCompute, catalogue: Catalogue) -> None:
    worker.figures = {"trouble": "has weights that are no numbers (NaN)", "lora": None, "lora_loss": None}
    broken = candidate(catalogue, "one", 220)
    report = evaluate(catalogue)
    assert (report.verdict, report.promoted_run_id) == ("broken", None)
    assert state(catalogue) == ([], None)
    with pytest.raises(InputError, match=r"is broken .*NaN.*--force"):
        promote_lora(catalogue.ports, catalogue.slug, broken, force=False)
    promote_lora(catalogue.ports, catalogue.slug, broken, force=True)
    assert state(catalogue) == ([broken], broken)
    worker.figures = {}
    second = candidate(catalogue, "two", 330)
    evaluate(catalogue)
    assert state(catalogue) == ([second], second)


def test_returning_content_is_judged_against_the_promoted_run(worker: RecordingCompute, catalogue: Catalogue) -> None:
    first = candidate(catalogue, "one", 220)
    evaluate(catalogue)
    second = candidate(catalogue, "two", 330)
    evaluate(catalogue)
    catalogue.exclude(item_of(catalogue, "two"))
    build_dataset(catalogue.ports, catalogue.slug)
    assert train_lora(catalogue.ports, catalogue.slug).run_id == first
    assert state(catalogue) == ([second], second)
    report = evaluate(catalogue)
    assert (report.state, report.compared_with) == ("evaluated", second)
    assert state(catalogue) == ([first], first)
    assert worker.count(EvaluateRequest) == 3


def test_evaluation_restores_a_deleted_data_root(worker: RecordingCompute, catalogue: Catalogue) -> None:
    candidate(catalogue, "one", 220)
    evaluate(catalogue)
    second = candidate(catalogue, "two", 330)
    shutil.rmtree(catalogue.ports.settings.data_root)
    evaluate(catalogue)
    assert state(catalogue) == ([second], second)
    shutil.rmtree(catalogue.ports.settings.data_root)
    worker.forget()
    assert evaluate(catalogue).state == "unchanged"
    assert published(catalogue) == second
    assert worker.count(EvaluateRequest) == 0


def test_lost_pictures_are_remade_without_a_new_decision(worker: RecordingCompute, catalogue: Catalogue) -> None:
    candidate(catalogue, "one", 220)
    first = evaluate(catalogue)
    catalogue.ports.bucket.delete(first.files)
    worker.figures = {"trouble": "now it would be broken", "lora": None}
    again = evaluate(catalogue)
    assert (again.state, again.decision) == ("evaluated", first.decision)
    assert all(catalogue.ports.bucket.stat(key) for key in again.files)


def test_a_candidate_of_another_dataset_is_not_judged(catalogue: Catalogue) -> None:
    candidate(catalogue, "one", 220)
    catalogue.add("two", tone(5, 330))
    build_dataset(catalogue.ports, catalogue.slug)
    with pytest.raises(JobError, match="build `lora_weights` first"):
        evaluate(catalogue)
    assert state(catalogue) == ([], None)


# --- kills ---


def _kill_at(worker: RecordingCompute, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    if place == "the evaluation":
        worker.before = _before(EvaluateRequest)
    elif place == "the decision":
        monkeypatch.setattr("dawa_assets.training.evaluation.choose", _killed)
    elif place == "before a file is touched":
        worker.before = _before(InstallRequest)
    elif place == "after the last file":
        monkeypatch.setattr(promotion.lora_evaluations, "finish_promotion", _killed)


def _before(kind: type[JobRequest[Any]]) -> Callable[[JobRequest[Any]], None]:
    def before(request: JobRequest[Any]) -> None:
        if isinstance(request, kind):
            raise Killed

    return before


def _killed(*_: Any) -> Any:
    raise Killed


@pytest.mark.parametrize("place", ["the evaluation", "the decision", "before a file is touched", "after the last file"])
def test_a_kill_anywhere_leaves_the_old_or_the_new_adapter(
    worker: RecordingCompute, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    first = candidate(catalogue, "one", 220)
    evaluate(catalogue)
    second = candidate(catalogue, "two", 330)
    with monkeypatch.context() as patches:
        _kill_at(worker, patches, place)
        with pytest.raises(Killed):
            evaluate(catalogue)
    worker.before = lambda _: None
    assert promoted(catalogue) == [first]
    assert published(catalogue) == (second if place == "after the last file" else first)
    under_way = [str(lora.run.id) for lora in list_loras(catalogue.ports, catalogue.slug) if lora.under_way]
    assert under_way == ([second] if "file" in place else [])

    worker.forget()
    report = evaluate(catalogue)
    assert state(catalogue) == ([second], second)
    assert report.decision is not None
    assert report.decision.startswith("promoted: better than its base and newer")
    assert worker.count(EvaluateRequest) == (1 if place == "the evaluation" else 0)
    assert not any(lora.under_way for lora in list_loras(catalogue.ports, catalogue.slug))
    assert len(catalogue.sql("select * from lora_promotions where artist_id = %s", catalogue.artist.id)) == 2


def test_what_can_t_be_published_leaves_the_old_one_and_no_trace(
    worker: RecordingCompute, catalogue: Catalogue
) -> None:
    first = candidate(catalogue, "one", 220)
    evaluate(catalogue)
    second = candidate(catalogue, "two", 330)

    def before(request: JobRequest[Any]) -> None:
        if isinstance(request, InstallRequest) and request.run_id == second:
            raise JobError("no space left")

    worker.before = before
    with pytest.raises(JobError, match="no space left"):
        evaluate(catalogue)
    assert state(catalogue) == ([first], first)
    assert not any(lora.under_way for lora in list_loras(catalogue.ports, catalogue.slug))
    worker.before = lambda _: None
    evaluate(catalogue)
    assert state(catalogue) == ([second], second)


# --- what a person asks for ---


def test_rollback_goes_back_step_by_step(catalogue: Catalogue) -> None:
    runs = []
    for number, name in enumerate(["one", "two", "three"]):
        runs.append(candidate(catalogue, name, 220 + 100 * number))
        evaluate(catalogue)
    assert state(catalogue) == ([runs[2]], runs[2])
    for back in (runs[1], runs[0]):
        assert str(rollback_lora(catalogue.ports, catalogue.slug, "nawfside_lora", force=False).run.id) == back
        assert state(catalogue) == ([back], back)
        evaluate(catalogue)
        assert state(catalogue) == ([back], back)
    with pytest.raises(InputError, match="nothing was promoted before"):
        rollback_lora(catalogue.ports, catalogue.slug, "nawfside_lora", force=False)

    for excluded, run in ((True, runs[1]), (False, runs[2])):
        catalogue.exclude(item_of(catalogue, "three"), excluded)
        build_dataset(catalogue.ports, catalogue.slug)
        assert train_lora(catalogue.ports, catalogue.slug).run_id == run
        report = evaluate(catalogue)
        assert report.decision is not None
        assert "a person took it back" in report.decision
        assert state(catalogue) == ([runs[0]], runs[0])
    _, changed = promote_lora(catalogue.ports, catalogue.slug, runs[2][:8], force=False)
    assert changed
    assert state(catalogue) == ([runs[2]], runs[2])
    assert not promote_lora(catalogue.ports, catalogue.slug, runs[2], force=False)[1]


def test_a_run_that_is_not_there_or_not_done_can_t_be_promoted(worker: RecordingCompute, catalogue: Catalogue) -> None:
    with pytest.raises(InputError, match="no run's id begins so"):
        promote_lora(catalogue.ports, catalogue.slug, "abc", force=True)

    def before(request: JobRequest[Any]) -> None:
        if isinstance(request, TrainRequest):
            raise JobError("no memory")

    worker.before = before
    with pytest.raises(JobError):
        candidate(catalogue, "one", 220)
    (lora,) = list_loras(catalogue.ports, catalogue.slug)
    with pytest.raises(InputError, match="is failed, there is no adapter"):
        promote_lora(catalogue.ports, catalogue.slug, str(lora.run.id), force=True)


def test_a_preview_uses_the_promoted_run_not_the_published_one(worker: RecordingCompute, catalogue: Catalogue) -> None:
    first = candidate(catalogue, "one", 220)
    evaluate(catalogue)
    second = candidate(catalogue, "two", 330)
    lora = next(each for each in list_loras(catalogue.ports, catalogue.slug) if str(each.run.id) == second)
    worker._install(InstallRequest(run_id=second, producer_id=catalogue.slug, model_name=lora.run.model_name))
    assert state(catalogue) == ([first], second)
    assert render_preview(catalogue.ports, catalogue.slug).run_id == first
    assert state(catalogue) == ([first], first)
    assert worker.count(GenerateRequest) == 1


def test_the_command_line_lists_shows_promotes_and_rolls_back(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = candidate(catalogue, "one", 220)
    evaluate(catalogue)
    second = candidate(catalogue, "two", 330)
    evaluate(catalogue)
    monkeypatch.setattr("resources.ports.open_ports", lambda _: catalogue.ports)

    def dawa(*arguments: str) -> Any:
        result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    assert [(row["run"], row["promoted"]) for row in dawa("list", catalogue.slug, "--json")] == [
        (second, True),
        (first, False),
    ]
    assert dawa("list", catalogue.slug).startswith(f"* {second[:8]}  nawfside_lora")
    shown = dawa("show", catalogue.artist.name, "--json")
    assert (shown["run"], shown["verdict"], shown["figures"]["base_loss"]) == (second, "better", 2.0)
    assert [each["by"] for each in shown["promotions"]] == ["evaluation"]
    assert "better than its base and newer" in dawa("show", catalogue.slug)
    assert dawa("rollback", catalogue.slug, "--json")["run"] == first
    assert "a person took run" in dawa("show", catalogue.slug, first[:6])
    assert dawa("promote", catalogue.slug, second[:8]) == f"{catalogue.slug}:nawfside_lora is run {second} now\n"


def test_rollback_reaches_runs_published_before_evaluations(catalogue: Catalogue) -> None:
    """The migration on a database with a published run."""
    first = candidate(catalogue, "one", 220)
    evaluate(catalogue)
    migration = (files("sql") / "migrations" / "20260105000000_dawa_evaluations.sql").read_text()
    with catalogue.ports.database.transaction() as connection:
        connection.execute("drop table lora_promotions, lora_evaluations")
        connection.execute("alter table training_runs drop column candidate_at")
        connection.execute(migration.encode())
    build_dataset(catalogue.ports, catalogue.slug)
    assert train_lora(catalogue.ports, catalogue.slug).run_id == first
    assert evaluate(catalogue).decision == "is promoted already"
    second = candidate(catalogue, "two", 330)
    evaluate(catalogue)
    assert state(catalogue) == ([second], second)
    assert str(rollback_lora(catalogue.ports, catalogue.slug, "nawfside_lora", force=False).run.id) == first
