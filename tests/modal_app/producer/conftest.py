"""Short songs, and a server on this machine that answers for hosts of the internet."""

import io
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from modal_app.data_root.layout import DataRoot
from modal_app.producer.fetch import Endpoint, Fetcher, FetchLimits

RATE = 44_100


def song(frequency: float = 110.0, seconds: float = 6.0) -> bytes:
    """A pulse on a tone, as the bytes of a WAV."""
    moments = np.arange(int(seconds * RATE)) / RATE
    pulse = 0.6 * np.sin(2 * np.pi * frequency * moments) * np.exp(-5 * (2 * moments % 1))
    file = io.BytesIO()
    soundfile.write(file, pulse.astype(np.float32), RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


@dataclass
class Answer:
    """What the server answers at a path."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    declared: int | None = None  # length, where it is not the true one
    forever: bool = False
    pause: float = 0.0  # seconds between two pieces of what goes on forever


class Internet:
    """`hosts` (all `*.example.com`) on this machine, over http and https; `seen` are the requests that came."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[str, Answer] = {}
        self.seen: list[tuple[str, str]] = []
        self.addresses: dict[str, list[str]] = {}  # of hosts whose addresses are not this machine's
        self._servers = [self._serve(None), self._serve(_certificate(folder))]
        self.plain, self.secure = (("127.0.0.1", server.server_address[1]) for server in self._servers)
        self._trusted = ssl.create_default_context(cafile=folder / "certificate.pem")

    def fetcher(self, **limits: object) -> Fetcher:
        """One that may reach these servers."""
        return Fetcher(
            FetchLimits(**{"pauses": (), **limits}),  # type: ignore[arg-type]
            resolve=self.resolve,
            permitted=[self.plain, self.secure],
            trusted=self._trusted,
        )

    def resolve(self, host: str, port: int) -> list[Endpoint]:
        if host in self.addresses:
            return [(address, port) for address in self.addresses[host]]
        if not host.endswith("example.com"):
            return [(host, port)]  # an address
        return [self.secure if port == 443 else self.plain]

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _serve(self, certificate: Path | None) -> ThreadingHTTPServer:
        internet = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                internet.seen.append((self.headers["Host"], self.path))
                answer = internet.answers.get(path, Answer(b"not here", 404))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if not answer.forever:
                    length = len(answer.body) if answer.declared is None else answer.declared
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                try:
                    self.wfile.write(answer.body)
                    while answer.forever:
                        self.wfile.write(b"\0" * (100 if answer.pause else 65_536))
                        time.sleep(answer.pause)
                except OSError:
                    pass  # nobody reads any more

            def log_message(self, *_: object) -> None:
                """Silent."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return server


def _certificate(folder: Path) -> Path:
    """For `example.com` and the hosts below it; it vouches for itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.com")])
    hosts = [x509.DNSName("example.com"), x509.DNSName("*.example.com")]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    plain = serialization.NoEncryption()
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(certificate.public_bytes(encoding) + key.private_bytes(encoding, form, plain))
    return path


@pytest.fixture(scope="module")
def internet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Internet]:
    internet = Internet(tmp_path_factory.mktemp("internet"))
    yield internet
    internet.close()


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(tmp_path / "data")
