"""Slugs, as the database makes them for every row, whoever inserts it."""

import threading
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from resources.database.base import Database


def _slug(database: Database, name: str) -> tuple[UUID, str]:
    with database.transaction() as connection:
        row = connection.execute("insert into artists (name) values (%s) returning id, slug", [name]).fetchone()
    assert row is not None
    return row["id"], row["slug"]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Nawf Side", "nawf-side"),
        ("  Björk / Sigur Rós  ", "bjork-sigur-ros"),
        ("Straße & Søn", "strasse-and-son"),
        ("O’Neil's", "oneils"),
        ("Łódź Œuvre Þór", "lodz-oeuvre-thor"),
        ("½ ﬁ Ⅷ", "1-2-fi-viii"),
        ("x" * 200, "x" * 60),
        ("..", None),
        ("🎹🎶", None),
        ("日本", None),
    ],
)
def test_a_name_becomes_a_slug_of_its_latin_letters(database: Database, name: str, slug: str | None) -> None:
    artist, made = _slug(database, name)
    assert made == (slug or f"artist-{str(artist)[:8]}")


def test_names_that_slugify_alike_are_numbered(database: Database) -> None:
    assert [_slug(database, name)[1] for name in ("Foo Bar", "foo-bar", "FOO BÁR", "foo bar 2")] == [
        "foo-bar", "foo-bar-2", "foo-bar-3", "foo-bar-2-2",
    ]  # fmt: skip


def test_artists_inserted_at_once_get_slugs_of_their_own(database: Database) -> None:
    slugs: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: slugs.append(_slug(database, "same" + "!" * n)[1])) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(slugs) == ["same", *(f"same-{n}" for n in range(2, 9))]


def test_a_slug_stays_when_the_name_changes_and_can_t_be_changed(database: Database) -> None:
    artist, slug = _slug(database, "Before")
    with database.transaction() as connection:
        row = connection.execute("update artists set name = 'After' where id = %s returning slug", [artist]).fetchone()
    assert row == {"slug": slug}
    with pytest.raises(psycopg.Error, match="stays before"), database.transaction() as connection:
        connection.execute("update artists set slug = 'after' where id = %s", [artist])


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=80))
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_gets_a_slug_that_a_folder_can_be_called(database: Database, name: str) -> None:
    with database.transaction() as connection:
        row = connection.execute("insert into artists (name) values (%s) returning slug", [name]).fetchone()
        connection.rollback()
    assert row is not None
    assert set(row["slug"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not row["slug"].startswith("-")
    assert not row["slug"].endswith("-")
