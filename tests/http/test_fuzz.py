"""Whatever is sent to a route of the OpenAPI page, no answer is a failure of the server's."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from dawa_assets.artists.store import Artist
from resources.ports import Ports
from tests.http.serving import PASSWORD, QuickCompute, protected, server
from tests.intake.material import new_artist, rows
from tests.prompting.material import give_set, summary

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


def _fuzz(ports: Ports, folder: Path, seconds: int, *options: str) -> None:
    nova: Artist = new_artist(ports)
    give_set(ports.database, nova, summary(), "Song")
    [item] = rows(ports, "select parse_id from training_items")
    quick = QuickCompute(ports.settings.data_root)
    with server(protected(replace(ports, compute=quick))) as base:
        page = httpx.get(f"{base}/openapi.json").json()
        _known(page, {"artistId": str(nova.id), "parseId": item["parse_id"], "producerId": "nova"})
        schema = folder / "openapi.json"
        schema.write_text(json.dumps(page))
        schemathesis = Path(sys.executable).with_name("schemathesis")
        ran = subprocess.run(
            [
                *(schemathesis, "run", schema, "--url", base, "--header", f"x-train-password: {PASSWORD}"),
                *("--checks", "not_a_server_error", "--max-time", str(seconds), "--warnings", "off"),
                *("--suppress-health-check", "all", "--continue-on-failure", "--no-color", *options),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
        asked = {"artistId": str(nova.id), "parseId": item["parse_id"]}
        assert httpx.post(f"{base}/api/train", json=asked, headers=WITH_PASSWORD).status_code == 200


def test_for_some_seconds(ports: Ports, tmp_path: Path) -> None:
    _fuzz(ports, tmp_path, 6, "--phases", "fuzzing", "--max-examples", "20")


@pytest.mark.slow
def test_for_two_minutes(ports: Ports, tmp_path: Path) -> None:
    _fuzz(ports, tmp_path, 120)
