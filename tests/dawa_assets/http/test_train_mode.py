"""The dashboard's sequence over HTTP: generate, save, repeat, export; each row of its table of routes."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from psycopg.types.json import Jsonb

from dawa_assets.datasets.build import build_dataset
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.http.serving import TEXT, client, pair, server
from tests.dawa_assets.intake.material import als, content, drop, keys, new_artist, rows, wav
from tests.dawa_assets.prompting.material import give_set, profile, summary


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def http(ports: Ports) -> Iterator[httpx.Client]:
    with server(ports) as base, client(base) as made:
        yield made


def _give_profile(ports: Ports, artist: Artist) -> None:
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into artist_profiles (artist_id, master_schema) values (%s, %s)", [artist.id, Jsonb(profile())]
        )


def test_generate_save_and_export_give_what_the_assets_give(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    sets = {f"Song {n}/song {n}.als": als(120 + n) for n in (1, 2)}
    bounces = {f"Song {n}/song {n}.wav": wav(200 + n) for n in (1, 2)}
    _give_profile(ports, nova)
    drop(ports, "nova", sets)
    take_in_live_sets(ports, "nova")
    parses = {row["als_filename"]: row["parse_id"] for row in rows(ports, "select * from als_summaries")}

    saved = []
    for n in (1, 2):
        parse = parses[f"song {n}.als"]
        prompt = http.post("/api/train", json={"artistId": str(nova.id), "parseId": parse}).json()
        assert set(prompt) == {"prompt", "model", "version"}
        body = pair(nova, parse, wav(200 + n), alsFilename=f"song {n}.als", promptText=prompt["prompt"])
        saved.append(http.post("/api/train/save", json=body).json())
    assert [set(answer) for answer in saved] == [{"success", "trainingItemId"}] * 2
    exported = http.post("/api/train/export", json={"artistId": str(nova.id)}).json()
    assert (set(exported), exported["itemCount"]) == ({"datasetUrl", "itemCount"}, 2)
    theirs = httpx.get(exported["datasetUrl"]).raise_for_status().content

    twin = new_artist(ports, "Twin")
    _give_profile(ports, twin)
    drop(ports, "twin", sets | bounces)
    take_in_live_sets(ports, "twin")
    refresh_prompts(ports, "twin")
    update_training_items(ports, "twin")
    ours = content(ports.bucket, build_dataset(ports, "twin").storage_path or "")
    assert theirs == ours
    assert _rows(ports, nova, ours=False) == _rows(ports, twin, ours=True)
    assert _files(ports, nova, [UUID(answer["trainingItemId"]) for answer in saved]) == _files(ports, twin, None)


def _rows(ports: Ports, artist: Artist, *, ours: bool) -> list[dict[str, Any]]:
    """An artist's items as far as two artists' can be the same."""
    columns = "status, prompt_text, audio_hash, audio_format, audio_duration_seconds, prompt_file_hash, model_name"
    return rows(
        ports,
        f"select i.{columns.replace(', ', ', i.')}, i.system_prompt_version, i.als_filename, s.summary -> 'overview' "
        "as overview from training_items i join als_summaries s on s.id = i.als_summary_id "
        "where i.artist_id = %s and (i.item_key is not null) = %s order by als_filename",
        artist.id,
        ours,
    )


def _files(ports: Ports, artist: Artist, items: list[UUID] | None) -> list[tuple[str, bytes]]:
    folder = f"artists/{artist.slug}/training/"
    found = [key.removeprefix(folder).split("/") for key in keys(ports.bucket, folder)]
    chosen = [parts for parts in found if items is None or UUID(parts[0]) in items]
    return sorted((parts[1], content(ports.bucket, folder + "/".join(parts))) for parts in chosen)


def test_post_api_train_repeats_its_prompt_and_changes_no_item(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    give_set(ports.database, nova, summary(), "Song")
    [before] = rows(ports, "select * from training_items")
    asked = {"artistId": str(nova.id), "parseId": before["parse_id"]}
    first, second = (http.post("/api/train", json=asked) for _ in range(2))
    assert first.status_code == 200
    assert first.json() == second.json()
    assert (first.json()["model"], first.json()["version"]) == ("offline-v1", "train-v1")
    assert len(rows(ports, "select * from prompts")) == 1
    assert rows(ports, "select * from training_items") == [before]


def test_post_api_train_of_an_unknown_artist_or_parse_is_404(http: httpx.Client, nova: Artist) -> None:
    for artist, parse in ((str(uuid4()), "0123456789ab"), (str(nova.id), "0123456789ab")):
        answer = http.post("/api/train", json={"artistId": artist, "parseId": parse})
        assert (answer.status_code, set(answer.json())) == (404, {"error"})


NO_BODIES = [
    *(b"", b"{", b"[]", b"null", b'"\\ud800"', b"[" * 100_000),
    *(b'{"artistId": "x", "parseId": "y"}', b'{"parseId": "y"}', b'{"artistId": 7}'),
]
NO_PARSES = [
    b'{"artistId": "00000000-0000-0000-0000-000000000000", "parseId": "\\u0000"}',
    b'{"artistId": "00000000-0000-0000-0000-000000000000", "parseId": "\\ud800"}',
]


@pytest.mark.parametrize("route", ["/api/train", "/api/train/save", "/api/train/export"])
def test_a_body_that_is_none_is_400_in_one_line(http: httpx.Client, route: str) -> None:
    for body in NO_BODIES + ([] if route.endswith("export") else NO_PARSES):
        answer = http.post(route, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, (body[:80], answer.text)
        assert list(answer.json()) == ["error"]
        assert "\n" not in answer.json()["error"]


def test_post_api_train_save_makes_a_ready_item_of_its_own(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    give_set(ports.database, nova, summary(), "Song", audio=False)
    [made] = rows(ports, "select * from als_summaries")
    answer = http.post("/api/train/save", json=pair(nova, made["parse_id"])).json()
    assert answer == {"success": True, "trainingItemId": answer["trainingItemId"]}
    [item] = rows(ports, "select * from training_items where id = %s", answer["trainingItemId"])
    assert (item["status"], item["als_summary_id"], item["item_key"]) == ("ready", made["id"], None)
    assert (item["als_filename"], item["project_name"], item["prompt_text"]) == ("Song.als", "Song", TEXT)
    assert content(ports.bucket, item["audio_path"]) == wav()


def test_a_save_that_is_sent_again_is_the_same_item(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    ids = {http.post("/api/train/save", json=pair(nova)).json()["trainingItemId"] for _ in range(3)}
    assert len(ids) == len(rows(ports, "select * from training_items")) == 1


NO_PAIRS: list[tuple[dict[str, Any], int, str]] = [
    ({"audioBase64": ""}, 400, "audioBase64: is empty"),
    ({"audioBase64": "not base64!"}, 400, "audioBase64: is no base64"),
    ({"audioBase64": "UklGRg=="}, 422, "the audio: "),
    ({"audioBase64": None}, 400, "audioBase64: "),
    ({"promptText": " "}, 400, "promptText: the text is empty"),
    ({"promptText": "a\u0007b"}, 400, "promptText: the text holds the control character"),
    ({"alsFilename": "a\u0000b"}, 400, "alsFilename: "),
    ({"parseId": ""}, 400, "parseId: "),
]


def test_an_invalid_pair_is_refused_with_a_reason_and_not_stored(
    ports: Ports, http: httpx.Client, nova: Artist
) -> None:
    for more, status, said in NO_PAIRS:
        answer = http.post("/api/train/save", json=pair(nova, **more))
        assert answer.status_code == status, (more, answer.text)
        assert answer.json()["error"].startswith(said), answer.text
    assert keys(ports.bucket) == []
    assert rows(ports, "select * from training_items") == []


def test_large_audio_is_saved_with_little_memory(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    large = wav(seconds=600)  # some 10 MB, so that its base64 is read past the parser
    answer = http.post("/api/train/save", json=pair(nova, audio=large))
    assert answer.status_code == 200, answer.text
    [item] = rows(ports, "select * from training_items")
    assert (content(ports.bucket, item["audio_path"]), item["audio_duration_seconds"]) == (large, 600)


def test_post_api_train_export_with_nothing_ready_is_400(http: httpx.Client, nova: Artist) -> None:
    answer = http.post("/api/train/export", json={"artistId": str(nova.id)})
    assert answer.status_code == 400
    assert answer.json() == {"error": "no ready training items to export; save some first"}


def test_post_api_train_export_holds_only_the_new_items(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    for n in (1, 2):
        http.post("/api/train/save", json=pair(nova, audio=wav(200 + n)))
        exported = http.post("/api/train/export", json={"artistId": str(nova.id)}).json()
        assert exported["itemCount"] == 1
        answer = httpx.get(exported["datasetUrl"])
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            assert archive.namelist() == ["dataset/track-0001.wav", "dataset/track-0001.txt"]
            assert archive.read("dataset/track-0001.wav") == wav(200 + n)
    assert {row["status"] for row in rows(ports, "select status from training_items")} == {"exported"}


def test_a_better_text_is_exported_and_names_what_it_supersedes(http: httpx.Client, nova: Artist) -> None:
    first = http.post("/api/train/save", json=pair(nova)).json()
    http.post("/api/train/export", json={"artistId": str(nova.id)})
    better = http.post("/api/train/save", json=pair(nova, promptText="Far better words.\nBPM: 122")).json()
    assert better["supersedes"] == [first["trainingItemId"]]
    exported = http.post("/api/train/export", json={"artistId": str(nova.id)}).json()
    with zipfile.ZipFile(io.BytesIO(httpx.get(exported["datasetUrl"]).content)) as archive:
        assert archive.read("dataset/track-0001.txt") == b"Far better words.\nBPM: 122"
    [superseded] = exported["superseded"]
    assert superseded["trainingItemId"] == first["trainingItemId"]
    assert superseded["supersededBy"] == better["trainingItemId"]


def test_an_export_names_the_items_that_are_ready_and_superseded(http: httpx.Client, nova: Artist) -> None:
    first = http.post("/api/train/save", json=pair(nova)).json()
    better = http.post("/api/train/save", json=pair(nova, promptText="Far better words.\nBPM: 122")).json()
    for _ in range(2):  # the second one has nothing new to export, and one that is ready still
        exported = http.post("/api/train/export", json={"artistId": str(nova.id)}).json()
        assert exported["itemCount"] == 1
        [superseded] = exported["superseded"]
        assert superseded["trainingItemId"] == first["trainingItemId"]
        assert better["trainingItemId"] in superseded["reason"]


def test_a_word_that_is_said_again_is_the_last_export_again(http: httpx.Client, nova: Artist) -> None:
    fingerprints = []
    for text in (TEXT, "Far better words.\nBPM: 122", TEXT):
        http.post("/api/train/save", json=pair(nova, promptText=text))
        for _ in range(2):
            answer = http.post("/api/train/export", json={"artistId": str(nova.id)})
            assert answer.status_code == 200, answer.text
            current = http.get("/api/train/dataset", params={"artistId": str(nova.id)}).json()
            fingerprints.append(current["sha256"])
    assert fingerprints[0] == fingerprints[1] == fingerprints[4] == fingerprints[5] != fingerprints[2]
    assert fingerprints[2] == fingerprints[3]
