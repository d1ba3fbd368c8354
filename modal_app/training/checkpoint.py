"""Checkpoints: all that a training needs to go on exactly where it was, in `checkpoint/` of the run's folder.

A file appears whole or not at all. The best adapter and each milestone lie in files of their own, written once, so that
a checkpoint is small enough for the few seconds that a stopped worker has. What a checkpoint belongs to is written in
it: one of another training is refused, never passed over in silence.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from modal_app.backends.base import Tensor
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.scratch import discard
from modal_app.errors import JobError

FORMAT = "1"
"""Changes with what a checkpoint holds, and with what the loop draws for a step."""

_STATE = "state.safetensors"
_HEADER = "dawa_checkpoint"
_ADAPTER, _OPTIMISER = "adapter.", "optimiser."


class Progress(BaseModel):
    """How far a training is. Learning rate, order and everything that is drawn are functions of the step."""

    step: int = 0
    samples_at_once: int
    checkpoint_gradients: bool = False
    best_step: int | None = None
    best_score: float | None = None
    judged_step: int | None = None
    log_length: int = 0
    samples: int = 0
    step_seconds: float = 0.0
    seconds: float = 0.0
    steps_waited: int = 0


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    belongs_to: dict[str, str]
    progress: Progress


class Checkpoints:
    """The checkpoint of one run; `belongs_to` says by name what must not change between two calls."""

    def __init__(self, run: Path, scratch: Path, belongs_to: Mapping[str, str]) -> None:
        self._folder, self._scratch = run / "checkpoint", scratch
        self._belongs_to = {"format": FORMAT, **belongs_to}

    def load(self) -> tuple[Progress, dict[str, Tensor], dict[int, dict[str, Tensor]]] | None:
        """Progress, adapter, and the optimiser's state by weight; None where there is no checkpoint.

        Raises:
            JobError: the checkpoint is another training's, or damaged.
        """
        from safetensors import SafetensorError, safe_open

        path = self._folder / _STATE
        if not path.exists():
            return None
        try:
            with safe_open(path, "pt") as file:
                header = _Header.model_validate_json((file.metadata() or {}).get(_HEADER, ""))
                self._refuse_another(header.belongs_to)
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise JobError(f"{path}: this checkpoint is damaged ({reason}); {self._way_out}") from None
        adapter = {name.removeprefix(_ADAPTER): part for name, part in tensors.items() if name.startswith(_ADAPTER)}
        optimiser: dict[int, dict[str, Tensor]] = {}
        for name in tensors.keys() - {_ADAPTER + name for name in adapter}:
            number, _, field = name.removeprefix(_OPTIMISER).partition(".")
            optimiser.setdefault(int(number), {})[field] = tensors[name]
        return header.progress, adapter, optimiser

    def save(
        self, progress: Progress, adapter: Mapping[str, Tensor], optimiser: Mapping[int, Mapping[str, Tensor]]
    ) -> None:
        """Put a checkpoint in the place of the one before."""
        tensors = {_ADAPTER + name: part for name, part in adapter.items()}
        for number, fields in optimiser.items():
            tensors |= {f"{_OPTIMISER}{number}.{name}": part.detach().cpu() for name, part in fields.items()}
        header = _Header(belongs_to=self._belongs_to, progress=progress)
        self._write(_STATE, tensors, {_HEADER: header.model_dump_json()})
        for old in self._folder.glob("best-*.safetensors"):
            if old.name != _best(progress.best_step):
                old.unlink(missing_ok=True)

    def keep_best(self, step: int, adapter: Mapping[str, Tensor]) -> None:
        """Keep this step's adapter; an earlier one stays until a checkpoint names this one."""
        self._write(_best(step), adapter, {})

    def load_best(self, step: int) -> dict[str, Tensor]:
        """Return the adapter that was kept at this step.

        Raises:
            JobError: it is gone or damaged.
        """
        return self._read(_best(step))

    def keep_milestone(self, step: int, adapter: Mapping[str, Tensor]) -> None:
        """Keep this step's adapter to the end of the training; whoever comes by again writes the same bytes."""
        self._write(_milestone(step), adapter, {})

    def load_milestone(self, step: int) -> dict[str, Tensor]:
        """Return the adapter of a milestone.

        Raises:
            JobError: it is gone or damaged.
        """
        return self._read(_milestone(step))

    def clear(self) -> None:
        """Remove it all: the run is done."""
        discard(self._folder, self._scratch)

    def _read(self, name: str) -> dict[str, Tensor]:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(self._folder / name))
        except (OSError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise JobError(f"{self._folder / name}: can't be read ({reason}); {self._way_out}") from None

    @property
    def _way_out(self) -> str:
        return f"remove {self._folder.parent} to train from the beginning"

    def _refuse_another(self, found: Mapping[str, str]) -> None:
        for name in sorted(self._belongs_to.keys() | found.keys()):
            here, there = self._belongs_to.get(name), found.get(name)
            if here != there:
                raise JobError(
                    f"{self._folder}: this checkpoint is of another {name} ({there}, not {here}) and can't go on "
                    f"exactly; {self._way_out}"
                )

    def _write(self, name: str, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
        from safetensors.torch import save_file

        self._folder.mkdir(parents=True, exist_ok=True)
        with scratch_path(self._folder / name, self._scratch) as fresh:
            save_file({key: tensors[key].contiguous() for key in sorted(tensors)}, fresh, metadata)


def _best(step: int | None) -> str:
    return f"best-{step}.safetensors"


def _milestone(step: int) -> str:
    return f"milestone-{step}.safetensors"
