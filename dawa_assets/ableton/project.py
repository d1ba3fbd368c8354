"""Which Live project a file lies in: one rule for everything that asks."""

from pathlib import Path

PROJECT_MARK = "Ableton Project Info"
_SUFFIX = " Project"


def project_folder(file: Path) -> Path | None:
    """The nearest folder above a set that Live keeps as a project, however deep the set lies in it.

    Live marks it by a folder `Ableton Project Info`. Where none of the folders has that (it is often left out when a
    project is copied), it is the set's own folder, or the one above, if its name ends as Live ends a project's.
    """
    folders = file.absolute().parents
    for folder in folders:
        if (folder / PROJECT_MARK).is_dir():
            return folder
    return next((folder for folder in folders[:2] if folder.name.endswith(_SUFFIX)), None)
