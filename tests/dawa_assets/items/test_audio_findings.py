"""What was found in audio: kept with its item, told wherever the item is, and no trouble to the files beside it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dawa_assets.cli.main import app
from dawa_assets.http.saving import saved_answer
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.exclusions import list_items
from dawa_assets.items.save import NewPair, save_pair
from dawa_assets.items.update import update_training_items
from dawa_assets.observability.assets import consistency_of
from dawa_assets.observability.status import artist_statuses
from modal_app.audio.prepare import prepare
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.audio import AudioSource, PrepareRequest
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, content, drop, items, keys, ledger, new_artist
from tests.modal_app.audio.odd_files import RATE, chirps, unreadable, wav

LEFT = chirps(RATE)[:, :1]
ANTIPHASE = wav(np.hstack([LEFT, -LEFT]))
SILENCE = wav(np.zeros((RATE, 2)))
BAD = unreadable()
KINDS = ("half", "guid", "tag", "text", "empty", "hollow", "contradiction", "damaged")
"""Those that go through the inbox: the others are refused in the same place as one of these."""


def _good(count: int) -> dict[str, bytes]:
    return {f"good{number}": wav(chirps(RATE + number) * 0.9) for number in range(count)}


def _finished(ports: Ports, names: list[str], audio: dict[str, bytes]) -> None:
    new_artist(ports)
    drop(ports, "nova", {f"{name}.als": als(100 + at) for at, name in enumerate(names)} | audio)
    take_in_live_sets(ports, "nova")
    update_training_items(ports, "nova")


def test_findings_are_kept_with_the_item_and_told_wherever_it_is(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    _finished(ports, ["song"], {"song.wav": ANTIPHASE})
    (item,) = items(ports).values()
    (line,) = item["audio_findings"]
    assert line.startswith("its channels are in antiphase and cancel in mono for 1.0 of 1.0 s")
    (status,) = artist_statuses(ports, "nova")
    assert [(notice.what, notice.reason) for notice in status.notices if notice.what == "audio"] == [("audio", line)]
    (listed,) = list_items(ports.database, "nova")
    assert listed.findings == [line]
    assert f"song/song: its audio: {line}" in consistency_of(ports, "nova", "training_items").warnings
    monkeypatch.setattr("resources.ports.open_database", lambda _settings: ports.database)
    assert line in CliRunner().invoke(app, ["item", "list", "nova"]).output
    # Better audio takes them away.
    drop(ports, "nova", {"song.wav": wav(chirps(RATE))})
    update_training_items(ports, "nova")
    assert next(iter(items(ports).values()))["audio_findings"] == []


def test_an_items_format_and_key_follow_its_bytes(ports: Ports) -> None:
    _finished(ports, ["song"], {"song.mp3": wav(chirps(RATE))})
    (item,) = items(ports).values()
    assert item["audio_path"] == f"artists/nova/training/{item['id']}/audio.wav"
    assert item["audio_format"] == "wav"
    assert item["audio_findings"] == ["it is called .mp3 and is WAV; it is kept as .wav"]


def test_what_a_name_claims_is_said_of_that_file_alone(ports: Ports) -> None:
    same = wav(chirps(RATE))
    _finished(ports, ["right", "wrong"], {"right.wav": same, "wrong.mp3": same})
    found = {key.rpartition("/")[2]: item["audio_findings"] for key, item in items(ports).items()}
    assert found == {"right": [], "wrong": ["it is called .mp3 and is WAV; it is kept as .wav"]}


def test_a_saved_pair_s_findings_are_answered(ports: Ports, tmp_path: Path) -> None:
    artist = new_artist(ports)
    path = tmp_path / "audio"
    path.write_bytes(SILENCE)
    pair = NewPair("0123456789ab", "Song.als", "Song", "Warm deep house.\nBPM: 122")
    item = save_pair(ports, artist, pair, path)
    answer = saved_answer(ports, artist, item)
    assert answer.training_item_id == item
    assert answer.findings == ["it holds nothing but digital silence (1.0 s)"]


def _kept(ports: Ports, names: list[str]) -> dict[str, Any]:
    known = {key.rpartition("/")[2]: item for key, item in items(ports).items()}
    return {
        name: (
            known[name]["status"],
            known[name]["audio_hash"],
            known[name]["audio_format"],
            known[name]["audio_findings"],
            content(ports.bucket, known[name]["audio_path"]),
        )
        for name in names
    }


def test_bad_inbox_files_are_named_and_do_not_affect_good_ones(ports: Ports) -> None:
    good = _good(4)
    _finished(
        ports,
        [*good, *KINDS],
        {f"{name}.wav": data for name, data in good.items()} | {f"{name}.wav": BAD[name][0] for name in KINDS},
    )
    for name, (status, _, kind, findings, data) in _kept(ports, list(good)).items():
        assert (status, kind, findings, data) == ("needs_prompt", "wav", [], good[name])
    told = ledger(ports)
    for name in KINDS:
        state, said = told[f"{name}.wav"]
        assert state == "rejected"
        assert BAD[name][1] in (said or "")
        assert "\n" not in (said or "")
    assert keys(ports.bucket, "inbox/nova") == []
    assert {item["status"] for key, item in items(ports).items() if key.rpartition("/")[2] in KINDS} == {"needs_audio"}


def test_bad_sources_do_not_affect_the_good_ones(tmp_path: Path) -> None:
    import hashlib

    def sources(files: dict[str, bytes]) -> list[AudioSource]:
        found = []
        for name, data in files.items():
            path = tmp_path / f"{name}.wav"
            path.write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            found.append(AudioSource(audio_hash=digest, url=path.as_uri(), name=path.name))
        return found

    good = _good(4)
    bad = {name: data for name, (data, _) in BAD.items()}
    alone = prepare(PrepareRequest(sources=sources(good)), DataRoot(tmp_path / "alone"), lambda _: None)
    mixed = prepare(PrepareRequest(sources=sources(good | bad)), DataRoot(tmp_path / "mixed"), lambda _: None)
    assert mixed.prepared == alone.prepared
    assert sorted(failure.name for failure in mixed.failed) == sorted(f"{name}.wav" for name in bad)
    assert all(failure.unreadable and "\n" not in failure.reason for failure in mixed.failed)
    for prepared in alone.prepared:
        folders = (DataRoot(tmp_path / root).segments(prepared.audio_hash, "mono44") for root in ("alone", "mixed"))
        one, other = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
        assert one == other
