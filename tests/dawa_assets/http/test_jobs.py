"""Jobs that outlast the wait: where their answer is had, by whom, and without sending anything again."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from dawa_assets.tables.artists import Artist
from modal_app.errors import JobError, RefusedJobError
from modal_app.protocol.base import JobRequest
from resources.ports import Ports
from tests.dawa_assets.http.serving import PASSWORD, QuickCompute, bearer, client, new_user, protected, server, until
from tests.dawa_assets.intake.material import new_artist, wav

WITH_PASSWORD = {"x-train-password": PASSWORD}
URLS = ["https://example.com/beat.wav"]


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def quick(ports: Ports) -> QuickCompute:
    return QuickCompute(ports.settings.data_root)


@pytest.fixture
def base(ports: Ports, quick: QuickCompute) -> Iterator[str]:
    """A server with the password and with tokens, that waits for a job for a moment only.

    It marks nothing: a signature is another one each time, and answers are held against each other here.
    """
    settings = ports.settings.model_copy(update={"web_wait_seconds": 0.1, "marks": "off"})
    with server(protected(replace(ports, compute=quick, settings=settings), secret=True)) as made:
        yield made


def _begun(http: httpx.Client, artist: Artist) -> dict[str, httpx.Response]:
    asked = {"artistId": str(artist.id), "prompt": "techno", "durationSeconds": 0.5, "jobId": "job-1"}
    form = {"data": {"producerId": artist.slug}, "files": {"file": ("a.wav", wav())}}
    return {
        "generate": http.post("/api/artist/generate", json=asked),
        "train": http.post("/api/producer/train", json={"producerId": artist.slug, "uploadUrls": URLS}),
        "upload": http.post("/api/producer/upload-and-train", **form),
    }


def test_every_job_route_gives_202_and_a_link_to_its_result(
    base: str, quick: QuickCompute, nova: Artist, ports: Ports
) -> None:
    quick.gate.clear()
    user, stranger = new_user(ports, nova), new_user(ports, new_artist(ports, "Other"))
    with client(base, **WITH_PASSWORD) as http, client(base) as others:
        begun = _begun(http, nova)
        for answer in begun.values():
            told = answer.json()
            assert (answer.status_code, list(told)) == (202, ["status", "job_id", "call_id"])
            assert told["status"] == "running"
            asked = others.get(answer.headers["location"], headers=bearer(user))
            assert (asked.status_code, asked.json()) == (202, told)
            assert asked.headers["location"] == answer.headers["location"]
            assert asked.headers["retry-after"]
            assert others.get(answer.headers["location"], headers=bearer(stranger)).status_code == 404
            assert others.get(answer.headers["location"]).status_code == 401
        quick.gate.set()
        places = {name: answer.headers["location"] for name, answer in begun.items()}
        until(lambda: all(others.get(place, headers=bearer(user)).status_code == 200 for place in places.values()))
        done = {name: others.get(place, headers=bearer(user)).json() for name, place in places.items()}
        assert done == {name: answer.json() for name, answer in _again(http, nova, begun).items()}
        assert set(done["generate"]) == {"audio_base64", "audioUrl"}
        assert done["upload"]["lora_path"] == "/data/loras/nova_nawfside_lora.safetensors"
    assert len(quick.ran) == 3


def _again(http: httpx.Client, artist: Artist, begun: dict[str, httpx.Response]) -> dict[str, httpx.Response]:
    """What the same requests, sent again with their ids, are answered."""
    asked = {"artistId": str(artist.id), "prompt": "techno", "durationSeconds": 0.5, "jobId": "job-1"}
    train = {"producerId": artist.slug, "uploadUrls": URLS, "jobId": begun["train"].json()["job_id"]}
    form = {"data": {"producerId": artist.slug}, "files": {"file": ("a.wav", wav())}}
    return {
        "generate": http.post("/api/artist/generate", json=asked),
        "train": http.post("/api/producer/train", json=train),
        "upload": http.post("/api/producer/upload-and-train", **form),
    }


@pytest.mark.parametrize(
    ("error", "status"),
    [(RefusedJobError("beat.wav: it is no audio"), 422), (JobError("the GPU fell out"), 502)],
)
def test_a_failed_job_gives_the_same_error_as_a_direct_request(
    base: str, monkeypatch: pytest.MonkeyPatch, error: JobError, status: int
) -> None:
    def fail(_self: QuickCompute, _request: JobRequest[object], *_: object) -> None:
        raise error

    monkeypatch.setattr(QuickCompute, "run", fail)
    place = "/api/jobs/train/nova/first"
    with client(base, **WITH_PASSWORD) as http:
        http.post("/api/producer/train", json={"producerId": "nova", "uploadUrls": URLS, "jobId": "first"})
        until(lambda: http.get(place).status_code != 202)
        answer = http.get(place)
    assert (answer.status_code, answer.json()) == (status, {"error": str(error)})


def test_a_job_that_nobody_began_or_whose_name_is_none(base: str) -> None:
    with client(base, **WITH_PASSWORD) as http:
        for path, status in (
            ("train/nova/never", 404),
            ("generate/nova/never", 404),
            ("tag/nova/never", 400),
            ("train/nova/..", 404),
            ("train/nova/a%0Ab", 400),
            ("train/nova/never?wait=nan", 400),
            ("train/nova/never?wait=-1", 400),
        ):
            answer = http.get(f"/api/jobs/{path}")
            assert (answer.status_code, list(answer.json())) == (status, ["error"]), path
            assert "\n" not in answer.json()["error"]
