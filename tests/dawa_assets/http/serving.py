"""A real server on loopback, in this process or as the command, and what clients of it send."""

import base64
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import uvicorn
from pydantic import SecretStr

from dawa_assets.http.access import Access
from dawa_assets.http.app import create_app
from dawa_assets.http.server import configuration, listen
from dawa_assets.tables.artists import Artist
from modal_app.protocol.base import JobRequest
from modal_app.protocol.producer import ProducerTrainRequest, ProducerTrainResult
from modal_app.protocol.training import GenerateRequest, GenerateResult
from resources.compute.local import LocalCompute
from resources.ports import Ports
from tests.dawa_assets.intake.material import wav
from tests.waiting import until

SECRET = "a-secret-of-the-project-with-enough-letters"
PASSWORD = "a password of the tests"
TEXT = "Warm deep house with a rolling bass.\nBPM: 122"


@contextmanager
def server(ports: Ports) -> Iterator[str]:
    """Its address; the app over these ports and their settings."""
    access = Access(ports.settings)
    with listen("127.0.0.1", 0, access) as listener:
        running = uvicorn.Server(configuration(create_app(ports, access), last_seconds=5))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            until(lambda: running.started)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join(240)


@contextmanager
def client(base: str, **headers: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base, headers=headers, timeout=280) as made:
        yield made


def protected(ports: Ports, *, password: bool = True, secret: bool = False, url: str | None = None) -> Ports:
    """The same ports with settings that protect a server."""
    settings = ports.settings.model_copy(
        update={
            "app_password": SecretStr(PASSWORD) if password else None,
            "supabase_jwt_secret": SecretStr(SECRET) if secret else None,
            "supabase_url": url,
        }
    )
    return replace(ports, settings=settings)


@contextmanager
def command(home: object, *arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`dawa serve` as a process of its own, and its address."""
    names = ("NAWFSIDE_APP_PASSWORD", "SUPABASE_JWT_SECRET", "SUPABASE_URL")
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    process = subprocess.Popen(
        [sys.executable, "-c", "from dawa_assets.cli.main import main; main()", "serve", "--port", "0", *arguments],
        env={**inherited, "DAWA_HOME": str(home), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout
        first = process.stdout.readline()
        found = re.search(r"http://\S+:\d+", first)
        assert found, first + process.stdout.read()
        base = found.group()
        until(lambda: _answers(base))
        yield process, base
    finally:
        process.kill()
        process.wait(240)
        process.stdout.close()


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/healthz").status_code == 200
    except httpx.TransportError:
        return False


class QuickCompute(LocalCompute):
    """Answers jobs at once, as the worker would; counts them, and holds them up while `gate` is closed."""

    def __init__(self, data_root: Path) -> None:
        super().__init__(data_root)
        self.ran: list[JobRequest[Any]] = []
        self.gate = threading.Event()
        self.gate.set()

    def run(self, request: JobRequest[Any], on_event: Any, record: Any = None) -> Any:
        self.ran.append(request)
        assert self.gate.wait(240)
        if isinstance(request, GenerateRequest):
            path = f"outputs/{request.job_id}.wav"
            self.store(path, io.BytesIO(wav(seconds=min(request.duration_seconds, 1))))
            return GenerateResult(path=path, sample_rate=8000, samples=1, peak_dbfs=-1.0, lora=request.lora_id)
        assert isinstance(request, ProducerTrainRequest)
        return ProducerTrainResult(
            job_id=request.job_id,
            producer_id=request.producer_id,
            model_name=request.model_name,
            backend=request.backend,
            lora_path=f"loras/{request.producer_id}_{request.model_name}.safetensors",
            run_id="http-0",
            files={},
            segments=1,
            steps=1,
            final_loss=1.0,
        )


def new_user(ports: Ports, *artists: Artist) -> UUID:
    """A user who is linked to these artists."""
    user = uuid4()
    with ports.database.transaction() as connection:
        for artist in artists:
            connection.execute("insert into user_artists (user_id, artist_id) values (%s, %s)", [user, artist.id])
    return user


def claims(user: UUID, **more: Any) -> dict[str, Any]:
    """What Supabase puts into a signed-in user's token."""
    now = int(time.time())
    return {"sub": str(user), "aud": "authenticated", "role": "authenticated", "iat": now, "exp": now + 600, **more}


def token(user: UUID, key: Any = SECRET, algorithm: str = "HS256", kid: str | None = None, **more: Any) -> str:
    return jwt.encode(claims(user, **more), key, algorithm, headers={"kid": kid} if kid else None)


def bearer(*given: Any, **more: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(*given, **more)}"}


def pair(artist: Artist, parse_id: str = "0123456789ab", audio: bytes | None = None, **more: Any) -> dict[str, Any]:
    """The body of a save."""
    return {
        "artistId": str(artist.id),
        "parseId": parse_id,
        "alsFilename": "Song.als",
        "projectName": "Song",
        "audioBase64": base64.b64encode(audio if audio is not None else wav()).decode(),
        "promptText": TEXT,
        **more,
    }
