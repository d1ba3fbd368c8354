"""Uploads under names that are not encoded as ours, or in nobody's folder: taken in, or shown and removable."""

import json
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dawa_assets.intake.inbox import pending_uploads, unclaimed_uploads
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.observability.assets import consistency_of
from resources.bucket.keys import FOREIGN, decode_key, encode_key
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, drop, items, keys, ledger, new_artist, rows, wav
from tests.dawa_assets.maintenance.typed import dawa

PAGE = Path(__file__).parents[3] / "docs" / "uploading.md"


def _put_as_it_is(ports: Ports, stored: str, content: bytes) -> None:
    """As another program puts it: under a name that is not encoded."""
    path = ports.settings.home / "bucket" / stored
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_names_in_a_foreign_encoding_are_taken_in_unchanged(ports: Ports) -> None:
    new_artist(ports)
    _put_as_it_is(ports, "inbox/nova/My=Upload/Lost=Name/Lost=Name.als", als(124))
    _put_as_it_is(ports, "inbox/nova/My=Upload/Lost=Name/Lost=Name.wav", wav(200))
    _put_as_it_is(ports, "inbox/nova/My=Upload/=c3=a4.pdf", b"no music")
    ports.bucket.put(decode_key("inbox/nova/My=Upload/_complete"), b"")
    [pending] = pending_uploads(ports)
    assert pending.slug == "nova"
    report = take_in_live_sets(ports, "nova")
    update_training_items(ports, "nova")
    assert report.taken == ["Lost=Name/Lost=Name.als"]
    assert [name for name, _ in report.rejected] == ["=c3=a4.pdf"]
    assert {name: state for name, (state, _) in ledger(ports).items()} == {
        "Lost=Name.als": "taken",
        "Lost=Name.wav": "taken",
        "=c3=a4.pdf": "rejected",
    }
    [item] = items(ports).values()
    assert (item["item_key"], item["audio_format"]) == ("Lost=Name/Lost=Name", "wav")
    assert keys(ports.bucket, "inbox") == []
    made = rows(ports, "select export_path as key from als_summaries union select final_key from uploads")
    assert not any(FOREIGN in row["key"] for row in made)
    assert any("=c3=a4.pdf" in row["key"] for row in made)


def test_a_waiting_file_is_shown_by_status_and_can_be_removed(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new_artist(ports)
    _put_as_it_is(ports, "inbox/nova/u/Lost=Bounce.wav", wav(200))
    ports.bucket.put("inbox/nova/u/_complete", b"")
    update_training_items(ports, "nova")
    assert any("Lost=Bounce.wav" in line for line in consistency_of(ports, "nova", "training_items").warnings)
    assert dawa(monkeypatch, ports, "status") == 0
    assert "Lost=Bounce.wav" in capsys.readouterr().out
    assert dawa(monkeypatch, ports, "inbox", "list") == 0
    assert "inbox/nova/u/Lost=Bounce.wav  " in capsys.readouterr().out
    assert dawa(monkeypatch, ports, "inbox", "remove", "inbox/nova/u/Lost=Bounce.wav") == 0
    assert capsys.readouterr().out == "removed inbox/nova/u/Lost=Bounce.wav\n"
    update_training_items(ports, "nova")
    assert ledger(ports) == {}


def test_unclaimed_uploads_are_shown_and_taken_in_or_removed(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new_artist(ports)
    drop(ports, "nova", {"a.als": als(124)})
    drop(ports, "echo", {"b.als": als(125)})
    _put_as_it_is(ports, "inbox/Not=Encoded/u/c.als", als(126))
    ports.bucket.put("inbox/straight.als", als(127))
    found = {each.place: each.files for each in unclaimed_uploads(ports)}
    assert found == {"inbox/Not=Encoded/": 1, "inbox/echo/": 2, "inbox/straight.als": 1}
    assert dawa(monkeypatch, ports, "status") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "inbox/echo/: 2 uploaded" in said
    assert "inbox/straight.als: 1 uploaded" in said
    assert dawa(monkeypatch, ports, "inbox", "list", "--json") == 0
    listed: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    nobodys = {row["key"].rpartition("/")[2] for row in listed if row["reason"]}
    assert nobodys == {"b.als", "_complete", "c.als", "straight.als"}
    new_artist(ports, "Echo")
    assert take_in_live_sets(ports, "echo").taken == ["b.als"]
    assert dawa(monkeypatch, ports, "inbox", "remove", "inbox/Not=Encoded", "inbox/straight.als") == 0
    assert unclaimed_uploads(ports) == []
    assert len(keys(ports.bucket, "inbox/nova")) == 2


@pytest.mark.parametrize("place", ["", "inbox", "inbox/", "artists/nova/a.als", "inbox/nova/gone.als", "inbox/nov"])
def test_nothing_but_what_is_named_is_removed_from_the_inbox(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    ports.bucket.put("artists/nova/a.als", b"kept")
    ports.bucket.put("inbox/nova/a.als", b"kept")
    assert dawa(monkeypatch, ports, "inbox", "remove", place) == 2
    assert "there is no such file or folder in the inbox" in capsys.readouterr().err
    assert keys(ports.bucket) == ["artists/nova/a.als", "inbox/nova/a.als"]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@settings(max_examples=5, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=20, max_size=60))
def test_the_page_s_own_function_encodes_as_the_bucket_does(names: list[str]) -> None:
    blocks = re.findall(r"^```js\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    [block] = [each for each in blocks if "const inboxKey" in each]
    script = f"{block}\nconst names = JSON.parse(require('fs').readFileSync(0, 'utf8'));\n"
    script += "console.log(JSON.stringify(names.map((name) => inboxKey('nova', 'u', name))));"
    names = [unicodedata.normalize("NFC", name) for name in [*names, "Süß & Co=1.als", "夜/Lost=Name.als", "🎹.wav"]]
    names = [name for name in names if FOREIGN not in name and _is_a_path(name)]
    done = subprocess.run(["node", "-e", script], input=json.dumps(names), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [encode_key(f"inbox/nova/u/{name}") for name in names]


def _is_a_path(name: str) -> bool:
    return "\x00" not in name and not {"", ".", ".."} & set(name.split("/"))
