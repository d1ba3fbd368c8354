"""Which project each file of an upload lies in: as its sender saw it, else as the names of its folders tell.

A project's mark is no music and is not uploaded, and the project may begin above all that is. So `_complete`, which
closes an upload, says of each file that lies in one what its project is called.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dawa_assets.ableton.project import PROJECT_MARK, project_around, project_name
from resources.errors import ObjectNotFoundError

if TYPE_CHECKING:
    from dawa_assets.intake.inbox_folders import InboxFolder
    from dawa_assets.tables.uploads import InboxFile
    from resources.bucket.base import Bucket

log = logging.getLogger(__name__)

_MAX_BYTES = 4 << 20
_MAX_NAME = 255  # what a folder's name has on any system


def projects_by_name(names: Sequence[str]) -> dict[str, str]:
    """By the files' names in the upload (folders and all), the project of each that lies in one.

    Args:
        names: of everything that the sender has, what isn't uploaded too: a project's mark is known by what is in it.
    """
    paths = {name: PurePosixPath(name) for name in names}
    marked = {folder.parent for path in paths.values() for folder in path.parents if folder.name == PROJECT_MARK}
    found = {name: project_name(project_around(path, marked.__contains__)) for name, path in paths.items()}
    return {name: project for name, project in found.items() if project}


def closing_note(projects: Mapping[str, str], names: Sequence[str]) -> bytes:
    """Return what `_complete` says of the files of these names: the projects that their names alone don't tell.

    Empty where there is nothing to say.
    """
    known = projects_by_name(names)
    declared = {name: projects[name] for name in names if projects.get(name, "") != known.get(name, "")}
    return json.dumps({"projects": declared}, ensure_ascii=False).encode() if declared else b""


class Projects:
    """The projects of the files of some uploads. `_complete` is read once for each, when it is first asked for."""

    def __init__(self, bucket: Bucket, inbox_folders: Sequence[InboxFolder]) -> None:
        self._bucket = bucket
        self._drops = {inbox_folder.upload_id: inbox_folder for inbox_folder in inbox_folders}
        self._known: dict[str, dict[str, str]] = {}

    def of(self, upload_id: str, folder: str, name: str) -> str:
        """The project of a file by where it lay: by the rule, else the folder that it was uploaded in, or empty."""
        if upload_id not in self._known:
            self._known[upload_id] = self._read(upload_id)
        path = f"{folder}/{name}" if folder else name
        return self._known[upload_id].get(path) or folder.rpartition("/")[2]

    def _read(self, upload_id: str) -> dict[str, str]:
        inbox_folder = self._drops.get(upload_id)
        if inbox_folder is None:
            return {}
        found = projects_by_name([_path(file) for file in inbox_folder.files])
        if inbox_folder.marker is None or not inbox_folder.marker.size:
            return found
        try:
            with self._bucket.open(inbox_folder.marker.key) as stream:
                declared = json.loads(stream.read(_MAX_BYTES))["projects"].items()
        except ObjectNotFoundError:
            return found
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            log.warning(
                "%s: says nothing that is understood; projects are told by folders alone", inbox_folder.marker.key
            )
            return found
        return found | {path: project for path, project in declared if _is_name(project)}


def _path(file: InboxFile) -> str:
    return f"{file.folder}/{file.name}" if file.folder else file.name


def _is_name(project: object) -> bool:
    """Return whether it can be a folder's name; an empty one says that there is no project."""
    return isinstance(project, str) and len(project) <= _MAX_NAME and project.isprintable() and "/" not in project
