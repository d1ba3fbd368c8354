"""The dashboard's routes to the worker: each as its document has it, one job for one id, and users' own producers."""

import base64
import io
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from dawa_assets.rights.fingerprints import sha256_of_samples
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.rendered_audio import count_rendered
from modal_app.protocol.producer import ProducerTrainRequest
from modal_app.protocol.training import GenerateRequest
from resources.ports import Ports
from tests.dawa_assets.http.serving import PASSWORD, QuickCompute, bearer, client, new_user, protected, server
from tests.dawa_assets.intake.material import new_artist, wav
from tests.modal_app.audio.odd_files import unreadable

URLS = ["https://example.com/beat1.wav", "https://example.com/beat2.wav"]


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def quick(ports: Ports) -> QuickCompute:
    return QuickCompute(ports.settings.data_root)


@pytest.fixture
def impatient(ports: Ports, quick: QuickCompute) -> Ports:
    """Quick ports whose server waits for a job for a moment only."""
    return replace(ports, compute=quick, settings=ports.settings.model_copy(update={"web_wait_seconds": 0.2}))


@pytest.fixture
def http(ports: Ports, quick: QuickCompute) -> Iterator[httpx.Client]:
    with server(replace(ports, compute=quick)) as base, client(base) as made:
        yield made


def test_post_api_producer_upload_and_train_trains_on_the_file(
    ports: Ports, http: httpx.Client, quick: QuickCompute
) -> None:
    form = {"data": {"producerId": "producer_123"}, "files": {"file": ("my beat.wav", wav(), "audio/wav")}}
    answer = http.post("/api/producer/upload-and-train", **form)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told == {
        "job_id": told["job_id"],
        "producer_id": "producer_123",
        "model_name": "nawfside_lora",
        "backend": "ace_step",
        "lora_path": "/data/loras/producer_123_nawfside_lora.safetensors",
    }
    [request] = quick.ran
    assert isinstance(request, ProducerTrainRequest)
    path = f"uploads/producer_123/{told['job_id']}/my beat.wav"
    assert [file.path for file in request.files] == [path]
    assert (ports.settings.data_root / path).read_bytes() == wav()
    assert http.post("/api/producer/upload-and-train", **form).json() == told
    assert len(quick.ran) == 1  # the same form is the same job


def test_a_form_without_a_file_or_without_audio_is_refused(http: httpx.Client, quick: QuickCompute) -> None:
    route = "/api/producer/upload-and-train"
    data, audio = {"producerId": "nova"}, {"file": ("a.wav", wav())}
    refused = [
        http.post(route, data=data),
        http.post(route, json=data),
        http.post(route, content=b"no form", headers={"Content-Type": "multipart/form-data; boundary=x"}),
        http.post(route, content=b"no form", headers={"Content-Type": "multipart/form-data"}),
        http.post(route, files=audio),
        http.post(route, data={"producerId": "../nova"}, files=audio),
        http.post(route, data=data, files={"file": ("a.wav", b"a picture, say")}),
        http.post(route, data=data, files={"file": ("../../a.wav", wav())}),
        http.post(route, data=data, files={"file": ("a.exe", wav())}),
        http.post(route, data=data, files=[("file", ("a.wav", wav())), ("file", ("b.wav", wav()))]),
        http.post(route, data=data | {"jobId": "x y"}, files=audio),
        http.post(route, data=data | {"x": "y" * 20_000}, files=audio),
    ]
    assert [answer.status_code for answer in refused if answer.status_code not in (400, 415, 422)] == []
    assert {tuple(answer.json()) for answer in refused} == {("error",)}
    assert quick.ran == []


def test_unusable_uploads_do_not_affect_the_others(ports: Ports, http: httpx.Client, quick: QuickCompute) -> None:
    bad = {f"{name}.wav": found for name, found in unreadable().items()}
    late = {"damaged.wav"}  # its beginning can be decoded: the training refuses it
    good = {f"good{number}.wav": wav(200 + number) for number in range(10)}
    files = good | {name: content for name, (content, _) in bad.items()}
    for name in sorted(files, key=lambda name: name[::-1]):  # good and bad ones by turns
        form = {"data": {"producerId": "nova"}, "files": {"file": (name, files[name], "audio/wav")}}
        answer = http.post("/api/producer/upload-and-train", **form)  # type: ignore[arg-type]
        if name in good or name in late:
            assert answer.status_code == 200, answer.text
        else:
            assert (answer.status_code, list(answer.json())) == (422, ["error"]), answer.text
            line = answer.json()["error"]
            assert line.startswith(f"{name}: ")
            assert bad[name][1] in line
            assert line.isprintable()
    stored = {
        path.name: path.read_bytes() for path in (ports.settings.data_root / "uploads").rglob("*") if path.is_file()
    }
    assert stored == good | {name: files[name] for name in late}
    named = [file.path for request in quick.ran if isinstance(request, ProducerTrainRequest) for file in request.files]
    assert sorted((path or "").rpartition("/")[2] for path in named) == sorted(stored)


def test_post_api_producer_train_trains_on_urls(http: httpx.Client, quick: QuickCompute) -> None:
    answer = http.post("/api/producer/train", json={"producerId": "producer_123", "uploadUrls": URLS})
    assert (answer.status_code, answer.json()["producer_id"]) == (200, "producer_123")
    [request] = quick.ran
    assert isinstance(request, ProducerTrainRequest)
    assert [file.url for file in request.files] == URLS


def test_post_api_artist_generate_gives_a_wav_in_both_forms(
    http: httpx.Client, ports: Ports, quick: QuickCompute, nova: Artist
) -> None:
    asked = {"artistId": str(nova.id), "loraId": "nova:nawfside_lora", "prompt": "808 trap beat, dark synth"}
    answer = http.post("/api/artist/generate", json=asked | {"durationSeconds": 0.5}).json()
    assert set(answer) == {"audio_base64", "audioUrl"}
    audio = base64.b64decode(answer["audio_base64"], validate=True)
    assert sha256_of_samples(io.BytesIO(audio)) == sha256_of_samples(io.BytesIO(wav(seconds=0.5)))
    assert b"AI-generated" in audio
    with ports.database.transaction() as connection:
        assert count_rendered(connection)[0] == 1
    assert answer["audioUrl"] == f"data:audio/wav;base64,{answer['audio_base64']}"
    [request] = quick.ran
    assert isinstance(request, GenerateRequest)
    assert (request.lora_id, request.prompt, request.duration_seconds) == (asked["loraId"], asked["prompt"], 0.5)
    for name in ("my_producer", "nova", "my_producer:", "a/b:c", ":", "nova:a:b"):
        answer = http.post("/api/artist/generate", json=asked | {"loraId": name})
        assert (answer.status_code, list(answer.json())) == (400, ["error"]), name
        assert answer.json()["error"].startswith("loraId: is no LoRA's name; write producer:model")


def test_only_full_access_can_render_with_any_producers_lora(ports: Ports, quick: QuickCompute, nova: Artist) -> None:
    lora = "my_producer:nawfside_lora"
    asked = {"artistId": str(nova.id), "loraId": lora, "prompt": "808 trap beat", "durationSeconds": 0.5}
    form = {"data": {"producerId": "my_producer"}, "files": {"file": ("beat.wav", wav())}}
    guarded = protected(replace(ports, compute=quick), secret=True)
    with server(guarded) as base, client(base) as http:
        password = {"x-train-password": PASSWORD}
        assert http.post("/api/producer/upload-and-train", headers=password, **form).status_code == 200  # type: ignore[arg-type]
        assert "audio_base64" in http.post("/api/artist/generate", json=asked, headers=password).json()
        users = bearer(new_user(ports, nova))
        refused = http.post("/api/artist/generate", json=asked, headers=users)
        assert (refused.status_code, refused.json()["error"]) == (
            404,
            "loraId: is none of nova; they are called nova:NAME",
        )
        own = http.post("/api/artist/generate", json=asked | {"loraId": "nova:nawfside_lora"}, headers=users)
        assert own.status_code == 200
        assert http.post("/api/producer/upload-and-train", headers=users, **form).status_code == 404  # type: ignore[arg-type]
    with server(replace(ports, compute=quick)) as base, client(base) as http:  # open, on this machine
        assert http.post("/api/artist/generate", json=asked | {"prompt": "house"}).status_code == 200
    assert {run.lora_id for run in quick.ran if isinstance(run, GenerateRequest)} == {lora, "nova:nawfside_lora"}


def test_a_form_without_a_model_name_reports_the_chosen_name(ports: Ports, quick: QuickCompute) -> None:
    ask = quick.run

    def run(request: Any, on_event: Any, record: Any = None) -> Any:
        result = ask(request, on_event, record)
        if not request.may_rename:
            return result
        return result.model_copy(update={"model_name": "nawfside_lora_upload", "renamed_from": request.model_name})

    quick.run = run  # type: ignore[method-assign]
    with server(replace(ports, compute=quick)) as base, client(base) as http:
        for more, name in (({}, "nawfside_lora_upload"), ({"modelName": "mine"}, "mine")):
            form = {"data": {"producerId": "nova", **more}, "files": {"file": ("beat.wav", wav())}}
            answer = http.post("/api/producer/upload-and-train", **form).json()  # type: ignore[arg-type]
            assert answer["model_name"] == name
            said = (
                "nova:nawfside_lora was published by the pipeline and stays as it is; "
                "this one is nova:nawfside_lora_upload"
            )
            assert answer.get("note") == (None if more else said)


def test_a_job_longer_than_the_wait_is_202_and_found_by_its_id(
    impatient: Ports, quick: QuickCompute, nova: Artist
) -> None:
    quick.gate.clear()
    with server(impatient) as base, client(base) as http:
        asked = {"artistId": str(nova.id), "prompt": "techno", "durationSeconds": 0.5, "jobId": "job-1"}
        first = http.post("/api/artist/generate", json=asked)
        assert (first.status_code, set(first.json())) == (202, {"job_id", "call_id", "status"})
        assert first.headers["retry-after"]
        with ThreadPoolExecutor(6) as pool:
            more = list(pool.map(lambda _: http.post("/api/artist/generate", json=asked), range(6)))
        assert {answer.json()["call_id"] for answer in more} == {first.json()["call_id"]}
        assert http.post("/api/artist/generate", json=asked | {"prompt": "house"}).status_code == 409  # a replay
        quick.gate.set()
        last = http.post("/api/artist/generate", json=asked)
        assert "audio_base64" in last.json() or last.status_code == 202
        assert len(quick.ran) == 1


def test_many_who_wait_for_jobs_hold_up_nobody_else(ports: Ports, quick: QuickCompute, nova: Artist) -> None:
    quick.gate.clear()
    with server(replace(ports, compute=quick)) as base, client(base) as http:
        asked = {"artistId": str(nova.id), "prompt": "techno", "durationSeconds": 0.5}
        with ThreadPoolExecutor(24) as pool:
            jobs = [
                pool.submit(http.post, "/api/artist/generate", json=asked | {"jobId": f"job-{n}"}) for n in range(24)
            ]
            answer = http.post("/api/train/export", json={"artistId": str(nova.id)}, timeout=280)
            assert answer.status_code == 400
            assert not any(job.done() for job in jobs)
            quick.gate.set()
            assert {job.result().status_code for job in jobs} == {200}


def test_the_worker_endpoints_accept_the_same_password(ports: Ports, quick: QuickCompute) -> None:
    with server(protected(replace(ports, compute=quick))) as base, client(base) as http:
        upload = {"producer_id": "producer_123", "job_id": "job_abc", "filename": "beat.wav"}
        upload["content_base64"] = base64.b64encode(wav()).decode()
        good = {"x-train-password": PASSWORD}
        assert http.post("/store-upload", json=upload).status_code == 401
        stored = http.post("/store-upload", json=upload, headers=good).json()
        assert stored["path"] == "/data/uploads/producer_123/job_abc/beat.wav"
        body = {"producer_id": "producer_123", "upload_paths": [stored["path"]], "job_id": "job_abc"}
        assert http.post("/train", json=body, headers=good).json()["job_id"] == "job_abc"
        asked = {"prompt": "808 trap beat", "lora_id": "producer_123:nawfside_lora", "duration_seconds": 0.5}
        assert "audio_base64" in http.post("/generate", json=asked, headers=good).json()


def test_a_user_s_producer_is_one_of_their_artists(ports: Ports, quick: QuickCompute, nova: Artist) -> None:
    user = new_user(ports, nova)
    secured = protected(replace(ports, compute=quick), password=False, secret=True)
    with server(secured) as base, client(base, **bearer(user)) as http:
        audio = {"file": ("a.wav", wav())}
        for producer, status in (("nova", 200), ("producer_123", 404), ("Nova", 404)):
            sent = [
                http.post("/api/producer/train", json={"producerId": producer, "uploadUrls": URLS}),
                http.post("/api/producer/upload-and-train", data={"producerId": producer}, files=audio),
            ]
            assert [answer.status_code for answer in sent] == [status] * 2, producer
    assert {getattr(request, "producer_id", None) for request in quick.ran} == {"nova"}


def test_two_artists_can_use_the_same_job_id_without_a_lora(ports: Ports, http: httpx.Client) -> None:
    for name, prompt in (("Nova", "techno"), ("Other", "house")):
        asked = {"artistId": str(new_artist(ports, name).id), "prompt": prompt, "jobId": "first"}
        assert http.post("/api/artist/generate", json=asked).status_code == 200


@pytest.mark.slow
def test_upload_train_and_generate_by_the_worker_itself(ports: Ports, nova: Artist) -> None:
    settings = ports.settings.model_copy(update={"train_steps": 2, "web_wait_seconds": 100.0})
    with server(replace(ports, settings=settings)) as base, httpx.Client(base_url=base, timeout=280) as http:
        audio = {"file": ("beat.wav", wav(seconds=20))}
        trained = _to_its_end(
            http, http.post("/api/producer/upload-and-train", data={"producerId": "nova"}, files=audio)
        )
        assert trained.status_code == 200, trained.text
        assert trained.json()["lora_path"] == "/data/loras/nova_nawfside_lora.safetensors"
        asked = {"artistId": str(nova.id), "loraId": "nova:nawfside_lora", "prompt": "techno", "durationSeconds": 1}
        asked |= {"jobId": "first"}
        made = _to_its_end(http, http.post("/api/artist/generate", json=asked))
        assert made.status_code == 200, made.text
        with wave.open(io.BytesIO(base64.b64decode(made.json()["audio_base64"]))) as sound:
            assert sound.getnframes() == sound.getframerate()
        other = asked | {"loraId": "nova:other", "jobId": "second"}
        unknown = _to_its_end(http, http.post("/api/artist/generate", json=other))
        assert (unknown.status_code, list(unknown.json())) == (422, ["error"])


def _to_its_end(http: httpx.Client, answer: httpx.Response) -> httpx.Response:
    """A job's answer, asked for where the first one says."""
    while answer.status_code == 202:
        answer = http.get(answer.headers["location"], params={"wait": 30})
    return answer
