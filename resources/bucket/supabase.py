"""`SupabaseBucket`: a private bucket of a Supabase project. Keys are stored as `resources/bucket/keys.py` encodes them.

Small objects go up in one call, larger ones in parts that can be resumed; downloads are streamed. Where the bytes'
transfer is not the point, storage3 asks.
"""

import base64
import functools
import io
import itertools
import logging
import mimetypes
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import quote

from storage3 import SyncStorageClient
from storage3.types import BaseBucket, SearchV2Options, SearchV2Result

from modal_app.data_root.atomic_writes import atomic_path
from resources.bucket.base import Bucket, StoredObject, UploadLink
from resources.bucket.keys import decode_key, encode_key
from resources.bucket.limits import too_narrow
from resources.bucket.storage_address import direct_storage
from resources.bucket.storage_link import Retries, StorageLink
from resources.bucket.storage_reader import StorageReader
from resources.bucket.tus import CHUNK, ResumeRecords, TusUpload
from resources.bucket.upload_source import UploadSource, opened
from resources.errors import BucketError, InvalidKeyError, ObjectNotFoundError, ReplacedObjectError, StorageRefusalError

log = logging.getLogger(__name__)

_BATCH_SIZE = 1000  # objects that Storage lists or removes in one call
_PIECE = 1 << 20
_READ_ANEW = 3  # how often a fetch begins again because its object was replaced meanwhile


class SupabaseBucket(Bucket):
    """The bucket `name` of the project at `url`, made, private, when it is first needed.

    Safe to use from many threads. Records of unfinished uploads, and streams that can't be read twice, are kept in
    `resume_folder`.

    Raises:
        SettingsError: the address or the key can't be used.
    """

    def __init__(
        self,
        url: str,
        secret_key: str,
        *,
        name: str = "dawa-exports",
        resume_folder: Path,
        retries: Retries | None = None,
    ) -> None:
        self._name = name
        self._link = StorageLink(url, secret_key, name, retries or Retries())
        self._folder = resume_folder
        self._records = ResumeRecords(resume_folder)
        self._storage = SyncStorageClient(self._link.base, {}, http_client=self._link.http)
        self._upserting = SyncStorageClient(self._link.base, {"x-upsert": "true"}, http_client=self._link.http)
        self._made = False
        self._making = threading.Lock()

    def inspect(self) -> tuple[Literal["ok", "warning", "error"], str]:
        """Say in one line whether the bucket can be used, and what its settings keep out. Makes nothing."""
        subject = f"the bucket {self._name!r}"
        found = self._link.call(subject, self._read_settings)
        if found is None:
            return "warning", f"Storage answers; {subject} is not there yet, the first upload makes it"
        if found.public:
            return "error", f"{subject} is public, so anyone could read every file; make it private in the dashboard"
        if reason := too_narrow(found.file_size_limit, found.allowed_mime_types):
            return "warning", f"{subject} keeps out {reason}; widen its limits in the dashboard, under Storage"
        bucket = self._storage.from_(self._name)
        page = self._link.call(subject, lambda: bucket.list_v2({"prefix": "artists/", "limit": 1}))
        return "ok", "answers" if page.objects else "answers, nothing of an artist in it yet"

    def put(
        self,
        key: str,
        source: Path | bytes | BinaryIO,
        *,
        content_type: str | None = None,
        consume: bool = False,  # noqa: ARG002 - nothing can be moved into a bucket elsewhere
    ) -> None:
        """Write an object, replacing the one of this key. Cut off, the same put later goes on where this one ended."""
        stored = encode_key(key)
        kind = content_type or mimetypes.guess_type(key)[0] or "application/octet-stream"
        with opened(key, source, self._folder) as file:
            self._make_bucket()
            if file.size > CHUNK:
                self._put_in_parts(key, stored, kind, file)
            else:
                self._put_whole(key, stored, kind, file)

    @contextmanager
    def open(self, key: str) -> Iterator[BinaryIO]:
        """Read an object as a stream. A connection that breaks is made again unless the object was replaced."""
        with self._reader(key) as reader, io.BufferedReader(reader, _PIECE) as stream:
            yield stream

    def fetch(self, key: str, target: Path) -> None:
        """Write an object's bytes to a file, atomically; its folder is made if need be."""
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as temporary:
                self._download(key, temporary)
        except OSError as error:
            raise BucketError(
                f"{key}: can't be written to {target}: {error.strerror or error}; see to that and run it again"
            ) from error

    def _download(self, key: str, target: Path) -> None:
        for left in reversed(range(_READ_ANEW)):
            try:
                with target.open("wb") as file, self._reader(key) as reader:
                    shutil.copyfileobj(reader, file, _PIECE)
                return
            except ReplacedObjectError:
                if not left:
                    raise

    def stat(self, key: str) -> StoredObject | None:
        """Size and time of an object; None where there is none."""
        info = self._info(key)
        if info is None:
            return None
        return StoredObject(key, int(info["size"]), _time(info["last_modified"]))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object below a folder in key order.

        Stored names have another, so the whole list is read first.
        """
        folder = prefix.rstrip("/")
        start = f"{encode_key(folder)}/" if folder else ""
        found = []
        empty = True
        for page in self._pages(folder or "the bucket", start):
            for one in page.objects:
                empty = False
                if not one.name.startswith(start) or one.metadata is None:
                    continue
                try:
                    key = decode_key(one.name)
                except InvalidKeyError:
                    log.warning("%s: left out of the bucket: an object can't have this name", one.name)
                    continue
                found.append(StoredObject(key, int(one.metadata["size"]), one.updated_at.astimezone(UTC)))
        if empty:
            self._check_bucket(folder or "the bucket")
        yield from sorted(found, key=lambda stored: stored.key)

    def copy(self, source: str, target: str) -> None:
        """Copy an object inside Storage; the target is visible when it is whole."""
        old, new = encode_key(source), encode_key(target)
        self._make_bucket()
        bucket = self._upserting.from_(self._name)
        with self._missing_checked(source):
            self._link.call(source, lambda: bucket.copy(old, new))

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects, a thousand in a call."""
        stored = (encode_key(key) for key in keys)
        while batch := list(itertools.islice(stored, _BATCH_SIZE)):
            self._make_bucket()
            bucket = self._storage.from_(self._name)
            subject = decode_key(batch[0])
            if not self._link.call(subject, functools.partial(bucket.remove, batch)):
                self._check_bucket(subject)

    def sign(self, key: str, seconds: int = 3600) -> str:
        """Return a URL of Storage under which whoever holds it can read the object for so many seconds."""
        stored = encode_key(key)
        self._make_bucket()

        # The call for one object signs the path that the server finds in the call's URL, in which it decodes some signs
        # and not others: a link to `a?b` opens nothing. The call for several signs the keys that it is told.
        def ask() -> str | None:
            asked = {"expiresIn": seconds, "paths": [stored]}
            answer = self._link.http.post(f"{self._link.base}object/sign/{quote(self._name)}", json=asked)
            signed: str | None = answer.json()[0]["signedURL"]
            return signed

        with self._missing_checked(key):
            signed = self._link.call(key, ask)
            if signed is None:
                raise ObjectNotFoundError(f"{key}: no such object in the bucket")
        # Only the token is taken: the path is quoted here, whether the server quotes it or not.
        token = signed.rpartition("token=")[2].partition("&")[0]
        return f"{self._link.base}object/sign/{self._path(stored)}?token={token}"

    def upload_link(self, key: str, size: int) -> UploadLink:
        """Leave to write an object, for two hours; Storage replaces nothing by it.

        Up to 6 MiB by one call, else by a resumable upload to the direct host.
        """
        stored = encode_key(key)
        self._make_bucket()
        bucket = self._storage.from_(self._name)
        token = self._link.call(key, lambda: bucket.create_signed_upload_url(stored))["token"]
        kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
        link = UploadLink("put", "", {}, bucket=self._name, name=stored, content_type=kind, token=token)
        if size <= CHUNK:
            url = f"{self._link.base}object/upload/sign/{self._path(stored)}?token={token}"
            return replace(link, url=url, headers={"content-type": kind, "x-upsert": "false"})
        metadata = {"bucketName": self._name, "objectName": stored, "contentType": kind}
        return replace(
            link,
            kind="tus",
            url=f"{direct_storage(self._link.base)}upload/resumable/sign",
            headers={"x-signature": token},
            metadata=",".join(
                f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items()
            ),
            chunk_bytes=CHUNK,
        )

    def _put_whole(self, key: str, stored: str, kind: str, file: UploadSource) -> None:
        bucket = self._storage.from_(self._name)
        options: Any = {"content-type": kind, "cache-control": "0", "upsert": "true"}

        def ask() -> None:
            reader: Any = io.BufferedReader(file)  # the kind of stream that storage3 takes, from its beginning
            try:
                bucket.upload(stored, reader, options)
            finally:
                reader.detach()

        self._link.call(key, ask)

    def _put_in_parts(self, key: str, stored: str, kind: str, file: UploadSource) -> None:
        metadata = {"bucketName": self._name, "objectName": stored, "contentType": kind}
        what = (self._link.base, self._name, stored, kind, file.digest(), str(file.size))
        with self._records.record(*what) as record:
            TusUpload(self._link, key, metadata, file, record).run(lambda: str((self._info(key) or {}).get("version")))

    def _reader(self, key: str) -> StorageReader:
        stored = encode_key(key)
        self._make_bucket()
        with self._missing_checked(key):
            return StorageReader(self._link, key, f"object/{self._path(stored)}")

    def _path(self, stored: str) -> str:
        return quote(f"{self._name}/{stored}")

    def _info(self, key: str) -> dict[str, Any] | None:
        stored = encode_key(key)
        self._make_bucket()
        bucket = self._storage.from_(self._name)
        try:
            with self._missing_checked(key):
                return self._link.call(key, lambda: bucket.info(stored))
        except ObjectNotFoundError:
            return None

    def _pages(self, subject: str, start: str) -> Iterator[SearchV2Result]:
        self._make_bucket()
        bucket = self._storage.from_(self._name)
        options: SearchV2Options = {"prefix": start, "limit": _BATCH_SIZE}
        while True:
            page = self._link.call(subject, functools.partial(bucket.list_v2, options))
            yield page
            if not page.hasNext:
                return
            if not page.nextCursor or page.nextCursor == options.get("cursor"):
                raise BucketError(f"{subject}: Storage's list does not end; try again later")
            options = {**options, "cursor": page.nextCursor}

    @contextmanager
    def _missing_checked(self, key: str) -> Iterator[None]:
        """An object that is not there, or a bucket: Storage does not always tell them apart, and callers must."""
        try:
            yield
        except ObjectNotFoundError:
            self._check_bucket(key)
            raise

    def _check_bucket(self, subject: str) -> None:
        """Raise unless the bucket is still there."""
        self._link.call(subject, lambda: self._storage.get_bucket(self._name))

    def _make_bucket(self) -> None:
        """Make the bucket unless it is there; once per process.

        Raises:
            BucketError: it is public.
        """
        if self._made:
            return
        with self._making:
            if self._made:
                return
            subject = f"the bucket {self._name!r}"
            if self._link.call(subject, self._is_public):
                raise BucketError(
                    f"{subject}: it is public, so anyone could read every file; make it private in the project's "
                    "dashboard under Storage"
                )
            self._made = True

    def _read_settings(self) -> BaseBucket | None:
        """Return the bucket's settings; None where there is no bucket."""
        try:
            return self._storage.get_bucket(self._name)
        except StorageRefusalError as refusal:
            if refusal.no_bucket:
                return None
            raise

    def _is_public(self) -> bool:
        try:
            return self._storage.get_bucket(self._name).public
        except StorageRefusalError as refusal:
            if not refusal.no_bucket:
                raise
        try:
            self._storage.create_bucket(self._name, options={"public": False})
        except StorageRefusalError as refusal:
            if refusal.status != 409:  # else another process was quicker
                raise
        return self._storage.get_bucket(self._name).public


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
