"""What benchmarks of the whole product share: a home below their folder, its tracks, its database's end, its server."""

import hashlib
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resources.ports import Ports


_TRACK = """
insert into training_items (artist_id, item_key, als_filename, parse_id, status, prompt_text, audio_path, audio_hash,
  audio_format)
select id, %(name)s, %(name)s, left(%(sha)s, 12), 'ready', 'A slow evening groove.', %(path)s, %(sha)s, 'wav'
from artists where slug = %(slug)s
"""
_MEASUREMENT = """
insert into audio_measurements (artist_id, audio_hash, version, measured, fingerprint, compared_at)
select id, %(sha)s, %(version)s, %(measured)s, %(fingerprint)s, now() from artists where slug = %(slug)s
"""


def ports(folder: Path) -> "Ports":
    """Return the ports of the benchmark's home."""
    from resources.ports import open_ports
    from resources.settings import Settings

    return open_ports(Settings(home=folder / "home"))


def add_tracks(ports: "Ports", slug: str, count: int, size: int) -> None:
    """Put so many tracks of so many bytes into the bucket, and a ready item for each into the database.

    Their bytes are noise that nothing can decode, since steps that only carry them don't. So what a bounce's decoding
    measures on its way in is put there, too; else each build would try to measure them again.
    """
    import psycopg
    from psycopg.types.json import Jsonb

    from modal_app.audio.quality_record import VERSION, AudioQuality

    numbers = random.Random(1)  # noqa: S311
    quality = AudioQuality(size / 176_400, 44_100, 2, "pcm_s16le", -14.0, -1.0, 13.0, 0.0, -12.0, None)
    measured = {"version": VERSION, "measured": Jsonb(quality.to_json()), "fingerprint": b"", "slug": slug}
    with psycopg.connect(ports.database.url(), autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")  # no trigger: each row is as it would leave it
        for number in range(count):
            data = numbers.randbytes(size)
            path = f"artists/{slug}/training/{number:04d}/audio.wav"
            ports.bucket.put(path, data)
            row = {"name": f"Track {number}.als", "sha": hashlib.sha256(data).hexdigest(), "path": path, "slug": slug}
            connection.execute(_TRACK, row)
            connection.execute(_MEASUREMENT, measured | {"sha": row["sha"]})


def stop_database(folder: Path) -> None:
    """End the database of the benchmark's home."""
    from resources.database.embedded.embedded_database import EmbeddedDatabase

    EmbeddedDatabase(folder / "home" / "postgres").stop()


def start_server(folder: Path) -> tuple[int, str]:
    """Start `dawa serve` of the benchmark's home, to go on after this process; its process id, and its address."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAWA_", "SUPABASE_"))}
    log = folder / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-c", "from dawa_assets.cli.main import main; main()", "serve", "--port", "0"],
            env={**environment, "DAWA_HOME": str(folder / "home")},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    while not (found := re.search(r"http://\S+?:\d+", log.read_text())):
        assert server.poll() is None, log.read_text()
        time.sleep(0.05)
    return server.pid, found.group()
