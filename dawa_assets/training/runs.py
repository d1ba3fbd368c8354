"""The step `training`: decides by fingerprint whether to train, keeps the adapter, and makes it the candidate.

A run's row is there before the training begins. Files go into the bucket before the row says `done`, and the run
becomes the candidate in that same transaction. Whether it is promoted is decided by its evaluation.
"""

import logging
import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from dawa_assets.pipeline.job_progress import reported
from dawa_assets.pipeline.step import artist_step
from dawa_assets.rights.enforce import enforce
from dawa_assets.segments.prepared_dataset import PreparedDataset, prepare_dataset
from dawa_assets.tables import training_approvals, training_runs
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.leases import Lease
from dawa_assets.tables.training_runs import Run
from dawa_assets.training.adapters import RunFile, are_kept, main_adapter, names_in, persist_files, run_folder
from dawa_assets.training.examples import Examples, fingerprint_of, train_request
from dawa_assets.training.gpu_usage import TrainingCall, cost_usd
from dawa_assets.training.planning import PlannedTraining, examples_of, planned
from modal_app.errors import DawaError, JobCancelledError, JobError
from modal_app.protocol.training import TrainRequest, TrainResult
from modal_app.training.caption_rule import RULE
from modal_app.training.expectations import GIB
from modal_app.training.recipes import Plan
from resources.ports import Ports

log = logging.getLogger(__name__)

State = Literal["trained", "unchanged", "candidate again", "nothing to train on", "waiting for approval"]


_UNWRITTEN: dict[str, Any] = {"adapter_kind": "lora", "clip_seconds": 0.0}
"""Parameters that are on record only where they are others."""


@dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What the step did, and the adapter that is the candidate now. Losses are those of the training, one a step.

    Validation losses are those on the held-out songs: of the base alone, and of the adapter that was kept. GPU seconds
    and cost are those of another machine that was paid for it now; None and 0 where there was none.
    """

    headline: str
    state: State
    run_id: str | None = None
    fingerprint: str | None = None
    dataset_id: str | None = None
    backend: str
    base: str
    model_name: str
    caption_rule: str
    plan: str | None = None
    """The recipe, and how far it goes with the music that there is."""
    expected: str | None = None
    """What it was expected to take, before it began."""
    expected_usd: float | None = None
    waits_for: str | None = None
    """Why it waits for approval, where it does, and how that is given."""
    why: str | None = None
    """Why a training was needed, where one was: what is other than at the one before."""
    examples: int = 0
    silent_left_out: int
    untagged: int = 0
    first_loss: float | None = None
    final_loss: float | None = None
    losses: list[float] = field(default_factory=list)
    held_out: list[str] = field(default_factory=list)
    split: str | None = None
    base_validation_loss: float | None = None
    best_validation_loss: float | None = None
    validation_losses: list[float] = field(default_factory=list)
    kept_step: int | None = None
    milestones: list[int] = field(default_factory=list)
    """Steps whose adapters are kept beside it, for the evaluation to choose among."""
    stopped_because: str | None = None
    trainable_parameters: int | None = None
    training_seconds: float | None = None
    samples_per_second: float | None = None
    steps_waited: int | None = None
    device: str | None = None
    peak_gib: float | None = None
    """The most memory that it held."""
    base_seconds_saved: float | None = None
    """What loading the base would have taken, where it was there from another artist's training."""
    gpu_seconds: float | None = None
    cost_usd: float = 0.0
    adapter_key: str | None = None
    adapter_sha256: str | None = None
    files: list[RunFile] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    seconds: float


def train_lora(ports: Ports, slug: str) -> TrainingReport:
    """Bring the artist's LoRA up to date with their current dataset; what is published stays as it is.

    The same examples, base and parameters are trained once: content that returns to an earlier state has that
    earlier run as its candidate again. A run that a dead process left is taken over; one that failed is tried again.
    With nothing to train on (no dataset, or nothing in it that can be heard), nothing happens and the report says so.
    What is expected to cost more than the settings let through waits, and the report says for what.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        BusyError: another process trains this artist's LoRA and did not end in time.
        JobError: the training failed; the run's row has the reason.
    """
    started = time.monotonic()
    with artist_step(ports, slug, "training") as step:
        enforce(ports, step.artist)
        prepared = prepare_dataset(ports, step.artist, step.held)
        examples = Examples([]) if prepared is None else examples_of(ports, step.artist, prepared)
        if prepared is None or not examples.examples:
            return _nothing(ports, prepared, examples, time.monotonic() - started)
        with ports.database.transaction() as connection:
            before = training_runs.latest_parameters(connection, step.artist, ports.settings.model_name)
        training = planned(ports, examples)
        found = _run_of(ports, step.artist, step.held, prepared, examples, training)
        if isinstance(found, str):
            return _waiting(ports, step.artist, prepared, examples, training, found, time.monotonic() - started)
        state, run = found
    report = _report(state, run, prepared, examples, time.monotonic() - started)
    if state != "trained":
        return replace(report, plan=training.plan.line)
    why = _why(before, _on_record(training.plan, examples))
    expected = training.expected.line
    return replace(report, plan=training.plan.line, expected=expected, expected_usd=training.usd, why=why)


def _run_of(
    ports: Ports, artist: Artist, held: Lease, prepared: PreparedDataset, examples: Examples, training: PlannedTraining
) -> tuple[State, Run] | str:
    """Return the done run of these examples, which is the candidate then: trained now, or found.

    Or why it waits for a person's approval. A run that is under way has what it needs.
    """
    settings, dataset, plan = ports.settings, prepared.dataset, training.plan
    wanted = train_request(settings, artist.slug, dataset, examples, plan, "unknown")
    fingerprint = fingerprint_of(wanted)
    with ports.database.transaction() as connection:
        held.check(connection)
        known = training_runs.find_run(connection, artist, fingerprint)
        waits = training.why_it_waits(settings) if known is None or known.state == "failed" else None
        if waits is None:
            training_approvals.drop_waiting(connection, artist, settings.model_name)
        elif (
            training_approvals.ask_approval(
                connection,
                artist,
                fingerprint,
                model_name=settings.model_name,
                dataset_id=dataset.id,
                plan=training.line,
                expected_usd=training.usd,
            ).approved_at
            is None
        ):
            return waits
        run = training_runs.claim_run(
            connection,
            artist,
            dataset.id,
            fingerprint,
            backend=settings.backend,
            base=settings.base,
            model_name=settings.model_name,
            parameters=_on_record(plan, examples),
        )
    if run.state == "done" and _has_files(ports, artist, run):
        with ports.database.transaction() as connection:
            held.check(connection)
            changed = training_runs.make_candidate(connection, artist, run, dataset.id)
        return "candidate again" if changed else "unchanged", run
    with ports.database.transaction() as connection:
        held.check(connection)
        training_runs.start_run(connection, run, dataset.id)
    log.info("training of %s: %s", artist.slug, training.line)
    request = wanted.model_copy(update={"run_id": str(run.id)})
    return "trained", _train(ports, artist, held, run, dataset.id, request)


def _on_record(plan: Plan, examples: Examples) -> dict[str, Any]:
    """Return what is put on record of a training beside its base."""
    return {
        **plan.parameters.model_dump(),
        "caption_rule": RULE,
        "examples": len(examples.examples),
        "segment_seconds": round(plan.segment_seconds, 3),
    }


def _why(before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """Return what is other than at the training before, in one line."""
    if before is None:
        return "the first training"
    before, now = _UNWRITTEN | before, _UNWRITTEN | now
    changed = [
        f"{name} is {value} now, was {before[name]}"
        for name, value in now.items()
        if name in before and name not in ("examples", "segment_seconds") and value != before[name]
    ]
    return "; ".join(changed) or "the examples or the base changed"


def _has_files(ports: Ports, artist: Artist, run: Run) -> bool:
    """Return whether a done run's files are in the bucket, or could be put there again from the worker's copy."""
    if are_kept(ports, artist.slug, run):
        return True
    try:
        persist_files(ports, artist.slug, run, run.metrics["files"])
    except (JobError, KeyError) as error:
        log.warning("run %s is recorded but its files are gone (%s): it is trained again", run.id, error)
        return False
    return True


def _train(ports: Ports, artist: Artist, held: Lease, run: Run, dataset_id: UUID, request: TrainRequest) -> Run:
    """Train, keep the files, and mark the run done and the candidate in one transaction."""
    call = TrainingCall(ports.database, held, run.id)
    try:
        result = ports.compute.run(request, reported(ports.database, held, "training"), call)
        files = names_in(run, result.files)
        adapter = main_adapter(files)
        kept = persist_files(ports, artist.slug, run, files)
    except JobCancelledError:
        raise  # the row stays `running` and the next call takes it over
    except DawaError as error:
        with ports.database.transaction() as connection:
            held.check(connection)
            training_runs.fail_run(connection, run, str(error))
        raise
    metrics = _metrics(result, files, dict(zip(sorted(files), (file.size for file in kept), strict=True)))
    metrics |= {"gpu_seconds": call.gpu_seconds, "cost_usd": cost_usd(ports.settings, call.gpu_seconds)}
    with ports.database.transaction() as connection:
        held.check(connection)
        training_runs.finish_run(connection, run, run_folder(artist.slug, run), files[adapter], metrics)
        training_runs.make_candidate(connection, artist, run, dataset_id)
        return training_runs.get_run(connection, run.id)


def _metrics(result: TrainResult, files: dict[str, str], sizes: dict[str, int]) -> dict[str, Any]:
    figures: dict[str, Any] = result.model_dump(mode="json", exclude={"kind", "request", "files"})
    return {"files": files, "sizes": sizes, **figures}


def _waiting(
    ports: Ports,
    artist: Artist,
    prepared: PreparedDataset,
    examples: Examples,
    training: PlannedTraining,
    why: str,
    seconds: float,
) -> TrainingReport:
    """Return the report of a training that waits: nothing failed, and nothing was trained."""
    log.info("training of %s waits for approval (%s): %s", artist.slug, why, training.line)
    return replace(
        _nothing(ports, prepared, examples, seconds),
        headline=f"training: waits for approval, {why}",
        state="waiting for approval",
        plan=training.plan.line,
        expected=training.expected.line,
        expected_usd=training.usd,
        waits_for=f"{why}; `dawa train --approve {artist.slug}` trains it, so does the button in Train Mode",
        examples=len(examples.examples),
        untagged=examples.untagged,
    )


def _nothing(ports: Ports, prepared: PreparedDataset | None, examples: Examples, seconds: float) -> TrainingReport:
    settings = ports.settings
    return TrainingReport(
        headline="training: no dataset yet" if prepared is None else "training: nothing that can be heard",
        state="nothing to train on",
        dataset_id=None if prepared is None else str(prepared.dataset.id),
        backend=settings.backend,
        base=settings.base,
        model_name=settings.model_name,
        caption_rule=RULE,
        silent_left_out=examples.silent,
        failed=[] if prepared is None else prepared.failed,
        seconds=round(seconds, 3),
    )


def _report(
    state: State,
    run: Run,
    prepared: PreparedDataset,
    examples: Examples,
    seconds: float,
) -> TrainingReport:
    metrics = run.metrics  # of a run from before something was measured, it is not there
    return TrainingReport(
        headline=_headline(state, metrics),
        state=state,
        run_id=str(run.id),
        fingerprint=run.fingerprint,
        dataset_id=str(prepared.dataset.id),
        backend=run.backend,
        base=run.base,
        model_name=run.model_name,
        caption_rule=RULE,
        examples=len(examples.examples),
        silent_left_out=examples.silent,
        untagged=examples.untagged,
        first_loss=metrics["first_loss"],
        final_loss=metrics["final_loss"],
        losses=metrics["losses"],
        held_out=metrics.get("held_out", []),
        split=metrics.get("split"),
        base_validation_loss=metrics.get("base_validation_loss"),
        best_validation_loss=metrics.get("best_validation_loss"),
        validation_losses=[validation["loss"] for validation in metrics.get("validations", [])],
        kept_step=metrics.get("kept_step"),
        milestones=metrics.get("milestones", []),
        stopped_because=metrics.get("stopped_because"),
        trainable_parameters=metrics["trainable_parameters"],
        training_seconds=metrics["seconds"],
        samples_per_second=metrics.get("samples_per_second"),
        steps_waited=metrics.get("steps_waited"),
        device=metrics.get("device") or None,
        peak_gib=round(metrics["peak_bytes"] / GIB, 2) if metrics.get("peak_bytes") else None,
        base_seconds_saved=metrics.get("base_seconds_saved") if state == "trained" else None,
        gpu_seconds=metrics["gpu_seconds"] if state == "trained" else None,
        cost_usd=metrics["cost_usd"] if state == "trained" else 0.0,
        adapter_key=run.adapter_key,
        adapter_sha256=run.adapter_sha256,
        files=[
            RunFile(f"{run.adapter_key}/{name}", metrics["sizes"][name], sha256)
            for name, sha256 in sorted(metrics["files"].items())
        ],
        failed=prepared.failed,
        seconds=round(seconds, 3),
    )


def _headline(state: State, metrics: dict[str, Any]) -> str:
    line = f"training: {state}, loss {metrics['first_loss']:.3f} → {metrics['final_loss']:.3f}"
    base, best = metrics.get("base_validation_loss"), metrics.get("best_validation_loss")
    return line if base is None or best is None else f"{line}, on held-out songs {base:.3f} → {best:.3f}"
