"""Reads the files of `deploy/`: Dockerfiles by a small parser, YAML with compose's variables and merges in place."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE_VARIABLES = {"DAWA_SECRETS": "/etc/dawa", "DOCKER_GID": "999"}
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<how>[-?])(?P<rest>[^}]*))?\}")


@dataclass
class Stage:
    """One stage of a Dockerfile; what its base stage has is not repeated in it."""

    name: str
    base: str
    args: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)

    def last(self, instruction: str) -> str | None:
        """What the last such instruction says; None where there is none."""
        return next((said for name, said in reversed(self.lines) if name == instruction), None)


@dataclass
class Dockerfile:
    """The stages in their order, and the arguments before the first of them."""

    args: dict[str, str]
    stages: list[Stage]

    def lineage(self, name: str) -> list[Stage]:
        """A stage and those that it is made from, itself first."""
        found = [stage for stage in self.stages if stage.name == name]
        return [*found, *self.lineage(found[0].base)] if found else []

    def said(self, name: str, instruction: str) -> str | None:
        """What holds for a stage: its own last such instruction, or that of a stage that it is made from."""
        return next((said for stage in self.lineage(name) if (said := stage.last(instruction)) is not None), None)


def dockerfile(name: str) -> Dockerfile:
    """Parse one of the Dockerfiles in `deploy/`."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = Dockerfile({}, [])
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        instruction, said = line.split(maxsplit=1)
        if instruction == "FROM":
            base, _, stage = said.partition(" AS ")
            found.stages.append(Stage(stage, base))
        elif instruction == "ARG":
            key, _, default = said.partition("=")
            (found.stages[-1].args if found.stages else found.args)[key] = default
        else:
            if instruction == "ENV":
                found.stages[-1].env |= dict(word.split("=", 1) for word in shlex.split(said))
            found.stages[-1].lines.append((instruction, said))
    return found


def words(said: str) -> list[str]:
    """The words of a CMD in its exec form, also behind HEALTHCHECK's options."""
    return [str(word) for word in json.loads(said[said.index("[") :])]


def compose(name: str = "docker-compose.yaml") -> dict[str, Any]:
    """A compose file as compose sees it, with the variables that it demands and the defaults of the others."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    return dict(yaml.safe_load(_VARIABLE.sub(lambda found: value_of(found), text)))


def value_of(variable: re.Match[str]) -> str:
    """What compose puts in place of a variable."""
    default = variable["rest"] if variable["how"] == "-" else None
    given = COMPOSE_VARIABLES.get(variable["name"], default)
    assert given is not None, f"{variable['name']} has no default, and nothing demands it"
    return given


def compose_variables(name: str) -> set[str]:
    """The variables that a compose file uses."""
    return {found["name"] for found in _VARIABLE.finditer((DEPLOY / name).read_text(encoding="utf-8"))}


def load(name: str) -> dict[str, Any]:
    """A YAML file of `deploy/` (`../dagster.yaml` is the local one)."""
    return dict(yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8")))


def env_names(name: str) -> list[str]:
    """The names that an example of an env file sets, those that are commented out too."""
    return re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", (DEPLOY / name).read_text(encoding="utf-8"), flags=re.MULTILINE)


def pinned(*names: str) -> dict[str, str]:
    """Versions by normalised name, from constraints below the repository's root."""
    lines = [line for name in names for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {normalised(name): version for name, version in pairs}


def normalised(requirement: str) -> str:
    """A requirement's name as indices compare it."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()
