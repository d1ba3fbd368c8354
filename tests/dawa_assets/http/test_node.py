"""The dashboard's sequence by Node, as a page or a Next.js server would go through it."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.http.serving import PASSWORD, QuickCompute, bearer, new_user, protected, server
from tests.dawa_assets.intake.material import content, new_artist, rows, wav
from tests.dawa_assets.prompting.material import give_set, summary

NODE = shutil.which("node")
CLIENT = Path(__file__).with_name("dashboard_client.mjs")

pytestmark = pytest.mark.skipif(NODE is None, reason="no Node is installed")


def _parses(ports: Ports, artist: Artist) -> list[str]:
    for n in (1, 2):
        give_set(ports.database, artist, summary(120 + n), f"Song {n}", audio=False)
    return [row["parse_id"] for row in rows(ports, "select parse_id from als_summaries order by created_at")]


def _told(quick: QuickCompute, **environment: str) -> dict[str, Any]:
    """What the client tells; jobs end once it has heard that they run."""
    quick.gate.clear()
    lines = []
    with subprocess.Popen(
        [str(NODE), str(CLIENT)],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdin
        assert client.stdout
        assert client.stderr
        for line in client.stdout:
            lines.append(line.strip())
            if line.strip() == "202":
                quick.gate.set()
                client.stdin.write("it may end\n")
                client.stdin.flush()
        said = client.stderr.read()
    assert client.returncode == 0, (lines, said)
    return dict(json.loads(lines[-1]))


@pytest.mark.parametrize("who", ["the password", "a user"])
def test_the_whole_sequence(ports: Ports, tmp_path: Path, who: str) -> None:
    nova = new_artist(ports)
    parses = _parses(ports, nova)
    audio = [tmp_path / "one.wav", tmp_path / "two.wav"]
    for number, file in enumerate(audio):
        file.write_bytes(wav(200 + number))
    quick = QuickCompute(ports.settings.data_root)
    settings = ports.settings.model_copy(update={"web_wait_seconds": 0.1})
    by_password = who == "the password"
    # Who may see all may use any producer's name, a user the names of their own artists.
    producer = "my_producer" if by_password else nova.slug
    headers = {"x-train-password": PASSWORD} if by_password else bearer(new_user(ports, nova))
    with server(protected(replace(ports, compute=quick, settings=settings), secret=True)) as base:
        told = _told(
            quick,
            BASE=base,
            HEADERS=json.dumps(headers),
            ARTIST_ID=str(nova.id),
            PARSE_IDS=json.dumps(parses),
            AUDIO=json.dumps([str(file) for file in audio]),
            PRODUCER=producer,
            PASSWORD=PASSWORD if by_password else "",
        )
    assert [(item["model"], item["version"], item["success"]) for item in told["items"]] == [
        ("offline-v1", "train-v1", True)
    ] * 2
    assert (told["exported"], told["again"], told["zip"]) == (2, True, "PK")
    assert told["trained"]["asked"] >= 1
    assert told["trained"]["content"]["lora_path"] == f"/data/loras/{producer}_nawfside_lora.safetensors"
    assert (told["sound"], told["refused"]) == ("RIFF", [404, ["error"]])
    [stored] = (ports.settings.data_root / "uploads" / producer).rglob("*.wav")
    assert (stored.name, stored.read_bytes()) == ("Süß 夜.wav", wav(200))
    saved = rows(ports, "select * from training_items where item_key is null order by created_at")
    assert [row["als_filename"] for row in saved] == ["Süß 0 夜.als", "Süß 1 夜.als"]
    assert [content(ports.bucket, row["audio_path"]) for row in saved] == [wav(200), wav(201)]
    assert {row["status"] for row in saved} == {"exported"}
    assert len(quick.ran) == 2
