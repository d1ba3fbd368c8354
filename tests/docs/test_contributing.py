"""CONTRIBUTING.md: whoever follows its section on assets, word for word, has one with all that belongs to it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.prompting.material import give_set, profile, summary

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
_END_OF_ASSETS = "\n)\n\n\ndef description_of"

_LOOK = """
import json, sys
from pathlib import Path
import dagster as dg
from dawa_assets.defs.code_location import build_defs
from dawa_assets.observability.backlog import load_backlog
from resources.ports import Ports
from resources.bucket.folder import FolderBucket
from resources.prompt_writer.offline import OfflineWriter
from resources.settings import Settings
from tests.databases import GivenDatabase
from tests.given_pipeline import GivenPipeline

home, url, slug, change = sys.argv[1:]
settings = Settings(home=Path(home))
database, bucket = GivenDatabase(url), FolderBucket(settings.home / "bucket")
ports = Ports(settings=settings, database=database, bucket=bucket, prompt_writer=OfflineWriter(), compute=None)
defs = build_defs(settings, {"pipeline": GivenPipeline(ports)})
key = dg.AssetKey("live_set_tempos")
graph = defs.resolve_asset_graph()
jobs = [job for job in defs.resolve_all_job_defs() if not job.name.startswith("__")]
def look():
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("artist", [slug])
        job = defs.resolve_implicit_global_asset_job_def()
        run = job.execute_in_process(
            instance=instance, partition_key=slug, asset_selection=[key], raise_on_error=False
        )
    [made] = run.asset_materializations_for_node("live_set_tempos")
    shown = {name: value.value for name, value in made.metadata.items()}
    return {
        "checks": sorted(check.name for check in graph.asset_check_keys if check.asset_key == key),
        "jobs": sorted(job.name for job in jobs if key in job.asset_layer.executable_asset_keys),
        "version": made.tags["dagster/data_version"],
        "page": {name: value for name, value in shown.items() if isinstance(value, (str, int, float))},
        "checked": {each.check_name: each.passed for each in run.get_asset_check_evaluations()},
        "open": [[issue.kind, issue.slug, issue.name, issue.reason] for issue in load_backlog(ports).of(key.path[0])],
    }

before = look()
with database.transaction() as connection:
    connection.execute(change)
print(json.dumps([before, look()]))
"""


def _follow(folder: Path) -> Path:
    """Do in a copy of the code what the section says; what is compiled is copied too."""
    shutil.copytree(ROOT / "dawa_assets", folder / "dawa_assets")
    section = PAGE.partition("\n## Add an asset\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```python\n# (\S+), ([^\n]+)\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    assert [where for _, where, _ in blocks] == ["a new file"] * 3 + ["at the end", "in ASSETS"]
    for name, where, block in blocks:
        path = folder / name
        assert path.exists() == (where != "a new file"), name
        if where == "a new file":
            path.write_text(block, encoding="utf-8")
            continue
        imports = "".join(f"{line}\n" for line in block.splitlines() if line.startswith("from "))
        rest = block.removeprefix(imports).strip("\n")
        text = path.read_text(encoding="utf-8").replace("\nfrom dawa_assets", f"\n{imports}from dawa_assets", 1)
        assert imports in text
        if where == "in ASSETS":
            assert text.count(_END_OF_ASSETS) == 1
            text = text.replace(_END_OF_ASSETS, f"\n{rest}{_END_OF_ASSETS}")
        else:
            text = f"{text}\n\n{rest}\n"
        path.write_text(text, encoding="utf-8")
    return folder


def _python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(folder), str(ROOT)))
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _follow(tmp_path_factory.mktemp("copy"))


def test_who_follows_the_page_has_a_whole_asset(followed: Path, ports: Ports, artist: Artist) -> None:
    set_profile(ports, artist, profile())
    give_set(ports.database, artist, summary(100, "One"), "One", audio=False)
    give_set(ports.database, artist, summary(1200, "Two"), "Two", audio=False)
    without_tempos = "update als_summaries set summary = summary #- '{overview,tempo}'"
    done = _python(followed, "-c", _LOOK, str(ports.settings.home), ports.database.url(), artist.slug, without_tempos)
    assert done.returncode == 0, done.stderr[-3000:]
    seen, without = json.loads(done.stdout.splitlines()[-1])
    assert seen["checks"] == ["live_set_tempos_hold_together", "live_set_tempos_nothing_open"]
    assert seen["jobs"] == ["build_job", "dataset_job", "upload_job"]
    assert re.fullmatch("[0-9a-f]{16}", seen["version"])
    assert next(iter(seen["page"])) == "headline"
    assert seen["page"]["headline"] == "1200 BPM in the middle of 2"
    assert seen["page"]["live sets"] == 2
    assert seen["page"]["dagster/partition_row_count"] == 2
    assert "select * from als_summaries" in seen["page"]["rows"]
    assert seen["checked"] == {"live_set_tempos_hold_together": False, "live_set_tempos_nothing_open": True}
    assert seen["open"] == []
    assert without["version"] == "empty"
    assert without["checked"] == {"live_set_tempos_hold_together": True, "live_set_tempos_nothing_open": False}
    [issue] = without["open"]
    assert issue[:2] == ["failed", artist.slug]
    assert issue[3] == "has no tempo"


def test_an_asset_without_a_description_is_refused_by_its_name(followed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(followed, copy)
    shutil.copy(ROOT / "dawa_assets/observability/assets.py", copy / "dawa_assets/observability/assets.py")
    done = _python(copy, "-c", "from dawa_assets.definitions import defs; defs()")
    assert done.returncode != 0
    assert "live_set_tempos: an asset is made in dawa_assets/defs/assets/ and described in" in done.stderr


def test_what_the_page_shows_is_formatted_as_the_code_is(followed: Path) -> None:
    new = ["dawa_assets/tables/tempos.py", "dawa_assets/datasets/tempos.py", "dawa_assets/defs/assets/tempos.py"]
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    for command in (["check", *config], ["format", "--check", *config]):
        done = _python(followed, "-m", "ruff", *command, *new)
        assert done.returncode == 0, done.stdout
