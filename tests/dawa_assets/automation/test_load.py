"""The code location loads without any of Dagster's warnings."""

import os
from pathlib import Path

from tests.command_line import dawa

_LOAD = """
import warnings
import dagster as dg
from dagster_shared.utils.warnings import BetaWarning, ConfigArgumentWarning, PreviewWarning, SupersessionWarning
for category in (BetaWarning, ConfigArgumentWarning, PreviewWarning, SupersessionWarning):
    warnings.simplefilter("error", category)
warnings.filterwarnings("error", category=DeprecationWarning, module="dawa_assets|resources|modal_app")
from dawa_assets.definitions import defs
repository = defs().get_repository_def()
repository.load_all_definitions()
print(len(repository.get_all_jobs()))
"""


def test_loading_the_definitions_raises_no_dagster_warnings(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DAWA_")}
    done = dawa(env=clean | {"DAWA_HOME": str(tmp_path / "home")}, cwd=tmp_path, code=_LOAD)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) >= 5
