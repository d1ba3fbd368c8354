"""A training that is expected to cost more than is let through: it waits visibly, and trains once somebody says yes."""

from typing import Any

import pytest

from dawa_assets.artists.delete import delete_artist
from dawa_assets.datasets.build import build_dataset
from dawa_assets.segments.tag import tag_segments
from dawa_assets.tables.training_approvals import waiting_approval
from dawa_assets.training.approval import approve_training
from dawa_assets.training.planning import plan_training_of
from dawa_assets.training.runs import train_lora
from modal_app.errors import InputError, JobError
from modal_app.protocol.base import JobRequest
from modal_app.protocol.training import TrainRequest
from tests.dawa_assets.training.catalogue import Catalogue, RecordingCompute, tone

XL = "ACE-Step/acestep-v15-xl-base-diffusers"


@pytest.fixture
def dear(catalogue: Catalogue) -> Catalogue:
    """An artist whose training on Modal is expected to cost some cents, of which none are let through."""
    catalogue.add("one", tone(20, 220), "Dark dub.\nBPM: 120")
    build_dataset(catalogue.ports, catalogue.slug)
    tag_segments(catalogue.ports, catalogue.slug)
    on_modal(catalogue, approve_above_usd=0.01)
    return catalogue


def on_modal(catalogue: Catalogue, **changes: Any) -> None:
    settings = catalogue.ports.settings.model_copy(update={"compute": "modal", "base": XL, **changes})
    object.__setattr__(catalogue.ports, "settings", settings)


def runs(catalogue: Catalogue) -> list[dict[str, Any]]:
    return catalogue.sql("select * from training_runs where artist_id = %s order by created_at", catalogue.artist.id)


def approvals(catalogue: Catalogue) -> list[dict[str, Any]]:
    return catalogue.sql("select * from training_approvals where artist_id = %s", catalogue.artist.id)


def test_what_is_dearer_waits_and_nothing_is_asked_of_a_gpu(worker: RecordingCompute, dear: Catalogue) -> None:
    report = train_lora(dear.ports, dear.slug)

    assert report.state == "waiting for approval"
    assert report.headline.startswith("training: waits for approval, 0.")
    assert report.headline.endswith(" USD expected, more than 0.01")
    assert report.waits_for is not None
    assert f"dawa train --approve {dear.slug}" in report.waits_for
    assert (report.run_id, report.examples, report.cost_usd) == (None, 2, 0.0)
    assert "recipe ace-step-xl-little@2" in (report.plan or "")
    assert worker.count(TrainRequest) == 0
    assert runs(dear) == []
    (row,) = approvals(dear)
    assert row["expected_usd"] == pytest.approx(report.expected_usd)
    assert (row["approved_at"], row["model_name"]) == (None, dear.ports.settings.model_name)
    assert f"{row['expected_usd']:.2f} USD" in row["plan"]
    assert train_lora(dear.ports, dear.slug).state == "waiting for approval"  # the same again is the same
    assert len(approvals(dear)) == 1


def test_what_was_approved_is_trained_and_nobody_is_asked_again(worker: RecordingCompute, dear: Catalogue) -> None:
    train_lora(dear.ports, dear.slug)
    approved = approve_training(dear.ports, dear.artist, "Mia")
    assert "recipe ace-step-xl-little@2" in approved.plan

    def refuse(request: JobRequest[Any]) -> None:
        if isinstance(request, TrainRequest):
            raise JobError("train: the GPU was taken away")

    worker.before = refuse
    with pytest.raises(JobError):
        train_lora(dear.ports, dear.slug)
    worker.before = lambda _: None
    report = train_lora(dear.ports, dear.slug)  # a second attempt at what was approved

    assert report.state == "trained"
    assert report.expected_usd is not None
    (row,) = approvals(dear)
    assert (row["approved_by"], row["approved_at"] is not None) == ("Mia", True)
    with pytest.raises(InputError, match="no training waits for approval; `dawa train"):
        approve_training(dear.ports, dear.artist, "Mia")
    assert train_lora(dear.ports, dear.slug).state == "unchanged"


def test_an_approval_is_of_one_training_alone(dear: Catalogue) -> None:
    train_lora(dear.ports, dear.slug)
    approve_training(dear.ports, dear.artist, "Mia")
    on_modal(dear, lora_rank=16)

    assert train_lora(dear.ports, dear.slug).state == "waiting for approval"

    on_modal(dear, lora_rank=8)  # what waited is not to be trained any more
    assert train_lora(dear.ports, dear.slug).state == "waiting for approval"
    waiting = [row for row in approvals(dear) if row["approved_at"] is None]
    assert ["rank 8," in row["plan"] for row in waiting] == [True]
    on_modal(dear, lora_rank=8, approve_above_usd=None)
    assert train_lora(dear.ports, dear.slug).state == "trained"
    with dear.ports.database.transaction() as connection:
        assert waiting_approval(connection, dear.artist, dear.ports.settings.model_name) is None


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({"approve_above_usd": None}, None),
        ({"approve_above_usd": 1000.0}, None),
        ({"compute": "local"}, None),  # nobody is paid
        ({}, "USD expected, more than 0.01"),
        ({"modal_gpu": "abacus", "approve_above_usd": 1000.0}, "nobody knows yet what it costs on abacus"),
    ],
)
def test_who_waits_and_for_what(dear: Catalogue, changes: dict[str, Any], waits: str | None) -> None:
    on_modal(dear, **{"approve_above_usd": 0.01, **changes})

    why = plan_training_of(dear.ports, dear.slug).why_it_waits(dear.ports.settings)

    assert why is None if waits is None else waits in (why or "")
    assert approvals(dear) == []  # a plan alone asks for nothing


def test_a_run_extends_the_figures_of_the_next_plan(dear: Catalogue) -> None:
    on_modal(dear, approve_above_usd=None)
    train_lora(dear.ports, dear.slug)
    dear.sql(
        "update training_runs set metrics = metrics || "
        """'{"device": "NVIDIA H100 80GB HBM3", "samples_per_second": 20.0, "peak_bytes": 42949672960, """
        """"gpu_seconds": 90}' where artist_id = %s returning id""",
        dear.artist.id,
    )
    (row,) = runs(dear)
    assert row["parameters"]["segment_seconds"] == pytest.approx(20.0)  # the whole track is one crop

    found = plan_training_of(dear.ports, dear.slug)

    assert found.expected.basis.startswith("as measured on 20")
    assert found.expected.peak_gib == 40.0
    heard = found.plan.heard_seconds
    assert found.expected.seconds == pytest.approx(heard / (20.0 * 20.0) + 60, rel=0.2)
    on_modal(dear, compute="local")  # this machine's trainings are others
    assert plan_training_of(dear.ports, dear.slug).expected.seconds is None


def test_what_is_deleted_takes_its_approvals_along(dear: Catalogue) -> None:
    train_lora(dear.ports, dear.slug)
    assert len(approvals(dear)) == 1
    delete_artist(dear.ports, dear.slug, author="me")
    assert approvals(dear) == []
