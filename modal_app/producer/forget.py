"""The `forget` job: everything of one producer is taken off the data root: cached audio, view, adapters, runs, uploads.

Safe to be killed and run again: what was cut from a file is found by the file's manifest, which goes last. A segment
that somebody else's audio has too may go from the cache; it is made again there when it is needed.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from modal_app.adapters.file_format import read_card
from modal_app.audio.segment_cache import MANIFEST
from modal_app.data_root.digests import sha256_file
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import discard, locked, sweep
from modal_app.errors import AdapterError
from modal_app.producer.train_producer import run_id_of
from modal_app.protocol.base import Event
from modal_app.protocol.forgetting import ForgetRequest, ForgetResult, Forgotten

_CARD, _PLAN = "card.json", "plan.json"  # of a run, of a training over HTTP


def forget(request: ForgetRequest, root: DataRoot, emit: Callable[[Event], None]) -> ForgetResult:
    """Remove what is the producer's, or count it. Nothing is there twice: a second call finds nothing."""
    sweep(root.scratch())
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    with _locked(root, request.producer_id):
        for what, path in list(_places(request, root)):
            for size in _sizes(path):
                counted[what][0] += 1
                counted[what][1] += size
            if not request.dry_run:
                discard(path, root.scratch())
    removed = {what: Forgotten(files=files, bytes=size) for what, (files, size) in counted.items()}
    if not request.dry_run:
        total = sum(each.files for each in removed.values())
        emit(Event(kind="log", message=f"{request.producer_id}: {total} files removed"))
    return ForgetResult(removed=removed)


def _places(request: ForgetRequest, root: DataRoot) -> Iterator[tuple[str, Path]]:
    """What kind of thing lies where, in the order in which it may go: what tells of other things goes after them."""
    audio, runs = set(request.audio_hashes) | set(_uploaded(root, request.producer_id)), set(request.run_ids)
    for run_id, heard in _jobs(root, request.producer_id):
        runs.add(run_id)
        audio |= heard
    segments = set(request.segment_hashes) | _segments_of(root, audio)
    for base in _folders(root.latents(), 2):
        encoded = sorted(segments | audio)  # segments by themselves, and whole tracks
        yield from (("latents", path) for digest in encoded for path in _named(base / digest[:2], digest))
    for digest in sorted(audio):
        yield from (("landmarks", path) for path in _named(root.landmarks() / digest[:2], digest))
    for version in _folders(root.tags(), 2):
        own = sorted(set(request.segment_hashes))
        yield from (("tags", path) for digest in own for path in _named(version / digest[:2], f"{digest}~"))
    yield from (("loras", path) for path in _loras(request, root))
    yield from (("models", path) for path in _with_name(root.peft_model(request.producer_id)))
    yield from (("runs", path) for path in _entries(root.run("x").parent) if _is_own_run(path, request, runs))
    names = sorted({*request.outputs, *(f"preview-{run_id}" for run_id in request.run_ids)})
    yield from (("outputs", path) for name in names for path in _named(root.outputs(), name))
    asked_here = re.compile(rf"cli-{re.escape(request.producer_id)}-[0-9a-f]{{16}}(-base)?\.wav")
    yield from (("outputs", path) for path in _entries(root.outputs()) if asked_here.fullmatch(path.name))
    yield from (("pictures", path) for path in [root.pictures(request.producer_id)] if path.is_dir())
    folders = (root.segments(digest, "x").parent for digest in sorted(audio))
    yield from (("segments", folder) for folder in folders if folder.is_dir())
    yield from (("jobs", path) for path in map(root.producer_job, sorted(runs)) if path.is_dir())
    yield from (("views", path) for path in _with_name(root.training_data(request.producer_id)))
    yield from (("uploads", path) for path in [root.uploads(request.producer_id)] if path.is_dir())


def _with_name(place: Path) -> Iterator[Path]:
    """Yield a published folder and its versions, and those of jobs over HTTP: `<producer>.<job>`.

    No producer holds a dot.
    """
    for path in [*_entries(place.parent), *_entries(place.parent / ".versions")]:
        if path.name.partition(".")[0] == place.name:
            yield path


def _jobs(root: DataRoot, producer_id: str) -> Iterator[tuple[str, set[str]]]:
    """Run and audio of the producer's trainings over HTTP: of those that have a plan, an upload or a view."""
    for folder in _entries(root.producer_job("x").parent):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            training = json.loads((folder / _PLAN).read_bytes())["training"]
            if training["producer_id"] == producer_id:
                yield folder.name, {example["audio_hash"] for example in training["examples"]}
    named = [path.name.partition(".")[2] for path in _with_name(root.training_data(producer_id))]
    for job_id in [*named, *(path.name for path in _entries(root.uploads(producer_id)))]:
        yield run_id_of(producer_id, job_id), set()


def _uploaded(root: DataRoot, producer_id: str) -> Iterator[str]:
    """Yield the hashes of the files that the producer uploaded to the worker itself."""
    for path in sorted(root.uploads(producer_id).rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield sha256_file(path)


def _segments_of(root: DataRoot, audio: Iterable[str]) -> set[str]:
    """Return the hashes of what was cut from these files, by any recipe."""
    found = set()
    for audio_hash in audio:
        for manifest in root.segments(audio_hash, "x").parent.glob(f"*/{MANIFEST}"):
            with suppress(OSError, ValueError, TypeError, KeyError):
                found |= {str(segment["sha256"]) for segment in json.loads(manifest.read_bytes())["segments"]}
    return {digest for digest in found if len(digest) == 64 and digest.isalnum()}


def _loras(request: ForgetRequest, root: DataRoot) -> Iterator[Path]:
    """Yield the producer's published adapters.

    `a_b:c` and `a:b_c` have one path, so the card decides where there is one.
    """
    known = {root.lora(request.producer_id, name) for name in request.model_names}
    for path in _entries(root.lora("x", "x").parent):
        try:
            is_own = read_card(path).producer_id == request.producer_id
        except AdapterError:
            is_own = path in known
        if is_own:
            yield path


def _is_own_run(path: Path, request: ForgetRequest, runs: set[str]) -> bool:
    if path.name in runs:
        return True
    with suppress(OSError, ValueError, AttributeError):
        return bool(json.loads((path / _CARD).read_bytes()).get("producer_id") == request.producer_id)
    return False


def _locked(root: DataRoot, producer_id: str) -> AbstractContextManager[None]:
    versions = root.training_data(producer_id).parent / ".versions" / producer_id
    return locked(versions) if versions.is_dir() else nullcontext()


def _folders(folder: Path, depth: int) -> list[Path]:
    """Return the folders so many levels below a folder."""
    level = [folder]
    for _ in range(depth):
        level = [entry for each in level for entry in _entries(each) if entry.is_dir()]
    return level


def _named(folder: Path, beginning: str) -> list[Path]:
    return [path for path in _entries(folder) if path.name.startswith(beginning)]


def _entries(folder: Path) -> list[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return sorted(folder.iterdir())
    return []


def _sizes(path: Path) -> Iterator[int]:
    """Yield the sizes of the files below a path.

    A link to a folder is nothing, what is in there is counted where it lies.
    """
    if path.is_symlink() and not path.is_file():
        return
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            yield file.stat().st_size
