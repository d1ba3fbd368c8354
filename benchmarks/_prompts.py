"""What the benchmarks of hosted prompts share: a thousand sets, and a server on loopback that answers like OpenAI.

The server answers after 200 ms, however many ask; with faults, it also turns calls away, breaks, and answers badly.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks import _home

SETS = 1_000
LATENCY_SECONDS = 0.2
AT_ONCE = 16
ROUNDS = 3
FAULTS = {"busy": 0.05, "server_error": 0.02, "three_sentences": 0.01, "markdown": 0.01, "no_bpm": 0.01, "no_go": 0.01}
"""5 % of calls 429 with `Retry-After: 1`, 2 % 500, 4 % answers against the rules: half of them can be mended."""

_SLOWEST_GROWTH_MB = 40


def setup(folder: Path) -> None:
    """One artist a round, each with a thousand sets that nothing was ever written for; and the server."""
    from psycopg.types.json import Jsonb

    from dawa_assets.tables.artists import ensure_artist
    from resources.ports import open_database
    from tests.dawa_assets.prompting.material import summary

    with open_database(_settings(folder)).transaction() as connection:
        for number in range(ROUNDS):
            artist = ensure_artist(connection, f"Round {number}")
            connection.execute(
                "with made as (insert into als_summaries (artist_id, als_filename, parse_id, summary) "
                "select %(artist)s::uuid, name || '.als', left(md5(name || %(artist)s), 12), content "
                "from unnest(%(names)s::text[], %(contents)s::jsonb[]) as s (name, content) "
                "returning id, parse_id, als_filename) "
                "insert into training_items (artist_id, als_summary_id, parse_id, als_filename, item_key, status) "
                "select %(artist)s::uuid, id, parse_id, als_filename, als_filename, 'needs_audio' from made",
                {
                    "artist": str(artist.id),
                    "names": [f"Set {each}" for each in range(SETS)],
                    "contents": [Jsonb(summary(60 + each / 8, f"Set {each}")) for each in range(SETS)],
                },
            )
    _start_server(folder)


def teardown(folder: Path) -> None:
    """End the server and the database."""
    if (folder / "server.pid").exists():
        os.kill(int((folder / "server.pid").read_text()), signal.SIGTERM)
    _home.stop_database(folder)


def write_all(folder: Path, shares: dict[str, float]) -> None:
    """Bring the prompts of the next artist up to date, and see that it was done right."""
    from dataclasses import replace

    from dawa_assets.prompting.refresh import refresh_prompts
    from resources.ports import open_ports
    from tests.fakes.model_server.faults import RULE_BREAKING

    server = _server(folder)
    server.reset()
    server.set(latency_seconds=LATENCY_SECONDS, shares=shares)
    ports = open_ports(_settings(folder, url=server.openai_url))
    with ports.database.transaction() as connection:
        row = connection.execute(
            "select slug from artists a where not exists (select from prompts p where p.artist_id = a.id) "
            "order by slug limit 1"
        ).fetchone()
    assert row is not None, "every artist's prompts are written"
    watched = _Watched(ports.prompt_writer)
    report = refresh_prompts(replace(ports, prompt_writer=watched), row["slug"])
    assert (report.written, report.failed, report.deferred) == (SETS, [], []), report.headline
    assert watched.growth_mb() < _SLOWEST_GROWTH_MB, f"memory grew by {watched.growth_mb():.0f} MB"
    answered = server.paid()
    paid = Counter(call["question_hash"] for call in answered)
    bad = Counter(call["question_hash"] for call in answered if call["outcome"] in RULE_BREAKING)
    assert len(paid) == SETS
    assert all(paid[question] <= 1 + bad[question] for question in paid), "something answered was asked again"


def ask_by_the_client_alone(folder: Path, shares: dict[str, float]) -> None:
    """The same number of questions by OpenAI's client, which waits in the slot when it retries; nothing is stored."""
    from openai import AsyncOpenAI

    from tests.fakes.model_server.openai_api import KEY

    server = _server(folder)
    server.reset()
    server.set(latency_seconds=LATENCY_SECONDS, shares=shares)
    contexts = [json.dumps({"tempo_bpm": 60 + each / 8, "track": {"number": each}}) for each in range(SETS)]

    async def ask_all() -> None:
        slots = asyncio.Semaphore(AT_ONCE)
        async with AsyncOpenAI(api_key=KEY, base_url=server.openai_url, max_retries=8) as client:

            async def ask(context: str) -> str:
                async with slots:
                    given = await client.responses.create(
                        model="gpt-4o-mini", instructions="Write the caption.", input=context, store=False
                    )
                    return given.output_text

            texts = await asyncio.gather(*(ask(context) for context in contexts))
            assert len(texts) == SETS

    asyncio.run(ask_all())


def wait_ideally(_folder: Path) -> None:
    """What a thousand answers take at least: nothing but the waiting, all slots always busy."""
    time.sleep(SETS * LATENCY_SECONDS / AT_ONCE)


class _Watched:
    """A writer whose process is weighed at its hundredth answer and at the last."""

    def __init__(self, writer):  # type: ignore[no-untyped-def]
        self._writer = writer
        self._weights: list[float] = []

    def __getattr__(self, name):  # type: ignore[no-untyped-def]
        return getattr(self._writer, name)

    def write(self, requests, budget_usd=None):  # type: ignore[no-untyped-def]
        came = 0
        for answers in self._writer.write(requests, budget_usd):
            yield answers
            if came < 100 <= came + len(answers) or came + len(answers) == SETS:
                self._weights.append(_rss_mb())
            came += len(answers)

    def growth_mb(self) -> float:
        return self._weights[-1] - self._weights[0]


def _rss_mb() -> float:
    import psutil

    return float(psutil.Process().memory_info().rss) / 2**20


def _settings(folder: Path, url: str | None = None):  # type: ignore[no-untyped-def]
    from pydantic import SecretStr

    from resources.settings import Settings
    from tests.fakes.model_server.openai_api import KEY

    given = {"home": folder / "home", "calls_at_once": AT_ONCE}
    if url:
        given |= {"prompt_writer": "openai", "openai_base_url": url, "openai_api_key": SecretStr(KEY)}
    return Settings(_env_file=None, **given)


def _start_server(folder: Path) -> None:
    """A server that goes on after this process: it holds the other end of its own input."""
    pipe = folder / "input"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)
    with (folder / "server.url").open("w") as told:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.model_server"],
            stdin=held,
            stdout=told,
            stderr=subprocess.DEVNULL,
            pass_fds=(held,),
            start_new_session=True,
        )
    os.close(held)
    (folder / "server.pid").write_text(str(server.pid))
    until = time.monotonic() + 30
    while not (folder / "server.url").read_text().strip():
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.05)


def _server(folder: Path):  # type: ignore[no-untyped-def]
    from tests.fakes.model_server.control import ModelServer

    return ModelServer((folder / "server.url").read_text().strip())
