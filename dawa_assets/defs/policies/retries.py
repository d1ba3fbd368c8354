"""Which failures are tried again at once, by the step itself: those that pass by waiting, and no other.

The same input gives the same failure, and a call that is made again is paid for again.
"""

import dagster as dg
import psycopg

from dawa_assets.defs.policies.outcomes import note_failure
from dawa_assets.errors import BusyError, LostLeaseError
from modal_app.errors import DawaError
from resources.errors import DatabaseError

MAX_RETRIES = 2
PAUSE_SECONDS = 15.0


def failed(context: dg.AssetExecutionContext, error: DawaError) -> dg.Failure | dg.RetryRequested:
    """Return what a step ends with for an error of the project: its one line, or the wish to be run again soon.

    By what it fails is noted on the run, for whoever asks for the same again.
    """
    if can_pass(error) and context.retry_number < MAX_RETRIES:
        context.log.warning(f"{error}; tried again in {PAUSE_SECONDS:.0f} s")
        return dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=PAUSE_SECONDS)
    note_failure(context.instance, context.run.run_id, error)
    return dg.Failure(str(error), allow_retries=False)


def can_pass(error: DawaError) -> bool:
    """Whether waiting helps: somebody else is at work, took over, or the connection to the database broke off."""
    if isinstance(error, DatabaseError):
        return isinstance(error.__cause__, psycopg.OperationalError)
    return isinstance(error, BusyError | LostLeaseError)
