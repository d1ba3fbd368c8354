"""Trainings of several artists in one process: the base is loaded once, and each is as it would have been alone."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modal_app.adapters.file_format import read_card
from modal_app.backends.base import ValidationGrid
from modal_app.backends.registry import load_train_backend
from modal_app.backends.shared_base import keep_base, lent_base
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.modal_runtime.claim_store import FolderClaimStore
from modal_app.modal_runtime.container import Container, run_call
from modal_app.modal_runtime.remote_calls import RESULT
from modal_app.modal_runtime.storage import FolderStorage
from modal_app.protocol.base import Event
from modal_app.protocol.training import TrainRequest, TrainResult
from modal_app.training.data import load_examples
from modal_app.training.train import train
from tests.modal_app.training.conftest import Trained, ignore, parameters, train_request


@pytest.fixture(autouse=True)
def _kept_for_one_test() -> Iterator[None]:
    keep_base()
    yield
    keep_base(is_kept=False)


def request(trained: Trained, artist: str, backend: BackendKind, seed: int = 0) -> TrainRequest:
    asked = parameters(steps=3, seed=seed, validate_every=2, checkpoint_gradients=seed == 0, adapter_kind="dora")
    return train_request(trained.examples, f"run-{artist}", backend=backend, producer_id=artist, parameters=asked)


def new_root(trained: Trained, folder: Path) -> DataRoot:
    folder.mkdir()
    (folder / "cache").symlink_to(trained.root.root / "cache")
    return DataRoot(folder)


def digests(root: DataRoot, run_id: str) -> dict[str, str]:
    run = root.run(run_id)
    names = [path.name for path in run.iterdir() if path.is_file() and path.name != "result.json"]
    return {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in names}


@pytest.mark.parametrize("backend", list(BackendKind))
def test_artists_share_a_base_and_none_notices(trained: Trained, tmp_path: Path, backend: BackendKind) -> None:
    asked = [request(trained, artist, backend, seed) for seed, artist in enumerate(("ann", "bo"))]
    together = new_root(trained, tmp_path / "together")
    events: list[Event] = []
    results = [train(each, together, events.append) for each in asked]
    keep_base(is_kept=False)
    alone = new_root(trained, tmp_path / "alone")
    first, second = results
    assert train(asked[1], alone, ignore).base_seconds_saved is None

    assert first.base_seconds_saved is None
    assert (second.base_seconds, second.base_seconds_saved) == (0.0, first.base_seconds)
    assert sum("the base is there from the training before" in event.message for event in events) == 1
    assert digests(together, asked[1].run_id) == digests(alone, asked[1].run_id)
    for each in asked:
        lora = together.run(each.run_id) / f"{each.producer_id}_lora.safetensors"
        assert read_card(lora).producer_id == each.producer_id


@pytest.mark.parametrize("backend", list(BackendKind))
def test_a_base_is_given_on_as_it_was_loaded(trained: Trained, backend: BackendKind) -> None:
    fresh = load_train_backend(backend, "tiny")
    example = load_examples(request(trained, "ann", backend), fresh, trained.root, ignore)[:1]
    before = fresh.val_loss(example, ValidationGrid())
    with lent_base(backend, "tiny") as lent:
        lent.backend.inject(parameters(adapter_kind="dora"))
        lent.backend.checkpoint_gradients()
        lent.backend.loss(example, [0]).backward()
    with lent_base(backend, "tiny") as again:
        assert again.backend is lent.backend
        assert again.backend.val_loss(example, ValidationGrid()) == before
        model = getattr(again.backend, "_model", None) or again.backend._transformer  # type: ignore[attr-defined]
        assert not [name for name, _ in model.named_parameters() if "lora" in name]
        assert not any(weight.requires_grad or weight.grad is not None for weight in model.parameters())


def fail_with_a_base() -> None:
    with lent_base(BackendKind.MUSICGEN, "tiny"):
        raise KeyError


def test_a_base_goes_after_an_error_and_for_another(tmp_path: Path) -> None:
    with lent_base(BackendKind.MUSICGEN, "tiny") as first:
        pass
    with pytest.raises(KeyError):
        fail_with_a_base()
    with lent_base(BackendKind.MUSICGEN, "tiny") as loaded:
        assert loaded.backend is not first.backend
    with lent_base(BackendKind.ACE_STEP, "tiny") as other:
        assert other.saved_seconds is None
    with lent_base(BackendKind.MUSICGEN, "tiny") as back:
        assert back.saved_seconds is None  # one base at most is held
    folder = tmp_path / "base"
    back.backend._model.save_pretrained(folder)  # type: ignore[attr-defined]
    back.backend._tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
    with lent_base(BackendKind.MUSICGEN, str(folder)):
        pass
    with lent_base(BackendKind.MUSICGEN, str(folder)) as kept:
        assert kept.saved_seconds is not None
    (folder / "added.txt").write_text("other weights")
    with lent_base(BackendKind.MUSICGEN, str(folder)) as changed:
        assert changed.saved_seconds is None


def test_calls_of_one_container_share_a_base(trained: Trained, tmp_path: Path) -> None:
    """As on Modal: each call is one artist's training, with a folder of its own; `pytest -s` says what it saves."""
    keep_base(is_kept=False)
    root = new_root(trained, tmp_path / "data")
    place = Container(root.root, FolderStorage(), FolderClaimStore(tmp_path / "claims"), keeps_base=True)
    results, took = [], []
    for artist in ("ann", "bo"):
        asked = request(trained, artist, BackendKind.MUSICGEN).model_dump_json()
        started = time.monotonic()
        assert run_call(asked, artist, f"fc-{artist}", place) == RESULT
        took.append(time.monotonic() - started)
        results.append(TrainResult.model_validate_json((root.root / "calls" / f"fc-{artist}" / RESULT).read_bytes()))

    print(f"base loaded in {results[0].base_seconds} s, once; calls took {took}")  # noqa: T201 - for `pytest -s`
    assert [result.base_seconds_saved is not None for result in results] == [False, True]
