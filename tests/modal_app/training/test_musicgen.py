"""The `train` and `generate` jobs on the tiny MusicGen: what is learnt, what is left, what others can load.

To load an adapter in another process takes all of PEFT's imports: those tests are slow ones.
"""

import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.adapters.file_format import read_adapter, read_card, write_adapter
from modal_app.adapters.publish import install
from modal_app.audio.prepare import prepare
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.backends.base import Conditioning, TrainExample, ValidationGrid
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.errors import AdapterError, LicenceError
from modal_app.evaluation.evaluate import evaluate
from modal_app.protocol.audio import AudioSource, PrepareRequest
from modal_app.protocol.base import Event
from modal_app.protocol.evaluation import EvaluateRequest, EvaluationPrompt
from modal_app.protocol.training import CaptionPart, Example, GenerateRequest, InstallRequest, TrainRequest
from modal_app.training.data import load_examples
from modal_app.training.generate import generate
from modal_app.training.milestones import FOLDER as MILESTONES
from modal_app.training.train import train
from tests.modal_app.training.conftest import RATE, ignore, parameters, prepare_tracks, train_request

GRID = ValidationGrid()
FILES = ["test-artist_lora.safetensors", "adapter_model.safetensors"]


def musicgen_request(examples: list[Example], run_id: str = "run-1", **changes: object) -> TrainRequest:
    return train_request(examples, run_id, backend=BackendKind.MUSICGEN, **changes)


class MusicGenTrained:
    """A data root with tracks and a finished run."""

    def __init__(self, folder: Path) -> None:
        self.root = DataRoot(folder / "data")
        self.examples = prepare_tracks(self.root, folder)
        self.request = musicgen_request(
            self.examples, parameters=parameters(steps=20, learning_rate=5e-3, targets="attention+mlp")
        )
        self.result = train(self.request, self.root, ignore)
        self.run = self.root.run("run-1")
        self.lora = self.run / FILES[0]

    def seen_by(self, backend: MusicGenBackend) -> list[TrainExample]:
        return load_examples(self.request, backend, self.root, ignore)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> MusicGenTrained:
    return MusicGenTrained(tmp_path_factory.mktemp("musicgen"))


@pytest.fixture
def musicgen() -> MusicGenBackend:
    """A tiny base of the test's own."""
    return MusicGenBackend.load("tiny")


@pytest.fixture(scope="module")
def reference(finished: MusicGenTrained) -> float:
    """The validation loss with the adapter as it was trained, in this process."""
    from safetensors.torch import load_file

    backend = MusicGenBackend.load("tiny")
    backend.inject(finished.request.parameters)
    backend.load_adapter_state(load_file(finished.run / "adapter_model.safetensors"))
    return backend.val_loss(finished.seen_by(backend), GRID)


def pulses(root: DataRoot, folder: Path) -> list[Example]:
    """Two steady pulses of a second."""
    sources = []
    for name, frequency in (("low", 110.0), ("high", 150.0)):
        time = np.arange(RATE) / RATE
        signal = 0.8 * np.sin(2 * np.pi * frequency * time) * np.exp(-5 * (2 * time % 1))
        soundfile.write(folder / f"{name}.wav", signal.astype(np.float32), RATE)
        digest = hashlib.sha256((folder / f"{name}.wav").read_bytes()).hexdigest()
        sources.append(AudioSource(audio_hash=digest, url=(folder / f"{name}.wav").as_uri(), name=name))
    return [
        Example(
            audio_hash=audio.audio_hash,
            index=0,
            sha256=audio.segments[0].sha256,
            song=str(number),
            parts=[CaptionPart(kind="prompt", text=f"Pulse {number}.")],
            gain_db=audio.segments[0].gain_db,
        )
        for number, audio in enumerate(prepare(PrepareRequest(sources=sources), root, ignore).prepared)
    ]


def test_a_small_set_is_learnt_by_heart(tmp_path: Path) -> None:
    root = DataRoot(tmp_path / "data")
    by_heart = parameters(
        steps=150, learning_rate=1e-2, rank=32, alpha=64, caption_dropout=0.0, part_dropout=0.0, patience=0
    )

    result = train(musicgen_request(pulses(root, tmp_path), parameters=by_heart), root, ignore)

    assert result.final_loss < 0.3 * result.first_loss


def test_a_run_leaves_both_formats_with_the_card_in_them(finished: MusicGenTrained) -> None:
    names = {Path(path).name for path in finished.result.files if Path(path).parent.name != MILESTONES}
    config = json.loads((finished.run / "adapter_config.json").read_text())
    card, weights = read_adapter(finished.lora)

    assert {*FILES, "adapter_config.json", "card.json", "events.jsonl", "loss.png"} == names
    assert finished.lora.read_bytes() == (finished.run / FILES[1]).read_bytes()
    assert (card.backend, card.base, card.base_licence) == (BackendKind.MUSICGEN, "tiny", "none: random weights")
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 8, 16)
    # A and B, two layers, both kinds of attention with four projections each, two feed-forward ones
    assert len(weights) == 2 * 2 * (2 * 4 + 2)
    assert all(name.startswith("base_model.model.decoder.model.decoder.layers.") for name in weights)


class Stopped(BaseException):
    """What the worker raises at SIGTERM."""


def test_a_training_that_was_stopped_goes_on_to_the_same_bytes(finished: MusicGenTrained, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cache").symlink_to(finished.root.root / "cache")
    root = DataRoot(tmp_path / "data")

    def stop_at_seven(event: Event) -> None:
        if event.figures.get("step") == 7:
            raise Stopped

    with pytest.raises(Stopped):
        train(finished.request, root, stop_at_seven)
    result = train(finished.request, root, ignore)

    assert result.losses == finished.result.losses
    assert result.files == finished.result.files


def test_an_adapter_is_judged_beside_its_base(finished: MusicGenTrained) -> None:
    asked = EvaluateRequest(
        training=finished.request,
        milestones=finished.result.milestones[-2:],
        prompts=[EvaluationPrompt(kind="held out", text="Dub techno.")],
        copy_renderings=1,
        copy_seconds=1.0,
        duration_seconds=1.0,
    )

    found = evaluate(asked, finished.root, ignore)

    assert found.base_loss == pytest.approx(finished.result.base_validation_loss, rel=1e-5)
    assert [candidate.step for candidate in found.candidates] == [
        None,
        *finished.result.milestones[-2:],
        found.chosen_step,
    ]
    assert found.copies is not None
    assert found.copies.code_seconds is not None
    assert found.base.samples == found.base.expected_samples == 32_000
    assert found.trouble is None


_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from peft import PeftModel
from modal_app.backends.ace_step.backend import AceStepBackend
from modal_app.backends.base import ValidationGrid
from modal_app.backends.musicgen.backend import MusicGenBackend
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.training import TrainRequest
from modal_app.training.data import load_examples

backend = MusicGenBackend.load("tiny")
request = TrainRequest.model_validate_json(Path(sys.argv[1]).read_bytes())
examples = load_examples(request, backend, DataRoot(Path(sys.argv[2])), lambda event: None)
print(backend.val_loss(examples, ValidationGrid()))
PeftModel.from_pretrained(backend._model, sys.argv[3])
print(backend.val_loss(examples, ValidationGrid()))
"""


def test_peft_loads_the_adapter_as_it_is(
    finished: MusicGenTrained, musicgen: MusicGenBackend, reference: float
) -> None:
    from peft import PeftModel

    examples = finished.seen_by(musicgen)
    base = musicgen.val_loss(examples, GRID)
    PeftModel.from_pretrained(musicgen._model, finished.run)

    assert musicgen.val_loss(examples, GRID) == pytest.approx(reference, rel=1e-5)
    assert reference < 0.8 * base


@pytest.mark.slow
def test_peft_loads_the_adapter_as_it_is_in_another_process(
    finished: MusicGenTrained, reference: float, tmp_path: Path
) -> None:
    (tmp_path / "request.json").write_text(finished.request.model_dump_json())

    told = subprocess.run(
        [sys.executable, "-c", _IN_ANOTHER_PROCESS, tmp_path / "request.json", finished.root.root, finished.run],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    base, with_adapter = (float(line) for line in told)
    assert with_adapter == pytest.approx(reference, rel=1e-5)
    assert reference < 0.8 * base


@pytest.mark.parametrize("name", FILES)
def test_both_files_attach_with_the_same_effect(
    finished: MusicGenTrained, musicgen: MusicGenBackend, reference: float, name: str
) -> None:
    examples = finished.seen_by(musicgen)
    base = musicgen.val_loss(examples, GRID)

    card = musicgen.attach(finished.run / name, 1.0)
    attached = musicgen.val_loss(examples, GRID)
    musicgen.attach(finished.run / name, 0.0)
    without_scale = musicgen.val_loss(examples, GRID)
    musicgen.detach()

    assert card.run_id == "run-1"
    assert attached == pytest.approx(reference, rel=1e-5)
    assert without_scale == base
    assert musicgen.val_loss(examples, GRID) == base


def test_the_first_of_two_adapters_leaves_no_trace(
    finished: MusicGenTrained, musicgen: MusicGenBackend, tmp_path: Path
) -> None:
    card, weights = read_adapter(finished.lora)
    other = tmp_path / "other.safetensors"
    wider = card.model_copy(update={"parameters": parameters(rank=16, alpha=8, targets="attention+mlp")})
    write_adapter(other, {name: weight.repeat(_twice(name)) for name, weight in weights.items()}, wider)
    fresh = MusicGenBackend.load("tiny")
    fresh.attach(finished.lora, 1.0)

    musicgen.attach(other, 0.7)
    musicgen.attach(finished.lora, 1.0)

    assert (
        musicgen.generate(Conditioning("dub"), 0.3, 1).tolist() == fresh.generate(Conditioning("dub"), 0.3, 1).tolist()
    )
    musicgen.detach()
    untouched = MusicGenBackend.load("tiny")
    assert {name: type(part).__name__ for name, part in musicgen._model.named_modules()} == {
        name: type(part).__name__ for name, part in untouched._model.named_modules()
    }
    assert vars(musicgen._model).keys() == vars(untouched._model).keys()
    left = musicgen._model.state_dict()
    assert all(weight.equal(left[name]) for name, weight in untouched._model.state_dict().items())


def _twice(name: str) -> tuple[int, int]:
    return (2, 1) if ".lora_A." in name else (1, 2)


def test_an_adapter_with_wrong_keys_or_no_effect_is_refused(
    finished: MusicGenTrained, tmp_path: Path, musicgen: MusicGenBackend
) -> None:
    from safetensors.torch import save_file

    card, weights = read_adapter(finished.lora)
    bad, first = tmp_path / "bad.safetensors", next(iter(weights))
    musicgen.attach(finished.lora, 1.0)
    before = musicgen.adapter_state()
    cases = {
        "1 keys are missing": {name: weight for name, weight in weights.items() if name != first},
        "1 keys fit nowhere": weights | {first.replace("layers.0", "layers.9"): weights[first].clone()},
        "40 keys are missing": {name.replace("base_model.model.", "transformer."): w for name, w in weights.items()},
        "has the shape": weights | {first: weights[first][:, :-1]},
        "every B is zero": {name: weight * (".lora_A." in name) for name, weight in weights.items()},
        "NaN": weights | {first: weights[first] * math.nan},
    }
    for reason, tensors in cases.items():
        write_adapter(bad, tensors, card)
        with pytest.raises(AdapterError, match=reason):
            musicgen.attach(bad, 1.0)
    write_adapter(bad, weights, card.model_copy(update={"base": "facebook/musicgen-small"}))
    with pytest.raises(AdapterError, match=r"was trained on musicgen/facebook/musicgen-small .*, not on musicgen/tiny"):
        musicgen.attach(bad, 1.0)
    save_file(weights, bad)
    with pytest.raises(AdapterError, match="no card"):
        musicgen.attach(bad, 1.0)
    bad.write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(AdapterError, match="no safetensors header"):
        musicgen.attach(bad, 1.0)
    after = musicgen.adapter_state()
    assert all(weight.equal(after[name]) for name, weight in before.items())  # what was on is still on


def test_an_adapter_of_the_other_backend_is_refused(
    finished: MusicGenTrained, musicgen: MusicGenBackend, tmp_path: Path
) -> None:
    ace_step = AceStepBackend.load("tiny")
    ace_step.inject(parameters())
    card = read_card(finished.lora).model_copy(
        update={"backend": BackendKind.ACE_STEP, "base_revision": ace_step.base.revision}
    )
    for path in ace_step.export(tmp_path, card)[:2]:
        with pytest.raises(AdapterError, match=r"was trained on ace_step/tiny .* not on musicgen/tiny"):
            musicgen.attach(path, 1.0)
    with pytest.raises(AdapterError, match=r"was trained on musicgen/tiny .* not on ace_step/tiny"):
        AceStepBackend.load("tiny").attach(finished.lora, 1.0)


def test_a_non_commercial_base_needs_its_licence_by_name(musicgen: MusicGenBackend, tmp_path: Path) -> None:
    musicgen._model.save_pretrained(tmp_path / "musicgen-mine")
    musicgen._tokenizer.save_pretrained(tmp_path / "musicgen-mine")
    root = DataRoot(tmp_path / "data")
    examples = pulses(root, tmp_path)

    def asked(licence: str) -> TrainRequest:
        few = parameters(steps=2, licence_accepted=licence)
        return musicgen_request(examples, base=str(tmp_path / "musicgen-mine"), parameters=few)

    for licence in ("", "yes", "MIT"):
        with pytest.raises(LicenceError, match=r"^musicgen-mine: .*set DAWA_LICENCE_ACCEPTED=CC-BY-NC-4\.0") as caught:
            train(asked(licence), root, ignore)
        assert "\n" not in str(caught.value)
        assert not root.latents().exists()  # it is said before any work is done

    train(asked("CC-BY-NC-4.0"), root, ignore)
    card = read_card(root.run("run-1") / FILES[0])
    assert (card.base_licence, card.parameters.licence_accepted) == ("CC-BY-NC-4.0", "CC-BY-NC-4.0")
    assert "is there already" in told_by(asked("CC-BY-NC-4.0"), root)[0]
    assert "is there already" in told_by(asked(""), root)[0]  # what was agreed to decides whether, not what


def told_by(request: TrainRequest, root: DataRoot) -> list[str]:
    events: list[Event] = []
    train(request, root, events.append)
    return [event.message for event in events]


def test_a_published_lora_is_heard_and_scale_zero_is_the_base(finished: MusicGenTrained) -> None:
    install(InstallRequest(run_id="run-1", producer_id="test-artist", model_name="lora"), finished.root, ignore)
    base = GenerateRequest(
        job_id="base", prompt="dub techno", duration_seconds=0.777, backend=BackendKind.MUSICGEN, seed=3
    )
    lora = base.model_copy(update={"job_id": "lora", "lora_id": "test-artist:lora"})
    zero = lora.model_copy(update={"job_id": "zero", "scale": 0.0})

    results = [generate(request, finished.root, ignore) for request in (base, lora, zero)]

    plain, heard, silent = [(finished.root.root / result.path).read_bytes() for result in results]
    samples, rate = soundfile.read(finished.root.root / results[1].path, dtype="int16")
    assert (rate, samples.shape) == (32_000, (24_864,))
    assert np.abs(samples.astype(int)).max() == 29_204
    assert heard != plain
    assert silent == plain
