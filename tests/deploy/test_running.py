"""The production instance for real: PostgreSQL, code server, webserver and daemon as processes on loopback.

What differs from a deployment: ports, folders, at most three runs at once instead of ten (so that few runs reach the
limit), and runs are processes, not containers.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from dawa_assets.tables.artists import ensure_artist
from tests.databases import GivenDatabase
from tests.deploy.files import ROOT, dockerfile, load
from tests.fakes.hosted_servers import PostgresServer
from tests.resources.database.conftest import debian_postgres
from tests.waiting import until

__all__ = ["debian_postgres"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BIN = Path(sys.executable).parent
AT_ONCE = 3
ARTISTS = ["Nova Kite", "Low Tide", "Paper Moon", "Glass Harbour"]
_FOREIGN = ("DAWA_", "SUPABASE_", "OPENAI_", "GEMINI_", "POSTGRES_", "DAGSTER_")


@dataclass(frozen=True)
class Deployment:
    """What runs, and where it is asked."""

    url: str
    processes: dict[str, subprocess.Popen[bytes]]
    folder: Path

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Dagster's GraphQL, as the UI asks it."""
        answer = httpx.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=280)
        assert answer.is_success, answer.text
        found = answer.json()
        return dict(found["data"])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(*words: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / words[0], *words[1:]], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )


@contextmanager
def _running(*words: str, environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a group of its own, of which nothing is left afterwards."""
    with (folder / f"{words[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            [BIN / words[0], *words[1:]],
            env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=280)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _write_instance(folder: Path, server: PostgresServer, code_port: int) -> None:
    """The files that the image of webserver and daemon holds, with this machine's ports and folders."""
    instance, workspace = load("dagster.yaml"), load("workspace.yaml")
    image = dockerfile("user-code.Dockerfile").stages[-1]
    instance["storage"]["postgres"]["postgres_db"]["port"] = server.port
    instance["local_artifact_storage"]["config"]["base_dir"] = str(folder / "storage")
    instance["compute_logs"]["config"]["base_dir"] = str(folder / "compute-logs")
    instance["secrets"]["custom"]["config"]["location_paths"] = {"dawa_assets": str(folder / "secrets")}
    instance["concurrency"]["runs"]["max_concurrent_runs"] = AT_ONCE
    instance["run_launcher"] = {
        "module": "tests.deploy.process_launcher",
        "class": "ProcessLauncher",
        "config": {
            "env_vars": instance["run_launcher"]["config"]["env_vars"],
            "image_env": {name: value for name, value in image.env.items() if name.startswith("DAWA_")},
            "folder": str(folder / "runs"),
        },
    }
    workspace["load_from"][0]["grpc_server"] |= {"host": "127.0.0.1", "port": code_port}
    for name in ("home", "runs", "secrets"):
        (folder / name).mkdir()
    (folder / "home" / "dagster.yaml").write_text(yaml.safe_dump(instance))
    (folder / "home" / "workspace.yaml").write_text(yaml.safe_dump(workspace))


@pytest.fixture(scope="module")
def deployment(debian_postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    code_port, ui_port = _free_port(), _free_port()
    _write_instance(folder, debian_postgres, code_port)
    for name in ("dagster", "project"):
        debian_postgres.create_database(name)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    bare = clean | {
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_USER": "dawa",
        "POSTGRES_PASSWORD": debian_postgres.owner_password,
        "POSTGRES_DB": "dagster",
        "PYTHONPATH": str(ROOT),  # for the launcher of this test
    }
    dagster = bare | {"DAGSTER_HOME": str(folder / "home")}
    settings = {
        "DAWA_HOME": str(folder / "dawa"),
        "DAWA_DATA": str(folder / "data"),
        "DAWA_DATABASE": "supabase",
        "DAWA_BUCKET": "folder",
        "SUPABASE_DB_URL": debian_postgres.url("project"),
    }
    (folder / "secrets" / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
    home = folder / "home"
    for _ in range(2):  # the second time there is nothing to do
        for words, environment in (
            (("dagster", "instance", "migrate"), dagster),
            (("dawa", "migrate"), clean | settings),
        ):
            done = _command(*words, environment=environment, folder=home)
            assert done.returncode == 0, (words, done.stdout, done.stderr)
    with GivenDatabase(settings["SUPABASE_DB_URL"]).transaction() as connection:
        for artist in ARTISTS:
            ensure_artist(connection, artist)
    grpc = ("dagster", "api", "grpc", "--module-name", "dawa_assets.definitions", "--host", "127.0.0.1")
    with ExitStack() as stack:
        processes = {
            "code-server": stack.enter_context(
                _running(*grpc, "--port", str(code_port), environment=bare | settings, folder=folder)
            )
        }
        check = ("dagster", "api", "grpc-health-check", "--port", str(code_port))
        until(lambda: _command(*check, environment=clean, folder=home).returncode == 0, "the code server")
        for name, words in {
            "daemon": ("dagster-daemon", "run", "--workspace", "workspace.yaml"),
            "webserver": (*("dagster-webserver", "--workspace", "workspace.yaml"), "--port", str(ui_port)),
        }.items():
            processes[name] = stack.enter_context(_running(*words, environment=dagster, folder=home))
        url = f"http://127.0.0.1:{ui_port}"
        until(lambda: _answers(f"{url}/server_info"), "the webserver")
        alive = ("dagster-daemon", "liveness-check")
        until(lambda: _command(*alive, environment=dagster, folder=home).returncode == 0, "the daemon")
        yield Deployment(url, processes, folder)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10).is_success
    except httpx.HTTPError:
        return False


REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "dawa_assets"}
ADD_PARTITION = """mutation ($repository: RepositorySelector!, $key: String!) {
  addDynamicPartition(repositorySelector: $repository, partitionsDefName: "artist", partitionKey: $key) {
    __typename } }"""
LAUNCH = """mutation ($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) { __typename ... on LaunchRunSuccess { run { runId } } } }"""
RUNS = "{ runsOrError { ... on Runs { results { runId status jobName tags { key value } } } } }"
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus
  locationOrLoadError { __typename } } } } }"""


def _launch(deployment: Deployment, job: str, slug: str) -> str:
    parameters = {
        "selector": {**REPOSITORY, "jobName": job},
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": slug}]},
    }
    answer = deployment.ask(LAUNCH, parameters=parameters)["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def test_the_code_server_loads_and_every_daemon_is_alive(deployment: Deployment) -> None:
    (location,) = deployment.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
    assert (location["name"], location["loadStatus"]) == ("dawa_assets", "LOADED")
    assert location["locationOrLoadError"]["__typename"] == "RepositoryLocation"
    until(lambda: _unhealthy(deployment) == [], "every daemon's heartbeat")


def _unhealthy(deployment: Deployment) -> list[str]:
    daemons = deployment.ask(DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return [daemon["daemonType"] for daemon in daemons if daemon["required"] and not daemon["healthy"]]


@pytest.mark.parametrize("name", ["webserver", "daemon"])
def test_webserver_and_daemon_know_no_setting_of_the_project(deployment: Deployment, name: str) -> None:
    given = Path(f"/proc/{deployment.processes[name].pid}/environ").read_bytes().decode().split("\0")
    assert [line for line in given if line.startswith(("DAWA_", "SUPABASE_"))] == []


def test_runs_end_well_and_the_queue_keeps_its_limits(deployment: Deployment) -> None:
    slugs = [artist.lower().replace(" ", "-") for artist in ARTISTS]
    for slug in slugs:
        answer = deployment.ask(ADD_PARTITION, repository=REPOSITORY, key=slug)["addDynamicPartition"]
        assert answer["__typename"] in ("AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError")
    launched = {_launch(deployment, job, slug) for slug in slugs for job in ("ingest_job", "prompts_job")}
    most = 0
    while True:
        runs = deployment.ask(RUNS)["runsOrError"]["results"]
        going = [run for run in runs if run["status"] in ("STARTING", "STARTED")]
        artists = Counter(tag["value"] for run in going for tag in run["tags"] if tag["key"] == "dagster/partition")
        assert len(going) <= AT_ONCE
        assert all(count <= 2 for count in artists.values()), artists
        most = max(most, len(going))
        ended = {run["runId"]: run["status"] for run in runs if run["status"] in ("SUCCESS", "FAILURE", "CANCELED")}
        if launched <= ended.keys():
            break
        time.sleep(0.2)
    logs = {run: (deployment.folder / "runs" / f"{run}.log").read_text()[-1500:] for run in launched}
    assert {ended[run] for run in launched} == {"SUCCESS"}, [logs[run] for run in launched if ended[run] != "SUCCESS"]
    assert most > 1
