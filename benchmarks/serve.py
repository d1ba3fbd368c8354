"""What the server costs beside the framework that it stands on: fifty clients at once, who read and ask for prompts."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import _home
from benchmarks.goals import Goal

WHAT = "2,000 requests of 50 clients at once: artists, a library, a Live Set, and a prompt that is written already"
PEER = "a FastAPI route that returns the same bytes, under the same server program"
FLOOR = "a socket that returns the same bytes to whatever is asked"
FIGURE = "wall_seconds"
ROUNDS = 3
GOALS = (Goal("ours / peer", at_most=2), Goal("failed", at_most=0))

_CLIENTS = 50
_REQUESTS_EACH = 40

_PEER = """
import json, sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response

known = json.loads(Path(sys.argv[1]).read_text())
app = FastAPI()


@app.api_route("/{path:path}", methods=["GET", "POST"])
async def answer(path: str, request: Request) -> Response:
    await request.body()
    return Response(known["/" + path], media_type="application/json")


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
"""

_FLOOR = """
import asyncio, json, sys
from pathlib import Path

known = json.loads(Path(sys.argv[1]).read_text())


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await reader.readuntil(b"\\r\\n\\r\\n"):
        lines = head.decode().split("\\r\\n")
        length = [line.split(":")[1] for line in lines if line.lower().startswith("content-length")]
        await reader.readexactly(int(length[0]) if length else 0)
        body = known[lines[0].split(" ")[1]].encode()
        writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body)


async def main() -> None:
    async with await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[2])) as server:
        await server.serve_forever()


asyncio.run(main())
"""


def setup(folder: Path) -> None:
    """Take the example artist in, as far as the prompts, and start the three servers."""
    from dawa_assets.example.compose import compose_example
    from dawa_assets.intake.inbox import upload
    from dawa_assets.intake.live_sets import take_in_live_sets
    from dawa_assets.items.update import update_training_items
    from dawa_assets.prompting.refresh import refresh_prompts

    example = compose_example(folder / "example")
    ports = _home.ports(folder)
    slug = upload(ports, example.artist_name, [example.folder]).slug
    take_in_live_sets(ports, slug)
    refresh_prompts(ports, slug)
    update_training_items(ports, slug)
    with ports.database.transaction() as connection:
        row = connection.execute(
            "select a.id, s.parse_id from artists a join als_summaries s on s.artist_id = a.id order by 2 limit 1"
        ).fetchone()
    assert row is not None
    artist, parse = str(row["id"]), row["parse_id"]
    asked = {
        "/api/artists": None,
        f"/api/artists/{artist}/live-sets": None,
        f"/api/artists/{artist}/live-sets/{parse}": None,
        "/api/train": json.dumps({"artistId": artist, "parseId": parse}),
    }
    (folder / "asked.json").write_text(json.dumps(asked))
    pid, url = _home.start_server(folder)
    places = {"ours": {"pid": pid, "port": int(url.rpartition(":")[2])}}
    answers = asyncio.run(_load(places["ours"], asked, clients=1, each=len(asked)))
    assert answers.failed == 0, answers.failures
    (folder / "known.json").write_text(json.dumps(answers.bodies))
    for name, program in (("peer", _PEER), ("floor", _FLOOR)):
        (folder / f"{name}_server.py").write_text(program)
        port = _free_port()
        arguments = [sys.executable, str(folder / f"{name}_server.py"), str(folder / "known.json"), str(port)]
        nothing = subprocess.DEVNULL  # they live on, and would hold what this process prints to open
        server = subprocess.Popen(arguments, stdout=nothing, stderr=nothing, start_new_session=True)
        places[name] = {"pid": server.pid, "port": port}
    for place in places.values():
        asyncio.run(_until_it_answers(place["port"]))
    (folder / "places.json").write_text(json.dumps(places))


def teardown(folder: Path) -> None:
    """End the servers and the database."""
    for place in json.loads((folder / "places.json").read_bytes()).values():
        os.kill(place["pid"], signal.SIGTERM)
    _home.stop_database(folder)


def ours(folder: Path) -> None:
    """Ask our server."""
    _ask(folder, "ours")


def peer(folder: Path) -> None:
    """Ask the framework alone."""
    _ask(folder, "peer")


def floor(folder: Path) -> None:
    """Ask the socket."""
    _ask(folder, "floor")


def figures(folder: Path) -> dict[str, float]:
    """Return how long single answers take under that load, by share of requests, and what one client waits for each."""
    loaded = _figures_of(folder, "ours")
    asked = json.loads((folder / "asked.json").read_bytes())
    place = json.loads((folder / "places.json").read_bytes())["ours"]
    alone = {}
    for path, body in asked.items():
        one = asyncio.run(_load(place, {path: body}, clients=1, each=30))
        what = "prompt" if path == "/api/train" else re.sub(r"/[0-9a-f-]{12,}", "/…", path)
        alone[f"one client, ms: {what}"] = round(1000 * sorted(one.seconds)[15], 1)
    return {"failed": loaded["failed"], **{f"p{share} ms": loaded[f"p{share}"] for share in (50, 95, 99)}, **alone}


class _Answers:
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.bodies: dict[str, str] = {}
        self.failures: list[str] = []

    @property
    def failed(self) -> int:
        return len(self.failures)


def _ask(folder: Path, name: str) -> None:
    asked = json.loads((folder / "asked.json").read_bytes())
    place = json.loads((folder / "places.json").read_bytes())[name]
    answers = asyncio.run(_load(place, asked, _CLIENTS, _REQUESTS_EACH))
    assert answers.failed == 0, answers.failures[:3]
    assert len(answers.seconds) == _CLIENTS * _REQUESTS_EACH
    ranked = sorted(answers.seconds)
    found = {f"p{share}": round(1000 * ranked[len(ranked) * share // 100], 1) for share in (50, 95, 99)}
    (folder / f"{name}.json").write_text(json.dumps(found | {"failed": answers.failed}))


def _figures_of(folder: Path, name: str) -> dict[str, float]:
    return dict(json.loads((folder / f"{name}.json").read_bytes()))


async def _load(place: dict[str, int], asked: dict[str, str | None], clients: int, each: int) -> _Answers:
    answers = _Answers()
    await asyncio.gather(*(_client(place["port"], asked, number, each, answers) for number in range(clients)))
    return answers


async def _client(port: int, asked: dict[str, str | None], number: int, each: int, answers: _Answers) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    paths = list(asked)
    for turn in range(each):
        path = paths[(number + turn) % len(paths)]
        body = asked[path]
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        started = time.perf_counter()
        writer.write(f"{head}\r\n{body or ''}".encode())
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers: dict[str, Any] = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        content = await reader.readexactly(int(headers["content-length"]))
        answers.seconds.append(time.perf_counter() - started)
        answers.bodies[path] = content.decode()
        if " 200 " not in lines[0]:
            answers.failures.append(f"{path}: {lines[0]} {content[:200]!r}")
    writer.close()


async def _until_it_answers(port: int) -> None:
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise AssertionError(f"nothing answers at port {port}")


def _free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
