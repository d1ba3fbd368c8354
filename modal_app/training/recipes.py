"""Recipes: named, versioned sets of hyper-parameters for a kind of base and an amount of music. Pure.

How far a training goes is a matter of the seconds of audio that it hears, whatever the batch: each recipe has a budget
of them, and a ceiling in passes over the music, behind which a small catalogue is only learnt by heart. Where the
figures are from, and how sure each is, stands in `docs/training.md`. A changed recipe is a new version of its name.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modal_app.audio.recipe import MONO44, whole_recipe_for
from modal_app.config import BackendKind
from modal_app.errors import InputError
from modal_app.protocol.training import AdapterKind, AskedTraining, Targets, TrainParameters
from modal_app.training.crops import Stretch, mean_seconds

Kind = Literal[
    "tiny",
    "ace-step-2b",
    "ace-step-turbo",
    "ace-step-xl",
    "musicgen-small",
    "musicgen-medium",
    "musicgen-melody",
    "musicgen-large",
]
"""What a base is, as far as recipes go; that a model is stereo changes none of them."""

AUTO = "auto"

KIND_NAMES: Mapping[AdapterKind, str] = {"lora": "LoRA", "rslora": "rsLoRA", "dora": "DoRA"}

_SOME_SECONDS, _MUCH_SECONDS = 20 * 60.0, 120 * 60.0
_ACE_STEP_2B_WIDTH = 2048
_MUSICGEN_WIDTHS = (1024, 1536)  # of small, and of medium and melody
_MELODY = "musicgen_melody"
_MUSICGEN: Sequence[Kind] = ("musicgen-small", "musicgen-medium", "musicgen-large")


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of a training. A budget of no seconds: `steps` says how long it goes, whatever the music."""

    name: str
    rank: int
    alpha: int
    targets: Targets
    learning_rate: float
    final_learning_rate: float
    """At the last step, as a share of the peak."""
    batch: int
    """Crops a step, or segments where it hears those."""
    clip_seconds: float
    """Of a crop; 0: it hears segments as they are."""
    hears_seconds: float
    max_passes: float
    steps: int = 0
    milestones: int = 6
    """How many adapters are kept along the way; they decide nothing of the training."""


@dataclass(frozen=True)
class Plan:
    """What a training will be, before it begins."""

    recipe: Recipe
    reason: str
    """Why this recipe."""
    parameters: TrainParameters
    audio_seconds: float
    """Of music that there is."""
    segment_seconds: float
    """Mean length of the segments or crops that it hears."""

    @property
    def heard_seconds(self) -> float:
        """Seconds of audio that the training hears, each as often as it is heard."""
        asked = self.parameters
        return asked.steps * asked.batch_size * asked.accumulation * self.segment_seconds

    @property
    def passes(self) -> float:
        """How often it hears all of it."""
        return self.heard_seconds / max(self.audio_seconds, 1e-9)

    @property
    def line(self) -> str:
        """The plan in one line."""
        asked = self.parameters
        return (
            f"recipe {self.recipe.name} ({self.reason}): {asked.steps:,} steps of "
            f"{asked.batch_size * asked.accumulation} x {self.segment_seconds:.0f} s hear {self.heard_seconds:,.0f} s "
            f"of audio, {self.passes:.1f} passes over {self.audio_seconds / 60:.1f} min; rank {asked.rank}, "
            f"alpha {asked.alpha}, {asked.targets}, learning rate {asked.learning_rate:g}"
            f"{'' if asked.adapter_kind == 'lora' else f', {KIND_NAMES[asked.adapter_kind]}'}"
        )


_TINY = Recipe(
    "tiny@1",
    8,
    16,
    "attention",
    1e-3,
    0.0,
    batch=2,
    clip_seconds=0,
    hears_seconds=0,
    max_passes=0,
    steps=60,
    milestones=2,
)
"""Random weights, to prove the chain by: quick, and enough to see a loss fall."""

PLANNING_FRAMES = 25.0
"""Frames a second in which crops are planned, whatever the generator's own are."""
_SHORTEST_CLIP = 1.0
_DECIDED_BY_RECIPE = {
    "recipe",
    "steps",
    "batch_size",
    "accumulation",
    "rank",
    "alpha",
    "targets",
    "learning_rate",
    "clip_seconds",
    "milestones",
}
_STEP_SECONDS = 120.0
"""Of audio that a step hears."""
_ACE_STEP_CLIPS = (30.0, 30.0, 60.0)
"""Seconds of a crop by the amount of music: half of the layers look 10 s far, the others at all of it."""
_MUSICGEN_CLIPS = (30.0, 30.0, 30.0)
"""The longest that it hears."""
_AMOUNTS = ("little", "some", "much")  # of music: under 20 minutes, to two hours, above
# By kind and amount of music: rank, alpha, peak learning rate, seconds of audio to hear, passes at most.
_FIGURES: dict[Kind, Sequence[tuple[int, int, float, float, float]]] = {
    "ace-step-2b": ((32, 64, 3e-4, 40_000, 80), (64, 128, 3e-4, 100_000, 60), (64, 128, 3e-4, 250_000, 40)),
    "ace-step-turbo": ((32, 64, 2e-4, 40_000, 80), (64, 128, 2e-4, 100_000, 60), (64, 128, 2e-4, 250_000, 40)),
    "ace-step-xl": ((32, 64, 2e-4, 40_000, 80), (64, 128, 3e-4, 85_000, 60), (128, 256, 3e-4, 200_000, 40)),
    "musicgen-small": ((16, 16, 2e-4, 6_000, 6), (16, 16, 2e-4, 15_000, 5), (32, 32, 2e-4, 60_000, 4)),
    "musicgen-medium": ((16, 16, 1.5e-4, 6_000, 6), (16, 16, 1.5e-4, 15_000, 5), (16, 16, 1.5e-4, 60_000, 4)),
    "musicgen-melody": ((16, 16, 2e-4, 6_000, 6), (16, 16, 2e-4, 15_000, 5), (16, 16, 2e-4, 60_000, 4)),
    "musicgen-large": ((16, 16, 1e-4, 6_000, 6), (16, 16, 1e-4, 15_000, 5), (16, 16, 1e-4, 60_000, 4)),
}


def _recipe(
    name: str, rank: int, alpha: int, learning_rate: float, hears_seconds: float, max_passes: float, clip_seconds: float
) -> Recipe:
    return Recipe(
        name,
        rank,
        alpha,
        targets="attention+mlp",
        learning_rate=learning_rate,
        final_learning_rate=0.1,
        batch=round(_STEP_SECONDS / clip_seconds),
        clip_seconds=clip_seconds,
        hears_seconds=hears_seconds,
        max_passes=max_passes,
        milestones=(4 if name.startswith("musicgen") else 6) + (2 if "-much@" in name else 0),
    )


_RECIPES: dict[Kind, Sequence[Recipe]] = {
    "tiny": [_TINY] * len(_AMOUNTS),
    **{
        kind: [
            _recipe(f"{kind}-{amount}@2", *row, clip)
            for amount, row, clip in zip(
                _AMOUNTS, rows, _MUSICGEN_CLIPS if kind.startswith("musicgen") else _ACE_STEP_CLIPS, strict=True
            )
        ]
        for kind, rows in _FIGURES.items()
    },
}


def recipes() -> list[Recipe]:
    """Return every recipe, once."""
    return list(dict.fromkeys(recipe for of_kind in _RECIPES.values() for recipe in of_kind))


def plan_training(
    asked: AskedTraining,
    backend: BackendKind,
    base: str,
    audio_seconds: float,
    segment_seconds: float,
    stretches: Sequence[Stretch] = (),
) -> Plan:
    """Return what a training will be: its recipe, with what is asked for otherwise put in its place.

    Args:
        asked: the recipe's name or `auto`, and single values.
        backend: the generator.
        base: its base: `tiny`, a model id, or a folder.
        audio_seconds: of the segments that can be heard.
        segment_seconds: mean length of those.
        stretches: what those are together, with `PLANNING_FRAMES` frames a second; none: as long as any crop.

    Raises:
        InputError: there is no such recipe, or the generator hears no crops of the length that is asked for.
    """
    kind, known_by = kind_of(backend, base)
    amount = sum(audio_seconds >= limit for limit in (_SOME_SECONDS, _MUCH_SECONDS))
    if asked.recipe == AUTO:
        recipe, reason = _RECIPES[kind][amount], f"auto: {kind} by {known_by}"
    else:
        recipe, reason = _named(asked.recipe), "asked for"
    rank = asked.rank or recipe.rank
    clip_seconds = _clip_seconds(asked, recipe, backend)
    batch_size = asked.batch_size or _batch(recipe, clip_seconds)
    accumulation = asked.accumulation or 1
    sample_seconds = segment_seconds
    if clip_seconds:
        sample_seconds = _mean_seconds(stretches, clip_seconds, backend)
    batch_seconds = batch_size * accumulation * sample_seconds
    parameters = TrainParameters(
        **asked.model_dump(exclude=_DECIDED_BY_RECIPE)
        | {
            "recipe": recipe.name,
            "steps": asked.steps or _steps(recipe, audio_seconds, batch_seconds),
            "batch_size": batch_size,
            "accumulation": accumulation,
            "rank": rank,
            "alpha": asked.alpha or _alpha(recipe, rank, asked.adapter_kind),
            "targets": asked.targets or recipe.targets,
            "milestones": recipe.milestones if asked.milestones is None else asked.milestones,
            "learning_rate": asked.learning_rate or recipe.learning_rate,
            "final_learning_rate": recipe.final_learning_rate,
            "clip_seconds": clip_seconds,
        }
    )
    return Plan(recipe, reason, parameters, audio_seconds, sample_seconds)


def kind_of(backend: BackendKind, base: str) -> tuple[Kind, str]:
    """Return what a base is, and by what that is known: its configuration where it lies in a folder, else its name."""
    if base == "tiny":
        return "tiny", "its name"
    config = _config(Path(base), backend)
    name = base.rstrip("/").rpartition("/")[2].lower()
    if backend is BackendKind.ACE_STEP:
        width = config.get("hidden_size")
        is_turbo = bool(config.get("is_turbo")) or config.get("model_version") == "turbo"
        if isinstance(width, int):
            return _ace_step(width > _ACE_STEP_2B_WIDTH, is_turbo), "its configuration"
        return _ace_step("xl" in name, "turbo" in name), "its name"
    decoder = config.get("decoder")
    width = decoder.get("hidden_size") if isinstance(decoder, dict) else None
    if isinstance(width, int):
        size = sum(width > limit for limit in _MUSICGEN_WIDTHS)
        return _musicgen(size, config.get("model_type") == _MELODY), "its configuration"
    is_melody = "melody" in name
    size = 2 if "large" in name else 1 if is_melody or "medium" in name else 0
    return _musicgen(size, is_melody), "its name"


def _musicgen(size: int, is_melody: bool) -> Kind:
    """The larger melody goes by its size: of the two, trainers worked with the other."""
    return "musicgen-melody" if is_melody and size < len(_MUSICGEN) - 1 else _MUSICGEN[size]


def _ace_step(is_xl: bool, is_turbo: bool) -> Kind:
    """XL goes first: its recipes hold for its turbo form too, whose learning rate nobody has compared."""
    return "ace-step-xl" if is_xl else "ace-step-turbo" if is_turbo else "ace-step-2b"


def _config(folder: Path, backend: BackendKind) -> dict[str, object]:
    """Return the configuration of the model in a folder; empty where there is none that can be read."""
    name = "transformer/config.json" if backend is BackendKind.ACE_STEP else "config.json"
    try:
        config = json.loads((folder / name).read_bytes())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _named(name: str) -> Recipe:
    found = [recipe for recipe in recipes() if name in (recipe.name, recipe.name.partition("@")[0])]
    if not found:
        known = ", ".join(recipe.name.partition("@")[0] for recipe in recipes())
        raise InputError(f"DAWA_RECIPE: {name} is no recipe; set it to {AUTO}, or to one of {known}")
    return found[0]


def _alpha(recipe: Recipe, rank: int, kind: AdapterKind) -> int:
    """Return alpha where nobody asks for one: in proportion to the rank.

    With rsLoRA it is the same for any rank, and such that the recipe's own gives as strong an adapter as plain LoRA:
    the learning rates were found with that.
    """
    if kind == "rslora":
        return max(1, round(recipe.alpha / math.sqrt(recipe.rank)))
    return rank * recipe.alpha // recipe.rank


def _clip_seconds(asked: AskedTraining, recipe: Recipe, backend: BackendKind) -> float:
    """Return the seconds of a crop, 0 for segments as they are.

    A recipe that was asked for by its name may be another generator's: its crops are then cut to what this one hears.
    """
    longest = float(whole_recipe_for(backend).seconds)
    if asked.clip_seconds is None:
        return min(recipe.clip_seconds, longest)
    if asked.clip_seconds and not _SHORTEST_CLIP <= asked.clip_seconds <= longest:
        raise InputError(
            f"DAWA_TRAIN_CLIP_SECONDS: {asked.clip_seconds:g} s can't be heard by {backend}; set it to 0 (segments as "
            f"they are), or from {_SHORTEST_CLIP:g} to {longest:g}"
        )
    return asked.clip_seconds


def _batch(recipe: Recipe, clip_seconds: float) -> int:
    """Return the crops or segments a step: as many as make the seconds of the recipe's."""
    if not recipe.clip_seconds:
        return recipe.batch
    return max(1, round(recipe.batch * recipe.clip_seconds / (clip_seconds or MONO44.seconds)))


def _mean_seconds(stretches: Sequence[Stretch], clip_seconds: float, backend: BackendKind) -> float:
    if not stretches:
        return clip_seconds
    clip, longest = (round(each * PLANNING_FRAMES) for each in (clip_seconds, whole_recipe_for(backend).seconds))
    return mean_seconds(stretches, clip, longest, PLANNING_FRAMES)


def _steps(recipe: Recipe, audio_seconds: float, batch_seconds: float) -> int:
    """Return the steps that the budget is good for, or the ceiling in passes, whichever is less."""
    if recipe.steps:
        return recipe.steps
    heard = min(recipe.hears_seconds, recipe.max_passes * audio_seconds)
    return max(1, math.ceil(heard / max(batch_seconds, 1e-9)))
