"""Housekeeping beside the dashboard on a hosted bucket, whose listing, copies and names are not a folder's."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dawa_assets.datasets.build import build_dataset
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.maintenance.prune import prune
from dawa_assets.maintenance.retry import retry_rejected
from dawa_assets.maintenance.verify import verify
from dawa_assets.prompting.refresh import refresh_prompts
from resources.bucket.supabase import SupabaseBucket
from resources.ports import Ports
from tests.coexistence.dashboard import export, parsed_by_its_parser, save
from tests.dawa_assets.intake.material import als, content, drop, items, keys, new_artist, wav
from tests.fakes.storage.storage_server import StorageServer


@pytest.fixture
def hosted(ports: Ports, tmp_path: Path) -> Iterator[Ports]:
    with StorageServer(tmp_path) as server:
        bucket = SupabaseBucket(server.url, server.secret_key, resume_folder=tmp_path / "uploads")
        yield replace(ports, bucket=bucket)


def _build(ports: Ports) -> None:
    take_in_live_sets(ports, "nova")
    refresh_prompts(ports, "nova")
    update_training_items(ports, "nova")
    build_dataset(ports, "nova")


def test_maintenance_works_the_same_on_a_hosted_bucket(hosted: Ports) -> None:
    artist = new_artist(hosted)
    theirs = save(hosted, artist, parsed_by_its_parser(hosted, artist), audio=wav(400))
    foreign = export(hosted, artist)
    drop(hosted, "nova", {"Süß & Schön/Träume (1).als": als(100), "Süß & Schön/夜 bröken.als": b"no set"}, "u1")
    _build(hosted)
    drop(hosted, "nova", {"Träume (1).wav": wav(200)})
    _build(hosted)
    [report] = verify(hosted, deep=True)
    assert (report.findings, [key for key, _ in report.foreign]) == ([], [foreign])

    ours = items(hosted)["Süß & Schön/Träume (1)"]
    hosted.bucket.delete([ours["prompt_path"], ours["audio_path"], f"artists/nova/training/{theirs}/prompt.txt"])
    [report] = verify(hosted, fix=True)
    assert [finding.outcome.state for finding in report.findings] == ["mended"] * 3
    assert content(hosted.bucket, ours["audio_path"]) == wav(200)

    [pruned] = prune(hosted, keep=1)
    assert (len(pruned.zips), [file.key for file in pruned.foreign]) == (1, [foreign])
    [retried] = retry_rejected(hosted)
    assert retried.sent == ["Süß & Schön/夜 bröken.als"]
    assert keys(hosted.bucket, "inbox") == ["inbox/nova/u1/Süß & Schön/夜 bröken.als", "inbox/nova/u1/_complete"]
    _build(hosted)
    assert keys(hosted.bucket, "inbox") == []
    [report] = verify(hosted, deep=True)
    assert (report.findings, [key for key, _ in report.foreign]) == ([], [foreign])
