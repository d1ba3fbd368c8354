"""Which Dagster instance commands open: the home's own, or that of DAGSTER_HOME, which stays as it was set up."""

from pathlib import Path

import dagster as dg
import pytest
import yaml

from dawa_assets.artists.delete import NoHistory
from dawa_assets.cli.artist import run_history
from dawa_assets.defs.partitions import ensure_partitions
from dawa_assets.defs.policies.launcher import WatchedRunLauncher
from dawa_assets.defs.resources import Pipeline
from dawa_assets.defs.run import open_instance, run_job
from dawa_assets.tables.artists import Artist
from resources.errors import SettingsError
from resources.settings import Settings

OURS = (Path(__file__).resolve().parents[3] / "dagster.yaml").read_text(encoding="utf-8")


class OfContainers(dg.DefaultRunLauncher):
    """A launcher that looks for the container of each run, as those of Docker and Kubernetes do."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "else where"))
    return tmp_path / "else where"


def test_without_a_wish_the_home_has_the_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    settings = Settings(home=tmp_path / "home")
    with open_instance(settings) as instance:
        assert instance.root_directory == str(tmp_path / "home" / "dagster")
        assert isinstance(instance.run_launcher, WatchedRunLauncher)
    (settings.dagster_folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    open_instance(settings).dispose()
    assert (settings.dagster_folder / "dagster.yaml").read_text(encoding="utf-8") == OURS


def test_a_new_instance_elsewhere_is_set_up_and_used(tmp_path: Path, elsewhere: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    with run_history(settings) as history:
        assert isinstance(history, NoHistory)
    assert not elsewhere.exists()
    with open_instance(settings) as instance:
        ensure_partitions(instance, ["nova", "other"])
    assert (elsewhere / "dagster.yaml").read_text(encoding="utf-8") == OURS
    with run_history(settings) as history:
        history.forget("nova", None)
    with dg.DagsterInstance.from_config(str(elsewhere)) as instance:
        assert instance.get_dynamic_partitions("artist") == ["other"]
    assert not (tmp_path / "home" / "dagster").exists()


def test_a_configured_instance_is_kept_and_gets_no_unsafe_run(tmp_path: Path, elsewhere: Path, artist: Artist) -> None:
    own = {
        "telemetry": {"enabled": False},
        "run_monitoring": {"enabled": True},
        "run_launcher": {"module": __name__, "class": "OfContainers"},
    }
    elsewhere.mkdir()
    (elsewhere / "dagster.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    with open_instance(Settings(home=tmp_path / "home")) as instance:
        with pytest.raises(SettingsError, match="start it in the UI"):
            run_job(instance, Pipeline(), "build_job", artist.slug)
        assert instance.get_runs_count() == 0
    assert yaml.safe_load((elsewhere / "dagster.yaml").read_text(encoding="utf-8")) == own


@pytest.mark.parametrize("content", ["storage: [1]", "no_such_part: 1"])
def test_one_that_cannot_be_opened_is_one_line(tmp_path: Path, elsewhere: Path, content: str) -> None:
    elsewhere.mkdir()
    (elsewhere / "dagster.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        open_instance(Settings(home=tmp_path / "home"))
    assert "\n" not in str(refused.value)
    assert "`dagster instance info`" in str(refused.value)


def test_a_file_in_the_place_of_its_folder_is_one_line(tmp_path: Path, elsewhere: Path) -> None:
    elsewhere.write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match="can't be opened"):
        open_instance(Settings(home=tmp_path / "home"))
