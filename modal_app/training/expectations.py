"""What a training takes on a device, before it begins: seconds and memory, by what was measured. Pure.

The best figure is that of a training on the same base and device; then one that others published; then what a model of
this size computes, at the share of a GPU's peak that such trainings reach. Where none is known, nothing is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from modal_app.audio.recipe import MONO44
from modal_app.backends.base import ValidationGrid
from modal_app.protocol.training import AdapterKind, Targets
from modal_app.training.recipes import KIND_NAMES, Kind, Plan

GIB = 1 << 30


@dataclass(frozen=True)
class Measured:
    """How fast a training went, in seconds of audio a second, and the most memory that it held, in GiB."""

    kind: Kind
    device: str
    targets: Targets
    adapter_kind: AdapterKind
    pace: float
    peak_gib: float | None
    source: str


PUBLISHED: Sequence[Measured] = (
    # one step of 30 s in 147 ms, rank 16 (HOT-Step-CPP, docs/TRAINING.md)
    Measured("ace-step-xl", "RTX 5090", "attention", "lora", 30 / 0.147, 23.0, "published by HOT-Step"),
)

# Of forward and backward, for a second of audio, with the adapter on attention alone; in TFLOP. Melody's is medium's
# with its longer sequence, large's by the number of its parameters; the others were counted.
_TFLOP: Mapping[Kind, float] = {
    "ace-step-2b": 1.21 / 15,
    "ace-step-turbo": 1.21 / 15,
    "ace-step-xl": 3.24 / 15,
    "musicgen-small": 1.29 / 15,
    "musicgen-medium": 5.44 / 15,
    "musicgen-melody": 6.9 / 15,
    "musicgen-large": 12.0 / 15,
}
_ENCODING_TFLOP = 1.83 / 15  # a second of audio through ACE-Step's autoencoder; once
_PEAK_TFLOPS: Mapping[str, float] = {
    "B200": 2250,
    "H200": 989,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "A10": 125,
    "T4": 65,
    "RTX 5090": 209,
    "RTX 4090": 165,
    "RTX 3090": 71,
}
"""Dense products in 16 bits, in TFLOP/s, by what is in a device's name; the first that is."""
_REACHED = 0.15  # of the peak: 15 to 30 % where it was measured
_MORE_TARGETS = 1.3  # times as long with the feed-forward layers, measured on both tiny bases
_DORA = 1.4  # likewise
_FORWARD = 0.4  # of forward and backward
_SETUP_SECONDS = 60.0  # libraries, base and files, on a GPU
_SEGMENTS_VALIDATED = 64
_VALIDATIONS = 11  # the base, and each tenth of the steps


@dataclass(frozen=True)
class Expectation:
    """What a training takes on a device; None: nobody knows. `basis` says by what it is known."""

    device: str
    seconds: float | None
    peak_gib: float | None
    basis: str

    @property
    def line(self) -> str:
        """It in one line."""
        if self.seconds is None:
            return f"how long it takes on {self.device} is not known yet"
        memory = "" if self.peak_gib is None else f" and {self.peak_gib:.1f} GiB"
        return f"about {duration_text(self.seconds)}{memory} on {self.device}, {self.basis}"


def expect(plan: Plan, kind: Kind, device: str, measured: Sequence[Measured]) -> Expectation:
    """Return what a plan takes on a device.

    Args:
        plan: the training.
        kind: what its base is.
        device: e.g. `NVIDIA H100 80GB HBM3`, `H100` or `cpu`.
        measured: what trainings on this very base took, the latest first.
    """
    asked = plan.parameters
    own = [each for each in measured if _same_device(each.device, device)]
    others = [each for each in PUBLISHED if each.kind == kind and _same_device(each.device, device)]
    known = [_with(each, asked.targets, asked.adapter_kind) for each in (*_best_first(own, plan), *others)]
    found = known[0] if known else _computed(kind, device, asked.targets, asked.adapter_kind)
    peak = next((each.peak_gib for each in known if each.peak_gib is not None), None)
    if found is None:
        return Expectation(device, None, peak, "")
    seconds = (plan.heard_seconds + _validated_seconds(plan, kind) * _FORWARD) / found.pace
    if kind != "tiny" and device != "cpu":
        seconds += _SETUP_SECONDS + _encoding_seconds(plan, kind, device)
    return Expectation(device, seconds, peak, found.source)


def duration_text(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _best_first(measured: Sequence[Measured], plan: Plan) -> list[Measured]:
    """Return those of the same layers and kind of adapter first; the order is theirs otherwise."""
    asked = plan.parameters
    return sorted(
        measured, key=lambda each: (each.adapter_kind != asked.adapter_kind) + (each.targets != asked.targets)
    )


def _with(measured: Measured, targets: Targets, kind: AdapterKind) -> Measured:
    """Return a figure as it would be with other layers and another kind of adapter."""
    times = _factor(targets, kind) / _factor(measured.targets, measured.adapter_kind)
    if (targets, kind) == (measured.targets, measured.adapter_kind):
        return measured
    source = f"{measured.source} with {KIND_NAMES[measured.adapter_kind]} on {measured.targets}"
    return replace(measured, pace=measured.pace / times, source=source)


def _factor(targets: Targets, kind: AdapterKind) -> float:
    return (_MORE_TARGETS if targets == "attention+mlp" else 1.0) * (_DORA if kind == "dora" else 1.0)


def _computed(kind: Kind, device: str, targets: Targets, adapter_kind: AdapterKind) -> Measured | None:
    tflops = _peak_of(device)
    if tflops is None or kind not in _TFLOP:
        return None
    pace = _REACHED * tflops / (_TFLOP[kind] * _factor(targets, adapter_kind))
    return Measured(kind, device, targets, adapter_kind, pace, None, "by what such a model computes")


def _encoding_seconds(plan: Plan, kind: Kind, device: str) -> float:
    tflops = _peak_of(device)
    if tflops is None or not kind.startswith("ace-step"):
        return 0.0
    return plan.audio_seconds * _ENCODING_TFLOP / (_REACHED * tflops)


def _validated_seconds(plan: Plan, kind: Kind) -> float:
    """Return how many seconds of audio all validations together go through."""
    asked = plan.parameters
    seconds = min(plan.segment_seconds, float(MONO44.seconds))  # segments are what is validated, also among crops
    segments = min(_SEGMENTS_VALIDATED, asked.validation_share * plan.audio_seconds / max(seconds, 1e-9))
    times = 1 if kind.startswith("musicgen") else len(ValidationGrid().times)
    return _VALIDATIONS * segments * times * seconds


def _same_device(one: str, other: str) -> bool:
    """Return whether two names are of one device: the name of a GPU may have more in it than the other."""
    return one == other or (one in other or other in one) or (_named(one) is not None and _named(one) == _named(other))


def _named(device: str) -> str | None:
    return next((name for name in _PEAK_TFLOPS if name in device.upper()), None)


def _peak_of(device: str) -> float | None:
    name = _named(device)
    return None if name is None else _PEAK_TFLOPS[name]
