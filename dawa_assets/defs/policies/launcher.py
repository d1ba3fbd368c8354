"""The run launcher of one machine: Dagster's own, which can also tell whether a run's process is still there.

Without that a run whose process was killed looks alive for good: it holds its place in the queue, and everything that
waits for its artist waits for ever. With it, run monitoring marks the run failed, and it is tried again.

Nor does it start a run whose process could not load the project for a wrong setting: that stays in the queue.
"""

import os
import time
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus

from dawa_assets.defs.policies.settings_check import load_checked_settings
from resources.errors import SettingsError

HOST = ".dagster/dawa_host"
"""The tag of a run that the command line runs in its own process: on which machine. Hidden in the UI."""

_LAUNCHED_HERE = ".dagster/grpc_info"  # a code server of this machine started its process
_LEEWAY_SECONDS = 5.0


class WatchedRunLauncher(dg.DefaultRunLauncher):
    """Starts each run in a process beside the code server, and sees when that process has gone."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start a run; the process reads the settings anew, also where the code server loaded with others before.

        Raises:
            DagsterUserCodeUnreachableError: the settings are wrong; the run coordinator tries again later.
        """
        try:
            load_checked_settings()
        except SettingsError as error:
            raise DagsterUserCodeUnreachableError(str(error)) from None
        super().launch_run(context)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It does, for processes of this machine."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Not found where the process is known to be gone; what can't be known counts as running."""
        here = _LAUNCHED_HERE in run.tags or run.tags.get(HOST) == os.uname().nodename
        process = self._process(run) if here else None
        if process is not None and _is_gone(*process):
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, f"its process ({process[0]}) is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def _process(self, run: dg.DagsterRun) -> tuple[int, float] | None:
        """Return the run's latest process, and when it said so (seconds since 1970); None before it did."""
        latest = None
        for entry in self._instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            event = entry.dagster_event
            pid = event.engine_event_data.metadata.get("pid") if event is not None else None
            if pid is not None and str(pid.value).isdigit():
                latest = int(str(pid.value)), entry.timestamp
        return latest


def _is_gone(pid: int, seen_at: float) -> bool:
    """Return whether no process has this number, or only a later one or one that has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return False  # a system without /proc, or it has ended just now: the next look tells
    started_at = time.time() - uptime + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return fields[0] == b"Z" or started_at > seen_at + _LEEWAY_SECONDS
