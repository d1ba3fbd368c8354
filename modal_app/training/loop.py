"""The training loop, for every backend. It reads top to bottom in `Loop.run`; files, splits and cards are `train.py`'s.

What a step draws, and which samples it sees, are functions of its number (`batch_schedule.py`), and the optimiser is
the only thing with a memory. So a checkpoint is the adapter, the optimiser and a few numbers, and a training that was
stopped anywhere goes on to the same bits on a CPU.

A worker that is told to stop raises out of any line here. Between two steps the state is whole; while a step is being
written into it, it is not, and then the checkpoint before it counts.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from modal_app.backends.base import Tensor, TrainBackend, TrainExample, ValidationGrid
from modal_app.errors import JobError
from modal_app.protocol.base import Event
from modal_app.protocol.training import TrainParameters
from modal_app.training.batch_schedule import seed_of
from modal_app.training.checkpoint import Checkpoints, Progress
from modal_app.training.milestones import milestone_steps
from modal_app.training.prefetcher import Batch, Feed, StepData
from modal_app.training.run_log import RunLog
from modal_app.training.schedule import interval, is_judged, learning_rate_factor, seconds_left

_SECONDS_BETWEEN_CHECKPOINTS = 30.0
_DIVERGED = 3.0  # times the loss at the beginning, in the mean of an interval: noise does not get there


@dataclass(frozen=True)
class LoopState:
    """What a loop works on. With nothing held out the last adapter is kept, else the best one."""

    backend: TrainBackend
    parameters: TrainParameters
    prepare: Callable[[int], StepData]  # the data of a step; a function of its number
    held_out: Sequence[TrainExample]
    started: float  # when this call began, of `time.monotonic`
    checkpoints: Checkpoints
    open_log: Callable[[int], RunLog]  # trimmed to so many bytes
    emit: Callable[[Event], None]


@dataclass(frozen=True)
class LoopResult:
    """How a loop ended; the backend then holds the adapter that is kept."""

    log: RunLog
    progress: Progress
    kept_step: int
    milestones: list[int]
    """Steps whose adapters the checkpoint holds: those that were asked for and reached, and the last one."""
    stopped_because: str
    trainable_parameters: int


def run_loop(work: LoopState) -> LoopResult:
    """Train until all steps are done, or until it is of no use any more.

    Raises:
        JobError: the loss was no number before any adapter was good, memory does not suffice for one sample, or the
            checkpoint is another training's.
    """
    loop = _Loop(work)
    try:
        return loop.run()
    finally:
        loop.log.close()


class _Loop:
    def __init__(self, work: LoopState) -> None:
        import torch

        self._work, self._parameters = work, work.parameters
        self._backend, self._emit = work.backend, work.emit
        self._cuda = self._backend.device.type == "cuda"
        self._weights = list(self._backend.inject(self._parameters))
        self._optimiser = torch.optim.AdamW(
            self._weights,
            lr=self._parameters.learning_rate,
            weight_decay=self._parameters.weight_decay,
            fused=self._cuda or None,
        )
        self._progress = self._resume()
        self.log = work.open_log(self._progress.log_length)
        if self._progress.checkpoint_gradients:
            self._backend.checkpoint_gradients()
        self._milestones = set(milestone_steps(self._parameters))
        self._kept_milestone: int | None = None
        self._whole = True  # not while a step is half written into weights and optimiser
        self._stopped_because: str | None = None
        self._started = self._saved_at = time.monotonic()
        self._first_step = self._progress.step
        self._seconds_before, self._waited_before = self._progress.seconds, self._progress.steps_waited

    def run(self) -> LoopResult:
        progress, parameters = self._progress, self._parameters
        if progress.step:
            self._say(f"going on after step {progress.step} of {parameters.steps}")
        try:
            with Feed(self._work.prepare, progress.step + 1, parameters.steps) as feed:
                while True:
                    if self._is_to_be_judged():
                        self._judge()
                        self._save()
                    if self._is_over():
                        break
                    self._step(feed.next())
                    self._keep_milestone()
                    progress.steps_waited = self._waited_before + feed.waited
                    if time.monotonic() - self._saved_at > _SECONDS_BETWEEN_CHECKPOINTS:
                        self._save()
        except Exception:
            raise  # an error of the training itself is not kept: the last checkpoint is from before it
        except BaseException:  # told to stop
            if self._whole and progress.step > 0:
                self._save()
            raise
        return self._end()

    # --- where it begins, and where it goes on ---

    def _resume(self) -> Progress:
        parameters = self._parameters
        found = self._work.checkpoints.load()
        if found is None:
            return Progress(samples_at_once=parameters.batch_size, checkpoint_gradients=parameters.checkpoint_gradients)
        progress, adapter, optimiser = found
        self._backend.load_adapter_state(adapter)
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": optimiser, "param_groups": groups})
        return progress

    def _save(self) -> None:
        self._keep_milestone()  # first: a training that goes on from here doesn't come by this step again
        progress = self._progress
        progress.log_length = self.log.length
        progress.seconds = self._seconds_before + time.monotonic() - self._work.started
        self._work.checkpoints.save(progress, self._backend.adapter_state(), self._optimiser.state_dict()["state"])
        self._saved_at = time.monotonic()

    # --- a step ---

    def _step(self, data: StepData) -> None:
        import torch

        progress, parameters = self._progress, self._parameters
        started, step = time.monotonic(), progress.step + 1
        torch.manual_seed(seed_of("step", parameters.seed, step))  # whatever a model draws by itself
        loss_now = self._gradients_within_memory(data)
        norm_now = torch.nn.utils.clip_grad_norm_(self._weights, parameters.largest_gradient)
        loss, norm = torch.stack([loss_now, norm_now]).tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = "gradient" if math.isfinite(loss) else "loss"
            self._stopped_because = f"step {step}: the {what} is no number any more; lower the learning rate"
            return
        rate = parameters.learning_rate * learning_rate_factor(step - 1, parameters)
        with self._writing():
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            self._optimiser.step()
            progress.step = step
            progress.samples += sum(len(batch.examples) for batch in data)
            progress.step_seconds += time.monotonic() - started
            self.log.write("step", step, loss=loss, learning_rate=rate, gradient_norm=norm)
        self._report_step(step, loss, rate)

    def _gradients_within_memory(self, data: StepData) -> Tensor:
        """Return the mean loss of a step's samples, its gradients left in the weights."""
        import torch

        while True:
            try:
                return self._gradients(data)
            except torch.OutOfMemoryError:
                pass  # its traceback holds the activations until here
            self._spend_less_memory()

    def _gradients(self, data: StepData) -> Tensor:
        import torch

        self._optimiser.zero_grad(set_to_none=True)
        count = sum(len(batch.examples) for batch in data)
        total = torch.zeros((), device=self._backend.device)
        for part in _cut(data, self._progress.samples_at_once):
            with self._autocast():
                loss = self._backend.loss(part.examples, part.seeds)
            share = len(part.examples) / count
            (loss * share).backward()
            total += loss.detach().float() * share
        return total

    def _spend_less_memory(self) -> None:
        import torch

        progress = self._progress
        self._optimiser.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        if progress.samples_at_once > 1:
            progress.samples_at_once = math.ceil(progress.samples_at_once / 2)
            done = f"from here on {progress.samples_at_once} samples at once, accumulated to the same batch"
        elif not progress.checkpoint_gradients:
            progress.checkpoint_gradients = True
            self._backend.checkpoint_gradients()
            done = "from here on activations are computed twice instead of kept"
        else:
            raise JobError(
                f"{self._backend.base.name}: the GPU's memory does not suffice for one sample at once; "
                "use a smaller base or rank, or a GPU with more memory"
            )
        self._say(f"step {progress.step + 1}: out of GPU memory; {done}", warning=True)

    def _autocast(self) -> Any:
        import torch

        usable = self._cuda and torch.cuda.is_bf16_supported()
        return torch.autocast(self._backend.device.type, dtype=torch.bfloat16, enabled=usable)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._whole = False
        yield
        self._whole = True

    # --- how good the adapter is, and whether to go on ---

    def _is_to_be_judged(self) -> bool:
        """After the steps that the schedule names, once; before the first step only where something is held out."""
        step = self._progress.step
        if step == 0 and not self._work.held_out:
            return False
        return step != self._progress.judged_step and is_judged(step, self._parameters)

    def _judge(self) -> None:
        """Validate, and keep the adapter if it is the best; with nothing held out, by the training's own loss."""
        step = self._progress.step
        if self._work.held_out:
            with self._autocast():
                score = self._backend.val_loss(self._work.held_out, ValidationGrid())
            if not math.isfinite(score):
                self._stopped_because = f"step {step}: the validation loss is no number any more"
                return
        else:
            score = self._recent_loss()
        best = self._progress.best_score
        is_best = step > 0 and (best is None or score < best)
        if is_best:
            self._work.checkpoints.keep_best(step, self._backend.adapter_state())
        with self._writing():
            if is_best:
                self._progress.best_step, self._progress.best_score = step, score
            self._progress.judged_step = step
            if self._work.held_out:
                self.log.write("validation", step, loss=score)
        if self._work.held_out:
            self._say(f"step {step}: validation loss {score:.4f}{' (the best so far)' if is_best else ''}")

    def _keep_milestone(self) -> None:
        """Keep the adapter of a step that is one. A step that no number came of has left the one before in place."""
        step = self._progress.step
        if self._stopped_because is None and step in self._milestones and step != self._kept_milestone:
            self._work.checkpoints.keep_milestone(step, self._backend.adapter_state())
            self._kept_milestone = step

    def _is_over(self) -> bool:
        step, parameters = self._progress.step, self._parameters
        if self._stopped_because is None and self._has_diverged():
            self._stopped_because = (
                f"step {step}: the loss is {self._recent_loss():.3g} and began at {self._first_loss():.3g}; "
                "lower the learning rate"
            )
        if self._stopped_because is None and self._has_lost_patience():
            self._stopped_because = (
                f"step {step}: no better validation loss since step {self._progress.best_step}, "
                f"{parameters.patience} times in a row"
            )
        return self._stopped_because is not None or step == parameters.steps

    def _has_diverged(self) -> bool:
        step = self._progress.step
        return step > 0 and is_judged(step, self._parameters) and self._recent_loss() > _DIVERGED * self._first_loss()

    def _has_lost_patience(self) -> bool:
        best, patience = self._progress.best_step, self._parameters.patience
        if not self._work.held_out or best is None or patience < 1:
            return False
        return sum(validation.step > best for validation in self.log.validations) >= patience

    def _first_loss(self) -> float:
        return _mean(self.log.losses[: interval(self._parameters)])

    def _recent_loss(self) -> float:
        return _mean(self.log.losses[-interval(self._parameters) :])

    def _end(self) -> LoopResult:
        progress = self._progress
        reason = self._stopped_because or "all steps are done"
        is_whole = self._stopped_because is None
        kept = progress.step if is_whole and not self._work.held_out else progress.best_step
        if kept is None:
            raise JobError(f"the training left no good adapter ({reason}); lower the learning rate or use more songs")
        milestones = self._last_milestones()
        if self._stopped_because:
            self._say(f"ended early: {reason}; the adapter of step {kept} is kept", warning=True)
        if kept != progress.step:
            self._backend.load_adapter_state(self._work.checkpoints.load_best(kept))
        with self._writing():
            self.log.write("end", progress.step, because=reason, kept_step=kept)
        progress.seconds = self._seconds_before + time.monotonic() - self._work.started
        count = sum(weight.numel() for weight in self._weights)
        return LoopResult(self.log, progress, kept, milestones, reason, count)

    def _last_milestones(self) -> list[int]:
        """Return the milestones that were reached; where it ended early, its last adapter is one of them."""
        step = self._progress.step
        if not self._milestones:
            return []
        if step not in self._milestones:
            self._work.checkpoints.keep_milestone(step, self._backend.adapter_state())
        return sorted({milestone for milestone in self._milestones if milestone < step} | {step})

    # --- what it says ---

    def _report_step(self, step: int, loss: float, rate: float) -> None:
        steps = self._parameters.steps
        left = seconds_left(time.monotonic() - self._started, step - self._first_step, steps - self._first_step)
        self._emit(
            Event(
                kind="progress",
                message=f"step {step} of {steps}: loss {loss:.4f}, {left} s left",
                done=step,
                total=steps,
                figures={"step": step, "loss": loss, "learning_rate": rate, "seconds_left": left},
            )
        )

    def _say(self, message: str, *, warning: bool = False) -> None:
        self._emit(Event(kind="log", level="warning" if warning else "info", message=message))


def _cut(data: StepData, most: int) -> list[Batch]:
    """Return the batches in pieces of at most so many samples."""
    return [
        Batch(batch.examples[start : start + most], batch.seeds[start : start + most])
        for batch in data
        for start in range(0, len(batch.examples), most)
    ]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
