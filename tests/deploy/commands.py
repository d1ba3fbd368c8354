"""Whether a command line would be understood: it is parsed by the program's own parser and not carried out."""

import os
import sys
from pathlib import Path
from typing import Any

import click
import typer.main


def check_command(command: list[str]) -> None:
    """Parse a command line of one of our programs.

    Raises:
        click.UsageError: there is no such sub-command or option.
        AssertionError: the program is not installed, or is none of ours.
    """
    program, *rest = command
    if program == "python":
        compile(rest[rest.index("-c") + 1], "<command>", "exec")
        return
    assert (Path(sys.executable).parent / program).is_file(), f"{program} is not installed"
    assert os.access(Path(sys.executable).parent / program, os.X_OK)
    _parse(_parser(program), program, rest)


def _parser(program: str) -> Any:
    if program == "dawa":
        from dawa_assets.cli.main import app

        return typer.main.get_command(app)
    if program == "dagster":
        from dagster._cli import create_dagster_cli

        return create_dagster_cli()
    if program == "dagster-daemon":
        from dagster._daemon.cli import create_dagster_daemon_cli

        return create_dagster_daemon_cli()
    assert program == "dagster-webserver", program
    from dagster_webserver.cli import dagster_webserver

    return dagster_webserver


def _parse(command: Any, name: str, rest: list[str], parent: click.Context | None = None) -> None:
    context = command.make_context(name, list(rest), parent=parent)
    if hasattr(command, "resolve_command"):
        name, below, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        _parse(below, name, rest, context)
