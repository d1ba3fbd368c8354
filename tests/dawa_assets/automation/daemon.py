"""A real Dagster daemon over a home of its own: with its code server and the processes of its runs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import dagster as dg
import psutil
import yaml
from dagster._core.scheduler.instigation import InstigatorType, TickStatus

ROOT = Path(__file__).resolve().parents[3]


class Daemon:
    """Starts and kills the daemon; what it did is read from its instance."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        (home / "dagster").mkdir(parents=True, exist_ok=True)
        config = yaml.safe_load((ROOT / "dagster.yaml").read_text())
        config["run_monitoring"] |= {"poll_interval_seconds": 3, "start_timeout_seconds": 60}
        (home / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(config))
        self.instance = dg.DagsterInstance.from_config(str(home / "dagster"))

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "dagster._daemon",
                "run",
                "-m",
                "tests.dawa_assets.automation.quick_location",
                "-d",
                str(ROOT),
            ],
            env=self.everything(),
            cwd=ROOT,
            stdout=(self.home / "daemon.log").open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def everything(self) -> dict[str, str]:
        """The environment of the daemon, and of commands that speak to its instance."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("DAWA_", "DAGSTER_"))}
        homes = {"DAWA_HOME": str(self.home), "DAGSTER_HOME": str(self.home / "dagster")}
        return ours | homes | {"OMP_NUM_THREADS": "1"} | self.environment

    def kill(self) -> None:
        """SIGKILL to the daemon, its code server, and every run's process with its children."""
        if self._process is None:
            return
        victims = self.processes()
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        psutil.wait_procs(victims, timeout=280)
        self._process.wait(240)
        self._process = None

    def processes(self) -> list[psutil.Process]:
        """The daemon and all below it, without the database's server, which is nobody's child for long."""
        assert self._process is not None
        daemon = psutil.Process(self._process.pid)
        return [daemon, *(each for each in daemon.children(recursive=True) if "postgres" not in each.name())]

    def tick_again(self, sensor: str, times: int = 3) -> None:
        """Wait until a sensor was looked at so many times more, by ticks that began after now and have ended."""
        now = time.time()

        def ended() -> bool:
            states = self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
            (state,) = [each for each in states if each.name == sensor]
            ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, after=now)
            return sum(tick.status != TickStatus.STARTED for tick in ticks) >= times

        self.until(ended)

    def until(self, come: Callable[[], bool], seconds: float = 600) -> None:
        """Wait for a condition, with what the daemon said where it does not come."""
        deadline = time.monotonic() + seconds
        while not come():
            if time.monotonic() > deadline:
                said = (self.home / "daemon.log").read_text(errors="replace")[-4000:]
                raise AssertionError(f"it did not come within {seconds:.0f} s; the daemon said:\n{said}")
            time.sleep(0.2)

    def runs(self, **tags: str) -> list[dg.DagsterRun]:
        """Runs with these tags (`__` for `/`), the oldest first."""
        named = {name.replace("__", "/"): value for name, value in tags.items()}
        return list(reversed(self.instance.get_runs(dg.RunsFilter(tags=named))))
