"""What others do while an artist is deleted: builds, uploads and latecomers leave nothing, two deletions are one."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from dawa_assets.artists.delete import delete_artist
from dawa_assets.datasets.build import build_dataset
from dawa_assets.errors import ArtistBeingDeletedError, BusyError, LostLeaseError, UnknownArtistError
from dawa_assets.intake.inbox import upload
from dawa_assets.pipeline.leases import lease
from dawa_assets.tables import artist_deletions
from dawa_assets.tables.artists import ensure_artist
from resources.bucket.folder import FolderBucket
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.artists.test_delete import furnish, recorded, traces
from tests.dawa_assets.intake.material import drop, keys, wav

__all__ = ["recorded"]


class _SlowBucket(FolderBucket):
    """Holds the zip's upload back until it is let go."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reached, self.go = threading.Event(), threading.Event()

    def put(self, key: str, source: Path | bytes | BinaryIO, **more: Any) -> None:
        if key.endswith(".zip"):
            self.reached.set()
            assert self.go.wait(240)
        super().put(key, source, **more)


def test_a_running_build_loses_its_lease_and_leaves_nothing(recorded: Ports) -> None:
    artist, secrets = furnish(recorded, "Nova")
    slow = _SlowBucket(recorded.settings.home / "bucket")
    errors: list[BaseException] = []

    def build() -> None:
        try:
            build_dataset(replace(recorded, bucket=slow), artist.slug)
        except LostLeaseError as error:
            errors.append(error)

    building = threading.Thread(target=build)
    building.start()
    assert slow.reached.wait(240)
    impatient = replace(recorded, settings=Settings(home=recorded.settings.home, lease_wait_seconds=0.1))
    with pytest.raises(BusyError, match="dataset is still at work"):
        delete_artist(impatient, artist.slug, author="me")
    deleting = threading.Thread(target=delete_artist, args=(recorded, artist.slug), kwargs={"author": "me"})
    deleting.start()
    slow.go.set()
    building.join(240)
    deleting.join(240)
    assert [str(error) for error in errors] == [
        "dataset: the artist was deleted meanwhile, or is being; nothing was written"
    ]
    assert traces(recorded, secrets) == []


def test_a_lease_of_a_deleted_artist_is_lost_in_one_clear_line(recorded: Ports) -> None:
    artist, _ = furnish(recorded, "Nova")
    with lease(recorded.database, artist.id, "view", seconds=600, wait_seconds=0) as held:
        with recorded.database.transaction() as connection:
            connection.execute("delete from artists where id = %s", [artist.id])
        with recorded.database.transaction() as connection, pytest.raises(LostLeaseError, match="was deleted"):
            held.check(connection)
    with (
        pytest.raises(ArtistBeingDeletedError, match="was deleted"),
        lease(recorded.database, artist.id, "view", seconds=600, wait_seconds=0),
    ):
        pass


def _hooked(ports: Ports, hook: Callable[[], None]) -> Ports:
    """Ports whose bucket calls the hook once, after the first file."""

    class Hooked(FolderBucket):
        called = False

        def put(self, key: str, source: Path | bytes | BinaryIO, **more: Any) -> None:
            super().put(key, source, **more)
            if not self.called:
                self.called = True
                hook()

    return replace(ports, bucket=Hooked(ports.settings.home / "bucket"))


def test_an_upload_that_is_overtaken_by_a_deletion_is_taken_back(recorded: Ports, tmp_path: Path) -> None:
    (tmp_path / "song.wav").write_bytes(wav())
    with recorded.database.transaction() as connection:
        nova = ensure_artist(connection, "Nova")

    def begin() -> None:
        with recorded.database.transaction() as connection:
            artist_deletions.begin(connection, nova, "me")

    for who, hook in (("Nova", begin), (nova, lambda: delete_artist(recorded, "nova", author="me") and None)):
        with pytest.raises(ArtistBeingDeletedError):
            upload(_hooked(recorded, hook), who, [tmp_path / "song.wav"])
        assert keys(recorded.bucket) == []
    with pytest.raises(UnknownArtistError, match=r"was deleted on .* by me"):
        delete_artist(recorded, "nova", author="me")


def test_what_comes_while_the_rows_go_goes_too(recorded: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    artist, secrets = furnish(recorded, "Nova")
    remove_rows = artist_deletions.remove_rows

    def with_a_latecomer(*values: Any) -> bool:
        drop(recorded, artist.slug, {"late.wav": b"12345"})
        return remove_rows(*values)

    monkeypatch.setattr(artist_deletions, "remove_rows", with_a_latecomer)
    done = delete_artist(recorded, artist.slug, author="me")
    assert done.receipt["files_that_came_late"] == {"inbox": {"files": 2, "bytes": 5}}
    assert traces(recorded, secrets) == []


def test_two_at_once_delete_once(recorded: Ports) -> None:
    artist, secrets = furnish(recorded, "Nova")
    receipts: list[Any] = []

    def delete() -> None:
        try:
            receipts.append(delete_artist(recorded, artist.slug, author="me").receipt)
        except UnknownArtistError as error:
            receipts.append(str(error))

    threads = [threading.Thread(target=delete) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    whole = [receipt for receipt in receipts if isinstance(receipt, dict)]
    assert len(receipts) == 3
    assert whole
    assert all(receipt == whole[0] for receipt in whole)
    assert traces(recorded, secrets) == []
