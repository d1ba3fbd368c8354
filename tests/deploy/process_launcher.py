"""Starts a run as DockerRunLauncher does, as a process instead of a container: the same command, as bare a start.

A run's process is given the image's variables and those that the launcher's configuration names, and nothing else of
the daemon's.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dagster import Array, Field, Permissive
from dagster._core.launcher.base import LaunchRunContext, RunLauncher
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData


class ProcessLauncher(RunLauncher, ConfigurableClass):
    """One process a run, in the process group of the daemon."""

    def __init__(
        self,
        env_vars: list[str],
        image_env: Mapping[str, str],
        folder: str,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._env_vars, self._image_env, self._folder = env_vars, image_env, Path(folder)
        self._inst_data = inst_data
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Field]:
        return {"env_vars": Field(Array(str)), "image_env": Field(Permissive()), "folder": Field(str)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        assert context.job_code_origin is not None
        run = context.dagster_run
        command = ExecuteRunArgs(
            job_origin=context.job_code_origin, run_id=run.run_id, instance_ref=self._instance.get_ref()
        ).get_command_args()
        with (self._folder / f"{run.run_id}.log").open("wb") as log:
            subprocess.Popen(
                [Path(sys.executable).parent / command[0], *command[1:]],
                env={
                    **self._image_env,
                    **{name: os.environ[name] for name in (*self._env_vars, "PATH", "PYTHONPATH", "HOME")},
                },
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )

    def terminate(self, run_id: str) -> bool:
        return False
