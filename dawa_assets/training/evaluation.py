"""The step `evaluation`: judges the candidate, promotes it where it is better, and sees that what is promoted is there.

What was found is on record before anything is decided, and a candidate is decided about once: what a person promotes
or takes back afterwards stays so.
"""

import logging
import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dawa_assets.items.exclusions import trained_on_line
from dawa_assets.pipeline.step import artist_step
from dawa_assets.prompting.profile_facts import read_profile
from dawa_assets.rights.enforce import enforce
from dawa_assets.rights.permissions import refusal
from dawa_assets.segments.prepared_dataset import PreparedDataset, prepare_dataset
from dawa_assets.tables import lora_evaluations, training_runs
from dawa_assets.tables.artist_profiles import observed_profile
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.audio_segments import audio_of_other_artists
from dawa_assets.tables.datasets import dataset_tracks
from dawa_assets.tables.item_exclusions import excluded_but_trained_on
from dawa_assets.tables.leases import Lease
from dawa_assets.tables.listens import Preference, preference
from dawa_assets.tables.lora_evaluations import Evaluation
from dawa_assets.tables.training_runs import Run
from dawa_assets.training.adapters import ask_with_files, names_in, persist_files, run_folder
from dawa_assets.training.evaluation_marks import marking_of
from dawa_assets.training.evaluation_prompts import SEEDS, evaluation_prompts
from dawa_assets.training.examples import fingerprint_of, plan_for, train_request
from dawa_assets.training.gpu_usage import GpuMeter, cost_usd
from dawa_assets.training.milestones import drop_milestones, keep_chosen, milestones_of
from dawa_assets.training.planning import examples_of
from dawa_assets.training.promotion import ensure_published, finish_promotions, history_of, promote
from dawa_assets.training.promotion_policy import RULE, CandidateState, Judgement, choose, is_preferred, judge
from modal_app.errors import JobError
from modal_app.protocol.evaluation import CandidateFigures, EvaluateRequest, EvaluateResult, OtherSong, Rival
from modal_app.protocol.training import InstallResult, TrainRequest
from resources.ports import Ports

log = logging.getLogger(__name__)

State = Literal["evaluated", "unchanged", "nothing to evaluate"]

PICTURE = "evaluation.png"
_MAX_OTHERS = 24  # of which those are used that the worker has, as a control
_UNKNOWN_TRAINING = "it was imported: nobody knows which of these songs it was trained on"

# What the report tells of the worker's result as it is.
_FIGURES = (
    *("held_out", "split", "segments", "base_loss", "lora_loss", "shared_lora_loss", "shared_rival_loss"),
    *("waveform_change", "spectrum_change_db", "chosen_step", "chosen_strength", "choice"),
    *("rival_songs", "rival_difference", "rival_chance"),
)
_COMPARED = ("distance", "distance_low", "distance_high", "foreign_distance")


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
    chosen_step: int | None = None
    chosen_strength: float = 1.0
    choice: str | None = None
    """Why this milestone stands for the run."""
    candidates: list[dict[str, Any]] = field(default_factory=list)
    """What was measured of base, published one and each milestone, side by side."""
    distance_in: str | None = None
    """Of what distances are taken, ×100: 0 on average for the same hand."""
    distance_songs: int | None = None
    other_music: str | None = None
    other_distance: float | None = None
    rival_songs: int = 0
    rival_difference: float | None = None
    rival_chance: float | None = None
    preferred: str | None = None
    """What people said, by ear and not knowing which was which."""
    rendered: list[dict[str, Any]] = field(default_factory=list)
    shared_seconds: float | None = None
    """Of the rendering that has most of what recurs across the artist's songs."""
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
        state, run, evaluation, preferred = _judged(ports, step.artist, step.held, meter)
        published = ensure_published(ports, step.artist, settings.model_name)
        drop_milestones(ports, step.artist, step.held, settings.model_name)
    report = _report(state, step.artist, run, evaluation, published, time.monotonic() - started)
    report = replace(report, preferred=_preferred(preferred))
    return replace(report, gpu_seconds=meter.gpu_seconds, cost_usd=cost_usd(settings, meter.gpu_seconds))


def _judged(
    ports: Ports, artist: Artist, held: Lease, meter: GpuMeter
) -> tuple[State, Run | None, Evaluation | None, Preference]:
    """Return the candidate, evaluated and decided about, and what people said of it by ear."""
    model_name = ports.settings.model_name
    finish_promotions(ports, artist)
    with ports.database.transaction() as connection:
        run = training_runs.candidate_run(connection, artist, model_name)
        promoted = training_runs.promoted_run(connection, artist, model_name)
        known = None if run is None else lora_evaluations.find_evaluation(connection, run)
        history = history_of(lora_evaluations.promotions(connection, artist, model_name))
        excluded = excluded_but_trained_on(connection, artist.id)
        refused = None if run is None else refusal(connection, ports.settings, run.id, "publish")
        preferred = Preference() if run is None else preference(connection, run.id)
    if run is None or run.candidate_at is None:
        return "nothing to evaluate", None, None, preferred
    is_decided = known is not None and known.decided_at is not None and known.decided_at >= run.candidate_at
    if run.id in excluded and not is_decided:
        # nothing without them was trained yet, or there is nothing left to train on
        log.warning("run %s is not judged, it %s", run.id, trained_on_line(excluded[run.id]))
        return "nothing to evaluate", None, None, preferred
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
    if not is_decided and not run.promoted and known.verdict != "broken":
        run = keep_chosen(ports, artist, held, run, EvaluateResult.model_validate(known.figures), meter)
    if not is_decided or _is_reopened(known, run, preferred):
        standing = CandidateState(
            is_promoted=run.promoted,
            has_promoted=promoted is not None,
            was_taken_back=run.id in history.taken_back,
            trained_on_excluded=promoted is not None and promoted.id in excluded,
            refused=refused,
        )
        found = EvaluateResult.model_validate(known.figures)
        choice = choose(Judgement(known.verdict, known.reasons), found, standing, preferred)
        if choice.promote:
            promote(ports, artist, run, "evaluation", choice.reason)
        else:
            with ports.database.transaction() as connection:
                held.check(connection)
                lora_evaluations.decide(
                    connection, run, choice.reason if run.promoted else f"not promoted: {choice.reason}"
                )
    with ports.database.transaction() as connection:
        run = training_runs.get_run(connection, run.id)
        return state, run, lora_evaluations.find_evaluation(connection, run), preferred


def _is_reopened(known: Evaluation, run: Run, preferred: Preference) -> bool:
    """Return whether people have said since the decision that they prefer what was not promoted."""
    return (
        not run.promoted
        and is_preferred(preferred) is True
        and known.decided_at is not None
        and preferred.latest is not None
        and preferred.latest > known.decided_at
    )


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
    trained_on = None if rival is None else _trained_on(ports, rival)
    with ports.database.transaction() as connection:
        profile = read_profile(observed_profile(connection, artist.id).master_schema)
        others = audio_of_other_artists(connection, artist.id, training.recipe, _MAX_OTHERS)
    tracks = [part.track for part in prepared.tracks]
    prompts = evaluation_prompts(tracks, run.metrics.get("held_out", []), profile, settings.evaluated_songs)
    request = EvaluateRequest(
        training=training,
        milestones=milestones_of(run),
        rival=trained_on,
        prompts=prompts,
        seeds=list(range(settings.seed, settings.seed + SEEDS)),
        others=[OtherSong(audio_hash=audio_hash) for audio_hash in others],
        duration_seconds=settings.evaluated_seconds,
        copy_renderings=settings.copies_looked_for,
    )
    runs = [run] if rival is None or trained_on is None else [run, rival]
    found = ask_with_files(
        ports, artist.slug, request, runs, "evaluation", meter, with_milestones=True, is_refusal_final=True
    )
    finding = judge(found)
    kept = persist_files(ports, artist.slug, run, names_in(run, found.files), marking_of(ports, artist, run, request))
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
            prompt=prompts[0].text,
            seed=settings.seed,
            files={file.key.rpartition("/")[2]: file.size for file in kept},
        )
        evaluation = lora_evaluations.find_evaluation(connection, run)
    assert evaluation is not None  # noqa: S101 - just recorded
    return evaluation


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


def _trained_on(ports: Ports, rival: Run) -> Rival | None:
    """Return what the rival was trained on; None where that is not on record any more.

    A song whose end was held out was trained on all the same.
    """
    if rival.dataset_id is None:
        return None
    with ports.database.transaction() as connection:
        tracks = dataset_tracks(connection, rival.dataset_id)
    held_out = set(rival.metrics.get("held_out", []))
    used = [track for track in tracks if track.song not in held_out] or tracks
    return Rival(
        run_id=str(rival.id),
        songs=sorted({track.song for track in used}),
        audio=sorted({track.audio_hash for track in used}),
    )


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


def _preferred(found: Preference) -> str | None:
    if found.latest is None:
        return None
    counts = f"{found.candidate} for it, {found.published} for the published one, {found.no_difference} for neither"
    return f"{counts}, blindly"


def _row(candidate: CandidateFigures) -> dict[str, Any]:
    """Return a candidate as the page's table shows it."""
    shown = ("loss", *_COMPARED, "diversity", "tempo_share", "key_share", "copied_seconds")
    return {"candidate": candidate.name, **{name: getattr(candidate, name) for name in shown}} | {
        "why": candidate.trouble or candidate.verdict,
        "heard in": candidate.file,
    }


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
        "candidates": [_row(candidate) for candidate in found.candidates],
        "distance_in": None if found.evidence is None else found.evidence.space,
        "distance_songs": None if found.evidence is None else found.evidence.songs,
        "other_music": None if found.evidence is None else found.evidence.other_music or None,
        "other_distance": None if found.evidence is None else found.evidence.other_distance,
        "shared_seconds": None if found.copies is None else found.copies.shared_seconds,
        "copied_seconds": None if found.copies is None else found.copies.copied_seconds,
        "copied": [] if found.copies is None else [passage.model_dump() for passage in found.copies.passages],
        **{name: getattr(found, name) for name in _FIGURES},
    }
