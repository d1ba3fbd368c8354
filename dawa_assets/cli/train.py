"""`dawa train`: one artist's training alone, what it will be before it begins, and the yes to one that waits for it."""

from typing import Annotated, Any

import typer
from rich.console import Console

from dawa_assets.cli.prompt import login_name


def train(
    artist: Annotated[
        str | None, typer.Argument(help="The artist: slug, id or name (`dawa status` lists them).")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what the training will be; without an artist, for every base.")
    ] = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="Approve of what the waiting training costs, and train it.")
    ] = False,
    author: Annotated[str, typer.Option(help="Who approves, for the record.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Train an artist's LoRA on their current dataset, judge it, and publish it if it is better.

    `dawa build` does this too, after all that comes before it. A training on Modal that is expected to cost more than
    DAWA_APPROVE_ABOVE_USD waits until it is approved of, here or in Train Mode.
    """
    import json

    from dawa_assets.cli.build import run_build
    from modal_app.errors import InputError

    if plan and approve:
        raise InputError("--plan, --approve: only one of them can be done; name the one that is meant")
    if plan:
        _show_plan(artist, as_json=as_json)
        return
    if artist is None:
        raise InputError("no artist is named; `dawa status` lists them, and `dawa train --plan` needs none")
    if approve:
        _approve(artist, author)
    run_id, materialised = run_build(artist, Console(stderr=True), "training_job")
    if as_json:
        typer.echo(json.dumps({"artist": artist, "run_id": run_id, "materialised": materialised}))


def _approve(name: str, author: str) -> None:
    from dawa_assets.tables.artists import resolve_artist
    from dawa_assets.training.approval import approve_training
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    with ports.database.transaction() as connection:
        artist = resolve_artist(connection, name)
    approved = approve_training(ports, artist, author.strip() or login_name())
    typer.echo(f"approved: {approved.plan}", err=True)


def _show_plan(name: str | None, *, as_json: bool) -> None:
    from resources.settings import Settings

    settings = Settings.load()
    if name is None:
        _show_bases(settings, as_json=as_json)
        return
    import json

    from dawa_assets.tables.artists import resolve_artist
    from dawa_assets.training.planning import plan_training_of
    from resources.ports import open_ports

    ports = open_ports(settings)
    with ports.database.transaction() as connection:
        artist = resolve_artist(connection, name)
    with Console(stderr=True).status("looking at the dataset …"):
        found = plan_training_of(ports, artist.slug)
    waits = found.why_it_waits(settings)
    if as_json:
        expected = found.expected
        row: dict[str, Any] = {
            "artist": artist.slug,
            **found.plan.parameters.model_dump(),
            "audio_seconds": round(found.plan.audio_seconds, 1),
            "passes": round(found.plan.passes, 2),
            "device": expected.device,
            "expected_seconds": expected.seconds,
            "expected_gib": expected.peak_gib,
            "expected_usd": found.usd,
            "waits_for_approval": waits,
        }
        typer.echo(json.dumps(row, ensure_ascii=False))
        return
    for line in found.line.split("; "):
        typer.echo(line)
    if waits is not None:
        typer.echo(f"It would wait for approval: {waits}.")


def _show_bases(settings: Any, *, as_json: bool) -> None:
    import json

    from rich.table import Table

    from modal_app.training.expectations import duration_text
    from modal_app.training.plan_table import plan_bases

    device = settings.modal_gpu
    price = settings.modal_gpu_usd_per_hour
    rows = []
    for each in plan_bases(settings.asked_training, device):
        asked, seconds = each.plan.parameters, each.expected.seconds
        rows.append(
            {
                "base": each.base,
                "music_minutes": each.minutes,
                "recipe": asked.recipe,
                "rank": asked.rank,
                "alpha": asked.alpha,
                "targets": asked.targets,
                "learning_rate": asked.learning_rate,
                "steps": asked.steps,
                "hears_seconds": round(each.plan.heard_seconds),
                "passes": round(each.plan.passes, 1),
                "device": device,
                "expected_seconds": None if seconds is None else round(seconds),
                "expected_usd": None if seconds is None else round(seconds / 3600 * price, 2),
            }
        )
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("base", "music", "recipe", "r / alpha", "rate", "steps", "hears", "passes", device, "USD"):
        table.add_column(heading, overflow="fold")
    last = ""
    for row in rows:
        seconds = row["expected_seconds"]
        table.add_row(
            row["base"].rpartition("/")[2] if row["base"] != last else "",
            f"{row['music_minutes']} min",
            row["recipe"],
            f"{row['rank']} / {row['alpha']}",
            f"{row['learning_rate']:g}",
            f"{row['steps']:,}",
            f"{row['hears_seconds']:,} s",
            f"{row['passes']:g}",
            "" if seconds is None else duration_text(seconds),
            "" if seconds is None else f"{row['expected_usd']:.2f}",
        )
        last = row["base"]
    Console().print(table)
    typer.echo(
        f"Times on {device} are computed from the model's size; an artist's own plan takes what was measured: "
        "dawa train ARTIST --plan"
    )
