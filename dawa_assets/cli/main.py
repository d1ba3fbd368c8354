"""The `dawa` command: its sub-commands, and what happens to an error on its way out.

The user's mistakes end with exit code 2, everything else that this project raises with 1; both with one line and no
traceback. Sub-commands import what they need when they are called, so that `dawa --help` is quick.
"""

import logging
import sys

import typer

from dawa_assets.cli import (
    als,
    artist,
    backfill,
    build,
    demo,
    doctor,
    export,
    generate,
    inbox,
    item,
    lora,
    migrate,
    prompt,
    prune,
    retry,
    rights,
    segment,
    serve,
    status,
    stop,
    tag,
    trace,
    train,
    ui,
    upload,
    verify,
)
from modal_app.errors import DawaError, InputError

app = typer.Typer(
    name="dawa",
    help="Keeps one LoRA fine-tune of a music generator per artist up to date, from Live Sets and bounces.",
    epilog="Begin with `dawa demo`, then `dawa upload --artist NAME FOLDER` and `dawa build --artist NAME`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",  # else the lines of a docstring are broken where its source is
)

_BEGIN = "Begin"
_EVERY_DAY = "Every day"
_ARTISTS = "Artists, and what is theirs"
_ONE_FILE_ALONE = "One file alone"
_KEEPING_HOUSE = "Keeping house"

app.command("demo", rich_help_panel=_BEGIN)(demo.demo)
app.command("doctor", rich_help_panel=_BEGIN)(doctor.doctor)
app.command("ui", rich_help_panel=_BEGIN)(ui.ui)
app.command("serve", rich_help_panel=_BEGIN)(serve.serve)
app.command("upload", rich_help_panel=_EVERY_DAY)(upload.upload)
app.command("build", rich_help_panel=_EVERY_DAY)(build.build)
app.command("train", rich_help_panel=_EVERY_DAY)(train.train)
app.command("status", rich_help_panel=_EVERY_DAY)(status.status)
app.command("generate", rich_help_panel=_EVERY_DAY)(generate.generate)
app.command("export", rich_help_panel=_EVERY_DAY)(export.export)
app.add_typer(artist.app, name="artist", rich_help_panel=_ARTISTS)
app.add_typer(inbox.app, name="inbox", rich_help_panel=_ARTISTS)
app.add_typer(item.app, name="item", rich_help_panel=_ARTISTS)
app.add_typer(prompt.app, name="prompt", rich_help_panel=_ARTISTS)
app.add_typer(lora.app, name="lora", rich_help_panel=_ARTISTS)
app.add_typer(rights.app, name="rights", rich_help_panel=_ARTISTS)
app.add_typer(backfill.app, name="backfill", rich_help_panel=_ARTISTS)
app.add_typer(als.app, name="als", rich_help_panel=_ONE_FILE_ALONE)
app.command("segment", rich_help_panel=_ONE_FILE_ALONE)(segment.segment)
app.command("tag", rich_help_panel=_ONE_FILE_ALONE)(tag.tag)
app.command("trace", rich_help_panel=_ONE_FILE_ALONE)(trace.trace)
app.command("verify", rich_help_panel=_KEEPING_HOUSE)(verify.verify)
app.command("prune", rich_help_panel=_KEEPING_HOUSE)(prune.prune)
app.command("retry-rejected", rich_help_panel=_KEEPING_HOUSE)(retry.retry_rejected)
app.command("migrate", rich_help_panel=_KEEPING_HOUSE)(migrate.migrate)
app.command("stop", rich_help_panel=_KEEPING_HOUSE)(stop.stop)


def main() -> None:
    """Run the command line and leave with its exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except InputError as error:
        _leave(str(error), 2)
    except DawaError as error:
        _leave(str(error), 1)
    except KeyboardInterrupt:
        _leave("interrupted; run the same command again to go on where it stopped", 130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _leave(message: str, code: int) -> None:
    typer.echo(f"dawa: {' '.join(message.split())}", err=True)
    sys.exit(code)
