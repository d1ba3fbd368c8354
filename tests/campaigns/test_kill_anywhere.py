"""A build that is killed at random moments and run again ends in the same state as one that nobody disturbed."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from resources.database.embedded.embedded_database import EmbeddedDatabase
from tests.campaigns.final_state import differences, leftovers, settled_state
from tests.campaigns.small_artist import NAME, SLUG, compose
from tests.waiting import finish

ENVIRONMENT = {"DAWA_TRAIN_STEPS": "2", "DAWA_PREVIEW_SECONDS": "1", "OMP_NUM_THREADS": "1"}
DAWA = [sys.executable, "-c", "from dawa_assets.cli.main import main; main()"]
KILLS_A_HOME = 10
VICTIMS = ("build", "build and children", "build, children and database")


@dataclass(frozen=True)
class Undisturbed:
    """A home in which everything was uploaded and nothing built, and what a build makes of it in how long."""

    template: Path
    state: dict[str, Any]
    seconds: float


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    root = tmp_path_factory.mktemp("kills")
    template, home = root / "template", root / "undisturbed"
    compose(root / "files")
    _dawa(template, "upload", "--artist", NAME, str(root / "files"))
    _stop_postgres(template)
    _copy(template, home)
    started = time.monotonic()
    _dawa(home, "build", "--artist", SLUG)
    seconds = time.monotonic() - started
    state = settled_state(home, _url(home))
    assert leftovers(home) == []
    assert len(state["tables"]["training_items"]) == 2
    yield Undisturbed(template, state, seconds)
    _stop_postgres(home)


@pytest.mark.slow
@pytest.mark.timeout(0)  # a campaign ends when it is done: each of its builds fails when it gets on no more
@pytest.mark.parametrize("kills", [1, 10])
def test_a_few_kills_leave_what_an_undisturbed_build_leaves(
    undisturbed: Undisturbed, tmp_path: Path, kills: int
) -> None:
    _campaign(undisturbed, tmp_path, kills=kills, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_kills_leave_what_an_undisturbed_build_leaves(undisturbed: Undisturbed, tmp_path: Path, seed: int) -> None:
    _campaign(undisturbed, tmp_path, kills=30, seed=seed)


@pytest.mark.slow
def test_two_concurrent_builds_give_the_result_of_one(undisturbed: Undisturbed, tmp_path: Path) -> None:
    home = tmp_path / "home"
    _copy(undisturbed.template, home)
    builds = [
        subprocess.Popen(
            [*DAWA, "build", "--artist", SLUG],
            env=_environment(home),
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [build.communicate()[1] for build in builds]
    try:
        assert [build.returncode for build in builds] == [0, 0], said
        assert "waiting for another process that works on the same artist" in "".join(said)
        assert differences(settled_state(home, _url(home)), undisturbed.state) == []
    finally:
        _stop_postgres(home)


def _campaign(undisturbed: Undisturbed, folder: Path, *, kills: int, seed: int) -> None:
    """Kill builds until `kills` of them died; each home is killed a few times, then built to its end and compared."""
    rng = random.Random(seed)  # noqa: S311
    done = homes = 0
    while done < kills:
        home = folder / f"home-{homes}"
        homes += 1
        _copy(undisturbed.template, home)
        told = []
        while len(told) < KILLS_A_HOME and done < kills:
            after, victims = rng.uniform(0.1, 0.55) * undisturbed.seconds, rng.choice(VICTIMS)
            if not _build_and_kill(home, after, victims):
                break
            done += 1
            told.append(f"{victims} after {after:.2f} s")
        else:
            _dawa(home, "build", "--artist", SLUG)
        try:
            wrong = differences(settled_state(home, _url(home)), undisturbed.state) + leftovers(home)
        finally:
            _stop_postgres(home)
        assert not wrong, "\n".join([f"killed: {', '.join(told)}", *wrong[:12]])
        shutil.rmtree(home)


def _build_and_kill(home: Path, after: float, victims: str) -> bool:
    """Start a build and kill it after so many seconds; False if it was done before.

    Where its children are spared, they must see for themselves that nobody waits for them.
    """
    build = subprocess.Popen(
        [*DAWA, "build", "--artist", SLUG],
        env=_environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = build.communicate(timeout=after)
    except subprocess.TimeoutExpired:
        server = _postgres(home)
        servers = [server, *server.children()] if server else []
        children = psutil.Process(build.pid).children(recursive=True) if victims != "build" else []
        spared = {process.pid for process in servers} if victims != "build, children and database" else set()
        dying = [psutil.Process(build.pid), *children, *servers]
        _kill([process for process in dying if process.pid not in spared])
        build.stderr.close()
        return True
    assert build.returncode == 0, errors
    return False


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def _dawa(home: Path, *arguments: str) -> str:
    child = finish([*DAWA, *arguments], env=_environment(home))
    assert child.returncode == 0, child.stderr
    return child.stdout


def _environment(home: Path) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("DAWA_")}, **ENVIRONMENT, "DAWA_HOME": str(home)}


def _url(home: Path) -> str:
    """Of the server of this home, started if need be."""
    return EmbeddedDatabase(home / "postgres").url()


def _postgres(home: Path) -> psutil.Process | None:
    for file in (home / "postgres").rglob("postmaster.pid"):
        try:
            process = psutil.Process(int(file.read_text().splitlines()[0]))
        except (psutil.NoSuchProcess, OSError, ValueError, IndexError):
            continue
        if "postgres" in process.name():
            return process
    return None


def _stop_postgres(home: Path) -> None:
    EmbeddedDatabase(home / "postgres").stop()


def _copy(template: Path, home: Path) -> None:
    """With owners and rights, which PostgreSQL is strict about."""
    subprocess.run(["cp", "-a", template, home], check=True)


def test_the_comparison_sees_what_a_build_could_lose() -> None:
    whole = {"tables": {"t": ["a", "b"]}, "bucket": ["x 1"], "data": ["y 1"]}
    broken = {"tables": {"t": ["a", "a"]}, "bucket": ["x 2"], "data": ["y 1", "z 1"]}
    assert differences(whole, whole) == []
    assert differences(broken, whole) == [
        "table t: too much: a", "table t: missing: b", "bucket: too much: x 2", "bucket: missing: x 1",
        "data: too much: z 1",
    ]  # fmt: skip
