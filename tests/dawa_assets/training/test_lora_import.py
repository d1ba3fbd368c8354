"""`dawa lora import`: what an adapter from elsewhere is on record, and what automation does with it: nothing.

Which files are taken in, and that they fit the base, is held in `tests/modal_app/adapters`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dawa_assets.cli.lora import app
from dawa_assets.datasets.build import build_dataset
from dawa_assets.maintenance.verify import verify
from dawa_assets.training.evaluation import evaluate_lora
from dawa_assets.training.lora_import import LoraImport, import_lora
from dawa_assets.training.promotion import list_loras, promote_lora
from dawa_assets.training.runs import train_lora
from modal_app.adapters.tensor_file import write_arrays
from modal_app.errors import InputError, JobCancelledError, RefusedJobError
from modal_app.protocol.base import JobRequest
from modal_app.protocol.evaluation import EvaluateRequest
from modal_app.protocol.training import ImportLoraRequest, TrainRequest
from tests.dawa_assets.training.catalogue import Catalogue, RecordingCompute, tone


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file as ComfyUI loads it."""
    name = "diffusion_model.decoder.layers.0.self_attn.q_proj.lora_{}.weight"
    weights = {name.format(part): np.ones((2, 2), np.float32) for part in "AB"}
    write_arrays(tmp_path / "theirs.safetensors", weights, {"modelspec.trigger_phrase": "kite"})
    return tmp_path / "theirs.safetensors"


def take_in(catalogue: Catalogue, source: Path) -> LoraImport:
    return import_lora(catalogue.ports, catalogue.slug, source, author="me")


def trained(catalogue: Catalogue) -> str:
    catalogue.add("one", tone(20, 220))
    build_dataset(catalogue.ports, catalogue.slug)
    report = train_lora(catalogue.ports, catalogue.slug)
    evaluate_lora(catalogue.ports, catalogue.slug)
    return str(report.run_id)


def runs(catalogue: Catalogue) -> list[dict[str, Any]]:
    return catalogue.sql("select * from training_runs where artist_id = %s order by created_at", catalogue.artist.id)


def test_it_is_a_judged_run_that_says_where_it_comes_from(
    worker: RecordingCompute, catalogue: Catalogue, source: Path
) -> None:
    own = trained(catalogue)
    worker.forget()

    done = take_in(catalogue, source)

    (asked,) = [request for request in worker.requests if isinstance(request, ImportLoraRequest)]
    assert (asked.rank, asked.targets, asked.trigger_word, asked.base_revision) == (2, ["self_attn.to_q"], "kite", None)
    (row,) = [row for row in runs(catalogue) if row["id"] == done.run.id]
    origin = {
        "files": {"theirs.safetensors": hashlib.sha256(source.read_bytes()).hexdigest()},
        "scale": "times 1 at rank 2, by custom: nobody speaks of alpha",
        "base": None,
        "imported_by": "me",
    }
    assert (row["state"], row["dataset_id"], row["candidate_at"], row["promoted"]) == ("done", None, None, False)
    assert row["metrics"]["imported"] == row["parameters"]["imported"] == origin
    assert row["adapter_sha256"] == row["metrics"]["files"]["adapter.safetensors"]
    (measured,) = [request for request in worker.requests if isinstance(request, EvaluateRequest)]
    assert (measured.training.run_id, measured.training.examples != []) == (str(done.run.id), True)
    assert measured.rival is not None
    assert measured.rival.run_id == own
    assert done.evaluation is not None
    assert done.evaluation.verdict == "better"
    assert "nobody knows which of these songs it was trained on" in done.evaluation.reasons[-1]
    assert "a person decides" in str(done.evaluation.decision)
    assert [report.findings for report in verify(catalogue.ports, catalogue.slug, deep=True)] == [[]]


def test_automation_goes_on_as_if_it_were_not_there(
    worker: RecordingCompute, catalogue: Catalogue, source: Path
) -> None:
    own = trained(catalogue)
    imported = str(take_in(catalogue, source).run.id)
    promote_lora(catalogue.ports, catalogue.slug, imported, force=False)
    worker.forget()

    assert train_lora(catalogue.ports, catalogue.slug).state == "unchanged"
    assert evaluate_lora(catalogue.ports, catalogue.slug).promoted_run_id == imported
    assert worker.count(TrainRequest) == worker.count(EvaluateRequest) == 0
    assert [str(row["id"]) for row in runs(catalogue) if row["candidate_at"]] == [own]
    catalogue.add("two", tone(20, 330))
    build_dataset(catalogue.ports, catalogue.slug)
    newer = train_lora(catalogue.ports, catalogue.slug)
    report = evaluate_lora(catalogue.ports, catalogue.slug)
    assert (report.promoted_run_id, report.decision) == (
        newer.run_id,
        "promoted: better than its base and newer; no song is held out of both trainings",
    )


def test_the_same_files_are_taken_in_once_and_judged_later(
    worker: RecordingCompute, catalogue: Catalogue, source: Path
) -> None:
    first = take_in(catalogue, source)
    assert (first.changed, first.evaluation, first.not_judged) == (True, None, "there is no dataset to judge it by")
    trained(catalogue)

    again = take_in(catalogue, source)

    assert (again.run.id, again.changed) == (first.run.id, False)
    assert again.evaluation is not None
    assert worker.count(ImportLoraRequest) == 1
    catalogue.ports.bucket.delete([f"{again.run.adapter_key}/adapter.safetensors"])
    assert take_in(catalogue, source).changed
    assert worker.count(ImportLoraRequest) == 2
    assert [report.findings for report in verify(catalogue.ports, catalogue.slug, deep=True)] == [[]]


def test_what_is_refused_leaves_no_row_what_was_killed_goes_on(
    worker: RecordingCompute, catalogue: Catalogue, source: Path
) -> None:
    def refuse(_: JobRequest[Any]) -> None:
        raise RefusedJobError("theirs.safetensors: does not fit tiny: 1 keys are missing; name another file")

    worker.before = refuse
    with pytest.raises(InputError, match="does not fit tiny"):
        take_in(catalogue, source)
    with pytest.raises(InputError, match="author: must be one line"):
        import_lora(catalogue.ports, catalogue.slug, source, author="two\nlines")
    assert runs(catalogue) == []

    def kill(_: JobRequest[Any]) -> None:
        raise JobCancelledError("interrupted")

    worker.before = kill
    with pytest.raises(JobCancelledError):
        take_in(catalogue, source)
    (row,) = runs(catalogue)
    worker.before = lambda _: None
    assert (row["state"], take_in(catalogue, source).run.id) == ("running", row["id"])


def test_the_command_line_tells_what_was_taken_in(
    catalogue: Catalogue, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(catalogue)
    monkeypatch.setattr("resources.ports.open_ports", lambda _: catalogue.ports)

    def dawa(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    asked = ("import", str(source), "--artist", catalogue.artist.name, "--author", "me")
    said = dawa(*asked)
    run = next(lora.run for lora in list_loras(catalogue.ports, catalogue.slug) if lora.run.imported)
    assert f"Next: dawa lora promote {catalogue.slug} {str(run.id)[:8]}" in said
    report = json.loads(dawa(*asked, "--json"))
    assert (report["run"], report["changed"], report["verdict"]) == (str(run.id), False, "better")
    assert "imported by me" in dawa("list", catalogue.slug)
    assert "imported   by me from theirs.safetensors (" in dawa("show", catalogue.slug, str(run.id))
    assert json.loads(dawa("list", catalogue.slug, "--json"))[0]["imported"] == run.imported
