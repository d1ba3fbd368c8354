"""The step `evaluation`: judges the candidate, promotes it where it is better, and sees that what is promoted is there.

What was found is on record before anything is decided, and a candidate is decided about once: what a person promotes
or takes back afterwards stays so.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dawa_assets.items.exclusions import trained_on_line
from dawa_assets.pipeline.job_progress import logged
from dawa_assets.pipeline.step import artist_step
from dawa_assets.rights.enforce import enforce
from dawa_assets.rights.marks import Marker, Occasion
from dawa_assets.rights.permissions import refusal
from dawa_assets.segments.prepared_dataset import PreparedDataset, prepare_dataset
from dawa_assets.tables import lora_evaluations, training_runs
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.datasets import TrainingTrack, dataset_tracks
from dawa_assets.tables.item_exclusions import excluded_but_trained_on
from dawa_assets.tables.leases import Lease
from dawa_assets.tables.lora_evaluations import Evaluation
from dawa_assets.tables.training_runs import Run
from dawa_assets.training.adapters import names_in, persist_files, restore_files, run_folder
from dawa_assets.training.examples import facts_of, fingerprint_of, plan_for, train_request
from dawa_assets.training.gpu_usage import GpuMeter, cost_usd
from dawa_assets.training.planning import examples_of
from dawa_assets.training.promotion import ensure_published, finish_promotions, history_of, promote
from dawa_assets.training.promotion_policy import RULE, CandidateState, Judgement, choose, judge
from modal_app.errors import JobCancelledError, JobError, RefusedJobError
from modal_app.marks.tags import Provenance
from modal_app.protocol.training import EvaluateRequest, EvaluateResult, InstallResult, Rival, TrainRequest
from resources.ports import Ports

log = logging.getLogger(__name__)

State = Literal["evaluated", "unchanged", "nothing to evaluate"]

PICTURE = "evaluation.png"
_UNKNOWN_TRAINING = "it was imported: nobody knows which of these songs it was trained on"

# What the report tells of the worker's result as it is.
_FIGURES = (
    *("held_out", "split", "segments", "base_loss", "lora_loss", "shared_lora_loss", "shared_rival_loss"),
    *("waveform_change", "spectrum_change_db"),
)


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """What was found of the candidate, what was decided, and where the published adapter lies.

    Losses are means over the same segments, noise and times; `shared` ones are on songs that the promoted adapter it
    was compared with has not heard either. `rendered` are levels and shares of what base and adapter render.
    GPU seconds and cost are those of another machine that was paid for it now; None and 0 where there was none.
    """

    headline: str
    state: State
    run_id: str | None = None
    verdict: str | None = None
    reasons: list[str] = field(default_factory=list)
    decision: str | None = None
    promoted_run_id: str | None = None
    lora_path: str | None = None
    peft_path: str | None = None
    held_out: list[str] = field(default_factory=list)
    split: str | None = None
    segments: int = 0
    base_loss: float | None = None
    lora_loss: float | None = None
    compared_with: str | None = None
    shared_lora_loss: float | None = None
    shared_rival_loss: float | None = None
    waveform_change: float | None = None
    spectrum_change_db: float | None = None
    prompt: str | None = None
    seed: int | None = None
    rendered: list[dict[str, Any]] = field(default_factory=list)
    copied_seconds: float | None = None
    """Of the rendering that has most of what was trained on; None where nobody looked."""
    copied: list[dict[str, Any]] = field(default_factory=list)
    gpu_seconds: float | None = None
    cost_usd: float = 0.0
    adapter_key: str | None = None
    files: list[str] = field(default_factory=list)
    seconds: float


def evaluate_lora(ports: Ports, slug: str) -> EvaluationReport:
    """Judge the artist's candidate, and promote it if it is better than what is published.

    What was judged already is not judged again. Whatever is promoted is published afterwards, also where a data root
    was deleted or a promotion was killed. With no candidate nothing happens and the report says so.

    Raises:
        UnknownArtistError: there is no artist of this slug.
        BusyError: another process evaluates this artist's LoRA and did not end in time.
        JobError: it can't be evaluated, or the candidate is not that of the current dataset.
    """
    started, meter = time.monotonic(), GpuMeter()
    settings = ports.settings
    with artist_step(ports, slug, "evaluation") as step:
        enforce(ports, step.artist)
        state, run, evaluation = _judged(ports, step.artist, step.held, meter)
        published = ensure_published(ports, step.artist, settings.model_name)
    report = _report(state, step.artist, run, evaluation, published, time.monotonic() - started)
    return replace(report, gpu_seconds=meter.gpu_seconds, cost_usd=cost_usd(settings, meter.gpu_seconds))


def _judged(ports: Ports, artist: Artist, held: Lease, meter: GpuMeter) -> tuple[State, Run | None, Evaluation | None]:
    """Return the candidate, evaluated and decided about."""
    model_name = ports.settings.model_name
    finish_promotions(ports, artist)
    with ports.database.transaction() as connection:
        run = training_runs.candidate_run(connection, artist, model_name)
        promoted = training_runs.promoted_run(connection, artist, model_name)
        known = None if run is None else lora_evaluations.find_evaluation(connection, run)
        history = history_of(lora_evaluations.promotions(connection, artist, model_name))
        heard = excluded_but_trained_on(connection, artist.id)
        refused = None if run is None else refusal(connection, ports.settings, run.id, "publish")
    if run is None or run.candidate_at is None:
        return "nothing to evaluate", None, None
    is_decided = known is not None and known.decided_at is not None and known.decided_at >= run.candidate_at
    if run.id in heard and not is_decided:  # nothing without them was trained yet, or there is nothing left to train on
        log.warning("run %s is not judged, it %s", run.id, trained_on_line(heard[run.id]))
        return "nothing to evaluate", None, None
    rival = promoted if promoted is not None and is_rival(promoted, run) else None
    is_compared = known is not None and known.rival_id == (rival and rival.id)
    if (
        known is not None
        and known.rule == RULE
        and (is_decided or is_compared)
        and _are_kept(ports, artist, run, known)
    ):
        state: State = "unchanged"
    else:
        state, known = "evaluated", measure_run(ports, artist, held, run, rival, meter)
    if not is_decided:
        standing = CandidateState(
            is_promoted=run.promoted,
            has_promoted=promoted is not None,
            was_taken_back=run.id in history.taken_back,
            trained_on_excluded=promoted is not None and promoted.id in heard,
            refused=refused,
        )
        found = EvaluateResult.model_validate(known.figures)
        choice = choose(Judgement(known.verdict, known.reasons), found, standing)
        if choice.promote:
            promote(ports, artist, run, "evaluation", choice.reason)
        else:
            with ports.database.transaction() as connection:
                held.check(connection)
                lora_evaluations.decide(
                    connection, run, choice.reason if run.promoted else f"not promoted: {choice.reason}"
                )
    with ports.database.transaction() as connection:
        return state, training_runs.get_run(connection, run.id), lora_evaluations.find_evaluation(connection, run)


def is_rival(promoted: Run, candidate: Run) -> bool:
    """Return whether another run is promoted whose losses can be compared: on one base only."""
    return promoted.id != candidate.id and (promoted.backend, promoted.base) == (candidate.backend, candidate.base)


def _are_kept(ports: Ports, artist: Artist, run: Run, evaluation: Evaluation) -> bool:
    folder = run_folder(artist.slug, run)
    return all(
        (stored := ports.bucket.stat(f"{folder}/{name}")) is not None and stored.size == size
        for name, size in evaluation.files.items()
    )


def measure_run(ports: Ports, artist: Artist, held: Lease, run: Run, rival: Run | None, meter: GpuMeter) -> Evaluation:
    """Measure a done run beside its base and a rival on the current dataset, and put what was found on record.

    Raises:
        JobError: it can't be measured, or it was trained on another dataset or with other settings.
    """
    settings = ports.settings
    prepared = prepare_dataset(ports, artist, held)
    training = None if prepared is None else _training(ports, artist, prepared, run)
    if prepared is None or training is None:
        raise JobError(f"run {run.id}: was not trained on the current dataset and settings; build `lora_weights` first")
    heard = None if rival is None else _heard_by(ports, rival)
    track = _rendered_track([part.track for part in prepared.tracks], run)
    request = EvaluateRequest(
        training=training,
        rival=heard,
        prompt=track.prompt_text,
        facts=facts_of(track),
        duration_seconds=settings.rendered_seconds,
        seed=settings.seed,
        copy_renderings=settings.copies_looked_for,
    )
    found = _measure(ports, artist, request, [run] if rival is None or heard is None else [run, rival], meter)
    finding = judge(found)
    kept = persist_files(ports, artist.slug, run, names_in(run, found.files), _marking(ports, artist, run, request))
    with ports.database.transaction() as connection:
        held.check(connection)
        lora_evaluations.record_evaluation(
            connection,
            artist,
            run,
            rule=RULE,
            rival_id=None if rival is None else rival.id,
            verdict=finding.verdict,
            reasons=[*finding.reasons, *([_UNKNOWN_TRAINING] if run.imported else [])],
            figures=found.model_dump(mode="json"),
            prompt=request.prompt,
            seed=request.seed,
            files={file.key.rpartition("/")[2]: file.size for file in kept},
        )
        evaluation = lora_evaluations.find_evaluation(connection, run)
    assert evaluation is not None  # noqa: S101 - just recorded
    return evaluation


def _marking(ports: Ports, artist: Artist, run: Run, request: EvaluateRequest) -> Callable[[str, Path], Path]:
    """Return what marks the audio among the files of an evaluation."""
    marker = Marker(ports.settings, ports.database)
    by_lora = Provenance(run.backend, run.base, f"{artist.slug}:{run.model_name}", str(run.id))
    occasion = Occasion("evaluation", request.prompt, request.seed, artist.id)

    def finish(name: str, file: Path) -> Path:
        if not name.endswith(".wav"):
            return file
        marked = file.with_name("marked.wav")
        of = Provenance(run.backend, run.base) if name == "evaluation-base.wav" else by_lora
        marker.mark(file, marked, of, occasion)
        return marked

    return finish


def _training(ports: Ports, artist: Artist, prepared: PreparedDataset, run: Run) -> TrainRequest | None:
    """Return the request that the run was trained by; None where the current dataset would lead to another one.

    One that was imported is measured by what would be trained on now.
    """
    examples = examples_of(ports, artist, prepared)
    plan = plan_for(ports.settings, examples)
    request = train_request(ports.settings, artist.slug, prepared.dataset, examples, plan, str(run.id))
    if run.imported is not None:
        is_of_base = (run.backend, run.base) == (request.backend, request.base)
        return request.model_copy(update={"model_name": run.model_name}) if examples and is_of_base else None
    return request if fingerprint_of(request) == run.fingerprint else None


def _heard_by(ports: Ports, rival: Run) -> Rival | None:
    """Return what the rival was trained on; None where that is not on record any more.

    A song whose end was held out was heard all the same.
    """
    if rival.dataset_id is None:
        return None
    with ports.database.transaction() as connection:
        tracks = dataset_tracks(connection, rival.dataset_id)
    held_out = set(rival.metrics.get("held_out", []))
    heard = [track for track in tracks if track.song not in held_out] or tracks
    return Rival(
        run_id=str(rival.id),
        songs=sorted({track.song for track in heard}),
        audio=sorted({track.audio_hash for track in heard}),
    )


def _rendered_track(tracks: list[TrainingTrack], run: Run) -> TrainingTrack:
    """Return a held-out song, for what the adapter does to music that it does not know; else the first one."""
    held_out = run.metrics.get("held_out", [])
    return next((track for track in tracks if track.song in held_out), tracks[0])


def _measure(
    ports: Ports, artist: Artist, request: EvaluateRequest, runs: list[Run], meter: GpuMeter
) -> EvaluateResult:
    """Ask the worker; where it has not got the runs' files, give them to it and ask again."""
    try:
        return ports.compute.run(request, logged("evaluation"), meter)
    except (JobCancelledError, RefusedJobError):
        raise
    except JobError as error:
        log.info("the worker can't evaluate run %s (%s); its files are restored from the bucket", runs[0].id, error)
    for run in runs:
        restore_files(ports, artist.slug, run)
    return ports.compute.run(request, logged("evaluation"), meter)


def _report(
    state: State,
    artist: Artist,
    run: Run | None,
    evaluation: Evaluation | None,
    published: tuple[Run, InstallResult] | None,
    seconds: float,
) -> EvaluationReport:
    what: dict[str, Any] = {"headline": f"evaluation: {state}"}
    if run is not None:
        what |= {"run_id": str(run.id), "adapter_key": run_folder(artist.slug, run)}
    if published is not None:
        promoted, installed = published
        what |= {
            "promoted_run_id": str(promoted.id),
            "lora_path": installed.lora_path,
            "peft_path": installed.peft_path,
        }
    if run is not None and evaluation is not None:
        what |= _what_was_found(run_folder(artist.slug, run), evaluation)
    return EvaluationReport(state=state, seconds=round(seconds, 3), **what)


def _what_was_found(folder: str, evaluation: Evaluation) -> dict[str, Any]:
    found = EvaluateResult.model_validate(evaluation.figures)
    renderings = {"base": found.base, "lora": found.lora}
    return {
        "headline": f"evaluation: {evaluation.verdict}, {evaluation.decision}",
        "verdict": evaluation.verdict,
        "reasons": evaluation.reasons,
        "decision": evaluation.decision,
        "compared_with": None if evaluation.rival_id is None else str(evaluation.rival_id),
        "prompt": evaluation.prompt,
        "seed": evaluation.seed,
        "rendered": [{"by": name, **part.model_dump()} for name, part in renderings.items() if part is not None],
        "files": [f"{folder}/{name}" for name in sorted(evaluation.files)],
        "copied_seconds": None if found.copies is None else found.copies.copied_seconds,
        "copied": [] if found.copies is None else [passage.model_dump() for passage in found.copies.passages],
        **{name: getattr(found, name) for name in _FIGURES},
    }
