"""Published adapters: putting a run's under the two paths of the specification, and finding the one a name means."""

import hashlib
import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from modal_app.adapters import peft_pair
from modal_app.adapters.card import AdapterCard
from modal_app.adapters.file_format import read_card
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.digests import sha256_file
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import discard, locked, scratch_folder, sweep
from modal_app.errors import AdapterError, ConflictError, InputError, MissingLoraError
from modal_app.protocol.base import Event
from modal_app.protocol.training import InstallRequest, InstallResult, WithdrawRequest, WithdrawResult

HTTP_RUN = "http-"
"""How the runs begin that were asked for over HTTP; the pipeline's are UUIDs, and go first."""
_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"


@dataclass(frozen=True)
class ResolvedLora:
    """The file that a `lora_id` means."""

    path: Path
    card: AdapterCard
    passed_over: list[str]  # why an earlier path was not taken


def resolve_lora(root: DataRoot, lora_id: str, run_id: str | None = None) -> ResolvedLora:
    """Return the first of the two published files whose card names this producer and model and that is no placeholder.

    With a run, that one's own file, published or not.

    Raises:
        InputError: not of the form `producer:model`.
        MissingLoraError: no file is usable; the message says why for each.
    """
    named = re.fullmatch(f"({_NAME}):({_NAME})", lora_id)
    if not named:
        raise InputError(f"{lora_id!r}: is no LoRA's name; write it as `producer:model`")
    producer_id, model_name = named.groups()
    reasons: list[str] = []
    published = root.lora(producer_id, model_name)
    paths = (published, root.peft_model(producer_id) / peft_pair.WEIGHTS)
    for path in paths if run_id is None else (root.run(run_id) / published.name,):
        try:
            card = read_card(path)
            _require_name(card, producer_id, model_name, path)
            if run_id is not None and card.run_id != run_id:
                raise AdapterError(f"{path}: belongs to the run {card.run_id}, not to {run_id}; install it again")
        except AdapterError as error:
            reasons.append(str(error))
        else:
            return ResolvedLora(path, card, reasons)
    raise MissingLoraError(f"no usable LoRA {lora_id}: {'; '.join(reasons)}")


def install(request: InstallRequest, root: DataRoot, emit: Callable[[Event], None]) -> InstallResult:
    """Publish a run's adapter. Each path shows the old adapter or the new one, never a half or a mixture.

    A run that was asked for over HTTP leaves `models/<producer>` as it is where that is the pipeline's.

    Raises:
        AdapterError: the run's files are missing, damaged, or another model's.
        ConflictError: the run was asked for over HTTP, and the name is another's; see `require_free_name`.
    """
    sweep(root.scratch())
    lora = root.lora(request.producer_id, request.model_name)
    model = root.peft_model(request.producer_id)
    run_lora, card = _run_files(request, root)
    versions = model.parent / ".versions" / request.producer_id
    versions.mkdir(parents=True, exist_ok=True)
    with locked(versions), scratch_folder(root.scratch()) as folder:
        require_free_name(root, request.run_id, request.producer_id, request.model_name)
        _refuse_a_namesake(lora, request)
        pair = peft_pair.pair_to_publish(run_lora.parent, card, folder)
        takes_model = not (request.run_id.startswith(HTTP_RUN) and _is_of_the_pipeline(model / peft_pair.WEIGHTS))
        changed_model = takes_model and _publish_folder(pair, model, versions, root)
        changed_lora = _publish_file(run_lora, lora, root)
    changed = changed_model or changed_lora
    state = "published" if changed else "was published already"
    emit(
        Event(
            kind="log", message=f"{request.producer_id}:{request.model_name}: the adapter of {request.run_id} {state}"
        )
    )
    return InstallResult(
        lora_path=lora.relative_to(root.root).as_posix(),
        peft_path=(model / peft_pair.WEIGHTS).relative_to(root.root).as_posix() if takes_model else None,
        changed=changed,
    )


def withdraw(request: WithdrawRequest, root: DataRoot, emit: Callable[[Event], None]) -> WithdrawResult:
    """Take a run's adapter off the two published paths, where it is the one that lies there.

    Safe to be killed and run again: the path that a name is resolved by first goes last.
    """
    sweep(root.scratch())
    lora, model = root.lora(request.producer_id, request.model_name), root.peft_model(request.producer_id)
    versions = model.parent / ".versions" / request.producer_id
    removed = []
    for path, place in ((model / peft_pair.WEIGHTS, model), (lora, lora)):
        card = _card_of(path)
        if card is not None and (card.run_id, card.producer_id) == (request.run_id, request.producer_id):
            with locked(versions) if versions.is_dir() else nullcontext():
                discard(place, root.scratch())
            removed.append(place.relative_to(root.root).as_posix())
    emit(Event(kind="log", message=f"{request.producer_id}:{request.model_name}: {len(removed)} paths taken off"))
    return WithdrawResult(removed=removed)


def require_free_name(root: DataRoot, run_id: str, producer_id: str, model_name: str) -> None:
    """Refuse to let a run that was asked for over HTTP take a name that is the pipeline's, or another producer's.

    Raises:
        ConflictError: it is.
    """
    if not run_id.startswith(HTTP_RUN):
        return
    card = _card_of(root.lora(producer_id, model_name))
    if card is None:
        return
    if (card.producer_id, card.model_name) != (producer_id, model_name):
        raise ConflictError(
            f"{producer_id}:{model_name}: its file is that of {card.producer_id}:{card.model_name}; "
            "choose another model_name"
        )
    if not card.run_id.startswith(HTTP_RUN):
        raise ConflictError(
            f"{producer_id}:{model_name}: this name is the pipeline's, which published it; choose another model_name"
        )


def _is_of_the_pipeline(path: Path) -> bool:
    card = _card_of(path)
    return card is not None and not card.run_id.startswith(HTTP_RUN)


def _card_of(path: Path) -> AdapterCard | None:
    """Return the card of a file; None where nothing is there, or nothing worth keeping."""
    try:
        return read_card(path)
    except AdapterError:
        return None


def _run_files(request: InstallRequest, root: DataRoot) -> tuple[Path, AdapterCard]:
    """Return the run's adapter and its card, after a look at all three files."""
    run = root.run(request.run_id)
    lora = run / root.lora(request.producer_id, request.model_name).name
    for path in (lora, run / peft_pair.WEIGHTS):
        card = read_card(path)
        _require_name(card, request.producer_id, request.model_name, path)
        if card.run_id != request.run_id:
            raise AdapterError(f"{path}: belongs to the run {card.run_id}, not to {request.run_id}; train it again")
    if not (run / peft_pair.CONFIG).is_file():
        raise AdapterError(f"{run / peft_pair.CONFIG}: is missing; train it again")
    return lora, card


def _require_name(card: AdapterCard, producer_id: str, model_name: str, path: Path) -> None:
    if (card.producer_id, card.model_name) != (producer_id, model_name):
        raise AdapterError(
            f"{path}: is {card.producer_id}:{card.model_name}, not {producer_id}:{model_name}; install it again"
        )


def _refuse_a_namesake(lora: Path, request: InstallRequest) -> None:
    """`a_b:c` and `a:b_c` have one path; the second must not take the first one's place."""
    card = _card_of(lora)
    if card is not None and card.producer_id != request.producer_id:
        _require_name(card, request.producer_id, request.model_name, lora)


def _publish_file(source: Path, target: Path, root: DataRoot) -> bool:
    if target.is_file() and sha256_file(target) == sha256_file(source):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch_path(target, root.scratch()) as fresh:
        shutil.copyfile(source, fresh)
    return True


def _publish_folder(files: list[Path], target: Path, versions: Path, root: DataRoot) -> bool:
    """Make `target` a link to a folder with these files; a link is replaced in one step, a folder is not."""
    content = hashlib.sha256("".join(sha256_file(path) for path in files).encode()).hexdigest()[:16]
    version = versions / content
    if target.is_symlink() and target.resolve() == version.resolve() and _holds(version, files):
        return False
    if not _holds(version, files):
        discard(version, root.scratch())
        with scratch_folder(root.scratch()) as folder:
            for path in files:
                shutil.copyfile(path, folder / path.name)
            folder.rename(version)
    if target.exists() and not target.is_symlink():
        discard(target, root.scratch())  # a plain folder from before there were versions
    with scratch_path(target, root.scratch()) as link:
        link.symlink_to(version.relative_to(target.parent), target_is_directory=True)
    for old in list(versions.iterdir()):
        if old != version:
            discard(old, root.scratch())
    return True


def _holds(version: Path, files: list[Path]) -> bool:
    return version.is_dir() and all(
        (version / path.name).is_file() and sha256_file(version / path.name) == sha256_file(path) for path in files
    )
