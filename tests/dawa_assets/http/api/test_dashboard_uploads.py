"""Uploads from a dashboard: announced here, sent straight to Storage or here in parts, closed, and looked up later."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.intake.part_uploads import PartUpload
from dawa_assets.items.update import update_training_items
from dawa_assets.tables.artists import Artist
from resources.bucket.supabase import SupabaseBucket
from resources.ports import Ports
from tests.dawa_assets.http.serving import bearer, client, new_user, protected, server
from tests.dawa_assets.intake.material import als, keys, new_artist, wav
from tests.fakes.storage.storage_server import StorageServer

_TUS = {"Tus-Resumable": "1.0.0"}
_LARGE = 13 * 2**20


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[StorageServer]:
    with StorageServer(tmp_path) as made:
        yield made


@pytest.fixture
def hosted(ports: Ports, storage: StorageServer, tmp_path: Path) -> Ports:
    """The same ports over the loopback Storage; users are known by their tokens."""
    bucket = SupabaseBucket(storage.url, storage.secret_key, resume_folder=tmp_path / "parts")
    return protected(replace(ports, bucket=bucket), password=False, secret=True)


@pytest.fixture
def http(hosted: Ports, nova: Artist) -> Iterator[httpx.Client]:
    with server(hosted) as base, client(f"{base}/api/", **bearer(new_user(hosted, nova))) as made:
        yield made


def _begin(http: httpx.Client, artist: Artist, files: dict[str, int]) -> dict[str, Any]:
    given = [{"path": path, "size": size, "type": ""} for path, size in files.items()]
    answer = http.post("uploads", json={"artistId": str(artist.id), "files": given})
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


def _put(link: dict[str, Any], whole: bytes) -> httpx.Response:
    return httpx.put(link["url"], headers=link["headers"], content=whole)


def _states(http: httpx.Client, **params: str) -> list[dict[str, str]]:
    found = http.get("uploads", params=params).json()["uploads"]
    return [{file["path"]: file["state"] for file in upload["files"]} for upload in found]


def test_files_go_straight_to_storage_and_each_is_followed(
    http: httpx.Client, hosted: Ports, nova: Artist, storage: StorageServer
) -> None:
    given = {"Süß Project/süß.als": als(120), "Süß Project/süß.wav": wav(220), "lost.wav": wav(440), "bad.wav": b"RIFF"}
    upload = _begin(http, nova, {path: len(whole) for path, whole in given.items()} | {"notes.txt": 3})
    assert [file["state"] for file in upload["files"]] == ["open"] * 4 + ["refused"]
    assert {file["link"]["kind"] for file in upload["files"] if file["link"]} == {"put"}
    assert _states(http) == [dict.fromkeys(given, "open") | {"notes.txt": "refused"}]

    early = http.post(f"uploads/{upload['id']}/complete", json={})
    assert (early.status_code, "is not in the bucket whole" in early.json()["error"]) == (409, True)
    for file in upload["files"][:4]:
        assert _put(file["link"], given[file["path"]]).status_code == 200
    looked = http.get(f"uploads/{upload['id']}").json()
    assert [file["state"] for file in looked["files"]] == ["whole"] * 4 + ["refused"]
    closed = [http.post(f"uploads/{upload['id']}/complete", json={}).json()["state"] for _ in range(2)]
    assert closed == ["complete", "complete"]
    [mark] = storage.called("POST", "^/object/dawa-exports/inbox")
    assert (mark.path.endswith("/_complete"), mark.received < 1_000) == (True, True), "no audio came by this server"

    assert _states(http) == [dict.fromkeys(given, "arrived")]
    take_in_live_sets(hosted, "nova")
    update_training_items(hosted, "nova")
    [sent] = http.get("uploads").json()["uploads"]
    found = {file["path"]: file for file in sent["files"]}
    assert {path: file["state"] for path, file in found.items()} == {
        "Süß Project/süß.als": "taken",
        "Süß Project/süß.wav": "taken",
        "lost.wav": "waiting",
        "bad.wav": "rejected",
    }
    assert found["Süß Project/süß.als"]["parseId"]
    assert found["Süß Project/süß.wav"]["itemId"]
    assert all(found[path]["reason"] for path in ("lost.wav", "bad.wav"))
    assert (sent["artistId"], sent["isClosed"]) == (str(nova.id), True)


def test_a_large_file_that_was_cut_goes_on(
    http: httpx.Client, hosted: Ports, nova: Artist, storage: StorageServer
) -> None:
    whole = wav(220, seconds=1) + os.urandom(_LARGE)
    upload = _begin(http, nova, {"a.wav": len(whole)})
    link = upload["files"][0]["link"]
    assert (link["kind"], link["chunkBytes"]) == ("tus", 6 * 2**20)
    headers = _TUS | link["headers"]
    asked = {"Upload-Length": str(len(whole)), "Upload-Metadata": link["metadata"]}
    made = httpx.post(link["url"], headers=headers | asked).raise_for_status()
    place = f"{link['url']}/{made.headers['location'].rpartition('/')[2]}"
    storage.fail(method="PATCH", cut_request_after=2_000_000)
    offset, cuts = 0, 0
    while offset < len(whole):
        more = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        try:
            httpx.patch(place, headers=headers | more, content=whole[offset : offset + link["chunkBytes"]])
        except httpx.TransportError:
            cuts += 1
        # Whoever comes back after a kill has the upload's id only: it asks for a link, and Storage for the offset.
        link = http.get(f"uploads/{upload['id']}").json()["files"][0]["link"]
        offset = int(httpx.head(place, headers=_TUS | link["headers"]).headers["upload-offset"])
    assert cuts == 1
    assert http.post(f"uploads/{upload['id']}/complete", json={}).json()["state"] == "complete"
    with hosted.bucket.open(f"inbox/nova/{upload['id']}/a.wav") as stream:
        assert stream.read() == whole


@pytest.mark.parametrize("place", ["uploads", "artists/{artist}/uploads"])
def test_an_old_upload_gets_links_that_are_good_again(
    http: httpx.Client, hosted: Ports, nova: Artist, storage: StorageServer, place: str
) -> None:
    upload = _begin(http, nova, {"a.wav": len(wav())})
    manifest = hosted.settings.home / "incoming" / str(nova.id) / upload["id"] / "upload.json"
    kept = PartUpload.model_validate_json(manifest.read_bytes())
    kept.created_at = datetime.now(UTC) - timedelta(hours=3)
    manifest.write_text(kept.model_dump_json())
    now = storage.clock()
    storage.clock = lambda: now + 3 * 3600
    old = upload["files"][0]["link"]
    assert _put(old, wav()).status_code == 400
    at = f"{place.format(artist=nova.id)}/{upload['id']}"
    fresh = http.get(at).json()["files"][0]["link"]
    assert (fresh["name"], _put(fresh, wav()).status_code) == (old["name"], 200)
    assert http.post(f"uploads/{upload['id']}/complete", json={}).status_code == 200


def test_two_browsers_send_the_same_name(http: httpx.Client, hosted: Ports, nova: Artist) -> None:
    contents = [wav(220), wav(330)]
    begun = [_begin(http, nova, {"song.wav": len(whole)}) for whole in contents]
    assert begun[0]["id"] != begun[1]["id"]
    for upload, whole in zip(begun, contents, strict=True):
        assert _put(upload["files"][0]["link"], whole).status_code == 200
        assert _put(upload["files"][0]["link"], b"another").json()["statusCode"] == "409"
        assert http.post(f"uploads/{upload['id']}/complete", json={}).status_code == 200
    for upload, whole in zip(begun, contents, strict=True):
        with hosted.bucket.open(f"inbox/nova/{upload['id']}/song.wav") as stream:
            assert stream.read() == whole
    assert _states(http) == [{"song.wav": "arrived"}] * 2


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ({"path": "a.wav", "size": 6 * 2**30}, "a.wav: larger than 1,073,741,824 bytes"),
        ({"path": "a.wav", "size": 9, "type": "image/png"}, "a.wav: its content type image/png is neither audio's nor"),
        ({"path": "a.als", "size": 9, "type": "text/html; charset=utf-8"}, "a.als: its content type text/html is"),
        ({"path": "a.wav", "size": 9, "type": "x\ny\x1b[31m"}, r"a.wav: its content type 'x\ny\x1b[31m' is neither"),
        ({"path": "a.exe", "size": 9}, "a.exe: "),
        ({"path": "../../other/u/a.wav", "size": 9}, "../../other/u/a.wav: "),
    ],
)
def test_what_can_t_be_used_is_refused_in_one_line(
    http: httpx.Client, nova: Artist, storage: StorageServer, file: dict[str, Any], said: str
) -> None:
    answer = http.post("uploads", json={"artistId": str(nova.id), "files": [file]})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert said in error
    assert error.isprintable()
    assert storage.called("POST", "upload/sign") == [], "no leave was asked for"


@pytest.mark.parametrize("kind", ["audio/wav", "audio/x-m4a", "", "application/octet-stream", "video/mp4"])
def test_what_browsers_call_audio_is_taken(http: httpx.Client, nova: Artist, kind: str) -> None:
    body = {"artistId": str(nova.id), "files": [{"path": "a.wav", "size": 9, "type": kind}]}
    assert http.post("uploads", json=body).json()["files"][0]["state"] == "open"


def test_another_artist_s_uploads_are_not_there(hosted: Ports, nova: Artist) -> None:
    other = new_artist(hosted, "Other")
    with server(hosted) as base:
        with client(f"{base}/api/", **bearer(new_user(hosted, nova))) as mine:
            upload = _begin(mine, nova, {"a.wav": len(wav())})
            at = f"uploads/{upload['id']}"
        with client(f"{base}/api/", **bearer(new_user(hosted, other))) as theirs:
            body = {"artistId": str(nova.id), "files": [{"path": "a.wav", "size": 9}]}
            answers = [
                theirs.post("uploads", json=body),
                theirs.get("uploads", params={"artistId": str(nova.id)}),
                theirs.get(at),
                theirs.delete(at),
                theirs.put(f"{at}/files/1", params={"offset": 0}, content=b"x"),
                theirs.post(f"{at}/complete", json={}),
                theirs.get(f"uploads/{upload['id'][:-1]}x"),
                theirs.get(f"uploads/..%2f{nova.id}"),
            ]
            assert [answer.status_code for answer in answers] == [404] * len(answers)
            assert str(nova.id) not in "".join(answer.text for answer in answers[2:])
            assert theirs.get("uploads").json() == {"uploads": []}
        with client(f"{base}/api/") as nobody:
            assert nobody.get("uploads").status_code == nobody.get(at).status_code == 401
        with client(f"{base}/api/", **bearer(uuid4())) as linked_to_nobody:
            assert linked_to_nobody.get("uploads").json() == {"uploads": []}


def test_on_a_folder_bucket_the_same_routes_take_the_bytes(ports: Ports, nova: Artist) -> None:
    whole = wav(220, seconds=120)
    with server(ports) as base, client(f"{base}/api/") as http:
        upload = _begin(http, nova, {"Song Project/song.wav": len(whole)})
        assert upload["files"][0]["link"] is None
        at = f"uploads/{upload['id']}"
        for offset in range(0, len(whole), 4 * 2**20):
            part = whole[offset : offset + 4 * 2**20]
            assert http.put(f"{at}/files/1", params={"offset": offset}, content=part).status_code == 200
        assert http.put(f"{at}/files/1", params={"offset": 1}, content=b"x").status_code == 409
        assert http.get(at).json()["files"][0]["received"] == len(whole)
        assert http.post(f"{at}/complete", json={}).json()["state"] == "complete"
        assert _states(http, artistId=str(nova.id)) == [{"Song Project/song.wav": "arrived"}]
        gone = _begin(http, nova, {"b.wav": 9})
        assert http.delete(f"uploads/{gone['id']}").status_code == 204
        assert http.get(f"uploads/{gone['id']}").status_code == 404
    folder = f"inbox/nova/{upload['id']}"
    assert keys(ports.bucket, folder) == [f"{folder}/Song Project/song.wav", f"{folder}/_complete"]
