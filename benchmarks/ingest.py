"""What taking uploads in costs: a thousand Live Sets and bounces, from the inbox to items with audio in place."""

import json
import os
import shutil
import time
from pathlib import Path
from uuid import uuid4

from benchmarks import _home
from benchmarks.goals import Goal

WHAT = "1,000 Live Sets and 1,000 bounces, from a closed upload in the inbox to items with audio in place"
PEER = (
    "the usual script: each set parsed to a tree by ElementTree, each bounce read whole by soundfile, hashed, copied; "
    "a row each in a transaction of its own; no picture, no pairing, nothing verified"
)
FLOOR = "copying the same files"
ROUNDS = 3
GOALS = (
    Goal("queries an item", at_most=4),
    Goal("items a CPU second", at_least=30),
    Goal("peak MB of 1,000 items / of 250", at_most=1.1),
)

_ITEMS = 1_000
_FEW = 250
_RATE = 44_100
_SOURCE = "upload"


def setup(folder: Path) -> None:
    """Write the files, and start the database."""
    from dataclasses import replace

    import numpy as np
    import soundfile

    from dawa_assets.example.live_set import live_set
    from dawa_assets.example.tracks import songs

    numbers, pieces = np.random.default_rng(1), songs()
    for number in range(_ITEMS):
        project = folder / _SOURCE / f"Piece {number:04d} Project"
        project.mkdir(parents=True)
        song = pieces[number % len(pieces)]
        first, *others = song.parts
        named = replace(first, name=f"{first.name} {number}")  # no two sets of the same bytes
        song = replace(song, title=f"Piece {number:04d}", parts=(named, *others))
        (project / f"{song.title}.als").write_bytes(live_set(song))
        soundfile.write(project / f"{song.title}.wav", 0.1 * numbers.standard_normal(_RATE), _RATE, subtype="PCM_16")
    _home.ports(folder).database.url()


def teardown(folder: Path) -> None:
    """End the database."""
    _home.stop_database(folder)


def ours(folder: Path) -> None:
    """Both steps, of an artist who is new."""
    _take_in(folder, _ITEMS)


def few(folder: Path) -> None:
    """The same of a quarter of the files."""
    _take_in(folder, _FEW)


def peer(folder: Path) -> None:
    """One file after the other, a row each."""
    import gzip
    import hashlib
    from xml.etree import ElementTree

    import psycopg
    import soundfile

    target = folder / "peer"
    with psycopg.connect(_home.ports(folder).database.url(), autocommit=True) as connection:
        connection.execute("create table if not exists peer (name text, sha256 text, figure double precision)")
        for path in sorted((folder / _SOURCE).rglob("*.*")):
            if path.suffix == ".als":
                with gzip.open(path) as file:
                    tempo = ElementTree.parse(file).find(".//Tempo")  # noqa: S314
                figure = float(len(tempo)) if tempo is not None else 0.0
            else:
                figure = len(soundfile.read(path)[0]) / _RATE
            copy = target / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            row = [path.name, hashlib.sha256(path.read_bytes()).hexdigest(), figure]
            connection.execute("insert into peer values (%s, %s, %s)", row)
    shutil.rmtree(target)


def floor(folder: Path) -> None:
    """Copy them."""
    shutil.copytree(folder / _SOURCE, folder / "copy")
    shutil.rmtree(folder / "copy")


def figures(folder: Path) -> dict[str, float]:
    """Return queries, transactions and speed of the last call, and its memory over that of a quarter of the files."""
    from benchmarks.harness import measure

    last = json.loads((folder / "last.json").read_bytes())
    whole, part = measure("ingest", "ours", folder), measure("ingest", "few", folder)
    return {
        "queries an item": round(last["queries"] / _ITEMS, 2),
        "transactions an item": round(last["transactions"] / _ITEMS, 2),
        "items a CPU second": round(_ITEMS / last["cpu_seconds"], 1),
        "peak MB of 1,000 items / of 250": round(whole.peak_rss_mb / part.peak_rss_mb, 3),
    }


def _take_in(folder: Path, count: int) -> None:
    import psycopg

    from dawa_assets.intake.live_sets import take_in_live_sets
    from dawa_assets.items.update import update_training_items
    from dawa_assets.tables.artists import ensure_artist

    ports = _home.ports(folder)
    with ports.database.transaction() as connection:
        artist = ensure_artist(connection, f"Artist {uuid4()}")
    inbox = folder / "home" / "bucket" / "inbox" / artist.slug / "20260101T000000000000Z-00000000"
    for project in sorted((folder / _SOURCE).iterdir())[:count]:
        shutil.copytree(project, inbox / project.name, copy_function=os.link)  # no bytes are copied for it
    (inbox / "_complete").write_bytes(b"")
    counts = {"queries": 0, "transactions": 0}

    def count_calls(of: type, name: str, what: str) -> None:
        real = getattr(of, name)

        def counted(*args, **more):  # type: ignore[no-untyped-def]
            counts[what] += 1
            return real(*args, **more)

        setattr(of, name, counted)

    for name in ("execute", "executemany"):
        count_calls(psycopg.Cursor, name, "queries")
    count_calls(psycopg.Connection, "commit", "transactions")
    started = time.process_time()
    assert len(take_in_live_sets(ports, artist.slug).taken) == count
    assert len(update_training_items(ports, artist.slug).paired) == count
    last = {**counts, "cpu_seconds": time.process_time() - started}
    if count == _ITEMS:
        (folder / "last.json").write_text(json.dumps(last))
