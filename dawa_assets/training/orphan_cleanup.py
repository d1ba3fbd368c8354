"""Trainings that nobody waits for any more: their calls on another machine are stopped, so that they cost nothing.

A process that was killed leaves its call running, for the next one to take up. Only where none comes within a grace
period is it stopped here. A training in a child process ends with its parent and leaves nothing to stop.
"""

import logging
from dataclasses import dataclass

from dawa_assets.errors import ArtistBeingDeletedError, BusyError
from dawa_assets.pipeline.leases import lease
from dawa_assets.tables import training_runs
from dawa_assets.tables.training_runs import StrandedRun
from modal_app.errors import JobError
from resources.ports import Ports

log = logging.getLogger(__name__)

_REASON = "nobody waited for it any more, so its call was cancelled; run it again, it goes on from its checkpoint"


@dataclass(frozen=True)
class ReapedTraining:
    """A training whose call was cancelled."""

    slug: str
    run_id: str
    call_id: str


def reap_trainings(ports: Ports, owned: set[str], grace_seconds: float) -> list[ReapedTraining]:
    """Cancel the calls of running trainings whose holder has been silent for longer than the grace period.

    `owned` are the slugs of artists for whom a run is queued or under way: it will take up what is there. A training
    that somebody takes up meanwhile is left alone. Safe to run twice, also at once.

    Raises:
        JobError: some calls can't be cancelled; all others are, and the next time tries these again.
    """
    with ports.database.transaction() as connection:
        stranded = training_runs.stranded_runs(connection, grace_seconds)
    reaped, failed = [], []
    for run in stranded:
        try:
            if run.slug not in owned and _reap(ports, run):
                log.warning("training %s of %s: %s", run.id, run.slug, _REASON)
                reaped.append(ReapedTraining(run.slug, str(run.id), run.call_id))
        except JobError as error:  # one that can't be stopped must not keep the others running
            failed.append(f"training {run.id} of {run.slug}: {error}")
    if failed:
        raise JobError("; ".join(failed))
    return reaped


def _reap(ports: Ports, run: StrandedRun) -> bool:
    """Cancel one call under the training's own lease; false where somebody else holds that, or was quicker.

    Also false where the artist is being deleted: that cancels their calls itself.
    """
    try:
        with lease(
            ports.database, run.artist_id, "training", seconds=ports.settings.lease_seconds, wait_seconds=0
        ) as held:
            with ports.database.transaction() as connection:
                if not training_runs.is_stranded(connection, run):
                    return False
            ports.compute.cancel(run.call_id)
            with ports.database.transaction() as connection:
                held.check(connection)
                return training_runs.give_up_run(connection, run, _REASON)
    except (BusyError, ArtistBeingDeletedError):
        return False
