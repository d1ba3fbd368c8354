"""Resources: the pipeline's four ports, as Dagster hands them to assets, checks, sensors and schedules.

No secret and no path of this machine passes through Dagster: the resource's configuration holds only what
differs from the settings, and the settings are read from the environment where the run takes place.
"""

from functools import lru_cache
from typing import Protocol

import dagster as dg
from pydantic import Field, PrivateAttr

from resources.ports import Ports, open_ports
from resources.settings import Settings


class OpensPorts(Protocol):
    """What can stand as the resource `pipeline`: anything that hands out the four ports."""

    def ports(self) -> Ports:
        """Return the ports, open."""


class Pipeline(dg.ConfigurableResource[Ports]):
    """The database, the bucket, the prompt writer and the machines that compute, as the settings choose them."""

    overrides: dict[str, str] = Field(
        default_factory=dict, description="settings that differ from the environment, by their names"
    )
    uses: dict[str, str] = Field(
        default_factory=dict,
        description="what stands behind it, by the settings that the code location was loaded with; shown, never read",
    )

    _given: Ports | None = PrivateAttr(default=None)

    def ports(self) -> Ports:
        """Return the ports: opened once per process and settings, which are read once a run, and once a tick."""
        if self._given is None:
            self._given = _opened(Settings.load(**self.overrides))
        return self._given


@lru_cache(maxsize=8)
def _opened(settings: Settings) -> Ports:
    return open_ports(settings)
