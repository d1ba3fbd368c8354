"""The key is nowhere: the server names it in every error, and all output is searched for it."""

import logging
import traceback
from collections.abc import Callable

import pytest
from pydantic import SecretStr

from modal_app.errors import DawaError
from resources.prompt_writer.openai import OpenAIWriter
from tests.fakes.model_server.control import ModelServer
from tests.fakes.model_server.openai_api import KEY
from tests.resources.prompt_writer.conftest import requests

Make = Callable[..., OpenAIWriter]
_TELLTALE = KEY[8:24]

KINDS = (
    "good", "busy", "server_error", "cut", "cut_in_body", "hang", "half_json", "no_json", "other_json", "failed",
    "refusal", "no_go", "wrong_key", "forbidden", "no_model", "no_credit", "too_long", "bad_request",
)  # fmt: skip


def everything_about(error: BaseException) -> str:
    """All that can be printed of an exception and of those behind it, with the values of its frames' variables."""
    said: list[str] = []
    left: list[BaseException | None] = [error]
    while left:
        if (one := left.pop()) is None:
            continue
        # No `capture_locals`: test code holds the key itself.
        said += [repr(one), str(one), repr(one.args), repr(vars(one)), *traceback.format_exception(one)]
        left += [one.__cause__, one.__context__]
    return "\n".join(said)


@pytest.mark.parametrize("kind", KINDS)
def test_no_output_has_the_key(
    make_writer: Make, model_server: ModelServer, kind: str, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "openai._base_client", "httpx2", "httpcore2", "httpx", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    model_server.set(shares={kind: 1.0}, retry_after={"retry-after-ms": "1"}, text=f"You said {KEY}? {KEY}")
    writer = make_writer(timeout_seconds=0.2, limits={"tries": 2, "silence_seconds": 0.5})
    seen = [repr(writer), str(vars(writer))]
    error = None
    try:
        seen.extend(map(repr, writer.write(requests(10))))
    except DawaError as raised:
        error = raised
    if error is not None:
        seen.append(everything_about(error))
        assert error.__cause__ is None
        assert error.__context__ is None
    seen.append(repr(writer.inspect()))
    printed = capfd.readouterr()
    logged = [f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records]
    assert any("HTTP" in line for line in logged), "the client's own log was not taken down"
    assert _TELLTALE not in "\n".join([*seen, *logged, caplog.text, printed.out, printed.err])


def test_a_wrong_key_is_not_shown_either(make_writer: Make, model_server: ModelServer) -> None:
    key = "".join(("sk-proj-", "wrong", "telltale", "0123456789"))
    model_server.set()
    writer = make_writer(api_key=SecretStr(key))
    with pytest.raises(DawaError) as raised:
        list(writer.write(requests(3)))
    assert "wrongtelltale" not in everything_about(raised.value) + repr(writer.inspect())


def test_a_redirect_is_not_followed(make_writer: Make, model_server: ModelServer) -> None:
    import http.server
    import threading

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(307)
            self.send_header("location", f"{model_server.openai_url}/responses")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as gateway:
        threading.Thread(target=gateway.serve_forever, daemon=True).start()
        try:
            with pytest.raises(DawaError, match="redirects; mend DAWA_OPENAI_BASE_URL"):
                list(make_writer(base_url=f"http://127.0.0.1:{gateway.server_port}/v1").write(requests(3)))
        finally:
            gateway.shutdown()
    assert not model_server.log()
