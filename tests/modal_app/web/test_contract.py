"""Each example of the endpoints' contract, by a client over HTTP, with a tiny base and short songs.

The adapter that the examples name is trained once, before the first of them.
"""

import base64
import io

import httpx
import pytest
import soundfile

from modal_app.adapters.file_format import read_card
from modal_app.data_root.layout import DataRoot
from tests.modal_app.producer.conftest import Answer, Internet, song
from tests.modal_app.web.conftest import upload_body


@pytest.fixture(scope="module")
def trained(client: httpx.Client) -> httpx.Response:
    """The answer of a training of a stored upload."""
    path = client.post("/store-upload", json=upload_body(song(98.0))).json()["path"]
    body = {"producer_id": "producer_123", "upload_paths": [path], "job_id": "abc-123"}
    return client.post("/train", json=body)


def test_store_upload(client: httpx.Client, data: DataRoot) -> None:
    answer = client.post("/store-upload", json=upload_body(filename="stored.wav"))

    assert answer.status_code == 200
    assert answer.json() == {
        "path": "/data/uploads/producer_123/job_abc/stored.wav",
        "producer_id": "producer_123",
        "job_id": "job_abc",
    }
    assert (data.uploads("producer_123") / "job_abc" / "stored.wav").read_bytes() == song()


def test_store_upload_takes_camel_case_and_ignores_extra_fields(client: httpx.Client) -> None:
    body = upload_body()
    camel = {"producerId": "p", "jobId": "j", "filename": "b.wav", "contentBase64": body["content_base64"], "more": 1}

    assert client.post("/store-upload", json=camel).json()["path"] == "/data/uploads/p/j/b.wav"


def test_train_on_uploads(trained: httpx.Response, data: DataRoot) -> None:
    assert trained.status_code == 200, trained.text
    assert trained.json() == {
        "job_id": "abc-123",
        "producer_id": "producer_123",
        "model_name": "nawfside_lora",
        "backend": "ace_step",
        "lora_path": "/data/loras/producer_123_nawfside_lora.safetensors",
    }
    assert read_card(data.lora("producer_123", "nawfside_lora")).producer_id == "producer_123"
    assert (data.peft_model("producer_123") / "adapter_model.safetensors").is_file()


def test_the_same_train_again_is_the_same_job(client: httpx.Client, trained: httpx.Response, data: DataRoot) -> None:
    runs = sorted((data.root / "runs").iterdir())
    body = {
        "producerId": "producer_123",
        "uploadPaths": ["/data/uploads/producer_123/job_abc/beat.wav"],
        "jobId": "abc-123",
    }

    assert client.post("/train", json=body).json() == trained.json()
    asked = {"job_id": "abc-123", "producer_id": "producer_123"}
    assert client.get("/train", params=asked).json() == trained.json()
    assert sorted((data.root / "runs").iterdir()) == runs


@pytest.mark.usefixtures("trained")
def test_a_job_id_with_another_request_is_a_conflict(client: httpx.Client) -> None:
    body = {
        "producer_id": "producer_123",
        "upload_paths": ["/data/uploads/producer_123/job_abc/beat.wav"],
        "job_id": "abc-123",
        "model_name": "another",
    }

    answer = client.post("/train", json=body)

    assert answer.status_code == 409
    assert answer.json() == {"error": "job abc-123: was used for another request already; take another job_id"}


def test_train_on_urls(client: httpx.Client, internet: Internet) -> None:
    internet.answers["/beat1.wav"] = Answer(song(110.0))
    internet.answers["/beat2.wav"] = Answer(song(140.0))
    body = {
        "producer_id": "producer_456",
        "upload_urls": ["https://example.com/beat1.wav", "https://example.com/beat2.wav"],
        "model_name": "nawfside_lora",
        "metadata_per_file": [{"title": "Track 1"}, {"title": "Track 2", "bpm": 120, "mood": "dark"}],
        "job_id": "optional-job-uuid",
        "backend_override": "ace_step",
        "tag_before_train": True,
    }

    answer = client.post("/train", json=body)

    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "job_id": "optional-job-uuid",
        "producer_id": "producer_456",
        "model_name": "nawfside_lora",
        "backend": "ace_step",
        "lora_path": "/data/loras/producer_456_nawfside_lora.safetensors",
    }


def test_train_without_a_usable_file_is_one_clear_error(client: httpx.Client, internet: Internet) -> None:
    internet.answers["/page.wav"] = Answer(b"<html>")
    body = {"producer_id": "p", "upload_urls": ["https://example.com/page.wav?sig=s3cret"], "model_name": "x"}

    answer = client.post("/train", json=body)

    assert answer.status_code == 422
    assert answer.json() == {
        "error": "none of the 1 files can be used: page.wav: it is in no audio format that can be read; "
        "export it again as WAV, AIFF, FLAC or MP3"
    }


@pytest.mark.usefixtures("trained")
def test_generate_with_the_lora(client: httpx.Client) -> None:
    body = {
        "prompt": "808 trap beat, dark synth",
        "lora_id": "producer_123:nawfside_lora",
        "duration_seconds": 1.5,
        "backend_override": "ace_step",
        "job_id": "rendered",
        "bpm": 90,
        "key": "Am",
        "timeSignature": "3/4",
    }

    answer = client.post("/generate", json=body)

    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["audio_base64"]
    wav = base64.b64decode(answer.json()["audio_base64"], validate=True)
    assert soundfile.info(io.BytesIO(wav)).duration == 1.5
    assert client.post("/generate", json=body).content == answer.content
    asked = {"job_id": "rendered", "producer_id": "producer_123"}
    assert client.get("/generate", params=asked).content == answer.content


@pytest.mark.usefixtures("trained")
def test_generate_with_a_lora_of_another_backend_says_so(client: httpx.Client) -> None:
    body = {"prompt": "beat", "lora_id": "producer_123:nawfside_lora", "duration_seconds": 1}

    answer = client.post("/generate", json=body | {"backend_override": "musicgen"})

    assert answer.status_code == 422
    assert "was trained on ace_step/tiny" in answer.json()["error"]


def test_generate_by_the_base_model_alone(client: httpx.Client) -> None:
    body = {"prompt": "808 trap beat", "durationSeconds": 1, "loraId": None, "seed": 3}

    wav = base64.b64decode(client.post("/generate", json=body).json()["audio_base64"])

    assert soundfile.info(io.BytesIO(wav)).duration == 1.0


def test_generate_with_a_lora_that_is_not_there(client: httpx.Client, data: DataRoot) -> None:
    answer = client.post("/generate", json={"prompt": "beat", "lora_id": "nobody:nothing", "duration_seconds": 1})

    assert answer.status_code == 422
    assert answer.json()["error"].startswith("no usable LoRA nobody:nothing: /data/loras/nobody_nothing.safetensors")
    assert str(data.root) not in answer.text
