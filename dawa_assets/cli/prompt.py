"""`dawa prompt`: try one without storing it; edit, import and give back those that items have; see their history."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dawa_assets.pipeline.wording import counted

if TYPE_CHECKING:
    from dawa_assets.prompting.dry_run import Trial, TrialSet
    from dawa_assets.prompting.edit import Edit, GivenBack, Import
    from dawa_assets.prompting.refresh import PromptsReport
    from dawa_assets.tables.item_lookup import ItemText
    from resources.database.base import Database

app = typer.Typer(help="Try, edit, import and give back prompts.", no_args_is_help=True)

_MAX_REPORTED = 50

Item = Annotated[str, typer.Argument(help="The item: its id, its key (project/set) or its Live Set's name.")]
OfArtist = Annotated[
    str | None, typer.Option("--artist", help="The item's artist (slug, id or name), where it is needed.")
]
Author = Annotated[str | None, typer.Option(help="Who wrote the text; default: your login name.")]
Profile = Annotated[Path | None, typer.Option(help="The artist's master_schema, a JSON file; default: `{}`.")]
System = Annotated[
    Path | None, typer.Option(help="A text file as the system prompt; default: the version that is set.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.callback(invoke_without_command=True)
def prompt(
    context: typer.Context,
    als: Annotated[list[Path] | None, typer.Option(help="A Live Set to try a prompt for; several are allowed.")] = None,
    profile: Profile = None,
    system: System = None,
    as_json: AsJson = False,
) -> None:
    """Try a prompt for a Live Set (--als), or work on those that items have (the commands below).

    A trial shows context, prompt, rules, tokens and cost. Nothing is stored, and no database is needed.
    """
    from modal_app.errors import InputError

    if context.invoked_subcommand is None:
        if not als:
            raise InputError(
                "--als: name a Live Set to try a prompt for; `dawa prompt --help` lists what else there is"
            )
        _try(als, profile, system, as_json=as_json)
    elif als or profile or system or as_json:
        raise InputError(f"dawa prompt {context.invoked_subcommand}: options stand before it; give them after it")


@app.command("try")
def try_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Live Sets (.als).")],
    profile: Profile = None,
    system: System = None,
    as_json: AsJson = False,
) -> None:
    """Try prompts for Live Sets without storing anything: the same as `dawa prompt --als FILE`.

    A file that can't be read is named on one line; the others go on, and the exit code is 2.
    """
    _try(files, profile, system, as_json=as_json)


@app.command("edit")
def edit(
    item: Item,
    text: Annotated[str | None, typer.Option(help="The text; default: $EDITOR opens with the one there is.")] = None,
    file: Annotated[Path | None, typer.Option(help="A text file with the text; `-` reads standard input.")] = None,
    author: Author = None,
    artist: OfArtist = None,
    as_json: AsJson = False,
) -> None:
    """Give an item a text of yours. No model replaces it, until `dawa prompt regenerate`.

    Control characters, an empty text and one that is too long are refused; other rules that it breaks are said.
    """
    import dataclasses
    import json

    from dawa_assets.prompting.edit import edit_prompt, text_in_use

    if text is not None and file is not None:
        from modal_app.errors import InputError

        raise InputError("--text and --file: both are there; give one of them")
    database = _database()
    if text is None:
        text = _in_editor(text_in_use(database, item, artist)) if file is None else _read_text(file)
    done = edit_prompt(database, item, text, author=author or login_name(), artist=artist)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done), default=str, ensure_ascii=False, indent=2))
        return
    _print_edit(done)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="Columns item and text; author and artist if given.")
    ],
    author: Author = None,
    artist: OfArtist = None,
    as_json: AsJson = False,
) -> None:
    """Give items the texts of a CSV file; they are people's texts then, as after `edit`.

    A row that can't be used is told with its line and reason; the others go on, and the exit code is 2. The same file
    again changes nothing.
    """
    import dataclasses
    import json

    from rich.console import Console

    from dawa_assets.prompting.edit import import_prompts
    from dawa_assets.prompting.texts_file import read_texts

    with Console(stderr=True).status("reading …") as live:

        def report(so_far: "Import") -> None:
            live.update(f"{so_far.changed} changed, {so_far.unchanged} unchanged, {len(so_far.refused)} refused …")

        rows = read_texts(file)
        done = import_prompts(_database(), rows, author=author or login_name(), artist=artist, report=report)
    if as_json:
        plain = dataclasses.asdict(done) | {"artists": sorted(done.artists)}
        typer.echo(json.dumps(plain, ensure_ascii=False, indent=2))
    else:
        _print_import(file, done)
    if done.refused:
        raise typer.Exit(2)


@app.command("regenerate")
def regenerate(
    item: Item,
    later: Annotated[bool, typer.Option("--later", help="Leave the writing to the next build or backfill.")] = False,
    artist: OfArtist = None,
    as_json: AsJson = False,
) -> None:
    """Give an item's text back to the model: a person's makes way for the model's, a model's for another one.

    The item keeps the text that it has until the new one is there. What the model wrote before is taken over for
    nothing. Whatever else is stale of the artist is written too.
    """
    from rich.console import Console

    from dawa_assets.cli.progress import shown_progress
    from dawa_assets.prompting.edit import give_back_to_the_model, text_in_use
    from dawa_assets.prompting.refresh import refresh_prompts
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    given = give_back_to_the_model(ports, item, artist)
    report = None
    if not later:
        with shown_progress(Console(stderr=True)):
            report = refresh_prompts(ports, given.artist)
    _print_regenerated(given, report, text_in_use(ports.database, str(given.item_id)), as_json=as_json)
    if report is not None and (reason := dict([*report.failed, *report.deferred]).get(given.item)) is not None:
        typer.echo(f"dawa: {given.item}: {reason}", err=True)
        raise typer.Exit(1)


@app.command("history")
def history(item: Item, artist: OfArtist = None, as_json: AsJson = False) -> None:
    """Show all texts that an item had, oldest first: who wrote them, by which versions, when, for how much."""
    import dataclasses
    import json

    from dawa_assets.prompting.item_lookup import find_item
    from dawa_assets.tables.item_lookup import texts_of_item

    with _database().transaction() as connection:
        found = find_item(connection, item, artist)
        texts = texts_of_item(connection, found.artist.id, found.id)
    if as_json:
        plain = [dataclasses.asdict(each) for each in texts]
        typer.echo(json.dumps(plain, default=str, ensure_ascii=False, indent=2))
        return
    typer.echo(f"{found.name} of {found.artist.slug}: {counted(len(texts), 'text')}")
    for each in texts:
        typer.echo(f"{'→' if each.in_use else ' '} {each.created_at:%Y-%m-%d %H:%M}  {_origin(each)}")
        for line in each.text.splitlines():
            typer.echo(f"    {line}")


def _try(files: list[Path], profile: Path | None, system: Path | None, *, as_json: bool) -> None:
    import dataclasses
    import json

    from rich.console import Console

    from dawa_assets.artists.profile import load_profile
    from dawa_assets.prompting.dry_run import instructions_of, read_instructions, try_prompts
    from dawa_assets.prompting.profile_facts import read_profile
    from modal_app.errors import InputError
    from resources.ports import open_prompt_writer
    from resources.settings import Settings

    settings = Settings.load()
    instructions = instructions_of(settings.system_prompt_version) if system is None else read_instructions(system)
    facts = read_profile({} if profile is None else load_profile(profile))
    sets: list[TrialSet] = []
    for file in files:
        try:
            sets.append(_trial_set(file))
        except InputError as error:
            typer.echo(f"dawa: {error}", err=True)
    trials = []
    if sets:
        with Console(stderr=True).status("writing …"):
            trials = sorted(
                try_prompts(open_prompt_writer(settings), sets, facts, instructions),
                key=lambda trial: [each.name for each in sets].index(trial.name),
            )
    if as_json and trials:
        plain = [dataclasses.asdict(trial) | {"context": json.loads(trial.context)} for trial in trials]
        typer.echo(json.dumps(plain if len(files) > 1 else plain[0], ensure_ascii=False, indent=2))
    elif not as_json:
        for trial in trials:
            _print_trial(trial)
    if len(sets) < len(files):
        raise typer.Exit(2)
    if any(trial.prompt is None for trial in trials):
        raise typer.Exit(1)


def _trial_set(file: Path) -> "TrialSet":
    from dawa_assets.ableton.reader import read_live_set
    from dawa_assets.cli.als import summary_of
    from dawa_assets.prompting.dry_run import TrialSet
    from dawa_assets.prompting.summary_facts import read_summary
    from modal_app.errors import InputError

    summary = read_summary(summary_of(file, read_live_set(file)).model_dump(mode="json"))
    if summary.tempo is None:
        raise InputError(f"{file}: has no tempo that a set can have; no prompt can be written for it")
    return TrialSet(str(file), summary)


def _print_trial(trial: "Trial") -> None:
    import json

    typer.echo(trial.name)
    typer.echo(f"  system prompt  {trial.system_prompt}")
    typer.echo(f"  model          {trial.model}")
    typer.echo(f"  context        {len(trial.context.encode()):,} bytes")
    for line in json.dumps(json.loads(trial.context), ensure_ascii=False, indent=2).splitlines():
        typer.echo(f"    {line}")
    typer.echo("  prompt")
    for line in (trial.prompt or f"none: {trial.error}").splitlines():
        typer.echo(f"    {line}")
    for line in trial.rules_broken:
        typer.echo(f"  breaks         {line}")
    if trial.prompt is not None:
        typer.echo(f"  rules kept     {', '.join(trial.rules_kept)}")
    typer.echo(
        f"  took           {counted(trial.calls, 'call')}, {trial.input_tokens:,} + {trial.output_tokens:,} tokens, "
        f"${trial.cost_usd:.6f}, {trial.seconds:.2f} s"
    )


def _print_edit(done: "Edit") -> None:
    if not done.changed:
        typer.echo(f"{done.item} of {done.artist}: unchanged")
    else:
        typer.echo(f"{done.item} of {done.artist}: stored, a person's text from now on")
        for sign, text in (("-", done.before), ("+", done.after)):
            for line in text.splitlines():
                typer.echo(f"  {sign} {line}")
    for warning in done.warnings:
        typer.echo(f"dawa: {done.item}: the text breaks {warning}", err=True)
    if done.changed:
        typer.echo(f"Next: dawa build --artist {done.artist}")


def _print_import(file: Path, done: "Import") -> None:
    typer.echo(
        f"{file}: {counted(done.changed, 'text')} stored, {done.unchanged} unchanged, "
        f"{counted(len(done.refused), 'row')} refused"
    )
    for kind, lines in (("refused", done.refused), ("stored all the same", done.warnings)):
        for line, reason in lines[:_MAX_REPORTED]:
            typer.echo(f"dawa: {file}: line {line}: {kind}: {' '.join(reason.split())}", err=True)
        if len(lines) > _MAX_REPORTED:
            typer.echo(f"dawa: {file}: {len(lines) - _MAX_REPORTED} more lines {kind}; --json lists them", err=True)
    for slug in sorted(done.artists)[:_MAX_REPORTED]:
        typer.echo(f"Next: dawa build --artist {slug}")


def _print_regenerated(given: "GivenBack", report: "PromptsReport | None", after: str, *, as_json: bool) -> None:
    import dataclasses
    import json

    if as_json:
        plain = dataclasses.asdict(given) | {"after": after, "later": report is None}
        typer.echo(json.dumps(plain, default=str, ensure_ascii=False, indent=2))
        return
    typer.echo(f"{given.item} of {given.artist}: {given.what}")
    if report is None:
        typer.echo(f"Next: dawa build --artist {given.artist}, or dawa backfill prompts --artist {given.artist}")
        return
    for sign, text in (("-", given.before), ("+", after)):
        for line in text.splitlines():
            typer.echo(f"  {sign} {line}")
    if after == given.before:
        typer.echo("  the text is the same as before")
    typer.echo(f"{given.artist}: {report.headline}")


def _origin(text: "ItemText") -> str:
    if text.origin == "human":
        back = f", given back {text.given_back_at:%Y-%m-%d %H:%M}" if text.given_back_at else ""
        return f"by {text.author or 'a person'}{back}"
    take = f", take {text.take + 1}" if text.take else ""
    return (
        f"by {text.model_name}, system prompt {text.system_prompt_version}, "
        f"profile {text.schema_version or 'without version'}{take}; "
        f"{text.input_tokens:,} + {text.output_tokens:,} tokens, ${text.cost_usd:.6f}"
    )


def _database() -> "Database":
    """Return all that a text's own commands need: no key, no bucket."""
    from resources.ports import open_database
    from resources.settings import Settings

    return open_database(Settings.load())


def login_name() -> str:
    """Return who is at the terminal.

    Raises:
        InputError: the machine does not say.
    """
    import getpass

    from modal_app.errors import InputError

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise InputError("--author: this machine does not say who you are; give your name") from None


def _read_text(file: Path) -> str:
    import sys

    from dawa_assets.prompting.dry_run import MAX_INSTRUCTIONS
    from modal_app.errors import InputError

    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(MAX_INSTRUCTIONS)
        else:
            with file.open("rb") as stream:
                content = stream.read(MAX_INSTRUCTIONS)  # far more than a text may have
        return content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file}: can't be read ({error.strerror}); name a text file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: byte {error.start} is not UTF-8; save the file as UTF-8") from None


def _in_editor(text: str) -> str:
    import sys

    import click

    from modal_app.errors import InputError

    if not sys.stdin.isatty():
        raise InputError("--text or --file: give the text; there is no terminal to open an editor on")
    edited = click.edit(text, extension=".txt")
    if edited is None:
        raise InputError("the editor was left without saving; the text is as it was")
    return edited
