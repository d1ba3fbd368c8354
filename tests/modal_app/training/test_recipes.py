"""A training fits its base and the music that there is; single values take the recipe's place."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_app.config import BackendKind
from modal_app.errors import InputError
from modal_app.protocol.training import AskedTraining
from modal_app.training.crops import Stretch
from modal_app.training.recipes import kind_of, plan_training, recipes

ACE, MUSICGEN = BackendKind.ACE_STEP, BackendKind.MUSICGEN
BASES = {
    "ACE-Step/acestep-v15-base-diffusers": ACE,
    "ACE-Step/acestep-v15-sft-diffusers": ACE,
    "ACE-Step/acestep-v15-turbo-diffusers": ACE,
    "ACE-Step/acestep-v15-xl-base-diffusers": ACE,
    "facebook/musicgen-small": MUSICGEN,
    "facebook/musicgen-medium": MUSICGEN,
    "facebook/musicgen-stereo-medium": MUSICGEN,
    "facebook/musicgen-large": MUSICGEN,
}


@pytest.mark.parametrize(
    ("base", "minutes", "recipe", "steps", "rank", "learning_rate"),
    [
        # the budget in seconds of audio is what ends it …
        ("ACE-Step/acestep-v15-base-diffusers", 15, "ace-step-2b-little@2", 334, 32, 3e-4),
        ("ACE-Step/acestep-v15-base-diffusers", 60, "ace-step-2b-some@2", 834, 64, 3e-4),
        ("ACE-Step/acestep-v15-sft-diffusers", 200, "ace-step-2b-much@2", 2084, 64, 3e-4),
        ("ACE-Step/acestep-v15-turbo-diffusers", 60, "ace-step-turbo-some@2", 834, 64, 2e-4),
        ("ACE-Step/acestep-v15-xl-base-diffusers", 60, "ace-step-xl-some@2", 709, 64, 3e-4),
        ("ACE-Step/acestep-v15-xl-turbo-diffusers", 200, "ace-step-xl-much@2", 1667, 128, 3e-4),
        ("facebook/musicgen-small", 200, "musicgen-small-much@2", 400, 32, 2e-4),
        ("facebook/musicgen-stereo-medium", 60, "musicgen-medium-some@2", 125, 16, 1.5e-4),
        ("facebook/musicgen-stereo-melody", 60, "musicgen-melody-some@2", 125, 16, 2e-4),
        ("facebook/musicgen-melody-large", 60, "musicgen-large-some@2", 125, 16, 1e-4),
        # … or the passes over a few songs
        ("ACE-Step/acestep-v15-base-diffusers", 4, "ace-step-2b-little@2", 160, 32, 3e-4),
        ("facebook/musicgen-large", 10, "musicgen-large-little@2", 30, 16, 1e-4),
    ],
)
def test_base_and_music_choose_the_recipe(
    base: str, minutes: float, recipe: str, steps: int, rank: int, learning_rate: float
) -> None:
    backend = MUSICGEN if "musicgen" in base else ACE
    plan = plan_training(AskedTraining(), backend, base, minutes * 60, 15.0)
    asked = plan.parameters
    assert (plan.recipe.name, asked.steps, asked.rank) == (recipe, steps, rank)
    assert (asked.learning_rate, asked.targets, asked.final_learning_rate) == (learning_rate, "attention+mlp", 0.1)
    assert asked.alpha == (rank if backend is MUSICGEN else 2 * rank)
    assert asked.recipe == recipe
    assert recipe in plan.line


@pytest.mark.parametrize("backend", BackendKind)
def test_the_tiny_base_stays_as_quick_whatever_the_music(backend: BackendKind) -> None:
    for minutes in (1, 60, 600):
        asked = plan_training(AskedTraining(), backend, "tiny", minutes * 60, 15.0).parameters
        assert (asked.steps, asked.batch_size, asked.rank, asked.alpha) == (60, 2, 8, 16)
        assert (asked.learning_rate, asked.targets) == (1e-3, "attention")


def test_what_is_asked_for_takes_the_recipes_place() -> None:
    asked = AskedTraining(rank=8, learning_rate=5e-5, batch_size=2, accumulation=2, targets="attention", seed=7)
    plan = plan_training(asked, ACE, "some/base", 3600, 15.0)
    values = plan.parameters
    assert (values.rank, values.alpha, values.learning_rate, values.targets, values.seed) == (
        8,
        16,
        5e-5,
        "attention",
        7,
    )
    # two crops of 30 s at once, twice a step: the seconds that are heard stay the recipe's
    assert (values.steps, values.clip_seconds) == (834, 30.0)
    half = plan_training(asked.model_copy(update={"accumulation": 1}), ACE, "some/base", 3600, 15.0)
    assert half.parameters.steps == 1667
    assert plan.heard_seconds == pytest.approx(100_000, rel=0.001)
    assert plan_training(AskedTraining(steps=3), ACE, "some/base", 3600, 15.0).parameters.steps == 3


def test_rslora_is_as_strong_as_plain_lora_at_the_recipes_rank() -> None:
    for base, backend in BASES.items():
        plain = plan_training(AskedTraining(), backend, base, 3600, 15.0).parameters
        other = plan_training(AskedTraining(adapter_kind="rslora"), backend, base, 3600, 15.0)
        assert other.parameters.scaling == pytest.approx(plain.scaling, rel=0.05)
        assert other.line.endswith(", rsLoRA")
        larger = plan_training(AskedTraining(adapter_kind="rslora", rank=256), backend, base, 3600, 15.0)
        assert larger.parameters.alpha == other.parameters.alpha
    assert plan_training(AskedTraining(adapter_kind="dora"), ACE, "a/b", 3600, 15.0).parameters.scaling == 2.0


def test_a_plain_kind_is_not_written_and_another_is() -> None:
    plain = plan_training(AskedTraining(), ACE, "a/b", 3600, 15.0).parameters
    assert "adapter_kind" not in plain.model_dump_json()
    assert type(plain).model_validate_json(plain.model_dump_json()) == plain
    dora = plain.model_copy(update={"adapter_kind": "dora"})
    assert dora.model_dump()["adapter_kind"] == "dora"
    assert type(plain).model_validate_json(dora.model_dump_json()) == dora


@pytest.mark.parametrize(
    ("base", "minutes", "clip", "batch"),
    [
        ("some/base", 10, 30.0, 4),
        ("some/base", 60, 30.0, 4),
        ("some/base", 300, 60.0, 2),
        ("some/xl-base", 300, 60.0, 2),
        ("facebook/musicgen-small", 300, 30.0, 4),
        ("tiny", 300, 0.0, 2),
    ],
)
def test_a_step_hears_as_much_in_crops_of_any_length(base: str, minutes: float, clip: float, batch: int) -> None:
    backend = MUSICGEN if "musicgen" in base else ACE
    asked = plan_training(AskedTraining(), backend, base, minutes * 60, 15.0).parameters
    assert (asked.clip_seconds, asked.batch_size) == (clip, batch)
    if base != "tiny":
        segments = plan_training(AskedTraining(clip_seconds=0), backend, base, minutes * 60, 15.0)
        assert (segments.parameters.clip_seconds, segments.parameters.batch_size) == (0.0, 8)
        assert segments.segment_seconds == 15.0


def test_short_tracks_make_more_steps_of_the_same_budget() -> None:
    long = [Stretch("a", 0, 25 * 600)]
    short = [Stretch(str(number), 0, 25 * 15) for number in range(40)]
    plans = [plan_training(AskedTraining(), ACE, "some/base", 3600, 15.0, stretches) for stretches in (long, short)]
    assert [plan.segment_seconds for plan in plans] == [30.0, 15.0]
    assert [plan.parameters.steps for plan in plans] == [834, 1667]


@pytest.mark.parametrize(("backend", "clip"), [(MUSICGEN, 31.0), (ACE, 241.0), (ACE, 0.5)])
def test_crops_that_a_generator_does_not_hear_are_refused(backend: BackendKind, clip: float) -> None:
    with pytest.raises(
        InputError, match=r"DAWA_TRAIN_CLIP_SECONDS: .* set it to 0 \(segments as they are\), or from 1"
    ):
        plan_training(AskedTraining(clip_seconds=clip), backend, "some/base", 3600, 15.0)


def test_a_recipe_may_be_named() -> None:
    for name in ("musicgen-small-much", "musicgen-small-much@2"):
        plan = plan_training(AskedTraining(recipe=name), ACE, "tiny", 60, 15.0)
        assert plan.recipe.name == "musicgen-small-much@2"
        assert "asked for" in plan.line
    with pytest.raises(
        InputError, match="DAWA_RECIPE: loud is no recipe; set it to auto, or to one of tiny, ace-step-2b"
    ):
        plan_training(AskedTraining(recipe="loud"), ACE, "tiny", 60, 15.0)


@pytest.mark.parametrize(
    ("backend", "file", "config", "kind"),
    [
        (ACE, "transformer/config.json", {"hidden_size": 2048, "is_turbo": True}, "ace-step-turbo"),
        (ACE, "transformer/config.json", {"hidden_size": 2560}, "ace-step-xl"),
        (ACE, "transformer/config.json", {"hidden_size": 2048}, "ace-step-2b"),
        (MUSICGEN, "config.json", {"decoder": {"hidden_size": 1024}}, "musicgen-small"),
        (MUSICGEN, "config.json", {"decoder": {"hidden_size": 1536}}, "musicgen-medium"),
        (MUSICGEN, "config.json", {"decoder": {"hidden_size": 2048}}, "musicgen-large"),
        (
            MUSICGEN,
            "config.json",
            {"model_type": "musicgen_melody", "decoder": {"hidden_size": 1536}},
            "musicgen-melody",
        ),
        (
            MUSICGEN,
            "config.json",
            {"model_type": "musicgen_melody", "decoder": {"hidden_size": 2048}},
            "musicgen-large",
        ),
        (ACE, "transformer/config.json", {"hidden_size": 2048, "model_version": "turbo"}, "ace-step-turbo"),
        (MUSICGEN, "config.json", {"decoder": "x"}, "musicgen-small"),
        (ACE, "transformer/config.json", [], "ace-step-turbo"),
    ],
)
def test_a_folder_is_known_by_its_configuration(
    tmp_path: Path, backend: BackendKind, file: str, config: object, kind: str
) -> None:
    folder = tmp_path / "large-xl-turbo" if kind not in ("musicgen-small", "ace-step-turbo") else tmp_path / "turbo"
    (folder / file).parent.mkdir(parents=True)
    (folder / file).write_text(json.dumps(config))
    assert kind_of(backend, str(folder))[0] == kind


@given(
    st.sampled_from(sorted(BASES)),
    st.floats(1, 1e6),
    st.floats(0.1, 60),
    st.builds(
        AskedTraining,
        rank=st.none() | st.integers(1, 256),
        batch_size=st.none() | st.integers(1, 256),
        accumulation=st.none() | st.integers(1, 64),
    ),
)
def test_no_training_exceeds_budget_or_passes(base: str, audio: float, segment: float, asked: AskedTraining) -> None:
    plan = plan_training(asked, BASES[base], base, audio, segment)
    values = plan.parameters
    one_step = values.batch_size * values.accumulation * plan.segment_seconds
    assert values.steps >= 1
    assert values.alpha >= 1
    most = min(plan.recipe.hears_seconds, plan.recipe.max_passes * audio)
    assert plan.heard_seconds <= most * (1 + 1e-9) + one_step


def test_every_recipe_has_a_name_of_its_own() -> None:
    names = [recipe.name for recipe in recipes()]
    assert len(set(names)) == len(names) == 22
