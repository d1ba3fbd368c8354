"""The worker's endpoints on a real server on this machine, with a tiny base, and a client that talks to them."""

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.producer.fetch import Fetcher
from modal_app.producer.train_producer import train_producer
from modal_app.protocol.base import Event, JobRequest, JobResult
from modal_app.protocol.producer import ProducerTrainRequest, ProducerTrainResult
from modal_app.protocol.training import AskedTraining
from modal_app.web.job_queue import JobQueue
from modal_app.web.options import WebOptions
from modal_app.web.routes import web_app, worker_router
from resources.compute.base import CallRecord
from resources.compute.local import LocalCompute
from resources.job_queue.local import LocalJobQueue
from tests.modal_app.producer.conftest import Internet, song
from tests.waiting import until

PARAMETERS = AskedTraining(steps=2, batch_size=1, learning_rate=1e-3, rank=2, alpha=4, seed=0)
PASSWORD = "open sesame"
OPTIONS = WebOptions(training=PARAMETERS, bases=dict.fromkeys(BackendKind, "tiny"), wait_seconds=270.0)


def train_result(asked: JobRequest[Any]) -> ProducerTrainResult:
    """What a training that did nothing would leave."""
    assert isinstance(asked, ProducerTrainRequest)
    return ProducerTrainResult(
        job_id=asked.job_id,
        producer_id=asked.producer_id,
        model_name=asked.model_name,
        backend=asked.backend,
        lora_path="loras/p_m.safetensors",
        run_id="http-1",
        files={},
        segments=1,
        steps=1,
        final_loss=1.0,
    )


class NearCompute(LocalCompute):
    """`LocalCompute`, but for files by URL, which only a fetcher of the test's own can get from this machine."""

    def __init__(self, root: Path, fetcher: Fetcher) -> None:
        super().__init__(root)
        self._fetcher = fetcher
        self._data = DataRoot(root)

    def run(
        self,
        request: JobRequest[Any],
        on_event: Callable[[Event], None],
        record: CallRecord | None = None,
    ) -> Any:
        if isinstance(request, ProducerTrainRequest) and request.files[0].url is not None:
            return train_producer(request, self._data, on_event, self._fetcher)
        return super().run(request, on_event, record)


class SlowCompute(LocalCompute):
    """Jobs that end when they are told to; `started` counts them."""

    def __init__(self, root: Path, result: Callable[[JobRequest[Any]], JobResult]) -> None:
        super().__init__(root)
        self._result = result
        self.started = 0
        self.go = threading.Event()

    def run(
        self,
        request: JobRequest[Any],
        on_event: Callable[[Event], None],
        record: CallRecord | None = None,
    ) -> Any:
        self.started += 1
        while not self.go.wait(0.02):
            on_event(Event(kind="progress", message="still at it"))
        return self._result(request)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app on a port of this machine; gives its URL."""
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(240)


@contextmanager
def client_of(job_queue: JobQueue, options: WebOptions = OPTIONS) -> Iterator[httpx.Client]:
    with (
        served(web_app("test", worker_router(job_queue, options))) as url,
        httpx.Client(base_url=url, timeout=290, trust_env=False) as client,
    ):
        yield client


def upload_body(content: bytes = b"", **changes: str) -> dict[str, str]:
    plain = {"producer_id": "producer_123", "job_id": "job_abc", "filename": "beat.wav"}
    return plain | {"content_base64": base64.b64encode(content or song()).decode()} | changes


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    return DataRoot(tmp_path_factory.mktemp("web") / "data")


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    internet = Internet(tmp_path_factory.mktemp("internet"))
    yield internet
    internet.close()


@pytest.fixture(scope="module")
def client(data: DataRoot, internet: Internet) -> Iterator[httpx.Client]:
    """A server that is open, with a real worker."""
    compute = NearCompute(data.root, internet.fetcher())
    job_queue = LocalJobQueue(compute, data.root.parent / "jobs", data_root=data.root)
    with client_of(job_queue) as client:
        yield client
    job_queue.close()


@pytest.fixture(scope="module")
def guarded(data: DataRoot) -> Iterator[httpx.Client]:
    """A server with a password."""
    job_queue = LocalJobQueue(LocalCompute(data.root), data.root.parent / "jobs of the guarded")
    options = WebOptions(training=PARAMETERS, password=SecretStr(PASSWORD), most_uploaded=3_000_000)
    with client_of(job_queue, options) as client:
        yield client
    job_queue.close()
