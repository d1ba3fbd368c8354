"""Training on the forms of MusicGen that are not its plain one, each from a folder whose name says otherwise."""

from pathlib import Path

import pytest

from modal_app.backends.base import ValidationGrid
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.config import BackendKind
from modal_app.errors import LicenceError
from modal_app.training.train import train
from tests.modal_app.backends.musicgen_forms import FORMS, example, musicgen, saved
from tests.modal_app.training.conftest import Trained, ignore, parameters, train_request

GRID = ValidationGrid()


@pytest.mark.parametrize("name", ["melody", "stereo"])
def test_each_form_trains_from_its_folder_and_attaches(trained: Trained, tmp_path: Path, name: str) -> None:
    folder = saved(musicgen(*FORMS[name]), tmp_path / "musicgen-small-mono")
    asked = parameters(steps=3, learning_rate=5e-3, targets="attention+mlp")
    request = train_request(trained.examples, "run-f", backend=BackendKind.MUSICGEN, base=str(folder), parameters=asked)
    with pytest.raises(LicenceError):
        train(request, trained.root, ignore)
    agreed = asked.model_copy(update={"licence_accepted": "CC-BY-NC-4.0"})

    train(request.model_copy(update={"run_id": f"run-{name}", "parameters": agreed}), trained.root, ignore)

    own = MusicGenBackend.load(str(folder))
    examples = [example(own, "a slow dub")]
    before = own.val_loss(examples, GRID)
    card = own.attach(trained.root.run(f"run-{name}") / "test-artist_lora.safetensors", 1.0)
    assert (own.channels, card.base) == (FORMS[name][0], "musicgen-small-mono")
    assert own.val_loss(examples, GRID) != before
    own.detach()
    assert own.val_loss(examples, GRID) == before
