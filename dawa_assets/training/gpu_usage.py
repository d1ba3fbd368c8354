"""Calls on another machine, as the orchestrator keeps them: which one trains a run, and what its GPU cost."""

from uuid import UUID

from dawa_assets.errors import LostLeaseError
from dawa_assets.tables import training_runs
from dawa_assets.tables.leases import Lease
from resources.compute.base import CallRecord
from resources.database.base import Database
from resources.settings import Settings


class GpuMeter(CallRecord):
    """Counts the GPU seconds of jobs that need not be found again after a crash: asking twice is cheap."""

    def __init__(self) -> None:
        self.gpu_seconds: float | None = None

    @property
    def call_id(self) -> str | None:
        """None: each job is a call of its own."""
        return None

    def keep(self, call_id: str | None) -> None:
        """Nothing is kept."""

    def used(self, gpu_seconds: float) -> None:
        """Add what a call used."""
        self.gpu_seconds = (self.gpu_seconds or 0.0) + gpu_seconds


class TrainingCall(GpuMeter):
    """The call of a training, kept in its run's row for as long as the lease holds."""

    def __init__(self, database: Database, held: Lease, run_id: UUID) -> None:
        super().__init__()
        self._database, self._held, self._run_id = database, held, run_id

    @property
    def call_id(self) -> str | None:
        """The call that is on record; None also where somebody else took over, whose call it is then."""
        try:
            with self._database.transaction() as connection:
                self._held.check(connection)
                return training_runs.call_of(connection, self._run_id)
        except LostLeaseError:
            return None

    def keep(self, call_id: str | None) -> None:
        """Record the call that trains the run now.

        Raises:
            LostLeaseError: somebody else took over.
        """
        with self._database.transaction() as connection:
            self._held.check(connection)
            training_runs.keep_call(connection, self._run_id, call_id)


def cost_usd(settings: Settings, gpu_seconds: float | None) -> float:
    """Return what GPU seconds cost at the price of the settings; 0 where no other machine's GPU was used."""
    return round((gpu_seconds or 0.0) / 3600 * settings.modal_gpu_usd_per_hour, 4)
