import json
import re
from typing import Any

import pytest

from resources.errors import SettingsError
from resources.ports import open_ports
from resources.settings import Settings
from tests.deploy.commands import check_command
from tests.deploy.files import (
    COMPOSE_VARIABLES,
    DEPLOY,
    ROOT,
    compose,
    compose_variables,
    dockerfile,
    env_names,
    load,
    words,
)

COMPOSE = compose()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOTS = {"migrate", "dagster-migrate"}
OF_THE_PROJECT = {"migrate", "code-server", "serve"}
WITH_AN_INSTANCE = {"dagster-migrate", "code-server", "daemon", "webserver"}
INSTANCE = load("dagster.yaml")
LAUNCHER = INSTANCE["run_launcher"]["config"]
SETTINGS_FILE, DAGSTER_FILE = "/etc/dawa/.env", "/etc/dawa/dagster.env"
ALIASES = {str(field.validation_alias or f"DAWA_{name.upper()}") for name, field in Settings.model_fields.items()}
OF_OTHERS = {"MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"}  # Modal's client reads these itself

each_service = pytest.mark.parametrize("name", SERVICES)


def _image_of(name: str) -> tuple[str, str]:
    """The Dockerfile and its stage that a service runs; the service that builds it may be another."""
    image = SERVICES[name]["image"]
    build = next(one["build"] for one in SERVICES.values() if one["image"] == image and "build" in one)
    file = build["dockerfile"].removeprefix("deploy/")
    return file, build.get("target") or dockerfile(file).stages[-1].name


def _mounts(volumes: list[str]) -> dict[str, str]:
    return dict(volume.split(":")[:2] for volume in volumes)


def _named(volumes: list[str]) -> dict[str, str]:
    """A service's volumes by the names that Docker knows them by."""
    return {COMPOSE["volumes"][key]["name"]: at for key, at in _mounts(volumes).items() if not key.startswith("/")}


@each_service
def test_every_service_has_its_limits_and_starts_again(name: str) -> None:
    service = SERVICES[name]
    assert {"mem_limit", "cpus", "restart"} <= service.keys()
    assert service["restart"] == ("no" if name in ONE_SHOTS else "unless-stopped")


@each_service
def test_every_service_waits_until_its_dependencies_are_ready(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
        assert how == {"condition": wanted}


@each_service
def test_every_service_that_stays_tells_its_health(name: str) -> None:
    own = SERVICES[name].get("healthcheck")
    if name in ONE_SHOTS:
        assert own == {"disable": True}
    elif name != "postgres" and own is None:
        file, stage = _image_of(name)
        assert dockerfile(file).said(stage, "HEALTHCHECK") is not None
    else:
        assert own is not None
        assert own["test"][0] in ("CMD", "CMD-SHELL")


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"postgres"}))
def test_every_service_runs_commands_that_exist(name: str) -> None:
    file, stage = _image_of(name)
    command = SERVICES[name].get("command") or words(dockerfile(file).said(stage, "CMD") or "[]")
    check_command(command)
    check = SERVICES[name].get("healthcheck", {})
    if "test" in check:
        check_command(check["test"][1:])


def test_only_the_webserver_has_a_port_and_it_is_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"webserver": ["127.0.0.1:3000:3000"]}
    assert all("network_mode" not in service and "privileged" not in service for service in SERVICES.values())


def test_only_what_starts_and_ends_runs_has_the_docker_socket() -> None:
    assert {name for name, one in SERVICES.items() if "/var/run/docker.sock" in _mounts(one.get("volumes", []))} == {
        "daemon",
        "webserver",
    }


@each_service
def test_only_the_project_s_own_services_have_its_settings(name: str) -> None:
    files = SERVICES[name].get("env_file", [])
    assert set(files) <= {SETTINGS_FILE, DAGSTER_FILE}
    assert (SETTINGS_FILE in files) == (name in OF_THE_PROJECT)
    assert (DAGSTER_FILE in files) == (name in WITH_AN_INSTANCE or name == "postgres")


@each_service
def test_no_secret_is_written_down(name: str) -> None:
    assert [key for key in SERVICES[name].get("environment", {}) if re.search("KEY|SECRET|PASSWORD|TOKEN", key)] == []
    for example in ("dagster.env.example", "dawa.env.example"):
        for line in (DEPLOY / example).read_text(encoding="utf-8").splitlines():
            if re.match(r"\w*(KEY|SECRET|PASSWORD|TOKEN|DB_URL)\w*=", line):
                assert line.endswith("="), line


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"postgres"}))
def test_nothing_but_the_database_keeps_a_privilege(name: str) -> None:
    assert SERVICES[name].get("cap_drop", ["ALL"] if name == "dagster-migrate" else None) == ["ALL"]


def test_every_name_that_is_used_is_declared() -> None:
    for service in SERVICES.values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert {key for key in _mounts(service.get("volumes", [])) if not key.startswith("/")} <= set(
            COMPOSE["volumes"]
        )
    used = {key for service in SERVICES.values() for key in _mounts(service.get("volumes", []))}
    assert set(COMPOSE["volumes"]) <= used


def test_runs_share_the_network_and_folders_of_the_code_server() -> None:
    assert LAUNCHER["network"] == COMPOSE["networks"]["dawa"]["name"]
    assert _mounts(LAUNCHER["container_kwargs"]["volumes"]) == _named(SERVICES["code-server"]["volumes"])
    assert SERVICES["code-server"]["environment"]["DAGSTER_CURRENT_IMAGE"] == SERVICES["code-server"]["image"]


def test_runs_read_their_settings_where_the_folder_of_secrets_is() -> None:
    folders = INSTANCE["secrets"]["custom"]["config"]["location_paths"]
    (location,) = (one["grpc_server"]["location_name"] for one in load("workspace.yaml")["load_from"])
    assert f"dawa-secrets:{folders[location]}:ro" in LAUNCHER["container_kwargs"]["volumes"]
    secrets = next(volume for volume in COMPOSE["volumes"].values() if volume["name"] == "dawa-secrets")
    assert secrets["driver_opts"] == {"type": "none", "o": "bind", "device": COMPOSE_VARIABLES["DAWA_SECRETS"]}


def test_every_process_with_an_instance_has_its_variables() -> None:
    asked = set(re.findall(r"env: (\w+)", (DEPLOY / "dagster.yaml").read_text(encoding="utf-8")))
    assert asked == set(LAUNCHER["env_vars"])
    for name in WITH_AN_INSTANCE:
        given = {*SERVICES[name]["environment"], *env_names("dagster.env.example")}
        assert asked <= given, name
        assert SERVICES[name]["environment"]["POSTGRES_HOST"] in SERVICES


def test_files_of_the_instance_are_in_shared_writable_folders() -> None:
    for part in ("local_artifact_storage", "compute_logs"):
        folder = INSTANCE[part]["config"]["base_dir"]
        for volumes in (SERVICES["webserver"]["volumes"], SERVICES["code-server"]["volumes"]):
            assert any(folder.startswith(at) for at in _mounts(volumes).values())
    for name in ("webserver", "code-server", "serve"):
        file, stage = _image_of(name)
        made = " ".join(
            said for one in dockerfile(file).lineage(stage) for _, said in one.lines if "install -d" in said
        )
        for at in _named(SERVICES[name]["volumes"]).values():
            assert at in made or at == "/run/dawa", at


def test_the_workspace_names_the_code_server_and_its_port() -> None:
    (location,) = (one["grpc_server"] for one in load("workspace.yaml")["load_from"])
    assert location["host"] == "code-server"
    assert location["host"] in SERVICES
    file, stage = _image_of("code-server")
    command = words(dockerfile(file).said(stage, "CMD") or "[]")
    assert command[command.index("--port") + 1] == str(location["port"])
    assert command[command.index("--host") + 1] == "0.0.0.0"  # noqa: S104
    assert str(location["port"]) in (dockerfile(file).said(stage, "EXPOSE") or "").split()
    assert str(location["port"]) in words(dockerfile(file).said(stage, "HEALTHCHECK") or "[]")
    assert location["location_name"] == load("../workspace.yaml")["load_from"][0]["python_module"]["location_name"]


def test_folders_of_the_image_are_settings_and_volumes() -> None:
    file, stage = _image_of("code-server")
    environment = dockerfile(file).lineage(stage)[0].env
    for name in ("DAWA_HOME", "DAWA_DATA"):
        assert name in ALIASES
        assert environment[name] in _named(SERVICES["code-server"]["volumes"]).values()
        assert environment[name] in _named(SERVICES["serve"]["volumes"]).values()


def test_a_container_without_settings_creates_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    file, stage = _image_of("code-server")
    for name, value in dockerfile(file).lineage(stage)[0].env.items():
        if name in ALIASES:
            monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match="SUPABASE_DB_URL: is not set"):
        open_ports(Settings(_env_file=None))


def test_the_example_of_settings_names_settings_that_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    names = env_names("dawa.env.example")
    assert set(names) <= ALIASES | OF_OTHERS
    assert len(names) == len(set(names))
    for line in (DEPLOY / "dawa.env.example").read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Z]", line):
            name, _, value = line.partition("=")
            monkeypatch.setenv(name, value or "filled-in")
    settings = Settings(_env_file=None)
    assert (settings.database, settings.bucket) == ("supabase", "supabase")
    assert settings.base != "tiny"


def test_every_compose_variable_is_documented() -> None:
    page = (ROOT / "docs" / "production.md").read_text(encoding="utf-8")
    assert [name for name in compose_variables("docker-compose.yaml") if f"`{name}`" not in page] == []


def test_the_gpu_variant_changes_services_that_are_there() -> None:
    gpu = compose("docker-compose.gpu.yaml")["services"]
    assert set(gpu) == OF_THE_PROJECT
    for name, service in gpu.items():
        base = SERVICES[name]["build"]
        assert (service["build"]["context"], service["build"]["dockerfile"]) == (base["context"], base["dockerfile"])
        assert set(service["build"]["args"]) <= set(dockerfile(_image_of(name)[0]).stages[0].args)
    context = json.loads(gpu["code-server"]["environment"]["DAGSTER_CONTAINER_CONTEXT"])
    assert context["docker"]["container_kwargs"]["device_requests"][0]["Capabilities"] == [["gpu"]]
