"""Handing an adapter to other programs: a run's file from the bucket, in the form that a program loads exactly."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from dawa_assets.exports.destination import new_file, new_folder
from dawa_assets.tables.artists import resolve_artist
from dawa_assets.tables.training_runs import artists_with_run
from dawa_assets.training.adapters import main_adapter, run_folder, temporary_folder
from dawa_assets.training.promotion import Lora, find_lora, list_loras
from modal_app.adapters import peft_pair
from modal_app.adapters.card import AdapterCard
from modal_app.adapters.other_programs import FOLDERS, Form, require_form, write_for
from modal_app.config import BackendKind
from modal_app.data_root.digests import sha256_file
from modal_app.errors import InputError, JobError
from resources.errors import ObjectNotFoundError
from resources.ports import Ports


@dataclass(frozen=True)
class ExportedFile:
    """One file that was written."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class LoraExport:
    """What was written, and of which run."""

    lora: Lora
    form: Form
    out: Path
    files: list[ExportedFile]
    card: AdapterCard


def export_lora(ports: Ports, run: str | None, artist: str | None, form: Form, out: Path) -> LoraExport:
    """Write an adapter to `out`: a new folder for the forms that are one, else a file, which is replaced.

    It is the run whose id begins so; without one, what the artist (slug, id or name) has published.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: there is no such run, or not one; it has no adapter, or the form's program can't load it; or `out`
            can't be written.
        JobError: the file in the bucket is not the one on record.
        AdapterError: it can't be read.
    """
    lora = choose_lora(ports, run, artist)
    if lora.run.state != "done":
        raise InputError(f"run {lora.run.id}: is {lora.run.state}, there is no adapter; `dawa lora list` shows others")
    require_form(form, BackendKind(lora.run.backend))
    target = out.absolute()
    if form not in FOLDERS and target.suffix != ".safetensors":
        raise InputError(f"{out}: the form {form} is one file; name one that ends in .safetensors")
    place: AbstractContextManager[Path] = new_folder(target) if form in FOLDERS else new_file(target)
    with temporary_folder(ports) as folder, place as fresh:
        adapter = _fetch(ports, lora, main_adapter(lora.run.metrics.get("files", {})), folder / "adapter.safetensors")
        config = folder / peft_pair.CONFIG
        if form in FOLDERS:
            _fetch(ports, lora, peft_pair.CONFIG, config)
        card = write_for(form, adapter, config, fresh)
    written = sorted(target.iterdir()) if form in FOLDERS else [target]
    return LoraExport(
        lora, form, target, [ExportedFile(path, path.stat().st_size, sha256_file(path)) for path in written], card
    )


def choose_lora(ports: Ports, run: str | None, artist: str | None) -> Lora:
    """Return the run whose id begins so; without one, what the artist (slug, id or name) has published.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: there is no such run, or not one.
    """
    if artist is not None:
        loras = list_loras(ports, artist)
        if run is not None:
            return find_lora(loras, run)
        with ports.database.transaction() as connection:
            slug = resolve_artist(connection, artist).slug
        published = [lora for lora in loras if lora.run.promoted]
        own = [lora for lora in published if lora.run.model_name == ports.settings.model_name] or published
        if not own:
            raise InputError(f"{slug}: no LoRA is published; name a run of `dawa lora list {slug}`")
        return own[0]
    if not run:
        raise InputError("no LoRA is named; name a run's id, or an artist with --artist for the published one")
    with ports.database.transaction() as connection:
        slugs = artists_with_run(connection, run)
    if len(slugs) != 1:
        what = "no run's id begins so" if not slugs else "several runs' ids begin so"
        raise InputError(f"run {run!r}: {what}; `dawa lora list ARTIST` names them")
    return find_lora(list_loras(ports, slugs[0]), run)


def _fetch(ports: Ports, lora: Lora, name: str, target: Path) -> Path:
    """Copy one of a run's files from the bucket; its bytes must be those on record."""
    key = f"{run_folder(lora.artist, lora.run)}/{name}"
    way_out = f"`dawa verify --artist {lora.artist} --deep --repair` may bring it back"
    try:
        ports.bucket.fetch(key, target)
    except ObjectNotFoundError:
        raise InputError(f"{key}: is not there any more; {way_out}") from None
    if sha256_file(target) != lora.run.metrics.get("files", {}).get(name):
        raise JobError(f"{key}: is not the file on record; {way_out}")
    return target
