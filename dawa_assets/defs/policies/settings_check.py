"""What of the settings can be wrong in a way that only Dagster sees: then the code location can't be loaded."""

from dagster._utils.schedules import is_valid_cron_schedule

from resources.errors import SettingsError
from resources.settings import Settings


def load_checked_settings() -> Settings:
    """Return the settings as a process that is started now would read them.

    Raises:
        SettingsError: it could not load the code location by them.
    """
    settings = Settings.load()
    check_schedule(settings)
    return settings


def check_schedule(settings: Settings) -> None:
    """Make sure that the time of the nightly rebuild is one.

    Raises:
        SettingsError: it is none.
    """
    if not is_valid_cron_schedule(settings.nightly_cron):
        raise SettingsError(
            "DAWA_NIGHTLY_CRON: is no cron expression of five fields, such as `0 3 * * *`; "
            "mend it in the environment or in .env"
        )
