"""The `publish` job: the view `training_data/<producer>/{audio,text}/` of spec/modal-app.md, swapped in whole.

The producer's folder is a link to one version; a new version is built apart and the link replaced. Who resolves the
link once reads audio and text that belong together; the version before stays until the next publish for readers that
have begun. Trainings don't read the view.
"""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from modal_app.audio.segment_cache import find_prepared, segment_path
from modal_app.audio.segments import segment_name
from modal_app.data_root.atomic_writes import scratch_path
from modal_app.data_root.layout import DataRoot
from modal_app.data_root.scratch import discard, locked, scratch_folder, sweep
from modal_app.errors import JobError
from modal_app.protocol.audio import PreparedAudio, PublishedSegment, PublishRequest, PublishResult
from modal_app.protocol.base import Event


def publish(request: PublishRequest, root: DataRoot, emit: Callable[[Event], None]) -> PublishResult:
    """Make the producer's view hold exactly the request's segments, numbered from 0 in their order.

    Raises:
        JobError: a segment is not in the cache.
    """
    return publish_as(request.producer_id, request.recipe, request.segments, root, emit)


def publish_as(
    name: str, recipe: str, segments: Sequence[PublishedSegment], root: DataRoot, emit: Callable[[Event], None]
) -> PublishResult:
    """Make `training_data/<name>` hold these segments, as `publish` does for a producer.

    Raises:
        JobError: a segment is not in the cache.
    """
    sweep(root.scratch())
    view = root.training_data(name)
    versions = view.parent / ".versions" / name
    versions.mkdir(parents=True, exist_ok=True)
    with locked(versions):
        current = _current(view, versions)
        changed = current is None or not _is_whole(current, recipe, segments)
        if changed:
            with scratch_folder(root.scratch()) as folder:
                _build(folder, recipe, segments, root)
                version = versions / f"{_content_name(recipe, segments)}-{uuid.uuid4().hex[:8]}"
                folder.rename(version)
            _point(view, version, root)
            _remove_all_but({version, current}, versions, root)
        else:
            _remove_all_but({current}, versions, root)
    state = "published" if changed else "already published"
    emit(Event(kind="log", message=f"{name}: {len(segments)} segments {state}"))
    return PublishResult(view=view.relative_to(root.root).as_posix(), segments=len(segments), changed=changed)


def _current(view: Path, versions: Path) -> Path | None:
    """Return the version that the view points to, if it is one of ours and there."""
    if not view.is_symlink():
        return None
    version = versions / view.readlink().name
    return version if version.is_dir() else None


def _is_whole(version: Path, recipe: str, segments: Sequence[PublishedSegment]) -> bool:
    """Return whether a version was made for the same request and nobody took files out of it."""
    if version.name.rpartition("-")[0] != _content_name(recipe, segments):
        return False
    numbered = list(enumerate(segments))
    audio = {segment_name(number) for number, _ in numbered}
    texts = {_text_name(number) for number, segment in numbered if segment.text is not None}
    return _names(version / "audio") == audio and _names(version / "text") == texts


def _build(folder: Path, recipe: str, segments: Sequence[PublishedSegment], root: DataRoot) -> None:
    (folder / "audio").mkdir()
    (folder / "text").mkdir()
    entries: dict[str, PreparedAudio | None] = {}
    for number, segment in enumerate(segments):
        if segment.audio_hash not in entries:
            entries[segment.audio_hash] = find_prepared(root, segment.audio_hash, recipe)
        _check_cached(segment, entries[segment.audio_hash])
        source = segment_path(root, segment.audio_hash, recipe, segment.index)
        _link_or_copy(source, folder / "audio" / segment_name(number))
        if segment.text is not None:
            (folder / "text" / _text_name(number)).write_text(segment.text, encoding="utf-8", newline="")


def _check_cached(segment: PublishedSegment, entry: PreparedAudio | None) -> None:
    cached = {part.index: part.sha256 for part in entry.segments} if entry else {}
    if cached.get(segment.index) != segment.sha256:
        raise JobError(
            f"segment {segment.index} of audio {segment.audio_hash[:12]} is not in the cache; prepare it again"
        )


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise JobError(f"{source}: vanished from the cache while it was published; run it again") from None
    except OSError:  # a file system without hard links (network volumes), or its limit of links a file
        shutil.copyfile(source, target)


def _point(view: Path, version: Path, root: DataRoot) -> None:
    with scratch_path(view, root.scratch()) as link:
        link.symlink_to(version.relative_to(view.parent), target_is_directory=True)
        if view.exists() and not view.is_symlink():
            discard(view, root.scratch())  # a plain folder from before there were versions


def _remove_all_but(kept: set[Path | None], versions: Path, root: DataRoot) -> None:
    for version in list(versions.iterdir()):
        if version not in kept:
            discard(version, root.scratch())


def _content_name(recipe: str, segments: Sequence[PublishedSegment]) -> str:
    content = [recipe, [(segment.sha256, segment.text) for segment in segments]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _text_name(number: int) -> str:
    return Path(segment_name(number)).with_suffix(".txt").name


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
