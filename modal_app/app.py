"""The Modal app: a thin shell that says what runs where. Each function is one call into plain code.

    modal deploy modal_app/app.py
    modal run modal_app/app.py --task train --producer-id me --paths a.wav,b.wav
    modal run modal_app/app.py --task generate --prompt "808 trap beat" --lora-id me:nawfside_lora --duration 30

It loads with no account and no GPU library. What can be set when it is deployed stands in `deployment.py`.
"""

import os
import sys
import uuid
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import modal

from modal_app.config import BackendKind
from modal_app.errors import DawaError, InputError
from modal_app.modal_runtime.client import CLAIM_STORE, VOLUME, ModalCalls, ModalClaimStore
from modal_app.modal_runtime.container import Container, run_call, run_part
from modal_app.modal_runtime.deployment import container, environment, web_options
from modal_app.modal_runtime.fan_out import Mapper, run_sharded
from modal_app.modal_runtime.images import generator_image, worker_image
from modal_app.modal_runtime.job_queue import ModalJobQueue
from modal_app.modal_runtime.modal_cli import run_generate, run_train, say_line
from modal_app.modal_runtime.mounted_bucket.files import Block
from modal_app.modal_runtime.routing import APP
from modal_app.modal_runtime.storage import DATA, WEIGHTS, WEIGHTS_VOLUME, data_of
from modal_app.web.job_queue import JobQueue
from modal_app.web.options import WebOptions

if TYPE_CHECKING:
    from fastapi import APIRouter

MINUTE, HOUR = 60, 3600

settings = environment()
app = modal.App(APP)
secret = modal.Secret.from_name("nawfside-modal-secrets", required_keys=["HF_TOKEN"])
data = data_of(settings, VOLUME)
claim_store = modal.Dict.from_name(CLAIM_STORE, create_if_missing=True)
weights = modal.Volume.from_name(WEIGHTS_VOLUME, create_if_missing=True)

_again = modal.Retries(
    max_retries=3, initial_delay=5.0, backoff_coefficient=2.0
)  # of lost containers: errors are answers
_small: dict[str, Any] = {
    "image": worker_image(),
    "secrets": [secret],
    "env": settings,
    "volumes": {**data.mounts},
    "retries": _again,
    "cpu": 2.0,
    "memory": 4096,
}
_gpu: dict[str, Any] = {
    "secrets": [secret],
    "env": settings,
    "volumes": {**data.mounts, str(WEIGHTS): weights},
    "retries": _again,
    "gpu": settings["DAWA_MODAL_GPU"],
    "memory": 32_768,
    "max_containers": int(settings["DAWA_MODAL_MAX_GPUS"]),
    "single_use_containers": True,  # nothing of one job is left for the next, in memory or open on the volume
}
_ace_step: dict[str, Any] = {"image": generator_image(BackendKind.ACE_STEP), **_gpu}
_musicgen: dict[str, Any] = {"image": generator_image(BackendKind.MUSICGEN), **_gpu}
_web: dict[str, Any] = {"image": worker_image(), "secrets": [secret], "env": settings, "timeout": 5 * MINUTE}


_BEHIND_PROXY = settings["DAWA_MODAL_ACCESS"] == "proxy"


def _here(*, has_gpu: bool = False, keeps_base: bool = False) -> Container:
    inside, claims = not modal.is_local(), ModalClaimStore(claim_store)
    return container(DATA, data.storage, claims, has_gpu=has_gpu, inside=inside, keeps_base=keeps_base)


def _call_id() -> str:
    return modal.current_function_call_id() or uuid.uuid4().hex


def _web_app(title: str, router: "Callable[[JobQueue, WebOptions], APIRouter]") -> Any:
    from modal_app.web.routes import closed_app, web_app

    try:
        options = web_options(settings, os.environ.get("NAWFSIDE_APP_PASSWORD"))
    except InputError as error:  # all else of the app is of use without the endpoints
        return closed_app(title, str(error))
    return web_app(title, router(ModalJobQueue(ModalCalls(APP), ModalClaimStore(claim_store)), options))


# --- work on CPUs: a call is taken apart and its parts go to many machines ---


@app.function(**_small, timeout=2 * HOUR, max_containers=4)
def prepare(request: str, key: str | None = None) -> str:
    """Cut audio into segments."""
    return run_call(request, key, _call_id(), _here(), partial(run_sharded, mapper=_mapped(prepare_part)))


@app.function(**_small, timeout=2 * HOUR, max_containers=20)
def prepare_part(request: str) -> str:
    """Cut some files of a larger request."""
    return run_part(request, uuid.uuid4().hex, _here())


@app.function(**_small, timeout=2 * HOUR, max_containers=4)
def tag(request: str, key: str | None = None) -> str:
    """Describe segments in words."""
    return run_call(request, key, _call_id(), _here(), partial(run_sharded, mapper=_mapped(tag_part)))


@app.function(**_small, timeout=2 * HOUR, max_containers=20)
def tag_part(request: str) -> str:
    """Describe some segments of a larger request."""
    return run_part(request, uuid.uuid4().hex, _here())


@app.function(**_small, timeout=20 * MINUTE, max_containers=10)
def cpu_task(request: str, key: str | None = None) -> str:
    """Do what takes a moment: publish a view or an adapter, look whether a tagger can be used."""
    return run_call(request, key, _call_id(), _here())


def _mapped(part: Any) -> Mapper:
    return lambda requests: map(part.local, requests) if modal.is_local() else part.map(requests)


# --- work on GPUs, with ACE-Step and with MusicGen ---


# Trainings that wait for a GPU come to the same container one after the other, and find the base loaded there. It is
# held for half a minute after the last one, about as long as it takes to start another and load the base.
_SHARED: dict[str, Any] = {"single_use_containers": False, "scaledown_window": 30}


@app.function(**{**_ace_step, **_SHARED}, timeout=24 * HOUR)
def train_lora(request: str, key: str | None = None) -> str:
    """Train an artist's LoRA."""
    return run_call(request, key, _call_id(), _here(has_gpu=True, keeps_base=True))


@app.function(**{**_musicgen, **_SHARED}, timeout=24 * HOUR)
def train_lora_musicgen(request: str, key: str | None = None) -> str:
    """Train an artist's LoRA."""
    return run_call(request, key, _call_id(), _here(has_gpu=True, keeps_base=True))


@app.function(**_ace_step, timeout=24 * HOUR)
def train_producer(request: str, key: str | None = None) -> str:
    """Train a producer's LoRA on files that came over HTTP."""
    return run_call(request, key, _call_id(), _here(has_gpu=True))


@app.function(**_musicgen, timeout=24 * HOUR)
def train_producer_musicgen(request: str, key: str | None = None) -> str:
    """Train a producer's LoRA on files that came over HTTP."""
    return run_call(request, key, _call_id(), _here(has_gpu=True))


@app.function(**_ace_step, timeout=2 * HOUR)
def evaluate(request: str, key: str | None = None) -> str:
    """Judge a LoRA beside its base."""
    return run_call(request, key, _call_id(), _here(has_gpu=True))


@app.function(**_musicgen, timeout=2 * HOUR)
def evaluate_musicgen(request: str, key: str | None = None) -> str:
    """Judge a LoRA beside its base."""
    return run_call(request, key, _call_id(), _here(has_gpu=True))


@app.function(**_ace_step, timeout=HOUR)
def generate(request: str, key: str | None = None) -> str:
    """Render audio from a text."""
    return run_call(request, key, _call_id(), _here(has_gpu=True))


@app.function(**_musicgen, timeout=HOUR)
def generate_musicgen(request: str, key: str | None = None) -> str:
    """Render audio from a text."""
    return run_call(request, key, _call_id(), _here(has_gpu=True))


# --- files, where they are in a bucket: on a volume they are read and written without a call ---

if data.files is not None:
    _files = data.files
    _file: dict[str, Any] = {**_small, "cpu": 1.0, "memory": 1024, "timeout": 10 * MINUTE, "max_containers": 10}

    @app.function(**_file)
    def read_block(path: str, key: str, start: int) -> Block | None:
        """Return a block of a file."""
        return _files.read_block(path, key, start)

    @app.function(**_file)
    def write_block(upload: str, number: int, content: bytes) -> None:
        """Keep a block of a file that is coming."""
        _files.write_block(upload, number, content)

    @app.function(**_file)
    def enter_file(path: str, upload: str, blocks: int) -> None:
        """Make a file of its blocks."""
        _files.enter_file(path, upload, blocks)


# --- the endpoints of the artists' dashboard ---


@app.function(**_web)
@modal.concurrent(max_inputs=32)
@modal.asgi_app(requires_proxy_auth=_BEHIND_PROXY)
def train_web() -> Any:
    """`POST /` trains; see `modal_app/web/routes.py`."""
    from modal_app.web.routes import train_router

    return _web_app("train", train_router)


@app.function(**_web)
@modal.concurrent(max_inputs=32)
@modal.asgi_app(requires_proxy_auth=_BEHIND_PROXY)
def generate_web() -> Any:
    """`POST /` renders."""
    from modal_app.web.routes import generate_router

    return _web_app("generate", generate_router)


@app.function(**_web)
@modal.concurrent(max_inputs=8)
@modal.asgi_app(requires_proxy_auth=_BEHIND_PROXY)
def store_upload_web() -> Any:
    """`POST /` stores an audio file."""
    from modal_app.web.routes import store_upload_router

    return _web_app("store-upload", store_upload_router)


# --- the command line ---

_BY_NAME: dict[str, Any] = {
    "prepare": prepare,
    "tag": tag,
    "cpu_task": cpu_task,
    "train_lora": train_lora,
    "train_lora_musicgen": train_lora_musicgen,
    "train_producer": train_producer,
    "train_producer_musicgen": train_producer_musicgen,
    "evaluate": evaluate,
    "evaluate_musicgen": evaluate_musicgen,
    "generate": generate,
    "generate_musicgen": generate_musicgen,
}
if data.files is not None:
    _BY_NAME |= {"read_block": read_block, "write_block": write_block, "enter_file": enter_file}


@app.local_entrypoint()
def main(
    task: str,
    producer_id: str = "",
    paths: str = "",
    model_name: str = "",
    prompt: str = "",
    lora_id: str = "",
    duration: float = 60.0,
    backend: str = "",
    out: str = "generated.wav",
) -> None:
    """Train on local audio files, or render audio from a text."""
    calls = ModalCalls(APP, functions=_BY_NAME)
    options = web_options({**settings, "DAWA_MODAL_ACCESS": "open"}, None)
    try:
        if task == "train":
            run_train(
                calls,
                options,
                producer_id=producer_id,
                paths=paths,
                model_name=model_name,
                backend=backend,
                say=say_line,
            )
        elif task == "generate":
            run_generate(
                calls,
                options,
                prompt=prompt,
                lora_id=lora_id,
                duration=duration,
                backend=backend,
                out=out,
                say=say_line,
            )
        else:
            raise InputError(f"--task {task}: is neither `train` nor `generate`; give one of the two")
    except DawaError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2 if isinstance(error, InputError) else 1)
