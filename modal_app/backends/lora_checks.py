"""What every backend asks of an adapter before it is put on: the right base, every key, an effect. All raise."""

from collections.abc import Mapping
from pathlib import Path

from modal_app.adapters.card import AdapterCard
from modal_app.backends.base import BaseModel, Tensor
from modal_app.config import BackendKind
from modal_app.errors import AdapterError, WrongBaseError


def require_base(card: AdapterCard, kind: BackendKind, base: BaseModel, path: Path) -> None:
    """Its card names this backend, this base, and these weights of it."""
    if card.backend is not kind or (card.base, card.base_revision) != (base.name, base.revision):
        raise WrongBaseError(
            f"{path}: was trained on {card.backend}/{card.base} ({card.base_revision}), "
            f"not on {kind}/{base.name} ({base.revision}); name its own base or train it again"
        )


def require_shapes(expected: Mapping[str, tuple[int, ...]], weights: Mapping[str, Tensor], where: str) -> None:
    """Every weight that is expected, each of its shape, and no other."""
    missing, unknown = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing:
        raise AdapterError(f"{where}: {len(missing)} keys are missing, the first is {missing[0]}; train it again")
    if unknown:
        raise AdapterError(f"{where}: {len(unknown)} keys fit nowhere, the first is {unknown[0]}; train it again")
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise AdapterError(
                f"{where}: {name} has the shape {tuple(weights[name].shape)}, not {shape}; train it again"
            )


def require_effect(weights: Mapping[str, Tensor], path: Path) -> None:
    """All weights are numbers, and not every B is zero."""
    if not all(bool(weight.isfinite().all()) for weight in weights.values()):
        raise AdapterError(f"{path}: has weights that are no numbers (NaN); train it again")
    if not any(bool(weight.any()) for name, weight in weights.items() if ".lora_B." in name):
        raise AdapterError(f"{path}: has no effect: every B is zero, it was never trained; train it")


def require_arrival(loaded: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path) -> None:
    """What is in the model now is what was sent: loading leaves out what it does not know without a word."""
    different = [
        name
        for name in weights
        if name not in loaded or not loaded[name].equal(weights[name].to(loaded[name].dtype).float())
    ]
    if different:
        raise AdapterError(
            f"{path}: {len(different)} keys did not arrive in the model, the first is {different[0]}; train it again"
        )
