"""A deleted artist leaves a receipt and nothing else, killed anywhere; what another artist shares with them stays."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dawa_assets.artists.delete import delete_artist, plan_deletion
from dawa_assets.datasets.build import build_dataset
from dawa_assets.errors import ArtistBeingDeletedError, UnknownArtistError
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.pipeline.local_files import waveform_file
from dawa_assets.segments.tag import tag_segments
from dawa_assets.tables import artist_deletions
from dawa_assets.tables.artists import Artist, ensure_artist
from dawa_assets.tables.spending import record_spending
from dawa_assets.training.evaluation import evaluate_lora
from dawa_assets.training.runs import train_lora
from modal_app.audio.published_view import publish
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import discard
from modal_app.hosted_models.metered_requests import Usage
from modal_app.producer import forget
from modal_app.producer.train_producer import run_id_of
from modal_app.protocol.audio import PublishRequest
from modal_app.protocol.forgetting import ForgetRequest
from resources.bucket.supabase import SupabaseBucket
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, drop, keys, wav
from tests.dawa_assets.maintenance.killing import Fuse, KilledError, fused, with_short_leases
from tests.dawa_assets.maintenance.typed import dawa
from tests.dawa_assets.training.catalogue import Catalogue, open_catalogue, tone, view, with_recorder
from tests.fakes.storage.storage_server import StorageServer
from tests.sql.roles import side, tables_of

SHARED, OWN = tone(2.0, 220), tone(2.0, 330)


@pytest.fixture
def recorded(ports: Ports) -> Ports:
    return with_recorder(ports)[0]


def _build(catalogue: Catalogue) -> None:
    build_dataset(catalogue.ports, catalogue.slug)
    tag_segments(catalogue.ports, catalogue.slug)
    train_lora(catalogue.ports, catalogue.slug)
    evaluate_lora(catalogue.ports, catalogue.slug)


def _files(ports: Ports) -> dict[str, int]:
    """What lies under the home folder, receipts aside."""
    home = ports.settings.home
    return {
        path.relative_to(home).as_posix(): path.stat().st_size
        for path in sorted(home.rglob("*"))
        if path.is_file() and not path.is_relative_to(home / "receipts")
    }


def _rows(ports: Ports) -> dict[str, list[str]]:
    """All rows of all tables, deletions aside."""
    with ports.database.transaction() as connection:
        return {
            table: sorted(
                row["row"]
                for row in connection.execute(f"select (to_jsonb(t) - 'expires_at')::text as row from {table} t")
            )
            for table in tables_of(ports.database)
            if table != "artist_deletions"
        }


def furnish(ports: Ports, name: str) -> tuple[Artist, list[str]]:
    """An artist with a row in every table and a file in every place; gives all that could tell of them."""
    own = side(ports.database, name)
    catalogue = Catalogue(ports, Artist(own.artist, own.slug, name))
    audio = f"sound of {name} {uuid4()}".encode()
    item = catalogue.add(f"Set of {name}", audio)
    [row] = catalogue.sql("select audio_hash from training_items where id = %s", item)
    [run] = catalogue.sql("select id from training_runs where artist_id = %s", own.artist)
    segment = f"{uuid4().hex}{uuid4().hex}"
    catalogue.sql("update audio_segments set audio_hash = %s, segment_hash = %s where audio_hash = %s",
                  row["audio_hash"], segment, own.slug)  # fmt: skip
    catalogue.sql("update segment_tags set segment_hash = %s where segment_hash = %s", segment, own.slug)
    for key in (f"artists/{own.slug}/loras/{run['id']}/a.safetensors", f"artists/{own.slug}/by hand.txt",
                f"inbox/{own.slug}/u/Ännä.wav"):  # fmt: skip
        ports.bucket.put(key, b"1234")
    data = ports.settings.data_root
    uploaded, fetched = (hashlib.sha256(f"{what} of {name}".encode()).hexdigest() for what in ("upload", "fetched"))
    manifest = json.dumps({"segments": [{"sha256": segment}]})
    for path, text in {
        f"cache/segments/{row['audio_hash']}/mono44/seg_0000.wav": "sound",
        f"cache/segments/{row['audio_hash']}/mono44/manifest.json": manifest,
        f"cache/landmarks/{row['audio_hash'][:2]}/{row['audio_hash']}.mono44.npz": "landmarks",
        f"outputs/rendering-{own.slug}-base.wav": "sound",
        f"outputs/cli-{own.slug}-0123456789abcdef.wav": "sound",
        f"cache/latents/ace_step/0123/{segment[:2]}/{segment}+1.000dB.safetensors": "latents",
        f"cache/tags/gemini/v1/{segment[:2]}/{segment}~bpm=120.json": "{}",
        f"training_data/{own.slug}.job-1/audio/seg_0000.wav": "sound",
        f"models/{own.slug}/adapter_model.safetensors": "weights",
        f"loras/{own.slug}_m.safetensors": "no card",
        f"runs/{run['id']}/checkpoint.bin": "weights",
        f"runs/http-{own.slug}/card.json": json.dumps({"producer_id": own.slug}),
        f"outputs/preview-{run['id']}-base.wav": "sound",
        f"uploads/{own.slug}/job-1/beat.wav": f"upload of {name}",
        f"cache/segments/{uploaded}/mono44/seg_0000.wav": "sound",
        f"runs/{run_id_of(own.slug, 'job-1')}/checkpoint.bin": "weights",
        f"producer_jobs/{run_id_of(own.slug, 'job-2')}/plan.json": json.dumps(
            {"training": {"producer_id": own.slug, "examples": [{"audio_hash": fetched}]}}
        ),
        f"cache/segments/{fetched}/stereo48/seg_0000.wav": "sound",
    }.items():
        (data / path).parent.mkdir(parents=True, exist_ok=True)
        (data / path).write_text(text)
    publish(PublishRequest(producer_id=own.slug, segments=[]), DataRoot(data), lambda _: None)
    hashes = [row["audio_hash"], segment, uploaded, fetched, run_id_of(own.slug, "job-1"), run_id_of(own.slug, "job-2")]
    return catalogue.artist, [own.slug, str(own.artist), name, str(run["id"]), *hashes]


def traces(ports: Ports, secrets: list[str]) -> list[str]:
    told = [*_files(ports), *(row for rows in _rows(ports).values() for row in rows)]
    return [f"{secret} in {each}" for each in told for secret in secrets if secret in each]


def _receipt_without_names(receipt: dict[str, Any]) -> dict[str, Any]:
    names = ("slug", "artist_id", "asked_at", "finished_at", "sha256")
    return {key: value for key, value in receipt.items() if key not in names}


def test_all_of_one_goes_and_what_another_shares_with_them_stays(recorded: Ports) -> None:
    other = open_catalogue(recorded, "Other")
    other.add("o/shared", SHARED)
    _build(other)
    files, rows = _files(recorded), _rows(recorded)

    nova = open_catalogue(recorded, "Nova")
    nova.add("n/shared", SHARED)
    nova.add("n/own", OWN)
    _build(nova)
    drop(recorded, "nova", {"P/broken.als": b"no set", "P/new.als": als(99)})
    take_in_live_sets(recorded, "nova")
    drop(recorded, "nova", {"P/lone.wav": wav()})
    with recorded.database.transaction() as connection:
        record_spending(connection, service="tags", model="m", artist_id=nova.artist.id, used=Usage(1, 2, 3, 0.5))
    plan = plan_deletion(recorded, "nova")
    done = delete_artist(recorded, "nova", author="me")

    spent = _rows(recorded)["spending"]
    assert len(spent) == 1
    assert str(nova.artist.id) not in spent[0]
    assert {**_rows(recorded), "spending": []} == rows
    assert {path: size for path, size in _files(recorded).items() if "/logs/" not in path} == files
    assert (done.receipt["rows"], done.receipt["files"], done.receipt["worker"]) == (
        {name: count for name, count in plan.rows.items() if name != "leases"} | {"leases": plan.rows["leases"] + 1},
        plan.files,
        plan.worker,
    )
    assert plan.shared_audio == done.receipt["shared_audio"] == 1
    assert set(plan.files) == {"daw-data", "datasets", "inbox", "loras", "rejected", "training"}
    assert set(plan.worker) == {"loras", "runs", "segments", "views"}
    assert json.loads(done.path.read_text()) == done.receipt
    told = json.dumps(done.receipt)
    assert [word for word in ("n/own", "lone", "song", "Nova", "broken") if word in told] == []

    before = view(recorded, "other")
    _build(other)
    assert view(recorded, "other") == before


def _finished(ports: Ports, slug: str) -> dict[str, Any]:
    """The receipt after the same command is given once more; there is one if it was killed at its very end."""
    try:
        return delete_artist(ports, slug, author="me").receipt
    except UnknownArtistError:
        [path] = (ports.settings.home / "receipts").glob(f"deleted-{slug}-*.json")
        receipt: dict[str, Any] = json.loads(path.read_text())
        return receipt


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_anywhere_and_run_again_it_ends_the_same(recorded: Ports, stride: int) -> None:
    ports, changes, burnt, whole = with_short_leases(recorded), 0, 999, None
    neighbour, _ = furnish(ports, "Neighbour")
    own = [row for rows in _rows(ports).values() for row in rows if str(neighbour.id) in row]
    while changes <= burnt:
        artist, secrets = furnish(ports, f"Killed{changes:03}")
        fuse = Fuse(changes or None)
        try:
            done = delete_artist(fused(ports, fuse), artist.slug, author="me")
            receipt = done.receipt
        except KilledError:
            receipt = _finished(ports, artist.slug)
        receipt = _receipt_without_names(receipt)
        burnt, whole = (burnt, whole) if changes else (fuse.burnt, receipt)
        assert traces(ports, secrets) == [], f"killed after change {changes}"
        assert receipt == whole, f"killed after change {changes}"
        changes += stride if changes else 1
    assert burnt >= 10
    assert set(own) <= {row for rows in _rows(ports).values() for row in rows}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_around_the_worker_s_job(recorded: Ports, moment: str) -> None:
    ports = with_short_leases(recorded)
    artist, secrets = furnish(ports, "Nova")
    real = ports.compute.run

    def killed(request: Any, on_event: Any) -> Any:
        if isinstance(request, ForgetRequest) and not request.dry_run:
            if moment == "after":
                real(request, on_event)
            raise KilledError
        return real(request, on_event)

    ports.compute.run = killed  # type: ignore[assignment]
    with pytest.raises(KilledError):
        delete_artist(ports, artist.slug, author="me")
    ports.compute.run = real  # type: ignore[method-assign]
    done = delete_artist(ports, artist.slug, author="me")
    assert traces(ports, secrets) == []
    assert done.receipt["worker"]["latents"] == {"files": 1, "bytes": 7}


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_deletion_completes_after_a_kill_between_worker_removals(
    recorded: Ports, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    ports, after, whole = with_short_leases(recorded), 0, 999
    removed: list[Path] = []

    def dying(path: Path, scratch: Path) -> None:
        discard(path, scratch)
        removed.append(path)
        if len(removed) == after:
            raise KilledError

    monkeypatch.setattr(forget, "discard", dying)
    while after <= whole:
        artist, secrets = furnish(ports, f"Killed{after:03}")
        removed.clear()
        try:
            delete_artist(ports, artist.slug, author="me")
            assert after == 0
            whole = len(removed)
        except KilledError:
            delete_artist(ports, artist.slug, author="me")
        assert traces(ports, secrets) == [], f"killed after {after}"
        after += stride if after else 1
    assert whole >= 12


def test_the_next_process_finishes_a_killed_deletion(recorded: Ports) -> None:
    artist, secrets = furnish(recorded, "Nova")
    code = """
import os, signal, sys
from pathlib import Path
from dawa_assets.artists.delete import delete_artist
from resources.bucket.folder import FolderBucket
from resources.ports import Ports
from resources.settings import Settings
from tests.databases import GivenDatabase
from tests.dawa_assets.training.catalogue import RecordingCompute
class Dying(FolderBucket):
    def delete(self, keys):
        super().delete(list(keys)[:2])
        os.kill(os.getpid(), signal.SIGKILL)
settings = Settings(home=Path(sys.argv[1]))
delete_artist(Ports(settings=settings, database=GivenDatabase(sys.argv[2]), bucket=Dying(settings.home / "bucket"),
    prompt_writer=None, compute=RecordingCompute(settings.data_root)), sys.argv[3], author="me")
"""
    home, url = str(recorded.settings.home), recorded.database.url()
    child = subprocess.run([sys.executable, "-c", code, home, url, artist.slug], cwd=Path(__file__).parents[3],
                           env=os.environ, check=False, timeout=280)  # fmt: skip
    assert child.returncode == -signal.SIGKILL
    assert len(keys(recorded.bucket, f"artists/{artist.slug}")) > 0
    with pytest.raises(ArtistBeingDeletedError, match="is being deleted"):
        build_dataset(recorded, artist.slug)
    assert plan_deletion(recorded, artist.slug).under_way
    delete_artist(recorded, artist.slug, author="somebody else")
    assert traces(recorded, secrets) == []


def test_a_reused_name_is_a_new_artist_without_the_old_data(recorded: Ports) -> None:
    artist, _ = furnish(recorded, "Nova")
    with recorded.database.transaction() as connection:
        artist_deletions.begin(connection, artist, "me")
    with recorded.database.transaction() as connection, pytest.raises(ArtistBeingDeletedError):
        ensure_artist(connection, "Nova")
    with recorded.database.transaction() as connection:
        assert ensure_artist(connection, "NOVA").slug == "nova-2"
    first = delete_artist(recorded, "nova", author="me")
    with recorded.database.transaction() as connection:
        again = ensure_artist(connection, "Nova")
        rows = artist_deletions.count_rows(connection, again)
    assert (again.slug, again.id != artist.id, rows) == ("nova", True, {"artists": 1})
    assert (keys(recorded.bucket, "artists/nova"), build_dataset(recorded, "nova").state) == ([], "nothing ready")
    second = delete_artist(recorded, "nova", author="me")
    assert first.path != second.path
    assert first.path.exists()


@pytest.fixture
def hosted(recorded: Ports, tmp_path: Path) -> Iterator[Ports]:
    with StorageServer(tmp_path) as server:
        bucket = SupabaseBucket(server.url, server.secret_key, resume_folder=tmp_path / "uploads")
        yield replace(recorded, bucket=bucket)


def test_it_is_the_same_on_a_hosted_bucket(hosted: Ports) -> None:
    neighbour, _ = furnish(hosted, "Nova Two")
    artist, secrets = furnish(hosted, "Nova")
    kept = keys(hosted.bucket, f"artists/{neighbour.slug}")
    done = delete_artist(hosted, artist.slug, author="me")
    assert done.receipt["files"]["inbox"] == {"files": 1, "bytes": 4}
    assert [key for key in keys(hosted.bucket) if f"/{artist.slug}/" in key] == []
    assert keys(hosted.bucket, f"artists/{neighbour.slug}") == kept
    assert traces(hosted, [secret for secret in secrets if secret not in ("nova", "Nova")]) == []


def test_the_worker_in_its_own_process_forgets_as_asked(ports: Ports) -> None:
    artist, secrets = furnish(ports, "Nova")
    delete_artist(ports, artist.slug, author="me")
    assert traces(ports, secrets) == []


def test_the_command_previews_and_deletes_only_with_yes(
    recorded: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dawa_assets.defs.partitions import ensure_partitions
    from dawa_assets.defs.run import open_instance

    monkeypatch.setenv("DAWA_HOME", str(recorded.settings.home))
    artist, secrets = furnish(recorded, "Nova")
    with open_instance(recorded.settings) as instance:
        ensure_partitions(instance, ["nova", "other"])
    before = _rows(recorded)
    assert dawa(monkeypatch, recorded, "artist", "delete", "nova") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "nova: would be deleted with"
    assert "2 als_summaries, 1 artist_profiles" in shown[1]
    assert shown[2] == "  files   4 files (0.0 MB): inbox 1, loras 1, others 1, training 1"
    assert shown[-1] == "Nothing was deleted. Next: dawa artist delete nova --yes"
    assert _rows(recorded) == before

    assert dawa(monkeypatch, recorded, "artist", "delete", "nova", "--yes", "--author", "Ada", "--json") == 0
    receipt = json.loads(capsys.readouterr().out)
    assert (receipt["asked_by"], receipt["rows"]["user_artists"], receipt["rows"]["artists"]) == ("Ada", 1, 1)
    assert Path(receipt["receipt"]).is_file()
    with open_instance(recorded.settings) as instance:
        assert instance.get_dynamic_partitions("artist") == ["other"]
    for words in (("nova",), ("nova", "--yes"), ("nobody", "--yes"), ("nova", "--yes", "--author", "\x07")):
        assert dawa(monkeypatch, recorded, "artist", "delete", *words) == 2
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
    assert artist.slug == "nova"
    assert secrets


def test_what_is_planted_after_a_deletion_is_found_and_removed(
    recorded: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = open_catalogue(recorded, "Gone")
    catalogue.add("g/own", OWN)
    _build(catalogue)
    other = open_catalogue(recorded, "Other")
    other.add("o/shared", SHARED)
    delete_artist(recorded, catalogue.slug, author="me")
    assert dawa(monkeypatch, recorded, "verify", "--deep") == 0
    digest, home = hashlib.sha256(OWN).hexdigest(), recorded.settings.home
    data = recorded.settings.data_root
    planted = [
        data / f"cache/segments/{digest}/mono44/seg_0000.wav",
        data / f"cache/landmarks/{digest[:2]}/{digest}.mono44.npz",
        data / f"training_data/{catalogue.slug}/audio/seg_0000.wav",
        data / f"outputs/cli-{catalogue.slug}-0123456789abcdef.wav",
        home / f"incoming/{catalogue.artist.id}/upload/part",
        waveform_file(recorded.settings, digest, "npz"),
    ]
    for path in planted:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("planted")
    capsys.readouterr()
    assert dawa(monkeypatch, recorded, "verify", "--deep") == 1
    told = capsys.readouterr().out
    for what in ("segments", "landmarks", "views", "outputs", "uploads on their way", "waveforms and listening copies"):
        assert f"1 {what} on" in told
    assert dawa(monkeypatch, recorded, "prune", "--keep", "5", "--deleted-artists", "--dry-run") == 0
    assert all(path.exists() for path in planted)
    assert dawa(monkeypatch, recorded, "prune", "--keep", "5", "--deleted-artists") == 0
    assert not any(path.exists() for path in planted)
    assert dawa(monkeypatch, recorded, "verify", "--deep") == 0
