"""Who gets in: users with good tokens for their own artists, the password for all, everybody on this machine only."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from dawa_assets.errors import UnauthorizedError
from dawa_assets.http import tokens
from dawa_assets.http.access import Access
from dawa_assets.http.server import listen
from dawa_assets.tables.artists import Artist
from modal_app.errors import InputError
from resources.errors import NotNowError
from resources.ports import Ports
from tests.command_line import dawa
from tests.dawa_assets.http.serving import (
    PASSWORD,
    SECRET,
    bearer,
    claims,
    client,
    new_user,
    pair,
    protected,
    server,
    token,
)
from tests.dawa_assets.intake.material import content, new_artist, rows
from tests.dawa_assets.prompting.material import give_set, summary


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def other(ports: Ports) -> Artist:
    return new_artist(ports, "Other")


def _asked(ports: Ports, artist: Artist) -> dict[str, str]:
    give_set(ports.database, artist, summary(), f"Song of {artist.slug}")
    [parse] = rows(ports, "select parse_id from als_summaries where artist_id = %s", artist.id)
    return {"artistId": str(artist.id), "parseId": parse["parse_id"]}


def test_a_user_reaches_only_their_own_artist_by_every_route(ports: Ports, nova: Artist, other: Artist) -> None:
    mine, foreign = _asked(ports, nova), _asked(ports, other)
    ports.bucket.put("artists/nova/training/x/prompt.txt", b"mine")
    ports.bucket.put("artists/other/training/x/prompt.txt", b"foreign")
    user = new_user(ports, nova)
    with server(protected(ports, password=False, secret=True)) as base, client(base, **bearer(user)) as http:
        assert http.post("/api/train", json=mine).status_code == 200
        assert http.post("/api/train/save", json=pair(nova)).status_code == 200
        assert http.post("/api/train/export", json=mine).status_code == 200
        assert http.get("/files/artists/nova/training/x/prompt.txt").text == "mine"
        [prompt] = rows(ports, "select author from prompts where origin = 'human'")
        assert prompt["author"] == str(user)
        before = rows(ports, "select * from training_items where artist_id = %s", other.id)
        refused = [
            http.post("/api/train", json=foreign),
            http.post("/api/train/save", json=pair(other)),
            http.post("/api/train/export", json=foreign),
            http.get("/files/artists/other/training/x/prompt.txt"),
            http.post("/api/producer/train", json={"producerId": "other", "uploadUrls": ["https://example.com/a.wav"]}),
            http.post("/api/producer/upload-and-train", data={"producerId": "other"}, files={"file": ("a.wav", b"x")}),
            http.post("/api/artist/generate", json={"artistId": str(other.id), "prompt": "techno"}),
            http.post("/api/artist/generate", json={"artistId": str(nova.id), "prompt": "x", "loraId": "other:lora"}),
        ]
        assert [answer.status_code for answer in refused] == [404] * len(refused)
        assert {tuple(answer.json()) for answer in refused} == {("error",)}
        assert rows(ports, "select * from training_items where artist_id = %s", other.id) == before
        worker = [http.post(path, json={}) for path in ("/store-upload", "/train", "/generate")]
        assert [answer.status_code for answer in worker] == [401] * 3


def test_only_the_right_password_gives_access_to_all_artists(ports: Ports, nova: Artist) -> None:
    asked = _asked(ports, nova)
    ports.bucket.put("artists/nova/a.txt", b"a")
    with server(protected(ports)) as base, client(base) as http:
        for headers in ({}, {"x-train-password": "wrong"}, {"x-train-password": ""}, {"Authorization": "Bearer x"}):
            answers = [
                http.post("/api/train", json=asked, headers=headers),
                http.post("/api/train/save", json=pair(nova), headers=headers),
                http.post("/api/train/export", json=asked, headers=headers),
                http.get("/files/artists/nova/a.txt", headers=headers),
                http.post("/api/producer/train", json={"producerId": "a", "uploadUrls": ["b"]}, headers=headers),
                http.post("/api/artist/generate", json=asked | {"prompt": "x"}, headers=headers),
                http.post("/train", json={"producer_id": "a", "upload_urls": ["b"]}, headers=headers),
                http.post("/api/producer/upload-and-train", files={"file": ("a.wav", b"x")}, headers=headers),
            ]
            assert [answer.status_code for answer in answers] == [401] * len(answers), headers
            assert PASSWORD not in str([answer.text for answer in answers])
        good = {"x-train-password": PASSWORD}
        assert http.post("/api/train", json=asked, headers=good).status_code == 200
        assert http.get("/files/artists/nova/a.txt", headers=good).text == "a"
        form = {"producerId": "nova", "x-train-password": PASSWORD}
        answer = http.post("/api/producer/upload-and-train", data=form, files={"file": ("a.wav", b"no audio")})
        assert answer.status_code in (400, 422), answer.text  # it got as far as the audio
        form["x-train-password"] = "wrong"
        answer = http.post("/api/producer/upload-and-train", data=form, files={"file": ("a.wav", b"no audio")})
        assert answer.status_code == 401
        assert http.get("/healthz").json() == {"status": "ok"}


def _hostile_tokens(user: Any) -> dict[str, str]:
    def plain(header: dict[str, Any], body: dict[str, Any]) -> str:
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, body)]
        return ".".join([*parts, ""])

    good = token(user)
    return {
        "expired": token(user, exp=1),
        "not yet": token(user, nbf=2**33),
        "without an end": jwt.encode({k: v for k, v in claims(user).items() if k != "exp"}, SECRET, "HS256"),
        "forged": token(user, "another secret of the same kind, long enough"),
        "changed": f"{good[:-4]}AAAA",
        "none": plain({"alg": "none"}, claims(user)),
        "None": plain({"alg": "None"}, claims(user)),
        "other audience": token(user, aud="anon"),
        "service": token(user, role="service_role"),
        "anonymous key": token(user, role="anon"),
        "nobody": token(user, sub="admin"),
        "another algorithm": token(user, SECRET * 2, algorithm="HS512"),
        "long": "a" * 9000,
        "nothing": "..",
    }


def test_expired_forged_and_unsigned_tokens_are_401(ports: Ports, nova: Artist) -> None:
    asked, user = _asked(ports, nova), new_user(ports, nova)
    with server(protected(ports, password=False, secret=True)) as base, client(base) as http:
        for name, hostile in _hostile_tokens(user).items():
            answer = http.post("/api/train", json=asked, headers={"Authorization": f"Bearer {hostile}"})
            assert answer.status_code == 401, name
            assert "sign in again" in answer.json()["error"] or "protected" in answer.json()["error"]
        stranger = http.post("/api/train", json=asked, headers=bearer(new_user(ports)))
        assert stranger.status_code == 404
        assert http.post("/api/train", json=asked, headers=bearer(user)).status_code == 200


class _Project:
    """The keys that a project publishes, and how often they were asked for."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.broken = False
        self.url = ""

    @property
    def issuer(self) -> str:
        return f"{self.url}/auth/v1"

    def publish(self, kid: str, key: Any) -> None:
        algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
        name = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        self.keys.append(json.loads(algorithm.to_jwk(key.public_key())) | {"kid": kid, "alg": name, "use": "sig"})


@pytest.fixture
def project() -> Iterator[_Project]:
    made = _Project()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked += 1
            good = self.path == "/auth/v1/.well-known/jwks.json" and not made.broken
            self.send_response(200 if good else 500)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": made.keys}).encode() if good else b"{}")

        def log_message(self, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield made
    listening.shutdown()
    listening.server_close()


@contextmanager
def _told_by(ports: Ports, nova: Artist, project: _Project, **more: Any) -> Iterator[Any]:
    asked = _asked(ports, nova)
    with (
        server(protected(ports, password=False, url=project.url, **more)) as base,
        client(base) as http,
    ):
        yield lambda headers: http.post("/api/train", json=asked, headers=headers).status_code


def test_tokens_of_the_projects_keys_count_across_key_rotation(
    ports: Ports, nova: Artist, project: _Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, first, second = (
        new_user(ports, nova),
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(65537, 2048),
    )
    project.publish("first", first)
    issuer = {"iss": project.issuer}
    with _told_by(ports, nova, project) as asks:
        by_first = bearer(user, first, "ES256", "first", **issuer)
        by_second = bearer(user, second, "RS256", "second", **issuer)
        assert [asks(by_first), asks(by_first), project.asked] == [200, 200, 1]
        assert asks(by_second) == 401
        project.keys.clear()
        project.publish("second", second)
        for _ in range(5):
            assert asks(by_second) == 401  # strangers' key ids don't make it ask all the time
        assert project.asked == 1
        monkeypatch.setattr(tokens, "_ASKED_AGAIN_SECONDS", 0.0)
        assert [asks(by_second), asks(by_first)] == [200, 401]
        project.broken = True
        assert asks(by_second) == 200  # what is known still counts


@pytest.mark.parametrize("seconds", [60.0, 5.0])
def test_a_revoked_key_ends_when_the_keys_are_next_asked_for(
    project: _Project, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(tokens, "time", SimpleNamespace(monotonic=lambda: now[0]))
    user, key, other = uuid4(), *(ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    project.publish("stolen", key)
    check = tokens.TokenCheck(None, project.url, keys_seconds=seconds)
    token = bearer(user, key, "ES256", "stolen", iss=project.issuer)["Authorization"].removeprefix("Bearer ")
    assert check.user(token) == user
    project.keys.clear()
    project.publish("new", other)
    now[0] += seconds - 1
    assert check.user(token) == user
    assert project.asked == 1, "the project is not asked with every request"
    now[0] += 1
    with pytest.raises(UnauthorizedError):
        check.user(token)
    assert project.asked == 2


def test_keys_that_nobody_confirms_any_more_end_too(project: _Project, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    monkeypatch.setattr(tokens, "time", SimpleNamespace(monotonic=lambda: now[0]))
    user, key = uuid4(), ec.generate_private_key(ec.SECP256R1())
    project.publish("first", key)
    check = tokens.TokenCheck(None, project.url)
    token = bearer(user, key, "ES256", "first", iss=project.issuer)["Authorization"].removeprefix("Bearer ")
    assert check.user(token) == user
    project.broken = True
    for _ in range(9):
        now[0] += 61
        assert check.user(token) == user, "an outage of the project's does not lock everybody out"
    now[0] += 61
    with pytest.raises(NotNowError):
        check.user(token)


def test_a_token_needs_a_key_of_its_own_kind_and_project(ports: Ports, nova: Artist, project: _Project) -> None:
    user, key, strange = new_user(ports, nova), *(ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    project.publish("first", key)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    issuer = {"iss": project.issuer}
    confused = _hs256_by(public, claims(user, **issuer), "first")
    with _told_by(ports, nova, project, secret=True) as asks:
        assert asks(bearer(user, key, "ES256", "first", **issuer)) == 200
        assert asks(bearer(user, SECRET, "HS256", **issuer)) == 200
        assert asks({"Authorization": f"Bearer {confused}"}) == 401
        assert asks(bearer(user, strange, "ES256", "first", **issuer)) == 401
        assert asks(bearer(user, key, "ES256", "first", iss="https://other.supabase.co/auth/v1")) == 401
        assert asks(bearer(user, key, "ES256", "first")) == 401
        assert asks(bearer(user, key, "ES256", None, **issuer)) == 401


def _hs256_by(key: bytes, body: dict[str, Any], kid: str) -> str:
    """A token signed with a public key as if it were a secret; the library refuses to make one."""

    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    signed = part(json.dumps({"alg": "HS256", "kid": kid}).encode()) + b"." + part(json.dumps(body).encode())
    return (signed + b"." + part(hmac.digest(key, signed, hashlib.sha256))).decode()


def test_an_outage_of_the_projects_keys_is_503_not_401(ports: Ports, nova: Artist, project: _Project) -> None:
    project.broken = True
    with _told_by(ports, nova, project) as asks:
        assert asks(bearer(uuid4(), ec.generate_private_key(ec.SECP256R1()), "ES256", "first")) == 503


def test_an_open_server_answers_to_its_own_names_only(ports: Ports, nova: Artist) -> None:
    ports.bucket.put("artists/nova/a.txt", b"a")
    with server(ports) as base, client(base) as http:
        port = base.rpartition(":")[2]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
            assert http.get("/files/artists/nova/a.txt", headers={"Host": host}).status_code == 200
        for host in (f"rebound.example:{port}", "127.0.0.1.example", "localhost.example", "10.0.0.1", "[", *EVERYWHERE):
            assert http.get("/files/artists/nova/a.txt", headers={"Host": host}).status_code == 403, host
        for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "http://["):
            answer = http.post("/api/train/export", json={"artistId": str(nova.id)}, headers={"Origin": origin})
            assert (answer.status_code, list(answer.json())) == (403, ["error"]), origin
        here = {"Origin": "http://localhost:3000"}
        assert http.get("/files/artists/nova/a.txt", headers=here).status_code == 200


EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - to be refused


def test_beyond_this_machine_it_is_never_open(ports: Ports) -> None:
    for host in (*EVERYWHERE, "192.0.2.1"):
        with pytest.raises(InputError, match="others could reach"), listen(host, 0, Access(ports.settings)):
            pass
    with listen(EVERYWHERE[0], 0, Access(protected(ports).settings)) as listener:
        assert listener.getsockname()[1]


@pytest.mark.parametrize("host", EVERYWHERE[:1])
def test_the_command_says_so_in_one_line(tmp_path: Path, host: str) -> None:
    refused = dawa("serve", "--host", host, "--port", "0", env={"DAWA_HOME": str(tmp_path), "PATH": ""}, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "NAWFSIDE_APP_PASSWORD" in refused.stderr


@pytest.mark.usefixtures("nova")
def test_files_are_given_whole_or_in_part_and_never_as_a_page(ports: Ports) -> None:
    folder = "artists/nova/training/Süß 夜"
    ports.bucket.put(f"{folder}/audio.mp3", bytes(range(256)) * 4)
    ports.bucket.put(f"{folder}/page.html", b"<script>alert(1)</script>")
    with server(ports) as base, client(base) as http:
        url = f"/files/{folder}/audio.mp3"
        whole = http.get(url)
        assert (whole.content, whole.headers["content-type"]) == (
            content(ports.bucket, f"{folder}/audio.mp3"),
            "audio/mpeg",
        )
        assert whole.headers["content-disposition"].startswith("inline")
        head = http.head(url)
        assert (head.content, head.headers["content-length"]) == (b"", "1024")
        for wanted, start, end in (("0-9", 0, 10), ("1000-", 1000, 1024), ("-4", 1020, 1024), ("5-99999", 5, 1024)):
            part = http.get(url, headers={"Range": f"bytes={wanted}"})
            assert (part.status_code, part.content) == (206, whole.content[start:end])
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/1024"
        for wanted in ("2000-", "9-5", "-0"):
            part = http.get(url, headers={"Range": f"bytes={wanted}"})
            assert (part.status_code, part.headers["content-range"]) == (416, "bytes */1024")
        page = http.get(f"/files/{folder}/page.html")
        assert page.headers["content-type"] == "application/octet-stream"
        assert page.headers["content-disposition"].startswith("attachment")
        assert page.headers["x-content-type-options"] == "nosniff"


WAYS_OUT = [
    *("inbox/nova/secret.txt", "artists/nova/../../inbox/nova/secret.txt", "artists/nova/%2e%2e/%2e%2e/secret.txt"),
    *("artists/nova/..%2f..%2f..%2fsecret.txt", "artists/nova//a.txt", "/artists/nova/a.txt", "artists/nova/a.txt/"),
    *("artists", "artists/nova", "artists/", "artists/nova/%00", "artists/nobody/a.txt", "artists/nova/a.txt%00"),
    *("artists/%ff/a.txt", "artists/nova/..%5c..%5csecret.txt", "=tmp/x", "artists/nova/=tmp"),
    "artists/nova/%ed%a0%80",
]


@pytest.mark.usefixtures("nova")
@pytest.mark.parametrize("through", ["password", "link"])
def test_no_path_leads_out_of_the_artists_folders(ports: Ports, through: str) -> None:
    ports.bucket.put("artists/nova/a.txt", b"a")
    ports.bucket.put("inbox/nova/secret.txt", b"hidden words")
    (ports.settings.home / "secret.txt").write_text("hidden words")
    with server(protected(ports)) as base, client(base) as http:
        good = (
            {"headers": {"x-train-password": PASSWORD}}
            if through == "password"
            else {"params": {"expires": "99999999999", "signature": "0" * 64}}
        )
        for way in WAYS_OUT:
            answer = http.get(f"/files/{way}", **good)
            assert answer.status_code in ((404,) if through == "password" else (404, 401)), way
            assert "hidden words" not in answer.text
        if through == "password":
            assert http.get("/files/artists/nova/a.txt", **good).text == "a"


def test_a_link_is_good_for_its_own_file_and_time_only(ports: Ports, nova: Artist) -> None:
    with server(protected(ports)) as base, client(base) as http:
        good = {"x-train-password": PASSWORD}
        http.post("/api/train/save", json=pair(nova), headers=good)
        url = httpx.URL(
            http.post("/api/train/export", json={"artistId": str(nova.id)}, headers=good).json()["datasetUrl"]
        )
        assert http.get(url).status_code == 200
        ports.bucket.put("artists/nova/other.zip", b"other")
        assert http.get(url.copy_with(path="/files/artists/nova/other.zip")).status_code == 401
        later = url.copy_set_param("expires", str(int(url.params["expires"]) + 1))
        assert http.get(later).status_code == 401
        assert http.get(url.copy_set_param("signature", "é")).status_code == 401
        assert http.get(url.copy_remove_param("signature")).status_code == 401
    with server(protected(ports)) as base, client(base) as http:  # a restart breaks none
        assert http.get(f"{base}{url.raw_path.decode()}").status_code == 200
