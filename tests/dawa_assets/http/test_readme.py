"""The README's commands over HTTP, as they are printed, after a demo."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import wave
from pathlib import Path

import httpx
import psutil
import pytest

from tests.waiting import until

README = (Path(__file__).resolve().parents[3] / "README.md").read_text(encoding="utf-8")
[BLOCK] = re.findall(r"^```sh\n(\.venv/bin/dawa serve.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
DAWA = [sys.executable, "-c", "from dawa_assets.cli.main import main; main()"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_over_http_work_as_printed(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    environment = os.environ | {"DAWA_HOME": str(tmp_path / ".dawa"), "DAWA_TRAIN_STEPS": "2"}
    subprocess.run([*DAWA, "demo"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    serve, *commands = BLOCK.replace("8000", str(port)).partition("&\n")[::2]
    server = subprocess.Popen(["bash", "-c", f"exec {serve}"], cwd=tmp_path, env=environment)
    try:
        until(lambda: _answers(port))
        done = subprocess.run(
            ["bash", "-ec", commands[0]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
    finally:
        for child in psutil.Process(server.pid).children(recursive=True):
            child.send_signal(signal.SIGTERM)
        server.terminate()
        server.wait(240)
        subprocess.run([*DAWA, "stop"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    trained, refused, prompt = (json.loads(answer) for answer in re.findall(r"\{.*?\}(?=\{|\s*$)", done.stdout))
    assert trained["lora_path"] == "/data/loras/my_producer_nawfside_lora.safetensors"
    assert "not on the public internet" in refused["error"]
    assert prompt["model"] == "offline-v1"
    assert "BPM: " in prompt["prompt"]
    with wave.open(str(tmp_path / "out.wav")) as wav:
        assert wav.getnframes() == 4 * wav.getframerate()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx.TransportError:
        return False
