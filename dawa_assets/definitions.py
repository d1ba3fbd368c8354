"""The Dagster code location that `workspace.yaml` points at."""

import dagster as dg

from dawa_assets.defs.code_location import build_defs
from dawa_assets.defs.location_error import location_error
from resources.errors import SettingsError
from resources.settings import Settings


@dg.definitions
def defs() -> dg.Definitions:
    """Build the code location of this process's settings, which are read when Dagster asks and not at import."""
    try:
        return build_defs(Settings.load())
    except SettingsError as error:
        raise location_error(error) from None
