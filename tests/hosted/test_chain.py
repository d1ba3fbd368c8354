"""The whole chain on a hosted project's parts leaves what it leaves on this machine's own parts.

Each command is a process of its own, as a person types it: a whole build from upload to preview takes its time.
"""

from pathlib import Path

import dagster as dg
import pytest

from dawa_assets.defs.run import open_instance
from dawa_assets.example.profile import ARTIST_NAME
from dawa_assets.intake.inbox import upload
from dawa_assets.pipeline.files_address import files_address
from resources.database.embedded.embedded_database import EmbeddedDatabase
from resources.database.hosted import HostedDatabase
from resources.database.migrations import migrate
from resources.settings import Settings
from tests.campaigns.final_state import leftovers
from tests.campaigns.small_artist import NAME, SLUG
from tests.databases import GivenDatabase
from tests.fakes.hosted_servers import HostedServer
from tests.fakes.storage.storage_server import StorageServer
from tests.hosted.conftest import Undisturbed
from tests.hosted.parts import bucket_on, build, dawa, known_artist, small_ports, state_of, wrong_in


def stored(server: StorageServer) -> dict[str, tuple[str, str]]:
    """Every object's version and time: another one wherever anything was written."""
    return {one.name: (one.version, one.updated) for one in server.state.sorted("dawa-exports", "")}


@pytest.mark.slow
def test_files_in_storage_and_tables_here(
    storage: StorageServer, empty_database_url: str, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    migrate(empty_database_url, embedded=True)
    ports = small_ports(tmp_path / "home", GivenDatabase(empty_database_url), bucket_on(storage, tmp_path / "home"))
    known_artist(ports.database, NAME)
    upload(ports, NAME, [undisturbed.files])
    assert build(ports, SLUG).failures == []
    wrong = wrong_in(ports, undisturbed.state, tmp_path / "aside")
    assert not wrong, "\n".join(wrong)

    before = stored(storage)
    assert len(before) >= 20
    assert build(ports, SLUG).failures == []
    assert stored(storage) == before


@pytest.mark.timeout(600)
def test_everything_in_a_project_from_the_command_line(
    storage: StorageServer,
    pooler: HostedServer,
    project_url: str,
    undisturbed: Undisturbed,
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    hosted = {
        "DAWA_DATABASE": "supabase", "SUPABASE_DB_URL": project_url,
        "DAWA_BUCKET": "supabase", "SUPABASE_URL": storage.url, "SUPABASE_SECRET_KEY": storage.secret_key,
    }  # fmt: skip
    behind = dawa("upload", "--artist", NAME, str(undisturbed.files), home=home, code=1, **hosted)
    assert behind.stderr.count("\n") == 1
    assert "run `dawa migrate`" in behind.stderr

    said = [dawa("migrate", home=home, **hosted)]
    known_artist(HostedDatabase(project_url), NAME)
    said += [dawa("upload", "--artist", NAME, str(undisturbed.files), home=home, **hosted)]
    said += [dawa("build", "--artist", SLUG, home=home, **hosted)]
    settings = Settings(home=home)
    ports = small_ports(home, HostedDatabase(project_url), bucket_on(storage, home))
    wrong = wrong_in(ports, undisturbed.state, tmp_path / "aside")
    assert not wrong, "\n".join(wrong)
    assert not (home / "bucket").exists()
    assert not (home / "postgres").exists()

    with open_instance(settings) as instance:
        asked = dg.AssetRecordsFilter(asset_key=dg.AssetKey("segment_tags"), asset_partitions=[SLUG])
        page = instance.fetch_materializations(asked, limit=1).records[0].asset_materialization
    picture = f"{files_address(settings)}/files/artists/{SLUG}/pages/segment-tags.png"
    assert page is not None
    assert picture in str(page.metadata["commonest words"].value), "`make ui` serves what it links to"

    said += [dawa("status", home=home, **hosted), dawa("verify", home=home, **hosted)]
    told = "".join(each.stdout + each.stderr for each in said)
    assert "2/2 items ready" in told
    for secret in (storage.secret_key, pooler.owner_password, "token="):
        assert secret not in told
        assert not [path for path in _texts(settings.home) if secret.encode() in path.read_bytes()]


def _texts(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file() and path.suffix != ".wav"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_demo_in_a_project_is_the_demo_here(storage: StorageServer, project_url: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    hosted = {
        "DAWA_DATABASE": "supabase", "SUPABASE_DB_URL": project_url,
        "DAWA_BUCKET": "supabase", "SUPABASE_URL": storage.url, "SUPABASE_SECRET_KEY": storage.secret_key,
    }  # fmt: skip
    database = EmbeddedDatabase(here / "postgres")
    try:
        known_artist(database, ARTIST_NAME)
        dawa("demo", home=here)
        expected = state_of(small_ports(here, database), tmp_path / "aside here")
    finally:
        database.stop()
    dawa("migrate", home=there, **hosted)
    known_artist(HostedDatabase(project_url), ARTIST_NAME)
    dawa("demo", home=there, **hosted)
    ports = small_ports(there, HostedDatabase(project_url), bucket_on(storage, there))
    assert wrong_in(ports, expected, tmp_path / "aside there") == []
    assert len(expected["tables"]["training_items"]) == 3

    before = stored(storage)
    again = dawa("demo", home=there, **hosted)
    assert "Uploaded before" in again.stdout
    assert stored(storage) == before
    assert leftovers(there) == []
