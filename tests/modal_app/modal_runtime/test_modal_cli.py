"""The command line of the app: files go up, a job is followed, audio comes down, in whole lines."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.config import BackendKind
from modal_app.errors import InputError
from modal_app.modal_runtime.modal_cli import run_generate, run_train
from modal_app.protocol.training import AskedTraining
from modal_app.web.options import WebOptions
from tests.fakes.modal_server.machine import MachineCalls, Machines

OPTIONS = WebOptions(
    training=AskedTraining(steps=2, batch_size=1, learning_rate=1e-3, rank=2, alpha=4, seed=0),
    bases={BackendKind.ACE_STEP: "tiny"},
)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    machines = Machines(tmp_path / "machines")
    yield machines
    machines.end_all()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "my song.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(16 * 22_050) / 20), 22_050)
    return path


def train(machines: Machines, said: list[str], **changed: str) -> None:
    asked = {"producer_id": "me", "paths": "", "model_name": "", "backend": "", **changed}
    run_train(MachineCalls(machines), OPTIONS, say=said.append, **asked)


def generate(machines: Machines, said: list[str], out: Path, lora_id: str = "") -> None:
    run_generate(
        MachineCalls(machines),
        OPTIONS,
        prompt="808 trap beat",
        lora_id=lora_id,
        duration=0.5,
        backend="",
        out=str(out),
        say=said.append,
    )


@pytest.mark.slow
def test_a_song_is_trained_on_and_rendered_with(machines: Machines, song: Path, tmp_path: Path) -> None:
    said: list[str] = []
    train(machines, said, paths=str(song))
    assert said[0] == "uploading my song.wav"
    assert any("/data/loras/me_nawfside_lora.safetensors" in line for line in said)
    assert said[-1] == "render with it: --task generate --lora-id me:nawfside_lora"

    generate(machines, said, tmp_path / "out.wav", "me:nawfside_lora")
    assert "me_nawfside_lora" in said[-1]
    audio, rate = soundfile.read(tmp_path / "out.wav")
    assert len(audio) == rate // 2
    assert [machines.asked(call)["function"] for call in machines.calls()] == ["train_producer", "generate"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"paths": " , "}, "names no file"),
        ({"paths": "no/such.wav"}, "no/such.wav: is no file"),
        ({"producer_id": "../x"}, "producer_id"),
        ({"backend": "other"}, "backend_override"),
    ],
)
def test_what_cannot_be_used_is_reported_before_anything_goes_up(
    machines: Machines, song: Path, changed: dict[str, str], expected: str
) -> None:
    said: list[str] = []
    with pytest.raises(InputError, match=expected):
        train(machines, said, **{"paths": str(song), **changed})
    assert said == []
    assert not machines.volume.exists()
    assert machines.calls() == []


def test_a_lora_that_is_not_there_is_told_and_no_file_is_left(machines: Machines, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no usable LoRA me:nothing"):
        generate(machines, [], tmp_path / "out.wav", "me:nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["machines"]
