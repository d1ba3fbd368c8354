"""From tagged segments to a LoRA that can be heard."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import dagster as dg

from dawa_assets.defs.metadata import files, schema
from dawa_assets.defs.page_files import Sound, sounds, stored_picture
from dawa_assets.defs.partitions import artists
from dawa_assets.defs.policies.pools import GPU
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.step import OWNERS, Made, Shown, run_step
from resources.ports import Ports
from resources.settings import Settings

if TYPE_CHECKING:
    from dawa_assets.training.evaluation import EvaluationReport
    from dawa_assets.training.preview import PreviewReport
    from dawa_assets.training.runs import TrainingReport


def assets(_settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of this module."""
    return [lora_weights, lora_evaluation, lora_preview]


@dg.asset(
    partitions_def=artists,
    deps=["segment_tags"],
    group_name="lora",
    kinds={"pytorch", "huggingface"},
    owners=OWNERS,
    pool=GPU,
    code_version="1",
    metadata=schema(
        "training_runs",
        made_by="dawa_assets.training.runs.train_lora",
        id="uuid: the run; its files are in the folder of this name",
        state="string: `running`, `done` or `failed`",
        adapter_key="string: the folder of its files, in the bucket",
        adapter_sha256="string: of the adapter, as the generator loads it",
    ),
)
def lora_weights(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[None]:
    """A candidate for the artist's LoRA, trained on segments and captions, in the generator's and in PEFT's format.

    The same examples, base and parameters are trained once; what is in the bucket is restored, not trained again.
    """
    from dawa_assets.training.runs import train_lora

    return run_step(context, pipeline.ports(), train_lora, _curve, without=["losses", "files"])


def _curve(made: "Made[TrainingReport]") -> Shown:
    return {
        **stored_picture(made.ports, made.slug, f"{made.report.adapter_key}/loss.png", "loss curve"),
        **_files(made.ports, {file.key: file.size for file in made.report.files}),
    }


def _files(ports: Ports, sizes: dict[str, int | None]) -> Shown:
    return {"files": files(sizes, ports.settings.serve_url)} if sizes else {}


@dg.asset(
    partitions_def=artists,
    deps=["lora_weights"],
    group_name="lora",
    kinds={"pytorch", "audio"},
    owners=OWNERS,
    pool=GPU,
    code_version="1",
    metadata=schema(
        "lora_evaluations",
        made_by="dawa_assets.training.evaluation.evaluate_lora",
        run_id="uuid: the training that was judged",
        verdict="string: `better`, `no better`, `broken` or `copies`",
        reasons="text[]: why, a line each",
        figures="json: of every candidate losses, distances, levels; and what was copied",
    ),
)
def lora_evaluation(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[None]:
    """What a training's milestones are worth beside the base and the published LoRA, and which of them is kept.

    All render the same prompts by the same seeds. What is broken or copies is out, then what is worse by its loss on
    the held-out songs; the nearest to those songs is kept. It is published as the first one, where people prefer it by
    ear, or where it is really better than the published one on songs that neither has heard.
    """
    from dawa_assets.training.evaluation import evaluate_lora

    def show(made: "Made[EvaluationReport]") -> Shown:
        if made.report.state == "evaluated" and made.report.promoted_run_id is not None:
            context.log_event(_published(made.slug, made.report.promoted_run_id, made.report.decision))
        return _spectrograms(made)

    return run_step(context, pipeline.ports(), evaluate_lora, show, without=["files"])


def _published(slug: str, run_id: str, decision: str | None) -> dg.AssetObservation:
    """Tell the page of the trainings which of them is published: it was decided after the latest of them was made."""
    shown = {"published now": dg.MetadataValue.text(f"run {run_id[:8]}; the candidate was {decision or 'judged'}")}
    return dg.AssetObservation("lora_weights", partition=slug, metadata=shown)


def _spectrograms(made: "Made[EvaluationReport]") -> Shown:
    from dawa_assets.training.evaluation import PICTURE

    title = "spectrograms of one prompt and seed; * is the one that is kept"
    return {
        **stored_picture(made.ports, made.slug, f"{made.report.adapter_key}/{PICTURE}", title),
        **_players(made.ports, made.slug, made.report.files),
        **_files(made.ports, dict.fromkeys(made.report.files)),
    }


def _players(ports: Ports, slug: str, keys: Sequence[str]) -> Shown:
    return sounds(ports, slug, [Sound(PurePosixPath(key).stem, key) for key in keys if key.endswith(".wav")])


@dg.asset(
    partitions_def=artists,
    deps=["lora_evaluation"],
    group_name="lora",
    kinds={"pytorch", "audio"},
    owners=OWNERS,
    pool=GPU,
    code_version="1",
    metadata=schema(
        "training_runs",
        made_by="dawa_assets.training.preview.render_preview",
        id="uuid: the published run",
        adapter_key="string: the folder of its files, previews among them, in the bucket",
    ),
)
def lora_preview(context: dg.AssetExecutionContext, pipeline: Pipeline) -> dg.MaterializeResult[None]:
    """A few seconds rendered with one seed: by the base alone and with the published LoRA, asked for by its name.

    On a `tiny` base this proves that the adapter loads and acts; it makes no music.
    """
    from dawa_assets.training.preview import render_preview

    return run_step(context, pipeline.ports(), render_preview, _sounds, without=["files"])


def _sounds(made: "Made[PreviewReport]") -> Shown:
    return {
        **_players(made.ports, made.slug, [file.key for file in made.report.files]),
        **_files(made.ports, {file.key: file.size for file in made.report.files}),
    }
