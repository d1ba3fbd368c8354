"""Fifty clients at once for a minute, over all routes: nothing fails, nothing grows, one job for one id."""

import itertools
import logging
import random
import threading
import time
from collections import Counter
from dataclasses import replace
from statistics import median
from typing import Any

import httpx
import psutil
import pytest

from resources.ports import Ports
from tests.dawa_assets.http.serving import QuickCompute, pair, server
from tests.dawa_assets.intake.material import new_artist, rows, wav
from tests.dawa_assets.prompting.material import give_set, summary

log = logging.getLogger(__name__)

CLIENTS, SECONDS, ARTISTS, IDS = 50, 60, 5, 40


@pytest.mark.slow
def test_fifty_clients_for_a_minute(ports: Ports) -> None:
    artists = [new_artist(ports, f"Artist {n}") for n in range(ARTISTS)]
    parses: dict[str, list[str]] = {}
    for artist in artists:
        for n in range(4):
            give_set(ports.database, artist, summary(120 + n), f"Song {n}")
        found = rows(ports, "select parse_id from als_summaries where artist_id = %s", artist.id)
        parses[artist.slug] = [row["parse_id"] for row in found]
        ports.bucket.put(f"artists/{artist.slug}/audio.wav", wav(seconds=5))
    quick = QuickCompute(ports.settings.data_root)
    told: Counter[tuple[str, int]] = Counter()
    took: dict[str, list[float]] = {}
    memory: list[tuple[float, int]] = []
    numbers = itertools.count()
    with server(replace(ports, compute=quick)) as base:
        end = time.monotonic() + SECONDS

        def visit(seed: int) -> None:
            dice = random.Random(seed)  # noqa: S311 - to be the same each time
            with httpx.Client(base_url=base, timeout=280) as http:
                while time.monotonic() < end:
                    artist = dice.choice(artists)
                    who = {"artistId": str(artist.id)}
                    route = dice.choice(["train", "train", "save", "export", "files", "generate", "upload", "healthz"])
                    started = time.monotonic()
                    answer = _ask(http, route, artist, who, dice, parses, next(numbers))
                    took.setdefault(route, []).append(time.monotonic() - started)
                    told[route, answer.status_code] += 1

        clients = [threading.Thread(target=visit, args=(seed,)) for seed in range(CLIENTS)]
        for each in clients:
            each.start()
        process = psutil.Process()
        while any(each.is_alive() for each in clients):
            memory.append((time.monotonic(), process.memory_info().rss))
            time.sleep(0.5)
    for route, times in sorted(took.items()):
        times.sort()
        slow = times[int(len(times) * 0.99)]
        log.info("%s: %d asked, median %.3f s, 99 %% %.3f s", route, len(times), median(times), slow)
    log.info("%s", dict(sorted(told.items())))
    assert {status for _, status in told if status >= 500} == set()
    assert {status for _, status in told} <= {200, 202, 206, 400, 409}
    ran = Counter((request.job_id, getattr(request, "producer_id", None)) for request in quick.ran)
    assert max(ran.values()) == 1
    begun = memory[0][0]
    first = [size for at, size in memory if SECONDS / 6 < at - begun < SECONDS / 2]
    second = [size for at, size in memory if at - begun >= SECONDS / 2]
    log.info("RSS: %.0f MB, then %.0f MB", median(first) / 1e6, median(second) / 1e6)
    assert median(second) < median(first) * 1.15 + 20e6
    statuses = rows(ports, "select status, count(*) as n from training_items where item_key is null group by status")
    assert {row["status"] for row in statuses} <= {"ready", "exported"}


def _ask(
    http: httpx.Client, route: str, artist: Any, who: dict[str, str], dice: random.Random, parses: Any, number: int
) -> httpx.Response:
    parse = dice.choice(parses[artist.slug])
    if route == "train":
        return http.post("/api/train", json=who | {"parseId": parse})
    if route == "save":
        return http.post("/api/train/save", json=pair(artist, parse, wav(100 + number % 300)))
    if route == "export":
        return http.post("/api/train/export", json=who)
    if route == "files":
        wanted = {"Range": "bytes=1000-20000"} if dice.random() < 0.5 else {}
        return http.get(f"/files/artists/{artist.slug}/audio.wav", headers=wanted)
    if route == "generate":
        asked = {"prompt": "techno", "durationSeconds": 0.5, "jobId": f"job-{dice.randrange(IDS)}"}
        return http.post("/api/artist/generate", json=who | asked)
    if route == "upload":
        form = {"producerId": artist.slug, "jobId": f"up-{dice.randrange(IDS)}"}
        return http.post("/api/producer/upload-and-train", data=form, files={"file": ("a.wav", wav())})
    return http.get("/healthz")
