"""The `evaluate` job on files of a real training: losses, renderings, rivals, and adapters that can't be used."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.adapters.file_format import read_adapter, write_adapter
from modal_app.data_root.layout import DataRoot
from modal_app.errors import AdapterError
from modal_app.evaluation.audio_metrics import look_at, spectrum_change_db, waveform_change
from modal_app.evaluation.evaluate import evaluate
from modal_app.protocol.evaluation import EvaluateRequest, EvaluationPrompt, Rival
from tests.modal_app.training.conftest import Trained, ignore

LORA = "test-artist_lora.safetensors"


@pytest.fixture
def root(trained: Trained, tmp_path: Path) -> DataRoot:
    """A data root of the test's own, with the run and all that it needs."""
    shutil.copytree(trained.root.root, tmp_path / "data")
    return DataRoot(tmp_path / "data")


@pytest.fixture
def request_(trained: Trained) -> EvaluateRequest:
    return EvaluateRequest(
        training=trained.request,
        prompts=[EvaluationPrompt(kind="held out", text="Dub techno.")],
        seeds=[3],
        duration_seconds=1.0,
    )


def change(root: DataRoot, factor: float, run_id: str = "run-1") -> None:
    """The run's adapter with every weight of B times a factor."""
    card, weights = read_adapter(root.run("run-1") / LORA)
    weights = {name: weight * factor if ".lora_B." in name else weight for name, weight in weights.items()}
    root.run(run_id).mkdir(exist_ok=True)
    write_adapter(root.run(run_id) / LORA, weights, card.model_copy(update={"run_id": run_id}))


def test_losses_equal_those_of_the_training_on_held_out_songs(
    trained: Trained, root: DataRoot, request_: EvaluateRequest
) -> None:
    found = evaluate(request_, root, ignore)

    assert found.held_out == trained.result.held_out != []
    assert found.base_loss == pytest.approx(trained.result.base_validation_loss, rel=1e-5)
    assert found.lora_loss == pytest.approx(trained.result.best_validation_loss, rel=1e-4)
    assert found.trouble is None


def test_both_renderings_and_their_picture_are_kept(root: DataRoot, request_: EvaluateRequest) -> None:
    found = evaluate(request_, root, ignore)

    assert sorted(found.files) == [
        f"runs/run-1/evaluation{end}" for end in ("-base.wav", "-lora.wav", ".png")
    ]  # fmt: skip
    levels: list[float] = []
    for name in ("base", "lora"):
        sound, rate = soundfile.read(root.run("run-1") / f"evaluation-{name}.wav")
        assert len(sound) == rate
        levels.append(np.abs(sound).max())
    assert max(levels) == pytest.approx(10 ** (-1 / 20), abs=1e-4)
    assert found.lora is not None
    for rendering in (found.base, found.lora):
        assert rendering.samples == rendering.expected_samples == rendering.sample_rate
        assert rendering.clipped_share < 0.01
    assert found.waveform_change is not None
    assert found.waveform_change > 0.01
    assert found.spectrum_change_db is not None
    assert found.spectrum_change_db > 0.1
    assert evaluate(request_, root, ignore) == found


def test_a_rival_is_compared_on_the_songs_that_neither_has_heard(
    trained: Trained, root: DataRoot, request_: EvaluateRequest
) -> None:
    change(root, 0.0001, "run-2")
    ignorant = Rival(run_id="run-2", songs=[], audio=[])
    found = evaluate(request_.model_copy(update={"rival": ignorant}), root, ignore)
    assert found.shared == found.held_out
    assert found.shared_lora_loss == found.lora_loss
    assert found.shared_rival_loss == pytest.approx(found.base_loss, rel=1e-3)

    (song,) = found.held_out
    audio = [example.audio_hash for example in trained.examples if example.song == song]
    for rival in (
        Rival(run_id="run-2", songs=[f"{song} final mix"], audio=[]),
        Rival(run_id="run-2", songs=[], audio=audio),
    ):
        found = evaluate(request_.model_copy(update={"rival": rival}), root, ignore)
        assert (found.shared, found.shared_rival_loss) == ([], None)


def test_an_unusable_adapter_is_a_finding_not_an_error(root: DataRoot, request_: EvaluateRequest) -> None:
    change(root, float("nan"))
    found = evaluate(request_, root, ignore)
    assert found.trouble is not None
    assert "NaN" in found.trouble
    assert (found.lora, found.lora_loss) == (None, None)
    assert len(found.files) == 2

    path = root.run("run-1") / LORA
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AdapterError, match="cut off"):
        evaluate(request_, root, ignore)


def test_with_nothing_held_out_the_trained_songs_are_evaluated(
    trained: Trained, root: DataRoot, request_: EvaluateRequest
) -> None:
    everything = trained.request.parameters.model_copy(update={"validation_share": 0.0})
    training = trained.request.model_copy(update={"parameters": everything})
    found = evaluate(request_.model_copy(update={"training": training}), root, ignore)
    assert (found.held_out, found.segments) == ([], len(trained.examples))
    assert "nothing is held out" in found.split
    assert found.lora_loss is not None
    assert found.base_loss is not None
    assert found.lora_loss < found.base_loss


def test_silence_clipping_and_length_are_seen() -> None:
    time = np.arange(48_000) / 48_000
    wave = (0.5 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)[None]
    plain = look_at(wave, 48_000, 48_000)
    assert (plain.silent_share, plain.clipped_share) == (0.0, 0.0)
    assert look_at(np.clip(wave, -0.3, 0.3), 48_000, 48_000).clipped_share > 0.4
    half = wave.copy()
    half[:, 24_000:] = 0
    assert look_at(half, 48_000, 48_000).silent_share == 0.5
    nothing = look_at(np.zeros_like(wave), 48_000, 48_000)
    assert (nothing.peak_dbfs, nothing.silent_share, nothing.clipped_share) == (None, 1.0, 0.0)
    assert waveform_change(wave, wave) == spectrum_change_db(wave, wave) == 0
    assert waveform_change(wave, wave * 2) == pytest.approx(1)
    noise = np.random.default_rng(0).normal(size=(2, 48_000)).astype(np.float32)
    assert spectrum_change_db(noise, noise * 2) == pytest.approx(6.02, abs=0.1)
