import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef

from tests.deploy.commands import check_command
from tests.deploy.files import DEPLOY, compose, dockerfile, load, pinned

INSTANCE = load("dagster.yaml")
HELM = load("helm-values.yaml")
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
PODS = {
    one["metadata"]["labels"]["app"]: one["spec"]["template"]["spec"] for one in MANIFESTS if one["kind"] != "Service"
}


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstanceRef:
    """The instance as a container with its environment reads it; nothing is connected to."""
    for name in INSTANCE["run_launcher"]["config"]["env_vars"]:
        monkeypatch.setenv(name, "given")
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    return InstanceRef.from_dir(str(tmp_path))


def test_dagster_reads_the_file(reference: InstanceRef) -> None:
    assert reference.secrets_loader is not None
    assert type(reference.run_coordinator).__name__ == "QueuedRunCoordinator"
    assert type(reference.compute_log_manager).__name__ == "LocalComputeLogManager"


def test_the_run_launcher_takes_its_configuration(reference: InstanceRef) -> None:
    if find_spec("dagster_docker") is None:
        pytest.skip("dagster-docker is in the images and not in this environment")
    launcher = reference.run_launcher
    assert launcher.networks == ["dawa"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", ["python_logs", "run_retries", "retention", "telemetry"])
def test_what_the_local_instance_says_holds_here_too(part: str) -> None:
    assert INSTANCE[part] == load("../dagster.yaml")[part]


def test_pools_are_counted_as_on_one_machine() -> None:
    assert INSTANCE["concurrency"]["pools"] == load("../dagster.yaml")["concurrency"]["pools"]


def test_runs_are_watched_as_on_one_machine() -> None:
    assert INSTANCE["run_monitoring"].items() >= load("../dagster.yaml")["run_monitoring"].items()
    stops = INSTANCE["run_launcher"]["config"]["container_kwargs"]["stop_timeout"]
    assert 10 < stops < INSTANCE["run_monitoring"]["cancel_timeout_seconds"]


def test_the_tags_that_are_limited_are_tags_that_runs_have() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (DEPLOY.parent / "dawa_assets" / "defs").rglob("*.py")
    )
    for limit in INSTANCE["concurrency"]["runs"]["tag_concurrency_limits"]:
        assert limit["key"].startswith("dagster/") or f'"{limit["key"]}"' in sources, limit


def test_kubernetes_limits_watches_and_keeps_as_compose_does() -> None:
    runs = INSTANCE["concurrency"]["runs"]
    chart = HELM["concurrency"]
    assert chart["enabled"]
    assert chart["runs"]["maxConcurrentRuns"] == runs["max_concurrent_runs"]
    assert chart["runs"]["tagConcurrencyLimits"] == runs["tag_concurrency_limits"]
    assert {_snake(key): value for key, value in chart["pools"].items()} == INSTANCE["concurrency"]["pools"]
    assert HELM["additionalInstanceConfig"]["run_retries"] == INSTANCE["run_retries"]
    watched = HELM["dagsterDaemon"]["runMonitoring"]
    assert {_snake(key): value for key, value in watched.items()}.items() >= INSTANCE["run_monitoring"].items()
    for kind in ("sensor", "schedule"):
        kept = HELM["retention"][kind]["purgeAfterDays"]
        assert kept.items() >= INSTANCE["retention"][kind]["purge_after_days"].items()
    assert HELM["postgresql"]["postgresqlScheme"] == INSTANCE["storage"]["postgres"]["postgres_db"]["scheme"]
    assert HELM["pythonLogs"]["managedPythonLoggers"] == INSTANCE["python_logs"]["managed_python_loggers"]


def test_what_the_chart_passes_on_is_a_configuration_of_dagster(tmp_path: Path) -> None:
    added = HELM["additionalInstanceConfig"] | {"concurrency": INSTANCE["concurrency"]}
    (tmp_path / "dagster.yaml").write_text(json.dumps(added))
    assert InstanceRef.from_dir(str(tmp_path)).settings["run_retries"]["max_retries"] == 1
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_concurrency_config().run_queue_config is not None


def test_the_chart_runs_the_images_that_compose_builds() -> None:
    built = {service["image"].partition(":")[0] for service in compose()["services"].values() if "build" in service}
    (code,) = HELM["dagster-user-deployments"]["deployments"]
    images = [code["image"], HELM["dagsterWebserver"]["image"], HELM["dagsterDaemon"]["image"]]
    assert {image["repository"].rsplit("/", 1)[-1] for image in images} == built
    assert len({image["tag"] for image in images}) == 1
    used = f"{code['image']['repository']}:{code['image']['tag']}"
    assert {container["image"] for pod in PODS.values() for container in pod["containers"]} == {used}
    assert f"--version {pinned('constraints.txt')['dagster']} " in (DEPLOY / "helm-values.yaml").read_text()


def test_the_chart_s_code_server_listens_where_compose_s_does() -> None:
    (code,) = HELM["dagster-user-deployments"]["deployments"]
    check_command(["dagster", "api", "grpc", "-p", str(code["port"]), *code["dagsterApiGrpcArgs"]])
    assert code["port"] == load("workspace.yaml")["load_from"][0]["grpc_server"]["port"]
    assert HELM["dagsterWebserver"]["service"]["type"] == "ClusterIP"


def test_only_the_project_s_pods_have_its_settings() -> None:
    (code,) = HELM["dagster-user-deployments"]["deployments"]
    assert code["envSecrets"] == [{"name": "dawa-settings"}]
    assert code["includeConfigInLaunchedRuns"] == {"enabled": True}
    for part in ("dagsterWebserver", "dagsterDaemon"):
        assert "envSecrets" not in HELM[part]
    for pod in PODS.values():
        assert [container["envFrom"] for container in pod["containers"]] == [[{"secretRef": {"name": "dawa-settings"}}]]


@pytest.mark.parametrize("app", PODS)
def test_a_pod_runs_a_command_that_exists_as_the_image_s_user(app: str) -> None:
    (container,) = PODS[app]["containers"]
    check_command(container["command"])
    user = dockerfile("user-code.Dockerfile").said("user-code", "USER")
    assert user == f"{PODS[app]['securityContext']['runAsUser']}:{PODS[app]['securityContext']['runAsUser']}"
    assert "limits" in container["resources"]


def test_the_service_leads_to_the_port_that_is_served() -> None:
    (service,) = (one for one in MANIFESTS if one["kind"] == "Service")
    (container,) = PODS["dawa-serve"]["containers"]
    (port,) = container["ports"]
    assert container["command"][-1] == str(port["containerPort"])
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert service["spec"]["selector"]["app"] in PODS


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
