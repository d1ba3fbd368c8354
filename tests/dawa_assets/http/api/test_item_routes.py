"""Items over HTTP: audio by ranges, waveforms, texts and who wrote them, checks, exclusions."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile

from dawa_assets.artists.profile import set_profile
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.http.serving import TEXT, bearer, client, new_user, protected, server
from tests.dawa_assets.intake.material import als, drop, new_artist, rows, unguarded, wav
from tests.dawa_assets.prompting.material import profile
from tests.modal_app.audio.conftest import encode_with_ffmpeg, synthesise

BPM = "BPM: 122"


@pytest.fixture
def nova(ports: Ports) -> Artist:
    made = new_artist(ports)
    set_profile(ports, made, profile())
    drop(ports, "nova", {"Song/Song.als": als(122), "Song/Song.wav": wav(440, seconds=3)})
    take_in_live_sets(ports, "nova")
    update_training_items(ports, "nova")
    return made


@pytest.fixture
def http(ports: Ports, nova: Artist) -> Iterator[httpx.Client]:
    with server(ports) as base, client(f"{base}/api/artists/{nova.id}/") as made:
        yield made


def _item(http: httpx.Client) -> dict[str, Any]:
    [item] = http.get("items").json()["items"]
    return item  # type: ignore[no-any-return]


def _at(http: httpx.Client, link: str) -> httpx.URL:
    """A link of an answer, as a browser follows it."""
    return http.base_url.join(link)


def test_an_items_audio_is_served_whole_and_in_ranges(http: httpx.Client) -> None:
    item = _item(http)
    assert (item["badge"], item["audio"]["format"], item["audio"]["seconds"]) == ("needs_prompt", "wav", 3.0)
    whole = wav(440, seconds=3)
    for url in (f"items/{item['id']}/audio", _at(http, item["audio"]["url"])):
        assert http.get(url).content == whole
        part = http.get(url, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content, part.headers["content-range"]) == (
            206,
            whole[10:20],
            f"bytes 10-19/{len(whole)}",
        )
        assert http.get(url, headers={"Range": "bytes=99999999-"}).status_code == 416


def test_a_waveform_is_measured_once_and_given_by_windows(ports: Ports, http: httpx.Client) -> None:
    item = _item(http)
    whole = http.get(_at(http, item["audio"]["waveformUrl"])).json()
    assert (whole["seconds"], whole["from"], whole["to"], whole["points"]) == (3.0, 0, 3.0, 2000)
    assert len(whole["low"]) == len(whole["high"]) == len(whole["rms"]) == 2000
    assert max(whole["high"]) == 78  # 20,000 of 32,768
    assert whole["loudness"]["integratedLufs"] < 0
    assert whole["sha256"] == item["audio"]["sha256"]
    kept = list((ports.settings.home / "cache" / "waveforms").rglob("*.npz"))
    assert len(kept) == 1
    ports.bucket.delete([row["audio_path"] for row in rows(ports, "select audio_path from training_items")])
    part = http.get(_at(http, item["audio"]["waveformUrl"]), params={"from": 1, "to": 1.5, "points": 10}).json()
    assert (part["from"], part["to"], len(part["high"])) == (1, 1.5, 10)
    beyond = http.get(_at(http, item["audio"]["waveformUrl"]), params={"from": 100, "to": 50, "points": 1}).json()
    assert (beyond["from"], beyond["to"], beyond["points"]) == (3.0, 3.0, 1)
    assert http.get(_at(http, item["audio"]["waveformUrl"]), params={"points": 0}).status_code == 400
    kept[0].write_bytes(b"damaged")
    assert (
        http.get(_at(http, item["audio"]["waveformUrl"])).status_code == 404
    )  # and nothing is left to measure it from


def test_audio_that_browsers_seek_badly_is_played_from_a_copy(ports: Ports, http: httpx.Client, tmp_path: Path) -> None:
    assert _item(http)["audio"]["listenUrl"] is None  # a WAV is as good
    mp3 = encode_with_ffmpeg(tmp_path / "a.mp3", synthesise(30_000, 2), 44_100, "libmp3lame").read_bytes()
    ports.bucket.put("artists/nova/a.mp3", mp3)
    change = "update training_items set audio_path = 'artists/nova/a.mp3', audio_hash = %s"
    unguarded(ports, change, hashlib.sha256(mp3).hexdigest())
    item = _item(http)
    url = _at(http, item["audio"]["listenUrl"])
    whole = http.get(url)
    assert (whole.status_code, whole.headers["content-type"], whole.content[:4]) == (200, "audio/flac", b"fLaC")
    assert "a.flac" in whole.headers["content-disposition"]
    part = http.get(url, headers={"Range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, whole.content[4:10])
    assert http.get(_at(http, item["audio"]["url"])).content == mp3
    measured = http.get(_at(http, item["audio"]["waveformUrl"])).json()
    assert soundfile.info(io.BytesIO(whole.content)).duration == measured["seconds"]
    assert http.get(f"{url}".replace("signature=", "signature=0")).status_code == 401
    other = http.base_url.join("/files/artists/nova/timelines/x.png?decoded=true")
    assert http.get(other).status_code == 404  # no item's audio: nothing else is decoded
    unguarded(ports, "update training_items set audio_hash = null")
    assert _item(http)["audio"]["listenUrl"] is None
    assert http.get(url).status_code == 404


def test_audio_that_is_none_says_so(ports: Ports, http: httpx.Client) -> None:
    item = _item(http)
    ports.bucket.put("artists/nova/no.wav", b"no audio")
    unguarded(ports, "update training_items set audio_path = 'artists/nova/no.wav', audio_hash = null")
    answer = http.get(_at(http, item["audio"]["waveformUrl"]))
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("the audio: ")
    unguarded(ports, "update training_items set audio_path = 'artists/other/x.wav'")
    assert http.get(_at(http, item["audio"]["waveformUrl"])).status_code == 404
    assert http.get(f"items/{item['id']}/audio").status_code == 404
    assert _item(http)["audio"] is None


def test_an_edit_counts_as_human_and_history_names_its_author(ports: Ports, http: httpx.Client) -> None:
    refresh_prompts(ports, "nova")
    item = _item(http)
    url = f"items/{item['id']}"
    assert (item["badge"], item["textBy"], item["model"]) == ("ready", "model", "offline-v1")
    edited = http.put(f"{url}/text", json={"text": TEXT, "author": "Mia", "seenText": item["text"]}).json()
    assert (edited["changed"], edited["before"], edited["after"]) == (True, item["text"], TEXT)
    assert (edited["item"]["textBy"], edited["item"]["text"], edited["item"]["badge"]) == ("person", TEXT, "ready")
    again = http.put(f"{url}/text", json={"text": TEXT, "author": "Mia", "seenText": item["text"]}).json()
    assert again["changed"] is False
    texts = http.get(url).json()["texts"]
    assert [(text["origin"], text["author"], text["inUse"]) for text in texts] == [
        ("model", None, False),
        ("person", "Mia", True),
    ]
    late = http.put(f"{url}/text", json={"text": f"Another text here.\n{BPM}", "seenText": item["text"]})
    assert late.status_code == 409
    assert _item(http)["text"] == TEXT
    restored = http.put(f"{url}/text", json={"text": texts[0]["text"], "author": "Mia", "seenText": TEXT}).json()
    assert restored["after"] == item["text"]


def test_the_model_writes_another_take_of_this_item_alone(ports: Ports, http: httpx.Client) -> None:
    refresh_prompts(ports, "nova")
    drop(ports, "nova", {"Other/Other.als": als(100)})
    take_in_live_sets(ports, "nova")
    first = next(item for item in http.get("items").json()["items"] if item["text"])
    done = http.post(f"items/{first['id']}/regenerate", json={}).json()
    assert (done["what"], done["before"], done["reason"]) == ("another take", first["text"], None)
    assert done["after"] != first["text"]
    assert (done["item"]["text"], done["item"]["isRegenerating"]) == (done["after"], False)
    assert len(http.get(f"items/{first['id']}").json()["texts"]) == 2
    assert sum(item["text"] is not None for item in http.get("items").json()["items"]) == 1
    assert refresh_prompts(ports, "nova").unchanged == 1
    http.put(f"items/{first['id']}/text", json={"text": TEXT, "author": "Mia"})
    back = http.post(f"items/{first['id']}/regenerate", json={}).json()
    assert (back["what"], back["before"], back["after"]) == ("given back", TEXT, done["after"])


def test_texts_are_checked_by_rule_and_invalid_ones_refused(http: httpx.Client) -> None:
    item = _item(http)
    for of in ({"parseId": item["parseId"]}, {"itemId": item["id"]}):
        good = http.post("check-text", json={"text": TEXT, **of}).json()
        assert ([rule["kept"] for rule in good["rules"]], good["refusal"], good["bpmLine"]) == ([True] * 10, None, BPM)
        bad = http.post("check-text", json={"text": "Warm house.\nBPM: 121", **of}).json()
        broken = {rule["name"]: rule["reason"] for rule in bad["rules"] if not rule["kept"]}
        assert broken == {
            "length": "has 2 words; describe the track",
            "ends-with-bpm": "does not end with 'BPM: 122'",
        }
    assert http.post("check-text", json={"text": "Warm and slow and deep house."}).json()["bpmLine"] is None
    for text, reason in (("", "is empty"), ("a\u0007b", "holds the control character U+0007")):
        assert http.post("check-text", json={"text": text}).json()["refusal"] == reason
        assert http.put(f"items/{item['id']}/text", json={"text": text}).status_code == 400
    assert http.post("check-text", json={"text": "x", "parseId": "unknown"}).status_code == 404


def test_an_item_is_left_out_with_a_reason_and_taken_in_again(http: httpx.Client) -> None:
    item = _item(http)
    out = http.post(f"items/{item['id']}/exclude", json={"reason": "a demo", "author": "Mia"}).json()
    assert (out["changed"], out["item"]["badge"], out["trainedOn"]) == (True, "excluded", [])
    assert {name: out["item"]["excluded"][name] for name in ("reason", "author")} == {
        "reason": "a demo",
        "author": "Mia",
    }
    assert http.post(f"items/{item['id']}/exclude", json={}).json()["changed"] is False
    back = http.post(f"items/{item['id']}/include", json={}).json()
    assert (back["changed"], back["item"]["badge"], back["item"]["excluded"]) == (True, "needs_prompt", None)
    assert http.post(f"items/{item['id']}/exclude", json={"reason": "two\nlines"}).status_code == 400


def test_a_users_edit_is_theirs_and_another_users_item_is_404(ports: Ports, nova: Artist) -> None:
    other = new_artist(ports, "Other")
    user = new_user(ports, nova)
    stranger = new_user(ports, other)
    [item] = rows(ports, "select id, audio_path from training_items")
    asked = [
        *(("GET", path) for path in ("live-sets", "items", f"items/{item['id']}", f"items/{item['id']}/audio")),
        ("GET", f"items/{item['id']}/waveform"),
        *(("POST", f"items/{item['id']}/{verb}") for verb in ("regenerate", "exclude", "include")),
        ("PUT", f"items/{item['id']}/text"),
        ("POST", "check-text"),
    ]
    with server(protected(ports, password=False, secret=True)) as base:
        with client(f"{base}/api/artists/{nova.id}/", **bearer(user)) as http:
            http.put(f"items/{item['id']}/text", json={"text": TEXT, "author": "Somebody else"})
            [text] = http.get(f"items/{item['id']}").json()["texts"]
            assert text["author"] == str(user)
        before = rows(ports, "select * from training_items")
        with client(f"{base}/api/", **bearer(stranger)) as http:
            for owner in (nova, other):  # by the artist's own path, and by one of theirs
                for verb, path in asked:
                    answer = http.request(
                        verb, f"artists/{owner.id}/{path}", json={"text": TEXT} if verb != "GET" else None
                    )
                    is_theirs = owner is other and path in ("live-sets", "items", "check-text")
                    assert answer.status_code == (200 if is_theirs else 404), (verb, path, answer.text)
            assert [artist["slug"] for artist in http.get("artists").json()["artists"]] == ["other"]
            decoded = http.base_url.join(f"/files/{item['audio_path']}?decoded=true")
            assert http.get(decoded).status_code == 404
        assert rows(ports, "select * from training_items") == before
