"""Small Live Sets and bounces, and ways to lay them into an inbox and to look at what became of them."""

import gzip
import hashlib
import io
import wave
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dawa_assets.tables.artists import Artist, ensure_artist
from resources.bucket.base import Bucket
from resources.ports import Ports
from tests.dawa_assets.ableton.als_factory import SetSpec, xml_of


def als(tempo: float = 120) -> bytes:
    """A Live Set; another tempo makes other bytes."""
    return gzip.compress(xml_of(SetSpec(tempo=str(tempo))), mtime=0)


def wav(hertz: float = 220, seconds: float = 0.5) -> bytes:
    """A tone; another frequency makes other bytes."""
    tone = np.sin(2 * np.pi * hertz * np.arange(int(seconds * 8000)) / 8000)
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((tone * 20000).astype("<i2").tobytes())
    return target.getvalue()


def new_artist(ports: Ports, name: str = "Nova") -> Artist:
    with ports.database.transaction() as connection:
        return ensure_artist(connection, name)


def identity(artist: Artist, live_set: bytes) -> str:
    """The parse_id of a set, as the design defines it."""
    return hashlib.sha256(str(artist.id).encode() + live_set).hexdigest()[:12]


def drop(ports: Ports, slug: str, files: Mapping[str, bytes], upload_id: str | None = None) -> str:
    """Lay files into the inbox as a complete upload; gives its id."""
    upload_id = upload_id or f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-00000000"
    for name, content in files.items():
        ports.bucket.put(f"inbox/{slug}/{upload_id}/{name}", content)
    ports.bucket.put(f"inbox/{slug}/{upload_id}/_complete", b"")
    return upload_id


def keys(bucket: Bucket, prefix: str = "") -> list[str]:
    return [stored.key for stored in bucket.list(prefix)]


def content(bucket: Bucket, key: str) -> bytes:
    with bucket.open(key) as stream:
        return stream.read()


def rows(ports: Ports, query: str, *parameters: object) -> list[dict[str, Any]]:
    with ports.database.transaction() as connection:
        return connection.execute(query, parameters).fetchall()


def items(ports: Ports) -> dict[str, dict[str, Any]]:
    """Every item by its key."""
    return {row["item_key"]: row for row in rows(ports, "select * from training_items order by created_at, id")}


def ledger(ports: Ports) -> dict[str, tuple[str, str | None]]:
    """State and reason of every upload, by its name."""
    return {
        row["name"]: (row["state"], row["reason"]) for row in rows(ports, "select * from uploads order by created_at")
    }


def unguarded(ports: Ports, query: str, *parameters: object) -> None:
    """Change rows without the triggers that guard them: what must hold even then is looked at."""
    with ports.database.transaction() as connection:
        connection.execute("set local session_replication_role = replica")
        connection.execute(query, parameters)
