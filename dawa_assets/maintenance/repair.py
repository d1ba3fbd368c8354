"""What can be done about a row and an object that disagree, without guessing: mended from what is kept, or said.

Each repair looks again under the lease of the step that owns the file. No audio and no Live Set is ever written
over: if the bytes are not those on record, a person has to say which are right.
"""

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dawa_assets.artists.paths import is_own, own_object
from dawa_assets.datasets.manifest import manifest_bytes
from dawa_assets.datasets.zip import Archive, entry_names
from dawa_assets.errors import BusyError
from dawa_assets.maintenance.artist_lock import holding
from dawa_assets.pipeline.file_transfer import local_copy, object_hash
from dawa_assets.pipeline.step import Step
from dawa_assets.prompting.prompt_files import saved_file_is
from dawa_assets.tables import cleanup, recovery_sources
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.datasets import Dataset, WantedItem, fail_item
from dawa_assets.tables.expected_objects import Claim
from dawa_assets.tables.training_items import fail_audio, get_item, set_prompt_files
from dawa_assets.tables.training_runs import get_run
from dawa_assets.training.adapters import persist_files
from modal_app.data_root.digests import sha256_file
from modal_app.errors import DawaError
from resources.errors import ObjectNotFoundError
from resources.ports import Ports

log = logging.getLogger(__name__)

_UPLOAD_AGAIN = "upload the file again"


@dataclass(frozen=True)
class RepairOutcome:
    """What became of something that is wrong, or would become of it; `said` is one line, and the way out."""

    state: Literal["mended", "can be mended", "next build", "needs you"]
    said: str


def outlook(claim: Claim, problem: str) -> RepairOutcome:
    """Return what would be done about it."""
    wrong_bytes = problem.startswith("wrong")
    if claim.what == "audio" and wrong_bytes:
        return RepairOutcome("can be mended", "--repair marks its item as failed; upload the bounce again")
    if claim.what == "zip" and claim.is_current:
        return _next_build()
    if claim.what == "zip" and wrong_bytes:
        return RepairOutcome("can be mended", "--repair removes it and records that it was pruned")
    return _OUTLOOKS[claim.what]


_OUTLOOKS = {
    "Live Set": RepairOutcome("needs you", "upload the Live Set again; its summary and its prompt stay"),
    "summary": RepairOutcome("can be mended", "--repair writes it from its row"),
    "timeline": RepairOutcome("can be mended", "--repair draws it from the kept Live Set"),
    "audio": RepairOutcome(
        "can be mended", "--repair looks for the same bytes elsewhere, else marks its item as failed"
    ),
    "prompt": RepairOutcome("can be mended", "--repair writes it from its row"),
    "zip": RepairOutcome("can be mended", "--repair records that it was pruned"),
    "pruned zip": RepairOutcome("can be mended", "--repair or `dawa prune` removes it"),
    "manifest": RepairOutcome("can be mended", "--repair writes it from its rows"),
    "adapter": RepairOutcome("can be mended", "--repair copies it from the worker, if that has it still"),
    "evaluation": RepairOutcome("next build", "the next `dawa build` renders and judges it again"),
    "evidence": RepairOutcome("needs you", "put the document there again, or the permission on record anew with it"),
    "rejected upload": RepairOutcome("needs you", _UPLOAD_AGAIN),
    "reason": RepairOutcome("can be mended", "--repair writes it from its row"),
}


def repair(ports: Ports, artist: Artist, claim: Claim, problem: str) -> RepairOutcome:
    """Mend it if that can be done without guessing; what was done, or what a person has to do."""
    step, fix = _REPAIRS[claim.what]
    try:
        with holding(ports, artist, step) as held:
            return fix(_Repair(held, claim, problem))
    except BusyError:
        return RepairOutcome("needs you", f"skipped: the step {step!r} is running; verify again when it is done")
    except DawaError as error:
        return RepairOutcome("needs you", " ".join(str(error).split()))


@dataclass(frozen=True)
class _Repair:
    """Something that is wrong, and the right to work on its step."""

    step: Step
    claim: Claim
    problem: str

    def prompt(self) -> RepairOutcome:
        with self.step.ports.database.transaction() as connection:
            item = get_item(connection, self.claim.row_id)
        if item is None or not item.prompt_text:
            return RepairOutcome("needs you", "its row has no text any more; verify again")
        content = item.prompt_text.encode()
        if self.problem != "missing" and saved_file_is(self.step, item, self.claim.key, content):
            said = "it holds the row's text; its hash is on record now"
        else:
            self.step.ports.bucket.put(self.claim.key, content)
            said = "written from its row"
        with self.step.ports.database.transaction() as connection:
            self.step.held.check(connection)
            text_hash = hashlib.sha256(content).hexdigest()
            if not set_prompt_files(connection, [(item, self.claim.key, text_hash)]):
                return RepairOutcome("next build", "its text was changed meanwhile; the next `dawa build` writes it")
        return RepairOutcome("mended", said)

    def audio(self) -> RepairOutcome:
        if self.problem == "missing" and (source := _put_same_bytes(self.step, self.claim)) is not None:
            return RepairOutcome("mended", f"restored from {source}")
        with self.step.ports.database.transaction() as connection:
            self.step.held.check(connection)
            item = get_item(connection, self.claim.row_id)
            if item is None or (item.audio_path, item.audio_hash) != (self.claim.key, self.claim.sha256):
                return RepairOutcome("mended", "its item has other audio now")
            if self.problem == "missing":
                failed = fail_audio(
                    connection, item, f"{self.claim.key} is gone from the bucket; upload the bounce again"
                )
            else:
                reason = "its audio in the bucket is not the one on record; upload the file again"
                failed = fail_item(connection, item.id, item.audio_hash or "", reason)
        if not failed:
            return RepairOutcome("needs you", "its item was changed meanwhile; verify again")
        return RepairOutcome("needs you", "its item is marked as failed; upload the bounce again")

    def summary(self) -> RepairOutcome:
        with self.step.ports.database.transaction() as connection:
            content = recovery_sources.summary_of(connection, self.claim.row_id)
        self.step.ports.bucket.put(self.claim.key, json.dumps(content, ensure_ascii=False, indent=2).encode())
        return RepairOutcome("mended", "written from its row")

    def timeline(self) -> RepairOutcome:
        from dawa_assets.ableton.reader import read_live_set
        from dawa_assets.ableton.timeline import draw_timeline
        from dawa_assets.intake.set_files import parse_id

        with self.step.ports.database.transaction() as connection:
            kept, identity = recovery_sources.kept_set_of(connection, self.step.artist.id, self.claim.row_id)
        if not is_own(self.step.artist.slug, kept):
            return RepairOutcome("needs you", "its Live Set does not lie in the artist's own folder; upload it again")
        try:
            with local_copy(self.step.ports.bucket, kept, self.claim.name) as local:
                if parse_id(self.step.artist.id, local.path) != identity:
                    return RepairOutcome(
                        "needs you", "the kept Live Set is not the one that was taken in; upload it again"
                    )
                picture = local.path.with_name("timeline_visualizer.png")
                draw_timeline(read_live_set(local.path), picture)
                self.step.ports.bucket.put(self.claim.key, picture)
        except ObjectNotFoundError:
            return RepairOutcome("needs you", "its Live Set is gone too; upload that again")
        return RepairOutcome("mended", "drawn from the kept Live Set")

    def zip(self) -> RepairOutcome:
        if self.claim.is_current:
            if self.problem == "wrong bytes":  # the next build looks at its size only
                self.step.ports.bucket.delete([self.claim.key])
            return _next_build()
        with self.step.ports.database.transaction() as connection:
            self.step.held.check(connection)
            marked = cleanup.mark_pruned(connection, self.step.artist.id, self.claim.row_id)
        if not marked:
            return RepairOutcome("needs you", "its row was changed meanwhile; verify again")
        if self.problem != "missing":
            self.step.ports.bucket.delete([self.claim.key])
        return RepairOutcome("mended", "recorded as pruned; content that comes back is zipped again")

    def pruned_zip(self) -> RepairOutcome:
        self.step.ports.bucket.delete([self.claim.key])
        return RepairOutcome("mended", "removed; its row says already that it is")

    def manifest(self) -> RepairOutcome:
        with self.step.ports.database.transaction() as connection:
            dataset, items = recovery_sources.dataset_with_items(connection, self.claim.row_id)
        sizes = _sizes_in_zip(self.step, dataset, items)
        if sizes is None:
            sizes = [size for item in items if (size := _size_of_audio(self.step, item)) is not None]
        if dataset.size_bytes is None or dataset.sha256 is None or not len(sizes) == len(items) == dataset.item_count:
            return RepairOutcome(
                "needs you", "neither its zip nor all of its audio is there; the table dataset_items tells more"
            )
        content = manifest_bytes(
            dataset, self.step.artist.slug, items, sizes, Archive(dataset.size_bytes, dataset.sha256)
        )
        self.step.ports.bucket.put(self.claim.key, content, content_type="application/json")
        return RepairOutcome("mended", "written from its rows")

    def adapter(self) -> RepairOutcome:
        with self.step.ports.database.transaction() as connection:
            run = get_run(connection, self.claim.row_id)
        name = self.claim.key.removeprefix(f"{run.adapter_key}/")
        try:
            persist_files(self.step.ports, self.step.artist.slug, run, {name: run.metrics["files"][name]})
        except (DawaError, KeyError):
            if run.imported is not None:
                return RepairOutcome("needs you", "the worker has not got it; `dawa lora import` takes it in again")
            if self.claim.is_current:
                return RepairOutcome("next build", "the worker has not got it; the next `dawa build` trains it again")
            return RepairOutcome("needs you", "the worker has not got it, and another LoRA is published; it is lost")
        return RepairOutcome("mended", "copied from the worker")

    def rejected(self) -> RepairOutcome:
        with self.step.ports.database.transaction() as connection:
            inbox_key = recovery_sources.inbox_key_of(connection, self.claim.row_id)
        is_theirs = inbox_key.startswith(f"inbox/{self.step.artist.slug}/")
        if (
            self.problem == "missing"
            and is_theirs
            and object_hash(self.step.ports.bucket, inbox_key) == self.claim.sha256
        ):
            return RepairOutcome("next build", "it is in the inbox again; the next `dawa build` looks at it")
        if self.problem == "missing":
            with self.step.ports.database.transaction() as connection:
                self.step.held.check(connection)
                recovery_sources.forget_kept_copy(connection, self.claim.row_id, self.claim.key)
            self.step.ports.bucket.delete([f"{self.claim.key}.reason.txt"])
            return RepairOutcome("needs you", f"its row says now that it is gone; {_UPLOAD_AGAIN}")
        return RepairOutcome("needs you", _UPLOAD_AGAIN)

    def reason(self) -> RepairOutcome:
        with self.step.ports.database.transaction() as connection:
            reason = recovery_sources.reason_of(connection, self.claim.row_id)
        self.step.ports.bucket.put(self.claim.key, f"{reason}\n".encode())
        return RepairOutcome("mended", "written from its row")

    def live_set(self) -> RepairOutcome:
        return _OUTLOOKS["Live Set"]

    def evaluation(self) -> RepairOutcome:
        return _OUTLOOKS["evaluation"]

    def evidence(self) -> RepairOutcome:
        return _OUTLOOKS["evidence"]


def _put_same_bytes(step: Step, claim: Claim) -> str | None:
    """Bring the audio back from another item's file or from a dataset's zip; where it came from."""
    bucket = step.ports.bucket
    if claim.sha256 is None:
        return None
    with step.ports.database.transaction() as connection:
        files = recovery_sources.files_of_audio(connection, step.artist.id, claim.sha256)
        zips = recovery_sources.zips_with_audio(connection, step.artist.id, claim.sha256)
    for key in files:
        if key != claim.key and is_own(step.artist.slug, key) and object_hash(bucket, key) == claim.sha256:
            bucket.copy(key, claim.key)
            return key
    for key, position, audio_format in zips:
        if not is_own(step.artist.slug, key):
            continue
        try:
            with local_copy(bucket, key, "dataset.zip") as local, zipfile.ZipFile(local.path) as archive:
                found = Path(archive.extract(entry_names(position, audio_format)[0], local.path.parent))
                if sha256_file(found) == claim.sha256:
                    bucket.put(claim.key, found)
                    return key
        except (ObjectNotFoundError, zipfile.BadZipFile, KeyError, ValueError):
            log.info("%s: has not got the audio either", key)
    return None


def _sizes_in_zip(step: Step, dataset: Dataset, items: list[WantedItem]) -> list[int] | None:
    """Return the sizes of the audio in a dataset's zip, in bytes; None where that is gone, or not the one on record."""
    if not is_own(step.artist.slug, dataset.storage_path):
        return None
    try:
        with local_copy(step.ports.bucket, dataset.storage_path, "dataset.zip") as local:
            if local.sha256 != dataset.sha256:
                return None
            with zipfile.ZipFile(local.path) as archive:
                return [
                    archive.getinfo(entry_names(position, item.audio_format)[0]).file_size
                    for position, item in enumerate(items, start=1)
                ]
    except (ObjectNotFoundError, KeyError):
        return None


def _size_of_audio(step: Step, item: WantedItem) -> int | None:
    """Return the size in bytes of the audio that an item had, where some item has the same still."""
    with step.ports.database.transaction() as connection:
        files = recovery_sources.files_of_audio(connection, step.artist.id, item.audio_hash)
    for key in files:
        stored = own_object(step.ports.bucket, step.artist.slug, key)
        if stored is not None and object_hash(step.ports.bucket, key) == item.audio_hash:
            return stored.size
    return None


def _next_build() -> RepairOutcome:
    return RepairOutcome("next build", "the next `dawa build` makes it again")


_REPAIRS: dict[str, tuple[str, Callable[[_Repair], RepairOutcome]]] = {
    "Live Set": ("intake", _Repair.live_set),
    "summary": ("intake", _Repair.summary),
    "timeline": ("intake", _Repair.timeline),
    "audio": ("items", _Repair.audio),
    "prompt": ("items", _Repair.prompt),
    "zip": ("dataset", _Repair.zip),
    "pruned zip": ("dataset", _Repair.pruned_zip),
    "manifest": ("dataset", _Repair.manifest),
    "adapter": ("training", _Repair.adapter),
    "evaluation": ("evaluation", _Repair.evaluation),
    "evidence": ("rights", _Repair.evidence),
    "rejected upload": ("intake", _Repair.rejected),
    "reason": ("intake", _Repair.reason),
}
