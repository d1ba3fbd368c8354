"""What the question of the morning costs: how all artists stand, as a person reads it and as a program does."""

import contextlib
import io
import json
import time
from pathlib import Path

from benchmarks import _artists, _home

WHAT = (
    "`dawa status` and `dawa status --json`, 1,000 artists of 10 items each; 10 have a failed one, 100 one that waits"
)
PEER = (
    "psycopg alone: eight plain queries that count the tables' rows by artist, as JSON; no reasons, nothing of prompts"
)
FLOOR = "connecting, and counting the artists"
FIGURE = "wall_seconds"

_ARTISTS = 1_000
_ITEMS_EACH = 10
_SEGMENTS_EACH = 8
_FAILED, _WAITING = _ARTISTS // 100, _ARTISTS // 10
_MAX_SECONDS = 2.0

# Of the artists with every hundredth number one item failed, of those with every tenth one waits.
_ROWS = f"""
insert into dataset_items (dataset_id, position, training_item_id, audio_path, audio_hash, audio_format, prompt_text)
  select d.id, row_number() over (partition by d.id order by i.id), i.id, i.audio_path, i.audio_hash, 'mp3', 't'
  from datasets d join training_items i on i.artist_id = d.artist_id;
insert into audio_segments (audio_hash, recipe, index, segment_hash, start_seconds, samples, gain_db, silent)
  select audio_hash, 'mono44', n, md5(audio_hash || n) || md5(n || audio_hash), n * 15, 661500, 0, false
  from training_items, generate_series(0, {_SEGMENTS_EACH - 1}) n;
insert into segment_tags (segment_hash, model, tag_prompt_version, text, tags, figures)
  select segment_hash, 'm', 'v', 't', '{{}}', '{{}}' from audio_segments;
update training_items set status = 'failed', error = 'its audio is torn; upload it again' where id in (
  select min(i.id::text)::uuid from training_items i join artists a on a.id = i.artist_id
  where a.number % 100 = 0 group by a.id);
update training_items set status = 'needs_audio' where id in (
  select max(i.id::text)::uuid from training_items i join artists a on a.id = i.artist_id
  where a.number % 10 = 0 group by a.id);
"""

_COUNTS = (
    "select a.slug, i.status as what, count(*) as n from artists a join training_items i on i.artist_id = a.id "
    "where i.excluded_at is null group by 1, 2",
    *(
        f"select a.slug, '{table}' as what, count(*) as n from artists a join {table} t on t.artist_id = a.id "
        "group by 1"
        for table in ("als_summaries", "prompts", "datasets", "training_runs", "uploads")
    ),
    "select a.slug, 'segments' as what, count(*) as n from artists a join datasets d on d.artist_id = a.id "
    "join dataset_items i on i.dataset_id = d.id join audio_segments s on s.audio_hash = i.audio_hash group by 1",
    "select a.slug, 'profile' as what, 1 as n from artists a join artist_profiles p on p.artist_id = a.id",
)


def setup(folder: Path) -> None:
    """Make the artists."""
    import psycopg

    _artists.fill(folder, _ARTISTS, _ITEMS_EACH)
    with psycopg.connect(_artists.ports(folder).database.url(), autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(_ROWS.encode())
        connection.execute("vacuum analyze")


def teardown(folder: Path) -> None:
    """End the database."""
    _home.stop_database(folder)


def ours(folder: Path) -> None:
    """Run both commands, each within the two seconds that a person waits."""
    table, seconds = _dawa(folder, "status")
    assert table.count("its audio") == _FAILED
    assert "1,000 artists: 9,890 of 10,000 items ready, 0 prompts stale" in " ".join(table.split())
    assert f"{_FAILED} failed, {_WAITING} waiting" in " ".join(table.split())
    assert seconds < _MAX_SECONDS, f"status took {seconds:.2f} s"
    shown, seconds = _dawa(folder, "status", "--json")
    artists = json.loads(shown)
    assert len(artists) == _ARTISTS
    assert sum(each["by_status"].get("failed", 0) for each in artists) == _FAILED
    assert sum(len(each["notices"]) for each in artists) == _FAILED + _WAITING
    assert {each["segments"] for each in artists} == {_ITEMS_EACH * _SEGMENTS_EACH}
    assert seconds < _MAX_SECONDS, f"status --json took {seconds:.2f} s"


def peer(folder: Path) -> None:
    """Ask eight times for all artists, and print it as JSON."""
    import psycopg

    counts: dict[str, dict[str, int]] = {}
    with psycopg.connect(_url(folder)) as connection:
        for query in _COUNTS:
            for slug, what, number in connection.execute(query.encode()):
                counts.setdefault(slug, {})[what] = number
    shown = json.loads(json.dumps(counts, indent=2))
    assert len(shown) == _ARTISTS
    assert sum(each.get("failed", 0) for each in shown.values()) == _FAILED
    assert {each["segments"] for each in shown.values()} == {_ITEMS_EACH * _SEGMENTS_EACH}


def floor(folder: Path) -> None:
    """Count them."""
    import psycopg

    with psycopg.connect(_url(folder)) as connection:
        assert connection.execute("select count(*) from artists").fetchone() == (_ARTISTS,)


def _url(folder: Path) -> str:
    """Return the database's address, at the price of nothing else."""
    from resources.database.embedded.embedded_database import EmbeddedDatabase

    return EmbeddedDatabase(folder / "home" / "postgres").url()


def _dawa(folder: Path, *words: str) -> tuple[str, float]:
    """Run a command in this process; what it prints, and the seconds that it takes with its imports."""
    import os

    started = time.perf_counter()
    os.environ |= {"DAWA_HOME": str(folder / "home"), "COLUMNS": "120"}
    from dawa_assets.cli.main import app

    with contextlib.redirect_stdout(io.StringIO()) as out:
        app(list(words), standalone_mode=False)
    return out.getvalue(), time.perf_counter() - started
