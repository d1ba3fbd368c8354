"""The loop on a tiny base: what is learnt and kept, when it ends, and what it does when memory or numbers run out."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.backends.ace_step.tiny import build_tiny_pipeline
from modal_app.backends.base import TrainExample, ValidationGrid
from modal_app.errors import JobError
from modal_app.protocol.base import Event
from modal_app.protocol.training import TrainResult
from modal_app.training.data import load_examples
from modal_app.training.loop import _Loop
from modal_app.training.split import split_by_song
from modal_app.training.train import evenly, train
from tests.modal_app.training.conftest import Trained, ignore, parameters, train_request


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    return "run-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:8]


def changed_loss(monkeypatch: pytest.MonkeyPatch, change: Callable[[int, Any, int], Any]) -> None:
    """Let `change(call, loss, samples)` have its way with every loss of a training."""
    plain, calls = AceStepBackend.loss, iter(range(1, 1_000_000))

    def loss(self: AceStepBackend, batch: Sequence[TrainExample], seeds: Sequence[int]) -> Any:
        return change(next(calls), plain(self, batch, seeds), len(batch))

    monkeypatch.setattr(AceStepBackend, "loss", loss)


def warnings_in(events: list[Event]) -> list[str]:
    return [event.message for event in events if event.level == "warning"]


def held_out_examples(trained: Trained, backend: AceStepBackend) -> list[TrainExample]:
    examples = load_examples(trained.request, backend, trained.root, ignore)
    return [examples[index] for index in split_by_song(trained.examples, 0.1, 0).held_out]


@pytest.mark.slow
def test_a_small_set_is_learnt_by_heart(trained: Trained, run_id: str) -> None:
    by_heart = parameters(
        steps=80, learning_rate=5e-3, rank=16, alpha=32, caption_dropout=0.0, part_dropout=0.0, patience=0
    )

    result = train(train_request(trained.examples, run_id, parameters=by_heart), trained.root, ignore)

    assert result.final_loss < 0.3 * result.first_loss


def test_the_best_adapter_on_the_held_out_songs_is_kept(
    trained: Trained, backend: AceStepBackend, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, calls = AceStepBackend.val_loss, iter(range(100))

    def worse_from_the_fifth_on(*asked: Any) -> float:
        return plain(*asked) + 10 * (next(calls) >= 5)

    monkeypatch.setattr(AceStepBackend, "val_loss", worse_from_the_fifth_on)
    asked = parameters(steps=26, validate_every=4, patience=0)
    result = train(train_request(trained.examples, run_id, parameters=asked), trained.root, ignore)
    monkeypatch.undo()
    held_out = held_out_examples(trained, backend)

    best = min(result.validations[1:], key=lambda validation: validation.loss)
    assert (result.kept_step, result.best_validation_loss) == (best.step, best.loss)
    assert (best.step, result.steps) == (16, 26)
    assert [validation.step for validation in result.validations] == [0, 4, 8, 12, 16, 20, 24, 26]
    assert backend.val_loss(held_out, ValidationGrid()) == result.base_validation_loss
    backend.attach(trained.root.run(run_id) / "adapter_model.safetensors", 1.0)
    assert backend.val_loss(held_out, ValidationGrid()) == pytest.approx(best.loss, rel=1e-5)


def test_what_is_held_out_is_said_and_not_trained_on(
    trained: Trained, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    plain = AceStepBackend.loss

    def loss(self: AceStepBackend, batch: Sequence[TrainExample], seeds: Sequence[int]) -> Any:
        seen.update(example.key for example in batch)
        return plain(self, batch, seeds)

    monkeypatch.setattr(AceStepBackend, "loss", loss)
    events: list[Event] = []

    result = train(
        train_request(trained.examples, run_id, parameters=parameters(steps=12)), trained.root, events.append
    )

    (song,) = result.held_out
    assert result.split in [event.message for event in events]
    assert seen == {example.sha256 for example in trained.examples if example.song != song}
    assert json.loads((trained.root.run(run_id) / "card.json").read_text())["held_out"] == [song]


def test_with_too_little_to_hold_out_the_last_adapter_is_kept(trained: Trained, run_id: str) -> None:
    events: list[Event] = []
    request = train_request(trained.examples[:2], run_id, parameters=parameters(steps=12))

    result = train(request, trained.root, events.append)

    assert (result.kept_step, result.validations, result.base_validation_loss) == (12, [], None)
    assert "too little to hold anything out" in warnings_in(events)[1]


def test_it_ends_when_validation_gets_no_better(trained: Trained, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([9.0, 5.0, 4.0, 4.5, 4.25, 4.1, 1.0])
    monkeypatch.setattr(AceStepBackend, "val_loss", lambda *_: next(losses))
    asked = parameters(steps=40, validate_every=2, patience=3)

    result = train(train_request(trained.examples, run_id, parameters=asked), trained.root, ignore)

    assert (result.steps, result.kept_step, result.best_validation_loss) == (10, 4, 4.0)
    assert result.stopped_because == "step 10: no better validation loss since step 4, 3 times in a row"
    assert len(result.losses) == 10


@pytest.mark.parametrize("songs", ["all songs", "one segment"])
def test_a_nan_loss_ends_training_with_the_last_good_adapter(
    trained: Trained, run_id: str, monkeypatch: pytest.MonkeyPatch, songs: str
) -> None:
    from safetensors.torch import load_file

    changed_loss(monkeypatch, lambda call, loss, _: loss * (math.nan if call == 15 else 1))
    examples = trained.examples if songs == "all songs" else trained.examples[:1]
    events: list[Event] = []

    result = train(
        train_request(examples, run_id, parameters=parameters(validate_every=4)), trained.root, events.append
    )

    assert (result.steps, result.kept_step) == (14, 12)
    assert result.stopped_because == "step 15: the loss is no number any more; lower the learning rate"
    assert any("the adapter of step 12 is kept" in line for line in warnings_in(events))
    kept = load_file(trained.root.run(run_id) / "adapter_model.safetensors")
    assert all(bool(weight.isfinite().all()) for weight in kept.values())
    assert any(bool(weight.any()) for name, weight in kept.items() if "lora_B" in name)


def test_a_gradient_that_is_no_number_never_reaches_the_weights(
    trained: Trained, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    def change(call: int, loss: Any, _: int) -> Any:
        return loss.detach() + (loss - loss.detach()) * 1e38 * 1e38 if call == 15 else loss

    changed_loss(monkeypatch, change)

    asked = parameters(validate_every=4)
    result = train(train_request(trained.examples, run_id, parameters=asked), trained.root, ignore)

    assert result.steps == 14
    assert result.stopped_because == "step 15: the gradient is no number any more; lower the learning rate"
    kept = load_file(trained.root.run(run_id) / "adapter_model.safetensors")
    assert all(bool(weight.isfinite().all()) for weight in kept.values())


def test_no_number_before_any_adapter_was_good_is_one_line(
    trained: Trained, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_loss(monkeypatch, lambda call, loss, _: loss * (math.nan if call == 3 else 1))

    with pytest.raises(JobError, match=r"left no good adapter \(step 3: the loss is no number any more; lower"):
        train(train_request(trained.examples, run_id), trained.root, ignore)
    assert not (trained.root.run(run_id) / "result.json").exists()


def test_divergence_ends_it_with_the_last_good_adapter(
    trained: Trained, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed_loss(monkeypatch, lambda call, loss, _: loss * (1 if call <= 12 else 50))

    result = train(
        train_request(trained.examples[:1], run_id, parameters=parameters(validate_every=4)), trained.root, ignore
    )

    assert (result.steps, result.kept_step) == (16, 12)
    assert result.stopped_because.startswith("step 16: the loss is ")


@pytest.fixture(scope="module")
def plain(trained: Trained) -> TrainResult:
    """Eight steps of four samples with all the memory there is."""
    asked = parameters(steps=8, batch_size=4)
    return train(train_request(trained.examples, "run-plain", parameters=asked), trained.root, ignore)


def test_out_of_memory_splits_the_batch_into_smaller_pieces(
    trained: Trained, run_id: str, monkeypatch: pytest.MonkeyPatch, plain: TrainResult
) -> None:
    import torch

    def change(_: int, loss: Any, samples: int) -> Any:
        if samples > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss

    changed_loss(monkeypatch, change)
    events: list[Event] = []
    asked = parameters(steps=8, batch_size=4)

    result = train(train_request(trained.examples, run_id, parameters=asked), trained.root, events.append)

    assert [line for line in warnings_in(events) if "memory" in line] == [
        f"step 1: out of GPU memory; from here on {count} samples at once, accumulated to the same batch"
        for count in (2, 1)
    ]
    assert result.losses == pytest.approx(plain.losses, rel=1e-4)
    assert result.best_validation_loss == pytest.approx(plain.best_validation_loss, rel=1e-4)


def test_out_of_memory_with_one_sample_turns_on_checkpointing(
    trained: Trained, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def loss(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(AceStepBackend, "loss", loss)
    events: list[Event] = []

    with pytest.raises(JobError, match="does not suffice for one sample at once; use a smaller base"):
        train(train_request(trained.examples, run_id), trained.root, events.append)
    assert "activations are computed twice" in warnings_in(events)[-1]


def test_checkpointed_gradients_are_the_same(trained: Trained, run_id: str, plain: TrainResult) -> None:
    asked = parameters(steps=8, batch_size=4, checkpoint_gradients=True)

    result = train(train_request(trained.examples, run_id, parameters=asked), trained.root, ignore)

    assert result.losses == plain.losses


def test_in_bf16_the_adapter_stays_in_32_bits_and_learns_as_well(
    trained: Trained, run_id: str, monkeypatch: pytest.MonkeyPatch, plain: TrainResult
) -> None:
    """As on a GPU: the base in bf16, autocast around it."""
    import torch
    from safetensors.torch import load_file

    monkeypatch.setattr(
        "modal_app.backends.ace_step.base_model.build_tiny_pipeline", lambda: build_tiny_pipeline().to(torch.bfloat16)
    )
    monkeypatch.setattr(_Loop, "_autocast", lambda _: torch.autocast("cpu", dtype=torch.bfloat16))
    request = train_request(trained.examples, run_id, parameters=parameters(steps=8, batch_size=4))

    result = train(request, trained.root, ignore)

    assert result.final_loss == pytest.approx(plain.final_loss, rel=0.05)
    assert result.best_validation_loss == pytest.approx(plain.best_validation_loss, rel=0.05)
    kept = load_file(trained.root.run(run_id) / "adapter_model.safetensors")
    assert {weight.dtype for weight in kept.values()} == {torch.float32}


def test_validation_leaves_the_training_as_it_is(trained: Trained, run_id: str, plain: TrainResult) -> None:
    asked = parameters(steps=8, batch_size=4, validate_every=3)

    assert train(train_request(trained.examples, run_id, parameters=asked), trained.root, ignore).losses == plain.losses


def test_no_step_waits_for_its_data(trained: Trained) -> None:
    assert trained.result.steps_waited == 0
    assert trained.result.samples_per_second is not None
    assert trained.result.samples_per_second > 0


def test_the_loss_of_a_batch_is_the_mean_of_its_samples_alone(trained: Trained, backend: AceStepBackend) -> None:
    examples = [
        example
        for example in load_examples(trained.request, backend, trained.root, ignore)
        if backend.bucket_key(example) == 100
    ]
    backend.inject(parameters())

    together = float(backend.loss(examples, range(len(examples))).detach())
    alone = [float(backend.loss([example], [seed]).detach()) for seed, example in enumerate(examples)]

    assert len({len(example.conditioning.caption or "") for example in examples}) > 1
    assert together == pytest.approx(math.fsum(alone) / len(alone), rel=1e-5)


def test_an_examples_validation_loss_is_independent_of_others(trained: Trained, backend: AceStepBackend) -> None:
    examples = load_examples(trained.request, backend, trained.root, ignore)

    alone = [backend.val_loss([example], ValidationGrid()) for example in examples]

    assert backend.val_loss(examples[::-1], ValidationGrid()) == pytest.approx(math.fsum(alone) / len(alone), rel=1e-12)
    assert backend.val_loss(examples, ValidationGrid(seed=1)) != backend.val_loss(examples, ValidationGrid())


def test_latents_are_cached_by_backend_base_and_content(trained: Trained, backend: AceStepBackend) -> None:
    from safetensors.torch import load_file

    segments = {example.sha256 for example in trained.examples}
    of_base = (trained.root.latents() / "ace_step").rglob("*.safetensors")
    files = sorted(path for path in of_base if path.name[:64] in segments)  # others' tests share the folder
    before = [path.stat().st_mtime_ns for path in files]

    load_examples(trained.request, backend, trained.root, ignore)

    assert {path.name[:64] for path in files} == segments
    assert set(load_file(files[0])) == {"mean", "std"}
    assert [path.stat().st_mtime_ns for path in files] == before


def test_a_large_held_out_side_is_thinned_evenly() -> None:
    assert evenly(list(range(200)), 4) == [0, 50, 100, 150]
    assert evenly([3, 5], 4) == [3, 5]
    assert evenly([], 4) == []
