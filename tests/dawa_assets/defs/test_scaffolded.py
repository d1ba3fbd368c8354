"""What `dg scaffold defs` writes below `defs/` is in the code location, beside all that was there."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml
from dagster._core.workspace.load_target import get_target_from_toml_data
from dagster.components.lib.shim_components.asset import AssetScaffolder
from dagster.components.lib.shim_components.asset_check import AssetCheckScaffolder, AssetCheckScaffoldParams
from dagster.components.lib.shim_components.base import ShimScaffolder
from dagster.components.lib.shim_components.job import JobScaffolder
from dagster.components.lib.shim_components.resources import ResourcesScaffolder
from dagster.components.lib.shim_components.schedule import ScheduleScaffolder
from dagster.components.lib.shim_components.sensor import SensorScaffolder
from dagster.components.scaffold.scaffold import ScaffoldRequest

ROOT = Path(__file__).resolve().parents[3]

_LOOK = """
import json
from dawa_assets.defs.code_location import build_defs
from resources.settings import Settings
defs = build_defs(Settings(home="home"))
found = defs.get_repository_def()
print(json.dumps({
    "assets": [key.to_user_string() for key in found.asset_graph.get_all_asset_keys()],
    "checks": [key.name for key in found.asset_graph.asset_check_keys],
    "names": [each.name for each in (*found.get_all_jobs(), *found.schedule_defs, *found.sensor_defs)],
    "resources": sorted(defs.resources),
}))
"""


def _scaffold(scaffolder: ShimScaffolder, file: Path, params: AssetCheckScaffoldParams | None = None) -> None:
    """Do what `dg scaffold defs` does, down to the folder that it makes first."""
    file.mkdir(parents=True)
    scaffolder.scaffold(
        ScaffoldRequest(
            type_name="dagster", target_path=file, scaffold_format="python", project_root=ROOT, params=params
        )
    )


def _look(folder: Path) -> dict[str, list[str]]:
    run = [sys.executable, "-c", _LOOK]
    done = subprocess.run(run, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown: dict[str, list[str]] = json.loads(done.stdout)
    return shown


def test_what_was_scaffolded_anywhere_below_defs_is_loaded(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "dawa_assets", tmp_path / "dawa_assets")  # compiled as it is: with the times of its files
    before = _look(tmp_path)
    defs = tmp_path / "dawa_assets" / "defs"
    _scaffold(AssetScaffolder(), defs / "assets" / "loudness.py")
    _scaffold(AssetScaffolder(), defs / "team" / "reports" / "charts.py")
    _scaffold(AssetCheckScaffolder(), defs / "team" / "charts_are_new.py", AssetCheckScaffoldParams(asset_key="charts"))
    _scaffold(ScheduleScaffolder(), defs / "weekly_charts.py")
    _scaffold(SensorScaffolder(), defs / "sensors" / "chart_sensor.py")
    _scaffold(JobScaffolder(), defs / "chart_job.py")
    _scaffold(ResourcesScaffolder(), defs / "team" / "resources.py")
    resources = (defs / "team" / "resources.py").read_text(encoding="utf-8")
    (defs / "team" / "resources.py").write_text(resources.replace("={}", "={'printer': 7}"), encoding="utf-8")
    (defs / "team" / "uses_ours.py").write_text("from dawa_assets.defs.jobs import dataset_job\n", encoding="utf-8")
    component = defs / "component"
    component.mkdir()
    (component / "defs.yaml").write_text("type: dagster.DefsFolderComponent\n", encoding="utf-8")
    _scaffold(AssetScaffolder(), component / "of_a_component.py")

    after = _look(tmp_path)
    new = {kind: sorted(set(names) - set(before[kind])) for kind, names in after.items()}
    assert new == {
        "assets": ["charts", "loudness", "of_a_component"],
        "checks": ["charts_are_new"],
        "names": ["__anonymous_asset_job_weekly_charts", "chart_job", "chart_sensor", "weekly_charts"],
        "resources": ["printer"],
    }
    assert all(set(names) <= set(after[kind]) for kind, names in before.items())


def test_every_way_to_start_calls_the_location_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (workspace,) = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    target = get_target_from_toml_data(project)  # what `dagster job launch` and `dg dev` read
    assert target.location_name == workspace["python_module"]["location_name"] == "dawa_assets"
    assert target.module_name == workspace["python_module"]["module_name"]
