"""`dawa backfill`: what was made stale, brought up to date for many artists, after a look at what that takes."""

from typing import TYPE_CHECKING, Annotated

import typer

from dawa_assets.pipeline.wording import counted

if TYPE_CHECKING:
    from dawa_assets.prompting.backfill import Backfill, Estimate
    from dawa_assets.prompting.refresh import PromptsReport
    from resources.settings import Settings

app = typer.Typer(help="Bring what is stale of many artists up to date.", no_args_is_help=True)

_MAX_ITEMS = 20


@app.callback()
def backfill() -> None:
    """Bring what is stale of many artists up to date."""


@app.command("prompts")
def prompts(
    artist: Annotated[
        list[str] | None, typer.Option(help="Only this artist (slug, id or name); may be given several times.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Rewrite what other models wrote, by this one; a new default alone rewrites nothing.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be written, why and for how much; write and spend nothing."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Rewrite stale prompts, artist by artist. It can be stopped at any moment and run again.

    One artist that can't be done does not stop the others. The exit code is 1 then, and where a budget was used up.
    """
    from rich.console import Console

    from dawa_assets.cli.progress import shown_progress
    from dawa_assets.prompting.backfill import backfill_prompts, estimate
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load() if model is None else _choosing(model, for_good=not dry_run))
    console = Console(stderr=True)
    if dry_run:
        with shown_progress(console):
            planned = estimate(ports, artist)
        _print_estimate(planned, as_json=as_json)
        return
    with shown_progress(console):
        result = backfill_prompts(ports, artist, None if as_json else _print_report)
    _print_result(result, as_json=as_json)
    if not result.is_complete:
        raise typer.Exit(1)


def _choosing(model: str, *, for_good: bool) -> "Settings":
    """Return the settings with this model chosen.

    Raises:
        InputError: nobody is asked by a model's name, or what it writes would be stale at once.
    """
    from modal_app.errors import InputError
    from resources.settings import Settings

    before = Settings.load()
    if before.prompt_writer != "openai":
        raise InputError(f"--model {model}: prompts are written {before.prompt_writer}; set DAWA_PROMPT_WRITER=openai")
    if for_good and not before.takes_any_openai_model and before.openai_model != model:
        raise InputError(
            f"--model {model}: DAWA_OPENAI_MODEL is {before.openai_model}, by which it would all be written again; "
            "set that to it, or take it away"
        )
    return Settings.load(openai_model=model)


def _print_report(slug: str, outcome: "PromptsReport | str") -> None:
    if isinstance(outcome, str):
        typer.echo(f"dawa: {slug}: {' '.join(outcome.split())}", err=True)
        return
    typer.echo(f"{slug}: {outcome.headline}")
    for name, reason in outcome.failed[:_MAX_ITEMS]:
        typer.echo(f"  failed: {name}: {reason}")


def _print_result(result: "Backfill", *, as_json: bool) -> None:
    import dataclasses
    import json

    if as_json:
        plain = dataclasses.asdict(result) | {"is_complete": result.is_complete}
        typer.echo(json.dumps(plain, ensure_ascii=False, indent=2))
        return
    cost = sum(report.cost_usd for report in result.done.values())
    written = sum(report.written for report in result.done.values())
    typer.echo(
        f"{counted(len(result.done), 'artist')} looked at, {result.up_to_date} up to date before; "
        f"{counted(written, 'prompt')} written for ${cost:.4f}"
    )
    if not result.is_complete:
        failed = counted(len(result.failed), "artist")
        waiting = counted(sum(len(report.deferred) for report in result.done.values()), "prompt")
        typer.echo(f"dawa: {failed} failed, {waiting} put off; run the same command again", err=True)


def _print_estimate(planned: "Estimate", *, as_json: bool) -> None:
    import dataclasses
    import json

    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(planned), ensure_ascii=False, indent=2))
        return
    for each in planned.artists:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(each.stale_because.items()))
        typer.echo(
            f"{each.slug}: {each.to_write} to write ({reasons or 'nothing stale'}), {each.taken_over} taken over for "
            f"nothing, {each.current} current, {each.human} by people; about {each.input_tokens:,} + "
            f"{each.output_tokens:,} tokens, ${each.cost_usd:.4f}"
        )
        for item in each.items[:_MAX_ITEMS]:
            typer.echo(f"  {item.name}: {item.reason}{', written before' if item.is_free else ''}")
        if len(each.items) > _MAX_ITEMS:
            typer.echo(f"  … and {len(each.items) - _MAX_ITEMS} more; --json names all")
        for name, reason in each.impossible[:_MAX_ITEMS]:
            typer.echo(f"  impossible: {name}: {reason}")
        if each.cost_usd > planned.run_budget_usd:
            typer.echo(f"  more than one run may spend (${planned.run_budget_usd:.2f}); it takes several")
    to_write, up_to_date = counted(planned.to_write, "prompt"), counted(planned.up_to_date, "artist")
    typer.echo(
        f"In all, with {planned.model} and system prompt {planned.system_prompt_version}: {to_write} to write, "
        f"{planned.taken_over} taken over, {planned.human} by people stay; {up_to_date} up to date; "
        f"about {planned.input_tokens:,} + {planned.output_tokens:,} tokens, ${planned.cost_usd:.4f}. "
        "Nothing was written or spent."
    )
