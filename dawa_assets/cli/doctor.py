"""`dawa doctor`: which implementation every port uses, whether it answers, and what is deprecated."""

from typing import Annotated

import typer


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Look at everything that the settings choose: does it answer, is the key good, does the model end soon.

    Costs nothing, and leaves nothing behind: a small file is written into the bucket and removed again. The exit code
    is 1 if something can't be used.
    """
    import dataclasses
    import json

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dawa_assets.observability.doctor import examine
    from resources.settings import Settings

    with Console(stderr=True).status("looking …"):
        from dawa_assets.defs.location_error import diagnose_location

        settings = Settings.load()
        findings = [*examine(settings), diagnose_location(settings)]
    if as_json:
        rows = [dataclasses.asdict(finding) for finding in findings]
        typer.echo(json.dumps(rows, default=str, indent=2, ensure_ascii=False))
    else:
        styles = {"ok": "green", "warning": "yellow", "error": "red"}
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("", "part", "uses", ""):
            table.add_column(heading, overflow="fold")
        for finding in findings:
            state = Text(finding.state, style=styles[finding.state])
            table.add_row(state, finding.part, Text(finding.uses), Text(finding.detail))
        Console().print(table)
    if any(finding.state == "error" for finding in findings):
        raise typer.Exit(1)
