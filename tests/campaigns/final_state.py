"""What a build has left, made comparable: tables, bucket and data root without what differs from run to run."""

import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

_VOLATILE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])"), "<uuid>"),
    (re.compile(r"\d{8}T\d{6,12}Z(-[0-9a-f]{8})?"), "<time>"),  # the suffix: an upload's id
    (re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?([+-]\d{2}(:?\d{2})?|Z)?"), "<time>"),
)
_TIMINGS = re.compile(r"(^|_)(seconds|second|ms|started|finished|at|elapsed|pid|host|holder)$")
_UNTOLD = {"leases"}  # who held what, and how often
_OF_THE_RUN = {"adapter_sha256", "files", "sizes"}  # of files that name their run; the files themselves are compared
_OF_THE_RUN |= {"peak_bytes"}  # as much as the process had used
_BEHIND_THE_SCENES = {".versions", "runs", "jobs"}  # of the data root: views before they are swapped in, and logs
_BEHIND_THE_SCENES |= {"pages"}  # of the bucket: pictures of the UI's pages, which are kept only where those link


def settled_state(home: Path, url: str) -> dict[str, Any]:
    """Rows of every table, and files of bucket and data root with their hashes, each as a sorted list."""
    return {
        "tables": _tables(url),
        "bucket": _files(home / "bucket"),
        "data": _files(home / "data"),
    }


def leftovers(home: Path) -> list[str]:
    """Files that look like somebody's unfinished work."""
    found = [path for top in ("bucket", "data") for path in (home / top).rglob("*")]
    return sorted(
        str(path.relative_to(home))
        for path in found
        if path.name.endswith((".part", ".tmp", "~")) or (path.name.startswith(".") and path.is_file())
    )


def differences(state: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """One line for each row or file that only one of two states has."""
    lines = []
    kinds = {f"table {name}": (state["tables"].get(name, []), rows) for name, rows in expected["tables"].items()}
    kinds |= {kind: (state[kind], expected[kind]) for kind in ("bucket", "data")}
    for kind, (ours, theirs) in kinds.items():
        lines += [f"{kind}: too much: {line}" for line in (Counter(ours) - Counter(theirs)).elements()]
        lines += [f"{kind}: missing: {line}" for line in (Counter(theirs) - Counter(ours)).elements()]
    return lines


def _tables(url: str) -> dict[str, list[str]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        names = [
            row["tablename"]
            for row in connection.execute("select tablename from pg_tables where schemaname = 'public' order by 1")
        ]
        return {
            name: sorted(
                json.dumps(_plain(row["row"]), sort_keys=True)
                for row in connection.execute(f'select to_jsonb(t) as row from public."{name}" t')  # type: ignore[call-overload]
            )
            for name in names
            if name not in _UNTOLD
        }


def _plain(value: Any) -> Any:
    """Without timings, and with ids and times replaced; row by row it must still say what it says."""
    if isinstance(value, dict):
        told = {key: inner for key, inner in value.items() if not _TIMINGS.search(key) and key not in _OF_THE_RUN}
        return {key: _plain(inner) for key, inner in told.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return _anonymous(value) if isinstance(value, str) else value


def _anonymous(text: str) -> str:
    for pattern, sign in _VOLATILE:
        text = pattern.sub(sign, text)
    return text


def _files(folder: Path) -> list[str]:
    """What a reader sees who follows links (a published view is one)."""
    found: list[Path] = []
    for top, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name not in _BEHIND_THE_SCENES]
        found += [Path(top) / name for name in names]
    return sorted(f"{_anonymous(str(path.relative_to(folder)))} {_content(path)}" for path in found)


def _content(path: Path) -> str:
    """A hash; of JSON, adapters and WAV only of what doesn't name the run or its time."""
    content = path.read_bytes()
    if path.suffix == ".json":
        try:
            content = json.dumps(_plain(json.loads(content)), sort_keys=True).encode()
        except ValueError:
            return "unreadable JSON"
    elif path.suffix == ".safetensors":
        length = int.from_bytes(content[:8], "little")
        header = _anonymous(content[8 : 8 + length].decode()).rstrip()
        content = header.encode() + content[8 + length :]
    elif path.suffix == ".wav":
        content = _samples(content)
    elif path.suffix == ".png":
        return "picture" if content.startswith(b"\x89PNG") and content.endswith(b"IEND\xaeB`\x82") else "half a picture"
    return hashlib.sha256(content).hexdigest()[:16]


def _samples(wave: bytes) -> bytes:
    """Return the format and the samples of a WAV: marks beside them name their run, and are signed anew each time."""
    kept, place = b"", 12
    while place + 8 <= len(wave):
        name, size = wave[place : place + 4], int.from_bytes(wave[place + 4 : place + 8], "little")
        if name in (b"fmt ", b"data"):
            kept += wave[place : place + 8 + size]
        place += 8 + size + size % 2
    return kept or wave
