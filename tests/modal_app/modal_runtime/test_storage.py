"""A volume as the containers use it: open files are told apart from what really went wrong."""

import pytest

from modal_app.errors import JobError
from modal_app.modal_runtime.storage import VolumeStorage


class Volume:
    """Modal's object, as far as it is used; it fails as the SDK does."""

    def __init__(self, trouble: str | None) -> None:
        self.trouble = trouble

    def _answer(self) -> None:
        if self.trouble:
            raise RuntimeError(self.trouble)

    reload = commit = _answer


def test_open_files_prevent_a_refresh_but_not_a_commit() -> None:
    storage = VolumeStorage(Volume("there are open files preventing the operation: path /data/x"))  # type: ignore[arg-type]
    storage.commit()
    with pytest.raises(JobError, match="can't be refreshed"):
        storage.refresh()


def test_a_commit_that_failed_is_reported() -> None:
    with pytest.raises(RuntimeError, match="conflict"):
        VolumeStorage(Volume("a conflict with another commit")).commit()  # type: ignore[arg-type]
    VolumeStorage(Volume(None)).refresh()  # type: ignore[arg-type]
