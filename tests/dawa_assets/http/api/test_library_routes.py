"""Artists and Live Sets over HTTP, as the page of Train Mode asks for them."""

from collections.abc import Iterator

import httpx
import pytest

from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.http.serving import client, server
from tests.dawa_assets.intake.material import als, drop, new_artist, rows, unguarded
from tests.dawa_assets.prompting.material import give_set, summary


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports, "Nova Kite")


@pytest.fixture
def http(ports: Ports) -> Iterator[httpx.Client]:
    with server(ports) as base, client(base) as made:
        yield made


def test_a_set_is_listed_with_its_picture_and_shown_by_its_parse(
    ports: Ports, http: httpx.Client, nova: Artist
) -> None:
    drop(ports, "nova-kite", {"Ünïcode <img onerror=alert(1)>/\u202egnos.als": als(124)})
    take_in_live_sets(ports, "nova-kite")
    [artist] = http.get("/api/artists").json()["artists"]
    assert (artist["id"], artist["slug"], artist["name"]) == (str(nova.id), "nova-kite", "Nova Kite")
    assert artist["badges"] == dict.fromkeys(artist["badges"], 0) | {"needs_audio": 1}
    library = http.get(f"/api/artists/{nova.id}/live-sets").json()
    [entry] = library["entries"]
    assert library["badges"] == artist["badges"]
    assert (entry["badge"], entry["reason"], entry["tempo"]) == ("needs_audio", "waits for its bounce", 124)
    assert (entry["name"], entry["projectName"]) == ("\u202egnos", "Ünïcode <img onerror=alert(1)>")
    assert entry["key"] == f"set:{entry['liveSetId']}"
    assert entry["timelineUrl"].startswith("/files/artists/nova-kite/")
    picture = http.get(entry["timelineUrl"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    shown = http.get(f"/api/artists/{nova.id}/live-sets/{entry['parseId']}").json()
    assert shown["entry"] == entry | {"timelineUrl": shown["entry"]["timelineUrl"]}
    assert shown["grid"]["beatsPerBar"] == 4
    assert [item["id"] for item in shown["items"]] == [entry["itemId"]]
    assert shown["context"]["tempo_bpm"] == 124


def test_what_is_not_there_is_404_and_a_hostile_path_is_no_link(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    give_set(ports.database, nova, summary(), "Song", audio=False)
    for path in ("../other", "/etc/passwd", "artists/other/a", "artists/nova-kite/../other"):
        unguarded(ports, "update als_summaries set export_path = %s, source_key = 'x'", path)
        [entry] = http.get(f"/api/artists/{nova.id}/live-sets").json()["entries"]
        assert entry["timelineUrl"] is None, path
    answers = [
        http.get(f"/api/artists/{nova.id}/live-sets/unknown"),
        http.get("/api/artists/00000000-0000-0000-0000-000000000000/live-sets"),
        http.get(f"/api/artists/{nova.id}/items/00000000-0000-0000-0000-000000000000"),
    ]
    assert [(answer.status_code, set(answer.json())) for answer in answers] == [(404, {"error"})] * 3
    assert http.get("/api/artists/nonsense/live-sets").status_code == 400


def test_five_hundred_sets_are_one_answer(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    rows(
        ports,
        "insert into als_summaries (artist_id, als_filename, project_name, parse_id, summary) "
        "select %s, 'Song ' || n || '.als', 'Song ' || n, 'parse' || n, "
        "jsonb_build_object('overview', jsonb_build_object('tempo', 100 + n %% 40)) from generate_series(1, 500) n "
        "returning id",
        nova.id,
    )
    library = http.get(f"/api/artists/{nova.id}/live-sets").json()
    assert len(library["entries"]) == library["badges"]["needs_audio"] == 500
    assert len({entry["key"] for entry in library["entries"]}) == 500
