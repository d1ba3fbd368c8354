"""Whether the code location loads with these settings, said in one line, where Dagster shows two stacks of its own."""

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo

from dawa_assets.defs.code_location import build_defs
from dawa_assets.observability.doctor import Diagnosis
from modal_app.errors import DawaError
from resources.errors import SettingsError
from resources.settings import Settings


def location_error(error: SettingsError) -> DagsterUserCodeProcessError:
    """Return what Dagster shows as the line that the error has, and nothing else.

    It is the error by which one process of Dagster's hands on what another one ran into, as that one told it.
    """
    line = f"{error}; then reload the location"
    info = SerializableErrorInfo(message=line, stack=[], cls_name=type(error).__name__)
    return DagsterUserCodeProcessError(line, user_code_process_error_infos=[info])  # type: ignore[no-untyped-call]


def diagnose_location(settings: Settings) -> Diagnosis:
    """Load the code location as Dagster would: what keeps it from loading would keep every run waiting."""
    try:
        repository = build_defs(settings).get_repository_def()
    except (DawaError, dg.DagsterError, ImportError, SyntaxError) as error:
        return Diagnosis("code location", "dagster", "error", " ".join(str(error).split()))
    ticking = len(repository.sensor_defs) + len(repository.schedule_defs)
    loaded = f"loads: {len(repository.assets_defs_by_key)} assets, {ticking} sensors and schedules"
    return Diagnosis("code location", "dagster", "ok", loaded)
