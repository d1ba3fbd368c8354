"""An audio file on a loopback server that is sent when the test says so: a job that takes as long as is wanted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from modal_app.protocol.audio import AudioSource
from tests.waiting import PATIENCE_SECONDS


class Gate:
    """`source` can be fetched once the gate is `opened`; `asked` is set when somebody waits there."""

    def __init__(self, content: bytes, audio_hash: str) -> None:
        self.opened, self.asked = threading.Event(), threading.Event()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gate.asked.set()
                gate.opened.wait(PATIENCE_SECONDS)
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(OSError):  # whoever asked is gone
                    self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        url = f"http://127.0.0.1:{self.server.server_port}/gated.wav"
        self.source = AudioSource(audio_hash=audio_hash, url=url, name="gated.wav")


@contextmanager
def gate_with(content: bytes, audio_hash: str) -> Iterator[Gate]:
    """A gate that is closed, and gone at the end."""
    gate = Gate(content, audio_hash)
    thread = threading.Thread(target=gate.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield gate
    finally:
        gate.opened.set()
        gate.server.shutdown()
        gate.server.server_close()
