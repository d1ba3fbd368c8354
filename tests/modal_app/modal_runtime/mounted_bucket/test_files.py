"""Files of a mounted bucket for those that have not mounted it, and the setting that chooses one."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import modal
import pytest

from modal_app.errors import InputError, JobError
from modal_app.modal_runtime.client import ModalCalls
from modal_app.modal_runtime.deployment import DEFAULTS
from modal_app.modal_runtime.mounted_bucket import files as of_files
from modal_app.modal_runtime.mounted_bucket.files import AppFiles, MountFiles
from modal_app.modal_runtime.mounted_bucket.mount import Mount
from modal_app.modal_runtime.mounted_bucket.tree import MountStorage
from modal_app.modal_runtime.polling import Pace
from modal_app.modal_runtime.storage import BUCKET, BUCKET_KEYS, DATA, VolumeStorage, data_of
from resources.compute.modal import ModalCompute
from tests.modal_app.modal_runtime.bucket_guard import as_a_mount

LONG = bytes(range(256)) * 40


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(of_files, "BLOCK", 1000)
    with as_a_mount(tmp_path / "bucket") as folder:
        yield folder


def app_of(bucket: Path) -> AppFiles:
    """Each function in a container of its own, as the app may have it."""
    return AppFiles(lambda name, *arguments: getattr(MountFiles(Mount(bucket)), name)(*arguments))


def read(files: AppFiles, path: str) -> bytes:
    target = io.BytesIO()
    files.read(path, target)
    return target.getvalue()


def test_files_go_there_and_come_back_and_calls_see_them(bucket: Path, tmp_path: Path) -> None:
    files = app_of(bucket)
    for name, content in (("long", LONG), ("block", LONG[:1000]), ("empty", b""), ("long", LONG[1:])):
        (tmp_path / "source").write_bytes(content)
        files.write(f"uploads/p/{name}", tmp_path / "source")
        assert read(files, f"uploads/p/{name}") == content

    disk = tmp_path / "disk"
    storage = MountStorage(disk, Mount(bucket))
    storage.refresh()
    assert (disk / "uploads/p/long").read_bytes() == LONG[1:]
    (disk / "models/.versions/p/1").mkdir(parents=True)
    (disk / "models/.versions/p/1/weights").write_bytes(b"w")
    (disk / "models/p").symlink_to(".versions/p/1")
    (disk / "models/q").symlink_to("../models/./p")
    (disk / "round").symlink_to("round")
    storage.commit()
    assert read(files, "models/p/weights") == read(files, "models/q/weights") == b"w"
    for missing in ("models/p", "models/p/other", "uploads", "uploads/p/x", "round", "round/x"):
        with pytest.raises(FileNotFoundError):
            read(files, missing)
    for elsewhere in ("../index", "/etc/passwd", "a//b", ""):
        with pytest.raises(JobError, match="not a path below"):
            read(files, elsewhere)
    assert Mount(bucket).names("parts") == []


def test_a_file_replaced_during_a_read_is_read_as_it_was(bucket: Path, tmp_path: Path) -> None:
    served = MountFiles(Mount(bucket))
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(LONG)
    new.write_bytes(LONG[::-1])
    app_of(bucket).write("loras/a", old)

    def ask(name: str, *arguments: Any) -> Any:
        answer = getattr(served, name)(*arguments)
        if arguments[-1] == 2000:
            app_of(bucket).write("loras/a", new)
        return answer

    assert read(AppFiles(ask), "loras/a") == LONG
    assert read(app_of(bucket), "loras/a") == LONG[::-1]


def test_a_repeated_or_half_written_block_does_no_harm(bucket: Path) -> None:
    served = MountFiles(Mount(bucket))
    Mount(bucket).put("parts/u-000001", [b"sec"])  # its container was taken away
    for number, content in enumerate((b"first ", b"second")):
        served.write_block("u", number, content)
        served.write_block("u", number, content)
    served.enter_file("a", "u", 2)
    assert read(app_of(bucket), "a") == b"first second"
    with pytest.raises(JobError, match="send it again"):
        served.enter_file("a", "v", 1)
    assert read(app_of(bucket), "a") == b"first second"


class Function:
    """One of an app's functions, as the SDK shows it."""

    def __init__(self, body: Any) -> None:
        self.remote = body

    def hydrate(self) -> None:
        """It is there."""


def test_the_orchestrator_detects_files_served_by_functions(bucket: Path, tmp_path: Path) -> None:
    served = MountFiles(Mount(bucket))
    functions: Any = {name: Function(getattr(served, name)) for name in ("read_block", "write_block", "enter_file")}
    compute = ModalCompute(ModalCalls("app", functions=functions), Pace(0.01, 0.02, 0.1))
    compute.store("runs/r/adapter", io.BytesIO(LONG))
    compute.fetch("runs/r/adapter", tmp_path / "adapter")
    assert (tmp_path / "adapter").read_bytes() == LONG
    with pytest.raises(JobError, match="no such file"):
        compute.fetch("runs/r/other", tmp_path / "other")


def test_one_setting_chooses_what_the_data_root_lies_on() -> None:
    volume = data_of(DEFAULTS, "v")
    assert list(volume.mounts) == [str(DATA)]
    assert isinstance(volume.storage, VolumeStorage)
    assert volume.files is None

    r2 = "https://account.r2.cloudflarestorage.com"
    bucket = data_of({**DEFAULTS, "DAWA_MODAL_STORAGE": "s3://music/dawa/eu/", "DAWA_MODAL_S3_ENDPOINT": r2}, "v")
    assert list(bucket.mounts) == [str(BUCKET)]
    assert isinstance(bucket.mounts[str(BUCKET)], modal.CloudBucketMount)
    told = repr(bucket.mounts[str(BUCKET)])
    assert f"bucket_name='music', bucket_endpoint_url='{r2}', key_prefix='dawa/eu/'" in told
    assert BUCKET_KEYS in told
    assert isinstance(bucket.storage, MountStorage)
    assert bucket.files is not None
    amazon = data_of({**DEFAULTS, "DAWA_MODAL_STORAGE": "s3://music"}, "v")
    assert "bucket_endpoint_url=None, key_prefix=None" in repr(amazon.mounts)


@pytest.mark.parametrize(
    "place", ["", "s3://", "s3://UP", "s3://bucket//a", "s3://bucket/../a", "gs://bucket", "/data"]
)
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(InputError, match="DAWA_MODAL_STORAGE"):
        data_of({**DEFAULTS, "DAWA_MODAL_STORAGE": place}, "v")
    with pytest.raises(InputError, match="DAWA_MODAL_S3_ENDPOINT"):
        data_of({**DEFAULTS, "DAWA_MODAL_STORAGE": "s3://abc", "DAWA_MODAL_S3_ENDPOINT": "http://key@x"}, "v")
