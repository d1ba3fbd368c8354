"""What the nightly question costs: which of ten thousand artists' datasets would differ."""

from pathlib import Path

from benchmarks import _artists, _home

WHAT = "which of 10,000 artists' datasets would differ, 10 items each, in one query; 5 do"
PEER = "asking for each artist by himself"
FLOOR = "counting the items"
FIGURE = "wall_seconds"
ROUNDS = 3

_ARTISTS = 10_000
_CHANGED = 5


def setup(folder: Path) -> None:
    """The artists, of whom a few have another text since."""
    _artists.fill(folder, _ARTISTS, 10)
    with _artists.ports(folder).database.transaction() as connection:
        connection.execute(
            "update training_items set prompt_text = 'Another one.' where id in ("
            "select min(i.id::text)::uuid from training_items i join artists a on a.id = i.artist_id "
            "where a.number <= %s group by a.id)",
            [_CHANGED],
        )


def teardown(folder: Path) -> None:
    """End the database."""
    _home.stop_database(folder)


def ours(folder: Path) -> None:
    """One query for all."""
    from dawa_assets.tables.datasets import artists_whose_dataset_would_differ

    with _artists.ports(folder).database.transaction() as connection:
        assert len(artists_whose_dataset_would_differ(connection)) == _CHANGED


def peer(folder: Path) -> None:
    """What a build asks first, for one artist after the other."""
    from dawa_assets.tables.artists import list_artists
    from dawa_assets.tables.datasets import current_dataset, wanted

    differing = 0
    with _artists.ports(folder).database.transaction() as connection:
        for artist in list_artists(connection):
            current = current_dataset(connection, artist.id)
            differing += wanted(connection, artist, new_items_only=False).fingerprint != (
                current and current.fingerprint
            )
    assert differing == _CHANGED


def floor(folder: Path) -> None:
    """The least that looks at every item."""
    with _artists.ports(folder).database.transaction() as connection:
        row = connection.execute("select count(prompt_text) as n from training_items").fetchone()
    assert row is not None
    assert row["n"] == 10 * _ARTISTS
