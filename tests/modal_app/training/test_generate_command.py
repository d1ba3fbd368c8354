"""`dawa generate` as a user meets it: an adapter of a real training, a file of exactly that length.

A worker's own process imports the generator's libraries, ten seconds of CPU for one sound: that test is a slow one.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from dawa_assets.cli.main import app
from modal_app.adapters.publish import install
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.base import Event
from modal_app.protocol.training import GenerateRequest, GenerateResult, InstallRequest, MusicalFacts
from modal_app.worker.job_table import run_job
from resources.compute.local import LocalCompute
from tests.command_line import dawa as typed
from tests.modal_app.training.conftest import Trained, ignore


@pytest.fixture
def home(trained: Trained, tmp_path: Path) -> Path:
    root = DataRoot(tmp_path / "home" / "data")
    shutil.copytree(trained.run, root.run("run-1"))
    install(InstallRequest(run_id="run-1", producer_id="test-artist", model_name="lora"), root, ignore)
    return tmp_path / "home"


def dawa(home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return typed("generate", *arguments, env=os.environ | {"DAWA_HOME": str(home)})


def test_a_lora_is_rendered_at_the_exact_length_and_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "data" / "loras" / "test-artist_lora.safetensors").write_text("placeholder")
    asked = ("--lora", "test-artist:lora", "--prompt", "Dub techno", "--duration", "1.2345", "--seed", "7")
    asked += ("--bpm", "124", "--key", "am", "--time-signature", "6/8", "--section", "intro", "--section", "Drop")
    monkeypatch.setenv("DAWA_HOME", str(home))
    root = DataRoot(home / "data")  # this process has the libraries already
    facts: list[MusicalFacts] = []

    def run_here(_: LocalCompute, request: GenerateRequest, on_event: Callable[[Event], None]) -> GenerateResult:
        facts.append(request.facts)
        return run_job(request, root, on_event)

    monkeypatch.setattr(LocalCompute, "run", run_here)
    run = CliRunner().invoke(app, ["generate", *asked, "--out", str(tmp_path / "lora.wav"), "--json"])
    assert run.exit_code == 0, run.output
    assert facts == [MusicalFacts(bpm=124, musical_key="A minor", time_signature="6/8", sections=("intro", "drop"))]
    report = json.loads(run.stdout)
    assert report["lora"] == "models/test-artist/adapter_model.safetensors"
    assert report["run_id"] == "run-1"
    assert "a placeholder, no adapter" in report["passed_over"][0]
    sound, rate = soundfile.read(tmp_path / "lora.wav")
    assert len(sound) == round(1.2345 * rate)
    assert np.abs(sound).max() == pytest.approx(10 ** (-1 / 20), abs=1e-4)


@pytest.mark.slow
def test_without_the_lora_it_sounds_otherwise(home: Path, tmp_path: Path) -> None:
    asked = ("--lora", "test-artist:lora", "--prompt", "Dub techno", "--duration", "1", "--seed", "7")
    for name, options in {"lora": (), "base": ("--base-only",)}.items():
        assert dawa(home, *asked, *options, "--out", tmp_path / f"{name}.wav").returncode == 0
    with_lora, base = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("lora", "base"))
    assert not np.array_equal(with_lora, base)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--lora", "test-artist:other"], "no usable LoRA test-artist:other"),
        (["--lora", "nonsense"], "producer:model"),
        (["--prompt", " "], "the prompt is empty"),
        (["--duration", "nan"], "--duration"),
        (["--scale", "nan"], "--scale"),
        (["--bpm", "1000"], "--bpm"),
        (["--key", "H minor"], '--key H minor: is no key; write e.g. "A minor"'),
        (["--time-signature", "7/8"], "--time-signature 7/8"),
        (["--out", "there/is/no/such.wav"], "no file can be written there"),
        (["--out", "song.doc"], "name a file that ends so"),
        (["--section", "raindrops"], "--section raindrops: is none the generator knows; write one of intro, verse"),
    ],
)
def test_what_can_t_be_rendered_is_one_line(home: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    run = dawa(home, "--prompt", "Dub", "--duration", "1", "--out", tmp_path / "out.wav", *arguments)
    assert run.returncode == 2
    assert says in run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""
    assert not (tmp_path / "out.wav").exists()
