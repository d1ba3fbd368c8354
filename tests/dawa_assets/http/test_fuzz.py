"""Whatever is sent to a route of the OpenAPI page, no answer is a failure of the server's.

Every route is asked a few times, and to know how takes longer than to ask; `make test-slow` asks for two minutes.
"""

import json
import logging
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import SearchStrategy

from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.http.serving import PASSWORD, QuickCompute, protected, server
from tests.dawa_assets.intake.material import new_artist, rows
from tests.dawa_assets.prompting.material import give_set, summary

log = logging.getLogger(__name__)

WITH_PASSWORD = {"x-train-password": PASSWORD}


def _known(page: dict[str, Any], given: dict[str, str]) -> None:
    """Let half of what is sent name things that are there."""
    for part in page.values() if isinstance(page, dict) else page:
        if isinstance(part, dict):
            for name, value in given.items():
                if name in part and isinstance(part[name], dict):
                    part[name] = {"anyOf": [{"const": value, "type": "string"}, part[name]]}
        if isinstance(part, dict | list):
            _known(part, given)


@contextmanager
def _served(ports: Ports) -> Iterator[tuple[str, dict[str, Any], QuickCompute]]:
    """A server with an artist and a set; its address, its page with their ids in it, and the jobs it got."""
    nova: Artist = new_artist(ports)
    give_set(ports.database, nova, summary(), "Song")
    [item] = rows(ports, "select parse_id from training_items")
    quick = QuickCompute(ports.settings.data_root)
    asked = {"artistId": str(nova.id), "parseId": item["parse_id"]}
    with server(protected(replace(ports, compute=quick))) as base:
        page = httpx.get(f"{base}/openapi.json", timeout=60).json()
        _known(page, asked | {"producerId": "nova"})
        yield base, page, quick
        assert httpx.post(f"{base}/api/train", json=asked, headers=WITH_PASSWORD, timeout=60).status_code == 200


def test_a_few_requests_to_every_route(ports: Ports) -> None:
    import schemathesis
    from schemathesis.generation import GenerationMode

    told: Counter[int] = Counter()
    with _served(ports) as (base, page, _), requests.Session() as session:
        # Events have no end; they are followed in a test of their own.
        for found in schemathesis.openapi.from_dict(page).exclude(path_regex="/events$").get_all_operations():
            for mode in GenerationMode:
                _send_some(found.ok().as_strategy(generation_mode=mode), base, session, told)
    assert {status for status in told if status >= 500} == set()
    assert sum(told.values()) > 50
    assert told[200]


def _send_some(cases: SearchStrategy[Any], base: str, session: requests.Session, told: Counter[int]) -> None:
    @settings(max_examples=2, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(cases)
    def send(case: Any) -> None:
        told[case.call(base_url=base, session=session, headers=WITH_PASSWORD).status_code] += 1

    with suppress(Unsatisfiable):  # nothing in it that could be wrong
        send()


@pytest.mark.slow
def test_for_two_minutes(ports: Ports, tmp_path: Path) -> None:
    with _served(ports) as (base, page, quick):
        schema = tmp_path / "openapi.json"
        schema.write_text(json.dumps(page))
        ran = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "run", schema, "--url", base),
                *("--header", f"x-train-password: {PASSWORD}", "--checks", "not_a_server_error", "--max-time", "120"),
                *(
                    "--exclude-path-regex",
                    "/events$",
                    "--suppress-health-check",
                    "all",
                    "--continue-on-failure",
                    "--no-color",
                    "--warnings",
                    "off",
                ),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    log.info("%s", ran.stdout[-1500:])
    assert int(re.findall(r"(\d+) generated", ran.stdout)[0]) > 500
    assert quick.ran
