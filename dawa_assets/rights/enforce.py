"""What follows from permissions: items that are left out or taken in again, adapters that are taken down.

Every step of an artist begins with it, and so does each night. With `DAWA_PERMISSIONS=warn` or `off` nothing is left
out, and what was left out for want of a permission comes back.
"""

import logging
from dataclasses import dataclass, field

from dawa_assets.pipeline.job_progress import logged
from dawa_assets.pipeline.step import artist_step
from dawa_assets.pipeline.wording import counted, first_of
from dawa_assets.rights.permissions import clock_of, refusal
from dawa_assets.rights.samples import uncleared_items
from dawa_assets.tables import training_runs
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.permissions import artists_without_permission, exclude_unpermitted
from dawa_assets.tables.training_runs import Run
from modal_app.protocol.training import WithdrawRequest
from resources.database.base import Connection, Database
from resources.ports import Ports
from resources.settings import Settings

log = logging.getLogger(__name__)

_MAX_NAMED = 5


@dataclass(frozen=True)
class Enforced:
    """What came of it: how many items went out and came in, and the adapters that were taken down, with the reason."""

    left_out: int = 0
    taken_in: int = 0
    taken_down: list[tuple[str, str]] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """What there is to say of it."""
        lines = [f"{counted(self.left_out, 'item')} left out, for want of a permission"] if self.left_out else []
        lines += [f"{counted(self.taken_in, 'item')} taken in again"] if self.taken_in else []
        return lines + [f"{lora} was taken down: {reason}" for lora, reason in self.taken_down]


def enforce(ports: Ports, artist: Artist) -> Enforced:
    """Leave out what is not permitted, take in what is again, and take down what may not be published.

    Safe to be killed and run again.

    Raises:
        BusyError: a promotion of this artist did not end in time.
        JobError: the worker can't take an adapter down; it is still published.
    """
    left_out, taken_in = leave_out_unpermitted(ports.database, ports.settings, artist)
    done = Enforced(left_out, taken_in, take_down_unpermitted(ports, artist))
    for line in done.lines:
        log.warning("%s: %s", artist.slug, line)
    return done


def leave_out_unpermitted(database: Database, settings: Settings, artist: Artist | None = None) -> tuple[int, int]:
    """Leave out and take in items, of an artist or of all; gives how many."""
    is_required, artist_id = settings.permissions == "required", None if artist is None else artist.id
    with database.transaction() as connection:
        uncleared = uncleared_items(connection, settings, artist_id) if is_required else {}
        return exclude_unpermitted(
            connection, clock_of(settings), is_required=is_required, artist_id=artist_id, others=uncleared
        )


def take_down_unpermitted(ports: Ports, artist: Artist) -> list[tuple[str, str]]:
    """Take down the artist's published adapters that nobody permits to publish; gives their names with the reason."""
    if ports.settings.permissions != "required":
        return []
    with ports.database.transaction() as connection:
        if not _unpermitted(connection, ports.settings, artist):
            return []
    done = []
    with artist_step(ports, artist, "promotion") as step:
        with ports.database.transaction() as connection:
            found = _unpermitted(connection, ports.settings, artist)
        for run, reason in found:
            # files first: a row that says nothing is published while they lie there would never be looked at again
            withdraw_files(ports, artist, run)
            with ports.database.transaction() as connection:
                step.held.check(connection)
                training_runs.take_down(connection, run, reason)
            done.append((f"{artist.slug}:{run.model_name}", reason))
    return done


def withdraw_files(ports: Ports, artist: Artist, run: Run) -> None:
    """Remove a run's adapter from the published paths; the run's own files stay."""
    request = WithdrawRequest(run_id=str(run.id), producer_id=artist.slug, model_name=run.model_name)
    ports.compute.run(request, logged("withdraw"))


def permissions_line(database: Database, settings: Settings) -> tuple[bool, str]:
    """Return whether every artist with items has a permission to train now, and what there is to say of that."""
    if settings.permissions == "off":
        return True, "off (DAWA_PERMISSIONS=off): nobody asks who permitted what"
    with database.transaction() as connection:
        without, of = artists_without_permission(connection, clock_of(settings))
    then = "what is not permitted is left out" if settings.permissions == "required" else "nothing stops for that"
    if not without:
        return True, f"{settings.permissions}: every artist with items has a permission to train now"
    return False, (
        f"{settings.permissions}: {len(without)} of {counted(of, 'artist')} have no permission to train now "
        f"({first_of(without, _MAX_NAMED)}); {then}; `dawa rights grant` puts one on record"
    )


def _unpermitted(connection: Connection, settings: Settings, artist: Artist) -> list[tuple[Run, str]]:
    return [
        (run, reason)
        for run in training_runs.list_runs(connection, artist)
        if run.promoted and (reason := refusal(connection, settings, run.id, "publish")) is not None
    ]
