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
    segment,
    serve,
    status,
    stop,
    tag,
    ui,
    upload,
    verify,
)
from modal_app.errors import DawaError, InputError

app = typer.Typer(
    name="dawa",
    help="Keeps one LoRA fine-tune of a music generator per artist up to date, from Live Sets and bounces.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(demo.demo)
app.add_typer(artist.app, name="artist")
app.command("upload")(upload.upload)
app.command("als")(als.als)
app.command("segment")(segment.segment)
app.command("tag")(tag.tag)
app.add_typer(prompt.app, name="prompt")
app.add_typer(backfill.app, name="backfill")
app.command("build")(build.build)
app.add_typer(inbox.app, name="inbox")
app.add_typer(item.app, name="item")
app.command("status")(status.status)
app.command("export")(export.export)
app.command("generate")(generate.generate)
app.add_typer(lora.app, name="lora")
app.command("serve")(serve.serve)
app.command("ui")(ui.ui)
app.command("doctor")(doctor.doctor)
app.command("retry-rejected")(retry.retry_rejected)
app.command("prune")(prune.prune)
app.command("verify")(verify.verify)
app.command("migrate")(migrate.migrate)
app.command("stop")(stop.stop)


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
