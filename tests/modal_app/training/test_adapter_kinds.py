"""Every recipe and kind of adapter on both tiny bases: stopped, gone on with to the same bits, written, attached.

Each is trained twice: here each kind beside plain LoRA on one base, and among the campaigns on both. How plain LoRA
resumes is held by `test_resume.py` and `test_musicgen.py` too. All recipes take two minutes; they differ in numbers
alone, so they are among the campaigns.
"""

import hashlib
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from modal_app.adapters.file_format import read_adapter, read_card, write_adapter
from modal_app.backends.base import ValidationGrid
from modal_app.backends.registry import load_infer_backend, load_train_backend
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.errors import AdapterError
from modal_app.protocol.base import Event
from modal_app.protocol.training import AdapterKind, AskedTraining, TrainParameters, TrainRequest
from modal_app.training.data import load_examples
from modal_app.training.recipes import plan_training, recipes
from modal_app.training.train import train
from tests.modal_app.training.conftest import Trained, ignore, train_request

STEPS = 3


class Stopped(BaseException):
    """What the worker raises at SIGTERM."""


def asked(backend: BackendKind, recipe: str, kind: AdapterKind = "lora") -> TrainParameters:
    """A recipe's own values, for three steps."""
    wanted = AskedTraining(recipe=recipe, adapter_kind=kind, steps=STEPS, batch_size=2, validate_every=2)
    return plan_training(wanted, backend, "tiny", 16.0, 4.0).parameters


def new_root(trained: Trained, folder: Path) -> DataRoot:
    folder.mkdir()
    (folder / "cache").symlink_to(trained.root.root / "cache")
    return DataRoot(folder)


def stop_at(step: int) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if event.figures.get("step") == step:
            raise Stopped

    return listen


def digests(run: Path) -> dict[str, str]:
    """Of everything but the result, which has times in it."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in run.iterdir()
        if path.is_file() and path.name != "result.json"
    }


def trained_twice(request: TrainRequest, trained: Trained, folder: Path) -> tuple[DataRoot, DataRoot]:
    """Train in one go, and stopped after the second step and gone on with."""
    roots = new_root(trained, folder / "whole"), new_root(trained, folder / "stopped")
    train(request, roots[0], ignore)
    with pytest.raises(Stopped):
        train(request, roots[1], stop_at(2))
    events: list[Event] = []
    train(request, roots[1], events.append)
    assert f"going on after step 2 of {STEPS}" in [event.message for event in events]
    return roots


_QUICK = {("rslora", BackendKind.MUSICGEN), ("dora", BackendKind.ACE_STEP)}


@pytest.mark.parametrize(
    ("kind", "backend"),
    [
        pytest.param(*each, marks=[] if each in _QUICK else pytest.mark.slow)
        for each in product(get_args(AdapterKind), BackendKind)
    ],
)
def test_each_kind_resumes_exactly_and_attaches_strictly(
    trained: Trained, tmp_path: Path, backend: BackendKind, kind: AdapterKind
) -> None:
    parameters = asked(backend, "musicgen-small-some" if backend is BackendKind.MUSICGEN else "ace-step-2b-some", kind)
    request = train_request(trained.examples, "run-k", backend=backend, parameters=parameters)
    whole, stopped = trained_twice(request, trained, tmp_path)
    run = whole.run("run-k")

    assert digests(run) == digests(stopped.run("run-k"))
    lora = run / "test-artist_lora.safetensors"
    card = json.loads((run / "card.json").read_text())
    assert card["parameters"].get("adapter_kind", "lora") == read_card(lora).parameters.adapter_kind == kind
    judged = load_train_backend(backend, "tiny")
    examples = load_examples(request, judged, whole, ignore)[:2]
    before = judged.val_loss(examples, ValidationGrid())
    inferring = load_infer_backend(backend, "tiny")
    inferring.attach(lora, 1.0)
    with_it = inferring.val_loss(examples, ValidationGrid())  # type: ignore[attr-defined]
    assert with_it != before
    inferring.attach(run / "adapter_model.safetensors", 1.0)
    assert inferring.val_loss(examples, ValidationGrid()) == with_it  # type: ignore[attr-defined]
    inferring.detach()
    assert inferring.val_loss(examples, ValidationGrid()) == before  # type: ignore[attr-defined]


@pytest.mark.parametrize("backend", list(BackendKind))
def test_a_kind_that_its_card_does_not_name_is_refused(trained: Trained, tmp_path: Path, backend: BackendKind) -> None:
    request = train_request(trained.examples, "run-k", backend=backend, parameters=asked(backend, "tiny", "dora"))
    root = new_root(trained, tmp_path / "data")
    train(request, root, ignore)
    card, weights = read_adapter(root.run("run-k") / "adapter_model.safetensors")
    plain = card.parameters.model_copy(update={"adapter_kind": "lora"})
    write_adapter(tmp_path / "lying.safetensors", weights, card.model_copy(update={"parameters": plain}))
    inferring = load_infer_backend(backend, "tiny")

    with pytest.raises(AdapterError, match=r"keys fit nowhere, the first is .*lora_magnitude_vector"):
        inferring.attach(tmp_path / "lying.safetensors", 1.0)
    without = {name: part for name, part in weights.items() if "magnitude" not in name}
    write_adapter(tmp_path / "half.safetensors", without, card)
    with pytest.raises(AdapterError, match=r"keys are missing, the first is .*lora_magnitude_vector"):
        inferring.attach(tmp_path / "half.safetensors", 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [recipe.name for recipe in recipes()])
def test_each_recipe_resumes_exactly_and_attaches(trained: Trained, tmp_path: Path, recipe: str) -> None:
    backend = BackendKind.MUSICGEN if recipe.startswith("musicgen") else BackendKind.ACE_STEP
    request = train_request(trained.examples, "run-k", backend=backend, parameters=asked(backend, recipe))
    whole, stopped = trained_twice(request, trained, tmp_path)

    assert digests(whole.run("run-k")) == digests(stopped.run("run-k"))
    card = load_infer_backend(backend, "tiny").attach(whole.run("run-k") / "test-artist_lora.safetensors", 1.0)
    assert card.parameters == request.parameters
