"""`dawa lora`: which adapters an artist has, what was found of them, and which one is published."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dawa_assets.training.promotion import Lora

app = typer.Typer(help="An artist's LoRAs: which there are, which one is published.", no_args_is_help=True)


class FormChoice(StrEnum):
    """The forms that an adapter can be written in."""

    DIFFUSERS = "diffusers"
    PEFT = "peft"
    COMFYUI = "comfyui"
    ACE_STEP = "ace-step"


class ReportForm(StrEnum):
    """In which form a report is given."""

    MD = "md"
    JSON = "json"
    CROISSANT = "croissant"


_USES = {
    FormChoice.DIFFUSERS: 'pipeline.load_lora_weights("{out}")',
    FormChoice.PEFT: 'PeftModel.from_pretrained(model, "{out}")',
    FormChoice.COMFYUI: "copy it into ComfyUI/models/loras",
    FormChoice.ACE_STEP: "name this folder as the LoRA's path in ACE-Step's own interface",
}

_Artist = Annotated[str, typer.Argument(help="The artist: slug, id or name (`dawa status` lists them).")]
_Run = Annotated[str, typer.Argument(help="The run's id, or its beginning.")]
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_Force = Annotated[
    bool, typer.Option("--force", help="Publish it although it is broken or copies, or heard excluded items.")
]


@app.command("list")
def list_(artist: _Artist, as_json: _Json = False) -> None:
    """List the artist's trainings, the latest first; the published one is marked with `*`."""
    import json

    from dawa_assets.training.promotion import list_loras
    from resources.ports import open_ports
    from resources.settings import Settings

    loras = list_loras(open_ports(Settings.load()), artist)
    if as_json:
        typer.echo(json.dumps([_row(lora) for lora in loras], ensure_ascii=False))
        return
    for lora in loras:
        typer.echo(_line(lora))
    if not loras:
        typer.echo(f"{artist} has no LoRA yet; `dawa build --artist {artist}` trains one.")


@app.command("show")
def show(
    artist: _Artist,
    run: Annotated[
        str | None, typer.Argument(help="The run's id or its beginning; default: the published one.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Show what was found of one training, and when it was published."""
    import json

    from dawa_assets.training.promotion import find_lora, list_loras, log_of
    from modal_app.errors import InputError
    from resources.ports import open_ports
    from resources.settings import Settings

    ports = open_ports(Settings.load())
    loras = list_loras(ports, artist)
    published = next((lora for lora in loras if lora.run.promoted), None)
    lora = published if run is None else find_lora(loras, run)
    if lora is None:
        raise InputError(f"{artist}: no LoRA is published; name a run of `dawa lora list {artist}`")
    log = [each for each in log_of(ports, artist, lora.run.model_name) if each.run_id == lora.run.id]
    figures = {} if lora.evaluation is None else lora.evaluation.figures
    if as_json:
        history = [{"at": str(each.published_at), "by": each.promoted_by, "reason": each.reason} for each in log]
        typer.echo(json.dumps(_row(lora) | {"figures": figures, "promotions": history}, ensure_ascii=False))
        return
    typer.echo(_line(lora))
    typer.echo(f"  adapter    {lora.run.adapter_key or 'none'}")
    if lora.trained_on_excluded and lora.run.promoted:
        typer.echo(f"  next       dawa build --artist {lora.artist} trains one without what is excluded")
    if lora.run.imported is not None:
        files = ", ".join(f"{name} ({sha256[:12]}…)" for name, sha256 in lora.run.imported["files"].items())
        typer.echo(f"  imported   by {lora.run.imported['imported_by']} from {files}, {lora.run.imported['scale']}")
    typer.echo(f"  held out   {', '.join(lora.run.metrics.get('held_out', [])) or 'nothing'}")
    if lora.evaluation is not None:
        for reason in lora.evaluation.reasons:
            typer.echo(f"  reason     {reason}")
        for line in _candidates(figures.get("candidates", [])):
            typer.echo(f"  {line}")
        change, spectrum = figures.get("waveform_change"), figures.get("spectrum_change_db")
        if change is not None and spectrum is not None:
            typer.echo(f"  difference {change:.3f} of the base's level, {spectrum:.1f} dB in the spectrum")
        typer.echo(f"  decision   {lora.evaluation.decision or 'none yet'}")
    for each in log:
        when = "under way" if each.published_at is None else each.published_at.isoformat(timespec="seconds")
        typer.echo(f"  published  {when} by {each.promoted_by}: {each.reason}")


def _candidates(candidates: list[dict[str, Any]]) -> list[str]:
    """Return what was measured of each candidate, as a table; `distance` is to the held-out songs."""
    columns = ("loss", "distance", "foreign_distance", "diversity", "tempo_share", "key_share")
    heads = ("loss", "distance", "to others", "diversity", "tempo", "key")
    if not candidates:
        return []
    lines = [f"{'candidate':<18}" + "".join(f"{head:>11}" for head in heads)]
    for each in candidates:
        name = each["who"] if each.get("step") is None else f"step {each['step']}"
        name += f" at {each['strength']:g}" if each.get("strength", 1) != 1 else ""
        figures = (each.get(column) for column in columns)
        lines.append(f"{name:<18}" + "".join(f"{'-' if part is None else f'{part:.3f}':>11}" for part in figures))
        if each.get("trouble") or each.get("verdict"):
            lines.append(f"{'':<18}  {each.get('trouble') or each['verdict']}")
    return lines


@app.command("promote")
def promote(
    artist: _Artist,
    run: _Run,
    force: _Force = False,
    reason: Annotated[str, typer.Option(help="Why, in one line; it is logged.")] = "a person chose it",
    as_json: _Json = False,
) -> None:
    """Publish a run's adapter in place of the one that is published."""
    from dawa_assets.training.promotion import promote_lora
    from resources.ports import open_ports
    from resources.settings import Settings

    lora, changed = promote_lora(
        open_ports(Settings.load()), artist, run, force=force, reason=" ".join(reason.split()) or "a person chose it"
    )
    _print_lora(lora, changed, as_json)


@app.command("rollback")
def rollback(
    artist: _Artist,
    model: Annotated[str | None, typer.Option(help="The LoRA's name; default: DAWA_MODEL_NAME.")] = None,
    force: _Force = False,
    as_json: _Json = False,
) -> None:
    """Take the last promotion back: publish the adapter that was published before.

    The one taken back is not promoted by an evaluation again, only by `dawa lora promote`.
    """
    from dawa_assets.training.promotion import rollback_lora
    from resources.ports import open_ports
    from resources.settings import Settings

    settings = Settings.load()
    _print_lora(rollback_lora(open_ports(settings), artist, model or settings.model_name, force=force), True, as_json)


@app.command("export")
def export(
    form: Annotated[FormChoice, typer.Option("--format", help="The program that is to load it.")],
    out: Annotated[
        Path,
        typer.Option(help="peft, ace-step: a new folder. diffusers, comfyui: a file; one that is there is replaced."),
    ],
    run: Annotated[str | None, typer.Argument(help="The run's id, or its beginning.")] = None,
    artist: Annotated[
        str | None, typer.Option(help="The artist (slug, id or name); without a run, what they have published.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Write a LoRA as another program loads it, at its full strength.

    Its card and its trigger word are in the header.
    """
    import json

    from dawa_assets.items.exclusions import trained_on_line
    from dawa_assets.training.lora_export import export_lora
    from resources.ports import open_ports
    from resources.settings import Settings

    done = export_lora(open_ports(Settings.load()), run, artist, form.value, out)
    name = f"{done.lora.artist}:{done.lora.run.model_name}"
    if as_json:
        report = {
            "lora": name,
            "run": str(done.lora.run.id),
            "format": form.value,
            "out": str(done.out),
            "files": [{"path": str(file.path), "bytes": file.size, "sha256": file.sha256} for file in done.files],
            "backend": done.card.backend.value,
            "base": done.card.base,
            "trigger_word": done.card.trigger_word or None,
            "heard_excluded": done.lora.trained_on_excluded,
        }
        typer.echo(json.dumps(report, ensure_ascii=False))
        return
    typer.echo(f"{done.out}: {name} (run {done.lora.run.id}), for {done.card.backend} {done.card.base}")
    typer.echo(f"  trigger word  {done.card.trigger_word or 'none on record'}")
    if done.lora.trained_on_excluded:
        typer.echo(f"  note          {trained_on_line(done.lora.trained_on_excluded)}")
    if done.card.base == "tiny":
        typer.echo("  note          its base `tiny` has random weights and is in no other program")
    typer.echo(f"Next: {_USES[form].format(out=done.out)}")


@app.command("report")
def report(
    run: Annotated[str, typer.Argument(help="The run's id, or its beginning.")],
    form: Annotated[
        ReportForm, typer.Option("--format", help="For people, for programs, or Croissant.")
    ] = ReportForm.MD,
    out: Annotated[
        Path | None, typer.Option(help="A file, replaced if it is there; its signature and certificate lie beside it.")
    ] = None,
) -> None:
    """Say what a LoRA was trained on: every song, its Live Set, who permitted it then, and what was withdrawn since.

    With base, licence, recipe, versions, and what was found of it. The same state gives the same bytes, signature
    included.
    """
    from dawa_assets.rights.signing import sign_document
    from dawa_assets.training.lora_report import report_lora
    from modal_app.data_root.atomic_writes import write_atomic
    from modal_app.errors import InputError
    from resources.ports import open_ports
    from resources.settings import Settings

    settings = Settings.load()
    made = report_lora(open_ports(settings), run, form.value)
    if out is None:
        typer.echo(made.content, nl=False)
        return
    signature, certificate = sign_document(settings, made.content)
    signed, known = out.with_name(f"{out.name}.sig"), out.with_name(f"{out.name}.pem")
    try:
        for path, content in ((out, made.content), (known, certificate), (signed, signature)):
            write_atomic(path, content)
    except OSError as error:
        raise InputError(f"{out}: can't be written: {error.strerror or error}; name another file") from None
    typer.echo(f"{out}: what {made.lora.artist}:{made.lora.run.model_name} (run {made.lora.run.id}) was trained on")
    typer.echo(f"  signature    {signed} (ECDSA over SHA-256)")
    typer.echo(f"  certificate  {known}")


@app.command("import")
def import_(
    source: Annotated[
        Path, typer.Argument(metavar="FILE|FOLDER", help="A .safetensors file, or a folder with PEFT's two files.")
    ],
    artist: Annotated[str, typer.Option(help="The artist: slug, id or name (`dawa status` lists them).")],
    author: Annotated[str | None, typer.Option(help="Who takes it in; default: your login name.")] = None,
    as_json: _Json = False,
) -> None:
    """Take in a LoRA that another program trained on ACE-Step, and judge it on the artist's dataset.

    Diffusers' and ComfyUI's files, ACE-Step's and Side-Step's folders, kohya's names. It is published by `dawa lora
    promote` alone.
    """
    import json

    from dawa_assets.cli.prompt import login_name
    from dawa_assets.training.lora_import import import_lora
    from resources.ports import open_ports
    from resources.settings import Settings

    done = import_lora(open_ports(Settings.load()), artist, source, author=author or login_name())
    found, adapter = done.evaluation, done.adapter
    if as_json:
        report = {
            "run": str(done.run.id),
            "artist": done.artist,
            "changed": done.changed,
            "base": done.run.base,
            "rank": adapter.rank,
            "targets": adapter.targets,
            "imported": done.run.imported,
            "verdict": None if found is None else found.verdict,
            "reasons": [] if found is None else found.reasons,
            "not_judged": done.not_judged,
        }
        typer.echo(json.dumps(report, ensure_ascii=False))
        return
    typer.echo(f"run {done.run.id}{'' if done.changed else ', as before'}: {source} on {done.run.base}")
    typer.echo(f"  changes   {', '.join(adapter.targets)}")
    typer.echo(f"  strength  {adapter.scale}")
    typer.echo(f"  verdict   {done.not_judged if found is None else found.verdict}")
    for reason in [] if found is None else found.reasons:
        typer.echo(f"  reason    {reason}")
    typer.echo(f"Next: dawa lora promote {done.artist} {str(done.run.id)[:8]}")


def _print_lora(lora: "Lora", changed: bool, as_json: bool) -> None:
    import json

    name = f"{lora.artist}:{lora.run.model_name}"
    if as_json:
        typer.echo(json.dumps({"lora": name, "run": str(lora.run.id), "changed": changed}))
        return
    typer.echo(f"{name} is run {lora.run.id}{' now' if changed else ', as before'}")


def _row(lora: "Lora") -> dict[str, Any]:
    run, found = lora.run, lora.evaluation
    return {
        "run": str(run.id),
        "model": run.model_name,
        "backend": run.backend,
        "base": run.base,
        "state": run.state,
        "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
        "promoted": run.promoted,
        "candidate": run.candidate_at is not None,
        "under_way": lora.under_way,
        "verdict": None if found is None else found.verdict,
        "reasons": [] if found is None else found.reasons,
        "decision": None if found is None else found.decision,
        "base_loss": None if found is None else found.figures.get("base_loss"),
        "loss": None if found is None else found.figures.get("lora_loss"),
        "heard_excluded": lora.trained_on_excluded,
        "adapter_key": run.adapter_key,
        "imported": run.imported,
    }


def _line(lora: "Lora") -> str:
    row = _row(lora)
    day = (row["finished_at"] or "")[:16].replace("T", " ")
    judged = row["verdict"] or ("not judged" if row["state"] == "done" else row["state"])
    losses = "" if row["loss"] is None else f"  loss {row['loss']:.4f} (base {row['base_loss'] or 0:.4f})"
    from dawa_assets.items.exclusions import trained_on_line

    notes = ["being published"] if lora.under_way else []
    notes += [trained_on_line(lora.trained_on_excluded)] if lora.trained_on_excluded else []
    notes += [lora.run.taken_down] if lora.run.taken_down else []
    notes += [f"imported by {row['imported']['imported_by']}"] if row["imported"] else []
    notes += [row["decision"]] if row["decision"] and not row["promoted"] else []
    mark = "*" if row["promoted"] else " "
    return f"{mark} {row['run'][:8]}  {row['model']}  {day}  {judged}{losses}{''.join(f'  {note}' for note in notes)}"
