"""What bodies hold, apart from any server: base64 and data URLs of any length, files of which some can't be used."""

import base64
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.config import BackendKind
from modal_app.errors import BadRequestError, InputError
from modal_app.protocol.producer import ProducerTrainRequest
from modal_app.protocol.training import AskedTraining
from modal_app.web.body import decoded, read_json
from modal_app.web.error_responses import error_answer
from modal_app.web.messages import StoreUploadBody, TrainBody
from modal_app.web.options import WebOptions
from modal_app.web.work import train_job

PARAMETERS = AskedTraining(steps=2, batch_size=1, learning_rate=1e-3, rank=2, alpha=4, seed=0)
OPTIONS = WebOptions(training=PARAMETERS, bases=dict.fromkeys(BackendKind, "tiny"))
GOOD = "https://example.com/good.wav"
HOSTILE = [
    "http://[",
    "http://0177.0.0.1/",
    "http://xn--a/x.wav",
    "https://example.com:99999/",
    "file:///etc/passwd",
    "",
]


def _content(text: str, folder: Path, *, escaped: bool = False) -> bytes:
    """What a body's text stands for, read as a server reads it."""
    body = json.dumps({"producer_id": "p", "job_id": "j", "filename": "a.wav", "content_base64": text}).encode()
    with (folder / "body").open("w+b") as file:
        file.write(body.replace(b"/", b"\\/") if escaped else body)
        file.flush()
        read, texts = read_json(file, StoreUploadBody)
        decoded(file, read.content_base64, texts, folder / "content", 10_000_000)
    return (folder / "content").read_bytes()


HEADS = ["", "data:audio/mpeg;base64,", "data:;base64,", "DATA:audio/x-wav;charset=utf-8;BASE64,"]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("size", [1, 1000, 60_000, 300_000])
@pytest.mark.parametrize("escaped", [False, True])
def test_a_data_url_stands_for_its_content(tmp_path: Path, head: str, size: int, escaped: bool) -> None:
    content = bytes(number % 251 for number in range(size))
    assert _content(head + base64.b64encode(content).decode(), tmp_path, escaped=escaped) == content


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("data:audio/wav,RIFF", "a data URL without base64"),
        ("data:", "a data URL without base64"),
        ("data:audio/wav;base64", "a data URL without base64"),
        ("data:audio/wav;base64,", "is empty"),
        ("data:audio/wav;base64,!!!!", "is no base64"),
        ("data:audio/wav;base64,data:audio/wav;base64,UklG", "is no base64"),
        ("data:" + "x" * 400 + ";base64,UklG", "a data URL without base64"),
        ("data:" + "x" * 100_000, "a data URL without base64"),
    ],
)
def test_a_data_url_that_stands_for_nothing_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BadRequestError, match=reason):
        _content(text, tmp_path)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30), st.binary(max_size=30))
def test_no_text_makes_reading_fail_otherwise(
    tmp_path_factory: pytest.TempPathFactory, head: str, content: bytes
) -> None:
    with suppress(BadRequestError):
        _content(f"data:{head},{base64.b64encode(content).decode()}", tmp_path_factory.mktemp("body"))


@pytest.mark.parametrize("bad", HOSTILE)
def test_a_url_that_can_not_be_used_stops_only_itself(bad: str) -> None:
    job = train_job(TrainBody(producer_id="p", upload_urls=[bad, GOOD]), OPTIONS)
    request = ProducerTrainRequest.model_validate_json(job.request.model_dump_json())
    assert [file.url for file in request.files] == [bad, GOOD]
    with pytest.raises(InputError, match="URL"):
        train_job(TrainBody(producer_id="p", upload_urls=[bad]), OPTIONS)


def test_neither_does_a_path_of_somebody_else() -> None:
    mine, other = "/data/uploads/p/j/a.wav", "/data/uploads/other/j/a.wav"
    job = train_job(TrainBody(producer_id="p", upload_paths=[other, mine]), OPTIONS)
    assert [file.path for file in job.request.files] == [other, "uploads/p/j/a.wav"]  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="none of this producer"):
        train_job(TrainBody(producer_id="p", upload_paths=[other]), OPTIONS)


def test_a_url_without_end_is_not_kept_whole() -> None:
    job = train_job(TrainBody(producer_id="p", upload_urls=[GOOD, f"{GOOD}?{'x' * 900_000}"]), OPTIONS)
    assert len(job.request.model_dump_json()) < 10_000


@given(st.text())
def test_an_error_is_one_line_whatever_names_are_in_it(name: str) -> None:
    told = json.loads(error_answer(400, f"{name}: is not there").body)["error"]
    assert len(told.splitlines()) == 1
    assert told.endswith(": is not there")
