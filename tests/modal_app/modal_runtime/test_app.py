"""The app as it is deployed: it loads with nothing, its bodies are plain calls, its images have what is imported."""

import ast
import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import modal
import numpy as np
import pytest
import soundfile
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modal_app import app as deployed
from modal_app.config import BackendKind
from modal_app.errors import InputError
from modal_app.modal_runtime.deployment import DEFAULTS, web_options
from modal_app.modal_runtime.images import GENERATORS, WORKER, pinned
from modal_app.modal_runtime.routing import function_of, gpu_function
from modal_app.protocol.audio import AudioSource, PrepareRequest
from modal_app.protocol.requests import REQUESTS
from modal_app.protocol.training import GenerateRequest
from modal_app.worker.job_table import JOBS
from tests.fakes.modal_server.fixtures import modal_service, sdk_at
from tests.fakes.modal_server.machine import Machines

REPOSITORY = Path(__file__).resolve().parents[3]
_DISTRIBUTIONS = {  # what is imported → who brings it
    "genai_prices": "genai-prices",
    "google": "google-genai",
    "httpx_secure": "httpx-secure",
    "starlette": "fastapi",
    "anyio": "fastapi",
    "huggingface_hub": "transformers",
    "tokenizers": "transformers",
}


def clean_environment(**values: str) -> dict[str, str]:
    """Without an account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MODAL_", "DAWA_"))}
    return {**kept, **values}


def test_it_loads_without_an_account_or_a_gpu_library(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from modal.__main__ import main\n"
        "sys.argv = ['modal', 'run', 'modal_app/app.py', '--help']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "import http.server, http.cookies\n"  # not `modal_app/web`, though Modal puts a script's folder on the path
        "heavy = ('torch', 'diffusers', 'transformers', 'peft', 'dagster', 'psycopg', 'resources', 'dawa_assets')\n"
        "assert 'modal_app.modal_runtime.images' in sys.modules\n"
        "assert not [name for name in heavy if name in sys.modules]\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env=clean_environment(HOME=str(tmp_path), COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    for option in ("--task", "--producer-id", "--paths", "--prompt", "--lora-id", "--duration"):
        assert option in told.stdout


def test_it_loads_where_modal_puts_it_in_a_container(tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(REPOSITORY / "modal_app", root / "modal_app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "modal_app" / "app.py", root / "app.py")
    shutil.copy(REPOSITORY / "constraints.txt", root)
    script = (
        "import app, modal_app.worker.job_table as jobs; "
        "assert jobs.__file__.startswith(app.__file__.removesuffix('app.py'))"
    )
    subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path += {[*sys.path]!r}; {script}"],
        cwd="/",
        env=clean_environment(HOME=str(tmp_path), PYTHONPATH=str(root)),
        timeout=280,
        check=True,
    )


def test_every_kind_of_job_has_a_function() -> None:
    assert set(REQUESTS) == set(JOBS)
    functions = {name for name, value in vars(deployed).items() if isinstance(value, modal.Function)}
    assert {"train_lora", "generate", "prepare", "tag", "train_web", "generate_web", "store_upload_web"} <= functions
    handed_jobs = {name: getattr(deployed, name) for name in functions if not name.endswith(("_web", "_part"))}
    assert handed_jobs == deployed._BY_NAME
    on_a_gpu = {"train", "train_producer", "evaluate", "keep_checkpoint", "import_lora", "generate"}
    for kind in on_a_gpu:
        assert {gpu_function(kind, backend) for backend in BackendKind} <= functions
    for kind in set(REQUESTS) - on_a_gpu:
        assert function_of(REQUESTS[kind].model_construct()) in functions


def test_images_have_the_workers_imports_at_pinned_versions() -> None:
    names = {*WORKER, *(name for packages in GENERATORS.values() for name in packages)}
    imported: set[str] = set()
    for path in (REPOSITORY / "modal_app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    foreign = (
        imported - set(sys.stdlib_module_names) - {"modal", "grpclib", "modal_app"}
    )  # the second comes with the first

    assert {_DISTRIBUTIONS.get(name, name) for name in foreign} <= names
    assert all("==" in line for line in pinned(tuple(sorted(names))))
    assert "torch==" in " ".join(pinned(GENERATORS[BackendKind.ACE_STEP]))
    with pytest.raises(InputError, match="no version of no-such-package"):
        pinned(("no-such-package",))


def test_a_body_is_a_plain_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWA_DATA", str(tmp_path / "data"))
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(np.arange(22_050) / 20), 22_050)
    sources = [AudioSource(audio_hash=f"{n:064x}", url=path.as_uri(), name=f"{n}") for n in range(5)]

    assert deployed.prepare.local(PrepareRequest(sources=sources).model_dump_json()) == "result.json"
    ((result),) = (tmp_path / "data" / "calls").glob("*/result.json")
    assert {failure["name"] for failure in json.loads(result.read_text())["failed"]} == {"0", "1", "2", "3", "4"}

    request = GenerateRequest(job_id="a", prompt="x", lora_id="nobody:nothing", duration_seconds=1)
    assert deployed.generate.local(request.model_dump_json()) == "error.json"


def test_unprotected_endpoints_are_not_served_by_mistake() -> None:
    with pytest.raises(InputError, match="NAWFSIDE_APP_PASSWORD"):
        web_options(DEFAULTS, None)
    with pytest.raises(InputError, match="DAWA_MODAL_ACCESS"):
        web_options({**DEFAULTS, "DAWA_MODAL_ACCESS": "all"}, "x")
    with pytest.raises(InputError, match="NAWFSIDE_APP_PASSWORD"):
        web_options(DEFAULTS, "  ")
    assert web_options(DEFAULTS, "secret").password is not None
    assert web_options({**DEFAULTS, "DAWA_MODAL_ACCESS": "open"}, None).password is None


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_endpoints_whose_password_is_not_set_say_so(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.delenv("NAWFSIDE_APP_PASSWORD", raising=False)
    for function in (deployed.train_web, deployed.generate_web, deployed.store_upload_web):
        for path in ("/", "/openapi.json", "/docs"):
            answer = TestClient(raw(function)).request(method, path)
            assert answer.status_code == 503
            assert "NAWFSIDE_APP_PASSWORD" in answer.json()["error"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machines, dict[str, str]]]:
    with modal_service(tmp_path_factory.mktemp("modal")) as service:
        yield service


def test_the_endpoints_store_files_and_hand_in_jobs(
    service: tuple[Machines, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machines, environment = service
    monkeypatch.setenv("NAWFSIDE_APP_PASSWORD", "open sesame")
    wav = io.BytesIO()
    soundfile.write(wav, 0.5 * np.sin(np.arange(22_050) / 20), 22_050, format="WAV")
    upload = {
        "producer_id": "p",
        "job_id": "j",
        "filename": "beat.wav",
        "content_base64": base64.b64encode(wav.getvalue()).decode(),
    }
    headers = {"x-train-password": "open sesame"}
    with sdk_at(environment):
        store = TestClient(raw(deployed.store_upload_web))
        assert store.post("/", json=upload).status_code == 401
        answer = store.post("/", json=upload, headers=headers)
        assert answer.json() == {"path": "/data/uploads/p/j/beat.wav", "producer_id": "p", "job_id": "j"}
        assert (machines.volume / "uploads/p/j/beat.wav").read_bytes() == wav.getvalue()

        generate = TestClient(raw(deployed.generate_web))
        refused = generate.post("/", json={"prompt": "x", "lora_id": "p:none"}, headers=headers)
        assert refused.status_code >= 400
        assert "no usable LoRA p:none" in refused.json()["error"]
    assert [machines.asked(call)["function"] for call in machines.calls()] == ["generate"]


def raw(function: object) -> FastAPI:
    """The web application that a web function gives."""
    made = function.local()  # type: ignore[attr-defined]
    assert isinstance(made, FastAPI)
    return made
