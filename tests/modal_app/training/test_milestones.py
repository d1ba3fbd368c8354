"""Adapters along a training: at which steps, of which step's weights, and that they load."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modal_app.adapters.file_format import read_adapter
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.protocol.training import TrainParameters
from modal_app.training.milestones import milestone_name, milestone_steps, step_of
from modal_app.training.train import train
from tests.modal_app.training.conftest import Trained, ignore, parameters, train_request


@given(st.integers(1, 5000), st.integers(0, 12))
def test_milestones_are_spread_and_the_last_step_is_one(steps: int, count: int) -> None:
    chosen = milestone_steps(parameters(steps=steps, milestones=count))
    assert len(chosen) <= count
    assert chosen == sorted(set(chosen))
    if count:
        assert chosen[-1] == steps
        assert all(1 <= step <= steps for step in chosen)
    if count and steps >= 100:
        assert len(chosen) == count
    if count > 1 and steps >= 100:
        assert chosen[0] == round(0.2 * steps)


def test_the_gaps_between_milestones_grow() -> None:
    assert milestone_steps(parameters(steps=1000)) == [200, 276, 381, 525, 725, 1000]


def test_a_milestones_name_tells_its_step() -> None:
    assert step_of(milestone_name(48)) == 48
    assert [step_of(name) for name in ("card.json", "milestones/x.safetensors", "peft/000048.safetensors")] == [
        None
    ] * 3


def asked_for(**changes: object) -> TrainParameters:
    return parameters(steps=12, validate_every=4, patience=0, **changes)


def test_each_milestone_has_the_weights_of_its_step(trained: Trained, backend: AceStepBackend) -> None:
    result = train(train_request(trained.examples, "run-m", parameters=asked_for()), trained.root, ignore)
    run = trained.root.run("run-m")

    assert set(result.milestones) == {2, 3, 5, 6, 9, 12} | {result.kept_step}
    assert {path.removeprefix("runs/run-m/") for path in result.files} >= {milestone_name(s) for s in result.milestones}
    seen = set()
    for step in result.milestones:
        path = run / milestone_name(step)
        card = backend.attach(path, 1.0)
        assert (card.kept_step, card.run_id, card.steps) == (step, "run-m", 12)
        seen.add(path.read_bytes())
    assert len(seen) == len(result.milestones)
    assert (run / milestone_name(result.kept_step or 0)).read_bytes() == (
        run / "test-artist_lora.safetensors"
    ).read_bytes()
    assert not (run / "checkpoint").exists()

    alone = train(train_request(trained.examples, "run-n", parameters=asked_for(milestones=1)), trained.root, ignore)
    assert set(alone.milestones) == {12, alone.kept_step}
    _, one = read_adapter(run / milestone_name(12))
    _, other = read_adapter(trained.root.run("run-n") / milestone_name(12))
    assert all((one[name] == other[name]).all() for name in one)


@pytest.mark.parametrize("count", [0, 3])
def test_a_training_that_ends_early_keeps_its_last_step(
    trained: Trained, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))
    monkeypatch.setattr(AceStepBackend, "val_loss", lambda *_: float(next(calls)))
    asked = parameters(steps=40, validate_every=4, patience=3, milestones=count)

    result = train(train_request(trained.examples, f"run-early-{count}", parameters=asked), trained.root, ignore)

    assert (result.steps, result.kept_step) == (16, 4)
    assert result.milestones == ([4, 8, 16] if count else [])
