"""Permissions over HTTP: an artist's own, nobody else's; what is not permitted is not rendered."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import httpx
import pytest

from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.http.serving import QuickCompute, bearer, client, new_user, protected, server
from tests.dawa_assets.intake.material import new_artist, rows

GRANT = {"purposes": ["train", "generate"], "grantedBy": "Label", "validUntil": "2099-12-31"}


@pytest.fixture
def nova(ports: Ports) -> Artist:
    return new_artist(ports)


@pytest.fixture
def quick(ports: Ports) -> QuickCompute:
    return QuickCompute(ports.settings.data_root)


@pytest.fixture
def base(ports: Ports, quick: QuickCompute) -> Iterator[str]:
    required = ports.settings.model_copy(update={"permissions": "required"})
    with server(protected(replace(ports, compute=quick, settings=required), secret=True)) as made:
        yield made


def _place(artist: Artist, permission: object = None) -> str:
    place = f"/api/artists/{artist.id}/permissions"
    return place if permission is None else f"{place}/{permission}/revoke"


def test_a_permission_is_put_on_record_and_taken_back(base: str, ports: Ports, nova: Artist) -> None:
    with client(base, **bearer(user := new_user(ports, nova))) as http:
        made = http.post(_place(nova), json=GRANT).json()
        assert made["changed"] is True
        assert http.post(_place(nova), json=GRANT).json() == made | {"changed": False}
        answer = http.get(_place(nova)).json()
        assert answer["mode"] == "required"
        [listed] = answer["permissions"]
        assert (listed["state"], listed["grantedBy"], listed["validUntil"]) == ("permitted", "Label", "2099-12-31")
        assert http.post(_place(nova, made["id"]), json={"reason": "over"}).json()["changed"] is True
        assert http.get(_place(nova)).json()["permissions"][0]["state"] == "revoked"
    [row] = rows(ports, "select revoked_by from permission_revocations")
    assert row["revoked_by"] == str(user)


def test_an_item_is_told_what_covers_it(base: str, ports: Ports, nova: Artist) -> None:
    """Its own, its song's and the artist's; not another item's. Nor can another artist's item be asked about."""
    mine, other = (
        rows(
            ports,
            "insert into training_items (artist_id, item_key, als_filename, parse_id) values (%s, %s, 'x.als', %s) "
            "returning id",
            nova.id,
            f"Kite/{name}",
            name,
        )[0]["id"]
        for name in ("one", "two")
    )
    stranger = new_artist(ports, "Other")
    with client(base, **bearer(new_user(ports, nova, stranger))) as http:
        made = {
            by: http.post(_place(nova), json=GRANT | {"grantedBy": by, **what}).json()["id"]
            for by, what in {
                "item": {"itemId": str(mine)},
                "another": {"itemId": str(other), "purposes": ["publish"]},
                "song": {"song": "kite", "purposes": ["generate"]},
            }.items()
        }
        answer = http.get(_place(nova), params={"itemId": str(mine)}).json()
        assert {each["id"] for each in answer["permissions"]} == {made["item"], made["song"]}
        assert answer["permissions"][0]["itemId"] == str(mine)
        assert answer["notPermitted"] == []
        without = http.get(_place(nova), params={"itemId": str(other)}).json()["notPermitted"]
        assert without == [{"item": "Kite/two", "reason": "nobody permitted it"}]
        assert http.get(_place(stranger), params={"itemId": str(mine)}).status_code == 404
        assert http.get(_place(nova), params={"itemId": "mine"}).status_code == 400


def test_nothing_is_put_on_record_of_who_is_being_deleted(ports: Ports, base: str, nova: Artist) -> None:
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into artist_deletions (artist_id, slug, asked_by) values (%s, %s, 'me')", [nova.id, nova.slug]
        )
    with client(base, **bearer(new_user(ports, nova))) as http:
        answer = http.post(_place(nova), json=GRANT)
    assert answer.status_code == 404
    assert "is being deleted" in answer.json()["error"]
    assert rows(ports, "select from permissions") == []


def test_the_same_from_several_at_once_is_one(base: str, ports: Ports, nova: Artist) -> None:
    headers = bearer(new_user(ports, nova))
    with ThreadPoolExecutor(6) as pool, client(base, **headers) as http:
        answers = list(pool.map(lambda _: http.post(_place(nova), json=GRANT).json(), range(6)))
    assert len({answer["id"] for answer in answers}) == 1
    assert sum(answer["changed"] for answer in answers) == 1
    assert len(rows(ports, "select from permissions")) == 1


def test_nobody_sees_or_takes_back_another_artist_s(base: str, ports: Ports, nova: Artist) -> None:
    other = new_artist(ports, "Other")
    with client(base, **bearer(new_user(ports, other))) as http:
        permission = UUID(http.post(_place(other), json=GRANT).json()["id"])
    with client(base, **bearer(new_user(ports, nova))) as http:
        answers = [http.get(_place(other)), http.post(_place(other), json=GRANT)]
        answers += [http.post(_place(one, permission), json={}) for one in (nova, other)]
        assert [answer.status_code for answer in answers] == [404] * 4
    assert rows(ports, "select from permission_revocations") == []
    assert len(rows(ports, "select from permissions")) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"purposes": []},
        {"purposes": ["sell"]},
        {"grantedBy": " "},
        {"validUntil": "2001-01-01"},
        {"validUntil": "31.12.2026"},
        {"song": "x", "itemId": "11111111-1111-1111-1111-111111111111"},
        {"evidence": "two\nlines"},
    ],
)
def test_what_can_t_be_kept_is_refused(base: str, ports: Ports, nova: Artist, wrong: dict[str, object]) -> None:
    with client(base, **bearer(new_user(ports, nova))) as http:
        answer = http.post(_place(nova), json=GRANT | wrong)
    assert answer.status_code in (400, 422)
    assert "\n" not in answer.json()["error"]
    assert rows(ports, "select from permissions") == []


def test_nothing_is_rendered_that_nobody_permits(base: str, ports: Ports, nova: Artist, quick: QuickCompute) -> None:
    asked = {"artistId": str(nova.id), "loraId": f"{nova.slug}:nawfside_lora", "prompt": "techno"}
    rows(
        ports,
        "insert into training_runs (artist_id, fingerprint, backend, base, model_name, parameters, state, promoted) "
        "values (%s, 'f', 'ace_step', 'tiny', 'nawfside_lora', '{}', 'done', true) returning id",
        nova.id,
    )
    with client(base, **bearer(new_user(ports, nova))) as http:
        refused: httpx.Response = http.post("/api/artist/generate", json=asked)
        assert refused.status_code in (400, 422)
        assert "nobody permits now to generate" in refused.json()["error"]
        assert quick.ran == []
        http.post(_place(nova), json=GRANT)
        assert http.post("/api/artist/generate", json=asked | {"durationSeconds": 0.5}).status_code == 200
