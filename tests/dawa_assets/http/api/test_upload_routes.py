"""Uploads in parts: cut and gone on with, refused with a reason, closed into the inbox, saved as a pair; bounces."""

import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.http.serving import TEXT, bearer, client, new_user, pair, protected, server, until
from tests.dawa_assets.intake.material import als, content, drop, keys, ledger, new_artist, rows, wav


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def http(ports: Ports, nova: Artist) -> Iterator[httpx.Client]:
    with server(ports) as base, client(f"{base}/api/artists/{nova.id}/") as made:
        yield made


def _begin(http: httpx.Client, files: dict[str, int], purpose: str = "inbox") -> dict[str, Any]:
    given = [{"path": path, "size": size} for path, size in files.items()]
    answer = http.post("uploads", json={"purpose": purpose, "files": given})
    assert answer.status_code == 201, answer.text
    return answer.json()  # type: ignore[no-any-return]


def _send(http: httpx.Client, upload: dict[str, Any], number: int, whole: bytes, part: int = 1 << 20) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for offset in range(0, len(whole), part):
        sent = http.put(
            f"uploads/{upload['id']}/files/{number}",
            params={"offset": offset},
            content=whole[offset : offset + part],
            headers={"Content-Type": "application/octet-stream"},
        )
        assert sent.status_code == 200, sent.text
        answer = sent.json()
    return answer


def test_a_folder_is_uploaded_to_the_inbox_and_paired_by_rule(ports: Ports, http: httpx.Client) -> None:
    given = {
        "Süß Project/süß.als": als(120),
        "Süß Project/süß.wav": wav(220),
        "Süß Project/Samples/kick.wav": wav(330),
        "Süß Project/Backup/süß.als": als(121),
        "notes.txt": b"x",
        "lost bounce.wav": wav(440),
    }
    upload = _begin(http, {path: len(whole) for path, whole in given.items()})
    states = {file["path"]: file["state"] for file in upload["files"]}
    assert states == dict.fromkeys(given, "refused") | dict.fromkeys(
        ("Süß Project/süß.als", "Süß Project/süß.wav", "lost bounce.wav"), "open"
    )
    assert all(file["reason"] for file in upload["files"] if file["state"] == "refused")
    assert http.post(f"uploads/{upload['id']}/complete", json={}).status_code == 409
    for file in upload["files"]:
        if file["state"] == "open":
            assert _send(http, upload, file["file"], given[file["path"]], 700)["state"] == "whole"
    closed = [http.post(f"uploads/{upload['id']}/complete", json={}).json()["state"] for _ in range(2)]
    assert closed == ["complete", "complete"]
    assert http.get("uploads").json() == {"uploads": []}
    folder = f"inbox/nova/{upload['id']}"
    assert keys(ports.bucket, folder) == sorted(
        [f"{folder}/_complete", *(f"{folder}/{name}" for name, state in states.items() if state == "open")]
    )
    assert len(http.get("bounces").json()["inbox"][0]["files"]) == 3
    assert http.post("intake", json={}).status_code == 202
    until(lambda: http.get("bounces").json()["waiting"] and len(ledger(ports)) == 3)
    until(lambda: rows(ports, "select audio_hash from training_items")[0]["audio_hash"])
    until(lambda: not http.get("bounces").json()["inbox"])
    [waiting] = http.get("bounces").json()["waiting"]
    assert waiting["name"] == "lost bounce.wav"
    item = rows(ports, "select id, status from training_items")[0]
    paired = http.post(f"bounces/{waiting['id']}/pair", json={"itemId": str(item["id"])}).json()["item"]
    assert content(ports.bucket, f"artists/nova/training/{item['id']}/audio.wav") == given["lost bounce.wav"]
    assert (paired["id"], paired["badge"]) == (str(item["id"]), "needs_prompt")
    assert http.post(f"bounces/{waiting['id']}/pair", json={"itemId": str(item["id"])}).status_code == 404
    assert update_training_items(ports, "nova").moved == 0  # the rules leave it where a person put it


def test_an_interrupted_upload_resumes_only_at_its_offset(http: httpx.Client) -> None:
    whole, sent = wav(220, seconds=120), 1_500_000
    upload = _begin(http, {"song.wav": len(whole)})
    path = f"uploads/{upload['id']}/files/1"

    def there() -> int:
        return int(http.get(f"uploads/{upload['id']}").json()["files"][0]["received"])

    with socket.create_connection((http.base_url.host, http.base_url.port or 80)) as line:
        line.sendall(
            f"PUT {http.base_url.path}{path}?offset=0 HTTP/1.1\r\nHost: {http.base_url.netloc.decode()}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {len(whole)}\r\n\r\n".encode()
        )
        line.sendall(whole[:sent])
        until(lambda: there() > 0)
    # Of what was on its way when the line was cut, the server may have less: the next part begins where it says.
    begin = there()
    assert 0 < begin <= sent
    for offset, piece in ((0, whole), (begin + 1, whole[begin + 1 :]), (begin - 1, whole[begin - 1 :])):
        assert http.put(path, params={"offset": offset}, content=piece).status_code == 409
    assert http.put(path, params={"offset": begin}, content=whole[begin:] + b"x").status_code == 400
    until(lambda: http.put(path, params={"offset": (at := there())}, content=whole[at:]).status_code == 200)
    assert there() == len(whole)
    assert http.post(f"uploads/{upload['id']}/complete", json={}).json()["state"] == "complete"


def test_an_upload_survives_a_restart_until_it_is_cancelled(ports: Ports, nova: Artist) -> None:
    whole = wav(220, seconds=2)
    with server(ports) as base, client(f"{base}/api/artists/{nova.id}/") as http:
        upload = _begin(http, {"song.wav": len(whole)}, "pair")
        http.put(f"uploads/{upload['id']}/files/1", params={"offset": 0}, content=whole[:1000])
    with server(ports) as base, client(f"{base}/api/artists/{nova.id}/") as http:
        [left] = http.get("uploads").json()["uploads"]
        assert (left["id"], left["files"][0]["received"]) == (upload["id"], 1000)
        assert http.delete(f"uploads/{upload['id']}").status_code == 204
        assert http.get("uploads").json() == {"uploads": []}
        assert http.delete(f"uploads/{upload['id']}").status_code == 404
    assert list((ports.settings.home / "incoming" / str(nova.id)).iterdir()) == []


def test_a_file_that_is_not_audio_is_refused_when_complete(http: httpx.Client) -> None:
    upload = _begin(http, {"a.wav": 8, "b.wav": 0, "c.als": 4})
    assert [(file["state"], file["reason"]) for file in upload["files"]] == [
        ("open", None),
        ("refused", "the file is empty"),
        ("open", None),
    ]
    sent = _send(http, upload, 1, b"RIFFWAVE")
    assert sent["state"] == "refused"
    assert "audio" in sent["reason"]
    assert http.put(f"uploads/{upload['id']}/files/1", params={"offset": 0}, content=b"x").status_code == 409


@pytest.mark.parametrize(
    "path", ["../a.wav", "a/../../b.wav", "a\u0000.wav", "a//b.wav", "x" * 1500 + ".wav", "._a.wav", "a.exe", "."]
)
def test_a_name_that_can_be_none_is_refused(http: httpx.Client, path: str) -> None:
    answer = http.post("uploads", json={"purpose": "inbox", "files": [{"path": path, "size": 1}]})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"].startswith("nothing to upload (")


def test_a_part_and_a_file_are_capped(http: httpx.Client) -> None:
    upload = _begin(http, {"a.wav": 2**30, "b.wav": 2**30 + 1})
    assert [file["state"] for file in upload["files"]] == ["open", "refused"]
    part = http.put(f"uploads/{upload['id']}/files/1", params={"offset": 0}, content=bytes(8 * 2**20 + 1))
    assert part.status_code == 413
    many = [{"path": f"{n}.wav", "size": 1} for n in range(501)]
    assert http.post("uploads", json={"purpose": "inbox", "files": many}).status_code == 400
    lot = [{"path": f"{n}.wav", "size": 2**30} for n in range(41)]
    assert http.post("uploads", json={"purpose": "inbox", "files": lot}).status_code == 400


def test_an_uploaded_pair_equals_the_same_pair_sent_in_base64(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    drop(ports, "nova", {"Song/Song.als": als(122)})
    take_in_live_sets(ports, "nova")
    [made] = rows(ports, "select parse_id from als_summaries")
    upload = _begin(http, {"bounce of it.wav": len(wav())}, "pair")
    body = {"parseId": made["parse_id"], "alsFilename": "Song.als", "projectName": "Song", "promptText": TEXT}
    body |= {"uploadId": upload["id"], "file": 1}
    assert http.post("pairs", json=body).status_code == 409  # it is not there yet
    _send(http, upload, 1, wav())
    assert http.post("pairs", json=body | {"promptText": "a\u0007b"}).status_code == 400
    answers = [http.post("pairs", json=body).json() for _ in range(2)]
    assert answers[0] == answers[1] == {"success": True, "trainingItemId": answers[0]["trainingItemId"]}
    base = str(http.base_url).partition("/api/")[0]
    old = httpx.post(f"{base}/api/train/save", json=pair(nova, made["parse_id"], wav())).json()
    assert old["trainingItemId"] == answers[0]["trainingItemId"]
    [item] = rows(ports, "select * from training_items where item_key is null")
    assert (item["status"], content(ports.bucket, item["audio_path"])) == ("ready", wav())
    assert [entry["badge"] for entry in http.get("live-sets").json()["entries"]] == ["ready"]
    again = _begin(http, {"the same bounce.wav": len(wav())}, "pair")
    _send(http, again, 1, wav())
    better = body | {"uploadId": again["id"], "promptText": "Far better words.\nBPM: 122"}
    assert http.post("pairs", json=better).json()["supersedes"] == [old["trainingItemId"]]


def test_what_is_uploaded_for_an_artist_is_another_user_s_404(ports: Ports, nova: Artist) -> None:
    other = new_artist(ports, "Other")
    with server(protected(ports, password=False, secret=True)) as base:
        with client(f"{base}/api/artists/{nova.id}/", **bearer(new_user(ports, nova))) as http:
            upload = _begin(http, {"a.wav": len(wav())}, "pair")
            _send(http, upload, 1, wav())
        with client(f"{base}/api/", **bearer(new_user(ports, other))) as http:
            for owner in (nova, other):
                at = f"artists/{owner.id}"
                body = {"parseId": "x", "promptText": TEXT, "uploadId": upload["id"]}
                answers = [
                    http.get(f"{at}/uploads/{upload['id']}"),
                    http.delete(f"{at}/uploads/{upload['id']}"),
                    http.put(f"{at}/uploads/{upload['id']}/files/1", params={"offset": 0}, content=b"x"),
                    http.post(f"{at}/uploads/{upload['id']}/complete", json={}),
                    http.post(f"{at}/pairs", json=body),
                    http.post(f"{at}/bounces/{nova.id}/pair", json={"itemId": str(nova.id)}),
                ]
                assert [answer.status_code for answer in answers] == [404] * 6
            theirs = [http.get(f"artists/{nova.id}/{path}").status_code for path in ("uploads", "bounces")]
            assert theirs == [404, 404]
