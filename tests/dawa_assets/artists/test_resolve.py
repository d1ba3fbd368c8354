"""Which artist a person means: by slug, by id, by name, and what is said where two could be meant."""

import json
import logging
import sys
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dawa_assets.cli.main import main
from dawa_assets.errors import UnknownArtistError
from dawa_assets.items.exclusions import list_items
from dawa_assets.observability.status import artist_statuses
from dawa_assets.tables.artists import Artist, ensure_artist, find_artist, resolve_artist
from dawa_assets.training.promotion import list_loras
from resources.database.base import Database
from resources.ports import Ports
from tests.dawa_assets.http.serving import client, new_user, server
from tests.dawa_assets.intake.material import new_artist


@pytest.fixture
def kite(database: Database) -> Artist:
    """An artist whose slug is the name of the next one."""
    with database.transaction() as connection:
        return ensure_artist(connection, "Nova Kite")


@pytest.fixture
def shadowed(database: Database, kite: Artist) -> Artist:
    with database.transaction() as connection:
        connection.execute("insert into artists (name) values (%s)", [kite.slug])
        found = find_artist(connection, kite.slug, by=("name",))
    assert found is not None
    assert found.slug == "nova-kite-2"
    return found


def test_a_slug_goes_before_a_name_and_that_is_reported(
    database: Database, kite: Artist, shadowed: Artist, caplog: pytest.LogCaptureFixture
) -> None:
    with database.transaction() as connection, caplog.at_level(logging.WARNING):
        assert resolve_artist(connection, "nova-kite") == kite
        assert ensure_artist(connection, "nova-kite") == kite
    said = (
        "'nova-kite' is taken for the slug or id of nova-kite (Nova Kite); "
        "the artist of this name has the slug nova-kite-2"
    )
    assert caplog.messages == [said] * 2
    with database.transaction() as connection:
        assert resolve_artist(connection, "nova-kite-2") == shadowed
        assert resolve_artist(connection, "Nova Kite") == kite
        assert resolve_artist(connection, str(shadowed.id)) == shadowed
        assert resolve_artist(connection, str(shadowed.id).upper()) == shadowed
    assert len(caplog.messages) == 2


def test_an_id_goes_before_a_name(database: Database, kite: Artist) -> None:
    with database.transaction() as connection:
        connection.execute("insert into artists (name, slug) values (%s, 'called-by-an-id')", [str(kite.id)])
        assert resolve_artist(connection, str(kite.id)) == kite


def test_a_name_matches_in_any_case_unless_it_is_ambiguous(database: Database, kite: Artist) -> None:
    with database.transaction() as connection:
        assert resolve_artist(connection, "nova kite") == kite
        assert resolve_artist(connection, " NOVA KITE ") == kite
        connection.execute("insert into artists (name) values ('NOVA KITE')")
        assert resolve_artist(connection, "Nova Kite") == kite
        with pytest.raises(UnknownArtistError) as refused:
            resolve_artist(connection, "nova kite")
    said = "artist 'nova kite': several are called so: nova-kite (Nova Kite), nova-kite-2 (NOVA KITE); give the slug"
    assert str(refused.value) == said


def test_whoever_is_nobody_is_reported_on_one_line(database: Database) -> None:
    for reference in ("", "nobody", "a\nb", "a\x00b", "\ud800", str(uuid4()), "x" * 500):
        with database.transaction() as connection, pytest.raises(UnknownArtistError) as refused:
            resolve_artist(connection, reference)
        assert str(refused.value).isprintable()
        assert len(str(refused.value)) < 300


def test_every_command_means_the_same_artist(ports: Ports, kite: Artist, shadowed: Artist) -> None:
    for reference, meant in (("nova-kite", kite), ("nova-kite-2", shadowed), (str(shadowed.id), shadowed)):
        [status] = artist_statuses(ports, reference)
        assert status.slug == meant.slug
        with ports.database.transaction() as connection:
            connection.execute(
                "insert into training_items (artist_id, parse_id, item_key) values (%s, 'p', %s)",
                [meant.id, f"{meant.slug} {reference}"],
            )
        assert {each.item.partition(" ")[0] for each in list_items(ports.database, reference)} == {meant.slug}
        assert list_loras(ports, reference) == []


@pytest.mark.parametrize(
    "command",
    [
        ("status", "--artist"),
        ("verify", "--artist"),
        ("prune", "--keep", "1", "--dry-run", "--artist"),
        ("item", "list"),
    ],
)
def test_the_commands_say_who_could_be_meant_and_leave_with_2(
    ports: Ports, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new_artist(ports, "Echo")
    with ports.database.transaction() as connection:
        connection.execute("insert into artists (name) values ('ECHO ')")
        connection.execute("insert into artists (name) values ('Two Of Us'), ('two of us')")
    monkeypatch.setattr("resources.ports.open_ports", lambda _: ports)
    monkeypatch.setattr("resources.ports.open_database", lambda _: ports.database)
    monkeypatch.setattr(sys, "argv", ["dawa", *command, "TWO OF US"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "several are called so: two-of-us (Two Of Us), two-of-us-2 (two of us)" in capsys.readouterr().err


def test_over_http_an_id_is_never_resolved_as_a_name(ports: Ports, kite: Artist, shadowed: Artist) -> None:
    with ports.database.transaction() as connection:
        connection.execute("insert into artists (name) values (%s)", [str(kite.id)])
    new_user(ports, shadowed)
    with server(ports) as base, client(base) as http:
        body = {"artistId": str(kite.id), "parseId": "none"}
        answer = http.post("/api/train", content=json.dumps(body), headers={"Content-Type": "application/json"})
        assert answer.json()["error"] == "parse 'none': nova-kite has no such Live Set; upload it first"


_NAMES = st.sampled_from(
    ["nova", "Nova", "NOVA", "nova-2", "Nova 2", "nova 2", "n", "00000000-0000-4000-8000-000000000001"]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_NAMES, min_size=1, max_size=6, unique=True), _NAMES)
def test_an_answer_is_by_the_first_way_that_leads_anywhere(database: Database, names: list[str], asked: str) -> None:
    with database.transaction() as connection:
        connection.execute("delete from artists")
        for number, name in enumerate(names, start=1):
            connection.execute(
                "insert into artists (id, name) values (%s, %s)", [UUID(f"00000000-0000-4000-8000-{number:012}"), name]
            )
        made = connection.execute("select id::text, slug, name from artists").fetchall()
        ways = [
            [row["slug"] for row in made if row[way] == asked] for way in ("slug", "id", "name")
        ] + [[row["slug"] for row in made if row["name"].lower() == asked.lower()]]  # fmt: skip
        first = next((found for found in ways if found), [])
        if len(first) == 1:
            assert resolve_artist(connection, asked).slug == first[0]
            return
        with pytest.raises(UnknownArtistError) as refused:
            resolve_artist(connection, asked)
        assert all(slug in str(refused.value) for slug in first)
