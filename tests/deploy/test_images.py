import fnmatch
import re
import subprocess
import sys
import tomllib

import pytest

from tests.deploy.commands import check_command
from tests.deploy.files import DEPLOY, ROOT, Stage, dockerfile, normalised, pinned, words

FILES = {name: dockerfile(name) for name in ("user-code.Dockerfile", "dagster.Dockerfile")}
STAGES = [(name, stage) for name, file in FILES.items() for stage in file.stages]
IMAGES = [("user-code.Dockerfile", "user-code"), ("dagster.Dockerfile", "webserver"), ("dagster.Dockerfile", "daemon")]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]

IDS = [f"{file}:{stage.name}" for file, stage in STAGES]
each_stage = pytest.mark.parametrize(("file", "stage"), STAGES, ids=IDS)
each_stage_alone = pytest.mark.parametrize("stage", [stage for _, stage in STAGES], ids=IDS)
each_image = pytest.mark.parametrize(("file", "image"), IMAGES)


def _copied(stage: Stage) -> list[tuple[str, list[str]]]:
    """Where each COPY takes what: a stage's name (or none), and its sources."""
    found = []
    for instruction, said in stage.lines:
        if instruction == "COPY":
            *sources, _target = said.split()
            origin = sources.pop(0).removeprefix("--from=") if sources[0].startswith("--from=") else ""
            found.append((origin, sources))
    return found


def _goes_to_the_builder(path: str) -> bool:
    kept = True
    for pattern in IGNORED:
        plain = pattern.removeprefix("!").removeprefix("**/")
        if (
            fnmatch.fnmatch(path, plain)
            or fnmatch.fnmatch(path.rsplit("/", 1)[-1], plain)
            or path.startswith(f"{plain}/")
        ):
            kept = pattern.startswith("!")
    return kept


@each_stage
def test_what_is_copied_exists_and_goes_to_the_builder(file: str, stage: Stage) -> None:
    earlier = [other.name for other in FILES[file].stages[: FILES[file].stages.index(stage)]]
    for origin, sources in _copied(stage):
        if origin:
            assert origin in earlier
        for source in sources if not origin else []:
            assert (ROOT / source).exists(), source
            assert _goes_to_the_builder(source), source


@pytest.mark.parametrize(
    "path", [".env", "deploy/.env", "deploy/dawa.env", "dawa_assets/.env", ".git/config", ".dawa/x"]
)
def test_what_may_hold_a_secret_does_not_go_to_the_builder(path: str) -> None:
    assert not _goes_to_the_builder(path)


@each_stage
def test_every_base_is_an_earlier_stage_or_a_versioned_image(file: str, stage: Stage) -> None:
    earlier = [other.name for other in FILES[file].stages[: FILES[file].stages.index(stage)]]
    argument = re.fullmatch(r"\$\{(\w+)\}", stage.base)
    assert stage.base in earlier or argument is not None
    if argument:
        assert re.fullmatch(r"[\w/.-]+:\d[\w.-]+", FILES[file].args[argument[1]])


@each_stage
def test_every_variable_in_use_is_defined(file: str, stage: Stage) -> None:
    lineage = FILES[file].lineage(stage.name)
    known = {"PATH"} | {name for one in lineage for name in (*one.args, *one.env)}
    used = {name for _, said in stage.lines for name in re.findall(r"\$\{?([A-Za-z_]+)", said)}
    assert used <= known


@each_stage_alone
def test_an_argument_that_a_build_may_give_is_used(stage: Stage) -> None:
    text = " ".join(said for _, said in stage.lines)
    assert [name for name in stage.args if f"${{{name}}}" not in text] == []


@each_image
def test_an_image_runs_as_non_root_with_a_health_check(file: str, image: str) -> None:
    user = FILES[file].said(image, "USER")
    assert user is not None
    assert int(user.split(":")[0]) > 0
    assert FILES[file].said(image, "HEALTHCHECK") is not None


@each_image
@pytest.mark.parametrize("instruction", ["CMD", "HEALTHCHECK"])
def test_an_image_runs_commands_that_exist(file: str, image: str, instruction: str) -> None:
    said = FILES[file].said(image, instruction)
    assert said is not None
    check_command(words(said))


@each_stage_alone
def test_no_stage_defines_a_secret(stage: Stage) -> None:
    named = [name for name in (*stage.args, *stage.env) if re.search(r"KEY|SECRET|PASSWORD|TOKEN|_URL", name)]
    assert named == []


def test_webserver_and_daemon_hold_no_code_of_the_project() -> None:
    sources = {
        source for stage in FILES["dagster.Dockerfile"].stages for _, found in _copied(stage) for source in found
    }
    assert sources == {
        "constraints.txt",
        "deploy/constraints.txt",
        "deploy/dagster.yaml",
        "deploy/workspace.yaml",
        "/opt/venv",
    }


def test_the_image_holds_every_package_of_the_project() -> None:
    build = next(stage for stage in FILES["user-code.Dockerfile"].stages if stage.name == "build")
    sources = {source for _, found in _copied(build) for source in found}
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    assert {package.split(".")[0] for package in listed} <= sources


@pytest.mark.parametrize("extras", ["hosted", "hosted,train"])
def test_what_is_installed_is_pinned(extras: str) -> None:
    printed = subprocess.run(
        [sys.executable, DEPLOY / "requirements.py", ROOT / "pyproject.toml", extras],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    versions = pinned("constraints.txt")
    assert [line for line in printed if normalised(line) not in versions] == []
    names = {normalised(line) for line in printed}
    assert {normalised(line) for extra in extras.split(",") for line in EXTRAS[extra]} <= names
    assert ("torch" in names) == ("train" in extras)


def test_an_extra_that_is_not_there_stops_the_build() -> None:
    child = subprocess.run(
        [sys.executable, DEPLOY / "requirements.py", ROOT / "pyproject.toml", "hostd"], capture_output=True, check=False
    )
    assert child.returncode != 0


def test_build_arguments_are_known_extras_and_pinned_launchers() -> None:
    versions = pinned("constraints.txt", "deploy/constraints.txt")
    for _, stage in STAGES:
        assert set(stage.args.get("EXTRAS", "hosted").split(",")) <= set(EXTRAS)
        assert stage.args.get("LAUNCHER", "dagster-docker") in versions
        for instruction, said in stage.lines:
            if instruction == "RUN" and (asked := re.search(r"-m pip install (.*)", said)):
                named = [word for word in asked[1].split() if re.fullmatch(r"[a-z][a-z-]+", word)]
                assert [word for word in named if word != "requirements.txt" and word not in versions] == []


def test_launchers_fit_the_dagster_version_under_test() -> None:
    versions = pinned("constraints.txt", "deploy/constraints.txt")
    assert versions["dagster-docker"] == versions["dagster-k8s"] == versions["dagster-postgres"]
    assert pinned("constraints.txt").keys() & pinned("deploy/constraints.txt").keys() == set()
