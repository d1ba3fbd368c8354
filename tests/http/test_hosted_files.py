"""Files of a hosted bucket: links that its own server signed, fresh, for those who may."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from resources.bucket.supabase import SupabaseBucket
from resources.ports import Ports
from tests.bucket.storage_server import StorageServer
from tests.http.serving import bearer, client, new_user, pair, protected, server
from tests.intake.material import new_artist, wav


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[StorageServer]:
    with StorageServer(tmp_path) as made:
        yield made


def test_a_file_is_a_fresh_link_of_storage_s_own_and_a_page_a_download(
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
