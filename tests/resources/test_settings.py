"""What the settings leave open is decided by the base, or by the recipe."""

from pathlib import Path

from resources.settings import Settings


def test_a_real_base_is_heard_for_longer(tmp_path: Path) -> None:
    assert Settings(home=tmp_path).rendered_seconds == 4
    assert Settings(home=tmp_path, base="some/base").rendered_seconds == 30
    assert Settings(home=tmp_path, base="some/base", preview_seconds=7).rendered_seconds == 7


def test_single_values_are_asked_for_beside_the_recipe(tmp_path: Path) -> None:
    asked = Settings(home=tmp_path, recipe="ace-step-xl-much", train_steps=9, lora_targets="attention").asked_training
    assert (asked.recipe, asked.steps, asked.targets) == ("ace-step-xl-much", 9, "attention")
    assert (asked.rank, asked.learning_rate, asked.batch_size) == (None, None, None)
