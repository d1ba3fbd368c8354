"""Files of a hosted bucket: links that its own server signed, fresh, for those who may."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import soundfile

from resources.bucket.supabase import SupabaseBucket
from resources.ports import Ports
from tests.dawa_assets.http.serving import bearer, client, new_user, pair, protected, server
from tests.dawa_assets.intake.material import new_artist, wav
from tests.fakes.storage.storage_server import StorageServer
from tests.modal_app.audio.conftest import synthesise


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[StorageServer]:
    with StorageServer(tmp_path) as made:
        yield made


def test_a_file_is_a_fresh_storage_link_and_a_page_a_download(
    ports: Ports, storage: StorageServer, tmp_path: Path
) -> None:
    bucket = SupabaseBucket(storage.url, storage.secret_key, resume_folder=tmp_path / "parts")
    nova, other = new_artist(ports), new_artist(ports, "Other")
    bucket.put("artists/nova/Süß/audio.wav", wav())
    bucket.put("artists/nova/page.html", b"<script>alert(1)</script>")
    bucket.put("artists/other/audio.wav", wav())
    hosted = protected(replace(ports, bucket=bucket), password=False, secret=True)
    with server(hosted) as base, client(base, **bearer(new_user(ports, nova))) as http:
        answer = http.get("/files/artists/nova/Süß/audio.wav")
        assert answer.status_code == 307
        assert httpx.get(answer.headers["location"]).content == wav()
        assert urlsplit(answer.headers["location"]).netloc == urlsplit(storage.url).netloc
        assert "download=page.html" in http.get("/files/artists/nova/page.html").headers["location"]
        assert http.get("/files/artists/nova/gone.wav").status_code == 404
        assert http.get("/files/artists/other/audio.wav").status_code == 404
        assert http.post("/api/train/save", json=pair(nova)).status_code == 200
        exported = http.post("/api/train/export", json={"artistId": str(nova.id)}).json()
        assert exported["datasetUrl"].startswith(storage.url)
        assert httpx.get(exported["datasetUrl"]).content[:2] == b"PK"
        assert http.post("/api/train/export", json={"artistId": str(other.id)}).status_code == 404


def test_a_listening_copy_is_fetched_once_and_served_from_here(
    ports: Ports, storage: StorageServer, tmp_path: Path
) -> None:
    bucket = SupabaseBucket(storage.url, storage.secret_key, resume_folder=tmp_path / "parts")
    nova = new_artist(ports)
    soundfile.write(tmp_path / "a.aiff", synthesise(8_000), 8_000)
    aiff = (tmp_path / "a.aiff").read_bytes()
    bucket.put("artists/nova/a.aiff", aiff)
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into training_items (artist_id, parse_id, als_filename, project_name, audio_path, audio_hash) "
            "values (%s, 'a', 'a.als', 'a', 'artists/nova/a.aiff', %s)",
            [nova.id, hashlib.sha256(aiff).hexdigest()],
        )
    hosted = protected(replace(ports, bucket=bucket), password=False, secret=True)
    with server(hosted) as base, client(base, **bearer(new_user(ports, nova))) as http:
        [item] = http.get(f"/api/artists/{nova.id}/items").json()["items"]
        with ThreadPoolExecutor() as at_once:
            answers = list(at_once.map(httpx.get, [f"{base}{item['audio']['listenUrl']}"] * 4))
    for answer in answers:
        assert (answer.status_code, answer.content[:4]) == (200, b"fLaC")
    fetched = [call for call in storage.calls if call.method == "GET" and call.path.endswith("a.aiff")]
    assert sum(call.sent for call in fetched) == len(aiff)
