"""The `evaluate` job: figures of a training's milestones beside their base and a rival, and which one is kept.

The held-out songs, the grid of noise and times, and the way a loss is taken are those of the training. What the figures
mean for what is published is decided elsewhere; which milestone stands for the run is decided here, by `choice.py`, so
that only that one is rendered for copies and at another strength.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

from modal_app.adapters.file_format import read_card
from modal_app.backends.base import Signal, TrainBackend
from modal_app.backends.registry import load_infer_backend
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.digests import sha256_file
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import sweep
from modal_app.errors import AdapterError, JobError
from modal_app.evaluation.audio_metrics import draw_spectrograms, spectrum_change_db, waveform_change
from modal_app.evaluation.choice import (
    STRENGTHS,
    Choice,
    Contender,
    Difference,
    choose_checkpoint,
    choose_strength,
    copy_flaw,
    flaws_of,
)
from modal_app.evaluation.comparison import Comparison, rounded
from modal_app.evaluation.copy_gate import look_for_copies
from modal_app.evaluation.measured import Bench, Judged, Measured, matched, mean_of
from modal_app.protocol.base import Event
from modal_app.protocol.evaluation import (
    CandidateFigures,
    CopyFindings,
    EvaluateRequest,
    EvaluateResult,
    Rival,
)
from modal_app.protocol.training import TrainRequest
from modal_app.training.data import load_examples
from modal_app.training.generate import write_wav
from modal_app.training.milestones import milestone_name
from modal_app.training.song_titles import song_keys
from modal_app.training.split import Split, split_by_song
from modal_app.training.train import MAX_VALIDATED, evenly

PICTURE = "evaluation.png"


@dataclass(frozen=True)
class _Winner:
    """The candidate that stands for the run: `adapter` and `strength` are what `measured` was taken of."""

    measured: Measured
    adapter: Path
    step: int | None
    copies: CopyFindings | None
    copied: Signal | None


def evaluate(request: EvaluateRequest, root: DataRoot, emit: Callable[[Event], None]) -> EvaluateResult:
    """Compare losses on the held-out songs and what is rendered by the same seeds. The same request, the same figures.

    Raises:
        AdapterError: a file of the run or of the rival is missing or damaged: put it there again.
        MissingBaseError: the base can't be loaded.
        JobError: the base alone renders no audio, or a segment is missing.
    """
    sweep(root.scratch())
    training = request.training
    adapters = _adapters(request, root)
    rival_path = None if request.rival is None else _adapter_of(training, request.rival.run_id, root)
    split = split_by_song(training.examples, training.parameters.validation_share, training.parameters.seed)
    judged = _judged(training, split)
    emit(Event(kind="log", message=f"loading {training.backend} ({training.base})"))
    backend = load_infer_backend(training.backend, training.base)
    examples = load_examples(
        training.model_copy(update={"examples": judged.examples}), cast("TrainBackend", backend), root, emit
    )
    bench = Bench(backend, request, judged, examples, root, emit)

    emit(Event(kind="log", message=f"the base alone: {len(examples)} segments, {len(list(bench.asked()))} renderings"))
    base = bench.measure(CandidateFigures(who="base"), lambda: None)
    if base.figures.trouble is not None:
        raise JobError(base.figures.trouble)
    rival = _rival(bench, rival_path)
    milestones = [
        bench.measure(CandidateFigures(who="milestone", step=step), partial(backend.attach, path, STRENGTHS[0]))
        for step, path in adapters
    ]
    comparison = Comparison(bench, base, root)
    winner, verdicts = _choose(bench, comparison, base, list(zip(adapters, milestones, strict=True)), split, root, emit)
    weaker = _weaker(bench, winner)
    keeps_weaker = weaker is not None and choose_strength(
        comparison.difference(weaker, winner.measured),
        next(iter(flaws_of(base.figures, weaker.figures)), None),
        weaker.figures.loss,
        winner.measured.figures.loss,
    )
    if keeps_weaker and weaker is not None:
        winner = replace(winner, measured=weaker)
    return _result(request, root, bench, judged, base, rival, milestones, weaker, winner, verdicts, comparison)


# --- which adapters there are ---


def _adapters(request: EvaluateRequest, root: DataRoot) -> list[tuple[int | None, Path]]:
    """Return the run's milestones with their files; of a run without any, its adapter.

    Raises:
        AdapterError: one is missing or damaged, or another run's.
    """
    training = request.training
    if not request.milestones:
        return [(None, _adapter_of(training, training.run_id, root))]
    found: list[tuple[int | None, Path]] = []
    for step in sorted(request.milestones):
        path = root.run(training.run_id) / milestone_name(step)
        if read_card(path).run_id != training.run_id:
            raise AdapterError(f"{path}: belongs to another run; train it again")
        found.append((step, path))
    return found


def _adapter_of(training: TrainRequest, run_id: str, root: DataRoot) -> Path:
    """Return a run's own adapter file, which must be there whole."""
    path = root.run(run_id) / root.lora(training.producer_id, training.model_name).name
    if read_card(path).run_id != run_id:
        raise AdapterError(f"{path}: belongs to another run; train it again")
    return path


def _judged(training: TrainRequest, split: Split) -> Judged:
    indices = evenly(split.held_out or split.training, MAX_VALIDATED)
    return Judged([training.examples[index] for index in indices], split.songs, split.line)


def _rival(bench: Bench, path: Path | None) -> Measured | None:
    if path is None:
        return None
    return bench.measure(CandidateFigures(who="published"), lambda: bench.backend.attach(path, 1.0))


# --- which one is kept ---


def _choose(
    bench: Bench,
    comparison: Comparison,
    base: Measured,
    candidates: Sequence[tuple[tuple[int | None, Path], Measured]],
    split: Split,
    root: DataRoot,
    emit: Callable[[Event], None],
) -> tuple[_Winner, list[str]]:
    """Return the candidate that stands for the run: one that copies gives way to the next, while there is one.

    Where none is left the run is judged by the first that was looked at.
    """
    flaws = [next(iter(flaws_of(base.figures, found.figures, _change(base, found))), None) for _, found in candidates]
    first: _Winner | None = None
    while True:
        choice = _choice(comparison, candidates, flaws)
        if choice.place is None:
            if first is None:
                (step, path), found = candidates[-1]
                first = _Winner(found, path, step, None, None)
            return first, choice.verdicts
        (step, path), found = candidates[choice.place]
        winner = _Winner(found, path, step, None, None)
        if bench.request.copy_renderings is not None:
            bench.backend.attach(path, STRENGTHS[0])
            winner = replace(winner, **look_for_copies(bench, found, split, root, emit))
        first = first or winner
        flaw = copy_flaw(winner.copies)
        if flaw is None:
            return winner, choice.verdicts
        flaws[choice.place] = flaw


def _choice(
    comparison: Comparison, candidates: Sequence[tuple[tuple[int | None, Path], Measured]], flaws: Sequence[str | None]
) -> Choice:
    contenders = [
        Contender(step or 0, found.figures.loss, comparison.placed(found).distance, flaw)
        for ((step, _), found), flaw in zip(candidates, flaws, strict=True)
    ]

    def difference(first: int, second: int) -> Difference:
        found = comparison.difference(candidates[first][1], candidates[second][1])
        assert found is not None  # noqa: S101 - asked with songs enough only
        return found

    return choose_checkpoint(contenders, difference if comparison.is_evidence else None)


def _weaker(bench: Bench, winner: _Winner) -> Measured | None:
    """Measure the winner at the other strength; None where it can't be used at all."""
    if winner.measured.figures.trouble is not None or winner.step is None:
        return None
    if bench.request.training.parameters.adapter_kind == "dora":
        return None  # what it adds is not linear in its strength, so that nothing could be baked in
    figures = CandidateFigures(who="milestone", step=winner.step, strength=STRENGTHS[1])
    return bench.measure(figures, lambda: bench.backend.attach(winner.adapter, STRENGTHS[1]))


# --- what is said of it ---


def _result(
    request: EvaluateRequest,
    root: DataRoot,
    bench: Bench,
    judged: Judged,
    base: Measured,
    rival: Measured | None,
    milestones: Sequence[Measured],
    weaker: Measured | None,
    winner: _Winner,
    verdicts: Sequence[str],
    comparison: Comparison,
) -> EvaluateResult:
    chosen = winner.measured
    places = _unheard(judged, request.rival) if rival is not None and rival.losses else []
    shared = sorted({judged.examples[place].song for place in places})
    over_rival = comparison.difference(chosen, rival, shared) if rival is not None else None
    candidates = [base, *([] if rival is None else [rival]), *milestones, *([] if weaker is None else [weaker])]
    lines = [
        "",
        *([] if rival is None else [""]),
        *verdicts,
        *([] if weaker is None else [_strength_line(weaker, chosen, comparison)]),
    ]
    files, names = _leave(request, root, bench, candidates, chosen, winner.copied)
    placed = [
        comparison.placed(found).model_copy(
            update={
                "verdict": line,
                "file": names.get(number),
                "copied_seconds": winner.copies.copied_seconds if winner.copies and found is chosen else None,
            }
        )
        for number, (found, line) in enumerate(zip(candidates, lines, strict=True))
    ]
    base_signal, signal = _first(base), _first(chosen)
    assert base.figures.worst is not None  # noqa: S101 - the base has rendered
    assert base_signal is not None  # noqa: S101 - the same
    return EvaluateResult(
        files=files,
        split=judged.line,
        held_out=judged.held_out,
        segments=len(judged.examples),
        base_loss=base.figures.loss,
        lora_loss=chosen.figures.loss,
        shared=shared,
        shared_lora_loss=mean_of([chosen.losses[place] for place in places]) if chosen.losses else None,
        shared_rival_loss=None if rival is None else mean_of([rival.losses[place] for place in places]),
        rival_songs=len([song for song in shared if song in bench.songs]),
        rival_difference=None if over_rival is None else rounded(over_rival.value),
        rival_chance=None if over_rival is None else over_rival.chance,
        base=base.figures.worst,
        lora=chosen.figures.worst,
        waveform_change=None if signal is None else waveform_change(base_signal, signal),
        spectrum_change_db=None if signal is None else spectrum_change_db(base_signal, signal),
        copies=winner.copies,
        trouble=chosen.figures.trouble,
        candidates=placed,
        evidence=comparison.evidence,
        chosen_step=winner.step,
        chosen_strength=chosen.figures.strength,
        choice=next((line for found, line in zip(candidates, lines, strict=True) if found is chosen), ""),
    )


def _strength_line(weaker: Measured, chosen: Measured, comparison: Comparison) -> str:
    if not comparison.is_evidence:
        return "too few songs are held out to say whether it is nearer to them than at full strength"
    if weaker is chosen:
        return "nearer to the held-out songs than at full strength: it is baked in"
    return "not really nearer to the held-out songs than at full strength"


def _unheard(judged: Judged, rival: Rival | None) -> list[int]:
    """Return the places of held-out examples that the rival's training has not heard in any version either."""
    if rival is None or not judged.held_out:
        return []
    keys = song_keys([*(example.song for example in judged.examples), *rival.songs])
    heard, audio = {keys[song] for song in rival.songs}, set(rival.audio)
    return [
        place
        for place, example in enumerate(judged.examples)
        if keys[example.song] not in heard and example.audio_hash not in audio
    ]


def _first(found: Measured) -> Signal | None:
    return next(iter(found.shown.values()), None)


def _change(base: Measured, found: Measured) -> float | None:
    first, other = _first(base), _first(found)
    return None if first is None or other is None else waveform_change(first, other)


def _leave(
    request: EvaluateRequest,
    root: DataRoot,
    bench: Bench,
    candidates: Sequence[Measured],
    chosen: Measured,
    copied: Signal | None,
) -> tuple[dict[str, str], dict[int, str]]:
    """Leave renderings, equally loud, and their picture in the run's folder; returns files, and names by candidate.

    Of every candidate the first prompt; of the base, the rival and the chosen one the other prompts too.
    """
    run = root.run(request.training.run_id)
    signals: dict[str, Signal] = {}
    names: dict[int, str] = {}
    for number, found in enumerate(candidates):
        name = "lora" if found is chosen else found.figures.name.replace(" ", "-")
        whole = found is chosen or found.figures.who != "milestone"
        for place, (kind, signal) in enumerate(found.shown.items()):
            if place == 0 or whole:
                title = name if place == 0 else f"{name}-{kind.replace(' ', '-')}"
                signals[title] = signal
                names.setdefault(number, f"evaluation-{title}.wav")
    levelled = matched(signals, bench.backend.sample_rate)
    if copied is not None:
        levelled["copy"] = matched({"copy": copied}, bench.backend.sample_rate)["copy"]
    for name, signal in levelled.items():
        write_wav(run / f"evaluation-{name}.wav", signal, bench.backend.sample_rate, root)
    pictured = {
        found.figures.name if found is not chosen else f"{found.figures.name} *": levelled[name]
        for number, found in enumerate(candidates)
        if (name := names.get(number, "").removeprefix("evaluation-").removesuffix(".wav")) in levelled
    }
    with scratch_path(run / PICTURE, root.scratch()) as fresh:
        draw_spectrograms(pictured, bench.backend.sample_rate, request.prompts[0].text, fresh)
    paths = [*(run / f"evaluation-{name}.wav" for name in levelled), run / PICTURE]
    return {path.relative_to(root.root).as_posix(): sha256_file(path) for path in paths}, names
