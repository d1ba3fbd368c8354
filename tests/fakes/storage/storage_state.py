"""What the loopback Storage server keeps: buckets, objects and unfinished uploads, their bytes on disk. No HTTP here.

Ids, versions, entity tags and times have the form that a Storage server with the file backend was recorded to give.
"""

import base64
import hashlib
import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

VALID_KEY = re.compile(r"[A-Za-z0-9_/!\-.*'() &$@=;:+,?]+")
COPY = 1 << 20


class RefusedError(Exception):
    """An answer of Storage that is an error: HTTP 400 mostly, with the real code in the body."""

    def __init__(self, status: str, error: str, message: str, code: str) -> None:
        super().__init__(message)
        self.status, self.message = int(status), message
        self.body = {"statusCode": status, "error": error, "message": message, "code": code}


def no_such_key() -> RefusedError:
    return RefusedError("404", "not_found", "Object not found", "NoSuchKey")


def no_such_bucket() -> RefusedError:
    return RefusedError("404", "Bucket not found", "Bucket not found", "NoSuchBucket")


def name_too_long(name: str) -> RefusedError:
    """As a server with the file backend: each part of a key is a folder's name there."""
    said = f"ENAMETOOLONG: name too long, mkdir '/var/lib/storage/stub/stub/{name}'"
    return RefusedError("500", "Error", said, "InternalError")


def wrong_type(mimetype: str) -> RefusedError:
    return RefusedError("415", "invalid_mime_type", f"mime type {mimetype} is not supported", "InvalidMimeType")


def not_yours() -> RefusedError:
    return RefusedError("403", "Unauthorized", "new row violates row-level security policy", "AccessDenied")


def already_there(code: str = "KeyAlreadyExists") -> RefusedError:
    return RefusedError("409", "Duplicate", "The resource already exists", code)


def too_large() -> RefusedError:
    return RefusedError("413", "Payload too large", "The object exceeded the maximum allowed size", "EntityTooLarge")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Kept:
    """One version of an object."""

    name: str
    path: Path
    size: int
    etag: str
    mimetype: str
    cache_control: str
    version: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    written: str = field(default_factory=now)
    created: str = field(default_factory=now)
    updated: str = field(default_factory=now)

    def metadata(self) -> dict[str, Any]:
        return {
            "eTag": self.etag,
            "size": self.size,
            "mimetype": self.mimetype.split(";")[0],
            "cacheControl": self.cache_control,
            "lastModified": self.written,
            "contentLength": self.size,
            "httpStatusCode": 200,
        }


@dataclass
class Upload:
    """A resumable upload: its bytes so far lie at `path`."""

    bucket: str
    name: str
    length: int
    metadata: str
    mimetype: str
    cache_control: str
    path: Path
    version: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def id(self) -> str:
        return base64.urlsafe_b64encode(f"{self.bucket}/{self.name}/{self.version}".encode()).decode().rstrip("=")

    @property
    def offset(self) -> int:
        return self.path.stat().st_size


@dataclass
class KeptBucket:
    """A bucket and its objects by name."""

    id: str
    public: bool
    created: str = field(default_factory=now)
    objects: dict[str, Kept] = field(default_factory=dict)
    largest: int | None = None  # bytes of a file
    types: tuple[str, ...] | None = None  # `audio/wav`, `audio/*`

    def check(self, size: int, mimetype: str) -> None:
        """Refuse what the bucket's settings keep out; its type first, as the server does."""
        kind = mimetype.split(";")[0]
        if self.types is not None and kind not in self.types and f"{kind.partition('/')[0]}/*" not in self.types:
            raise wrong_type(mimetype)
        if self.largest is not None and size > self.largest:
            raise too_large()

    def told(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.id,
            "owner": "",
            "public": self.public,
            "type": "STANDARD",
            "file_size_limit": self.largest,
            "allowed_mime_types": None if self.types is None else list(self.types),
            "created_at": self.created,
            "updated_at": self.created,
        }


class State:
    """All that the server knows; each method is one step that others see whole.

    A missing bucket was recorded for uploads only; every other call tells it as little as it may: nothing is there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.buckets: dict[str, KeptBucket] = {}
        self.uploads: dict[str, Upload] = {}
        self.longest_segment: int | None = None  # bytes; 255 on a server that keeps files on a disk and not in S3
        self.lock = threading.RLock()

    def new_file(self) -> Path:
        return self.folder / uuid.uuid4().hex

    def bucket(self, name: str) -> KeptBucket:
        with self.lock:
            if (bucket := self.buckets.get(name)) is None:
                raise no_such_bucket()
            return bucket

    def create_bucket(self, name: str, public: bool) -> None:
        with self.lock:
            if name in self.buckets:
                raise already_there("BucketAlreadyExists")
            self.buckets[name] = KeptBucket(name, public)

    def check_key(self, name: str) -> None:
        if not VALID_KEY.fullmatch(name):
            raise RefusedError("400", "InvalidKey", f"Invalid key: {name}", "InvalidKey")
        longest = self.longest_segment
        if longest is not None and any(len(segment.encode()) > longest for segment in name.split("/")):
            raise name_too_long(name)

    def object(self, bucket: str, name: str) -> Kept:
        with self.lock:
            there = self.buckets.get(bucket)
            if there is None or (kept := there.objects.get(name)) is None:
                raise no_such_key()
            return kept

    def keep(self, bucket: str, kept: Kept, *, upsert: bool) -> Kept:
        """Make an object visible; one that is replaced keeps its id and its time of creation."""
        with self.lock:
            objects = self.bucket(bucket).objects
            if (old := objects.get(kept.name)) is not None:
                if not upsert:
                    raise already_there()
                kept.id, kept.created = old.id, old.created
            objects[kept.name] = kept
        if old is not None:  # whoever reads the old version has its file open
            old.path.unlink(missing_ok=True)
        return kept

    def copy(self, bucket: str, source: str, target: str, *, upsert: bool) -> Kept:
        self.check_key(target)
        with self.lock:
            kept = self.object(bucket, source)
            if not upsert and target in self.bucket(bucket).objects:
                raise already_there()
            path = self.new_file()
            path.hardlink_to(kept.path)
        copied = Kept(target, path, kept.size, kept.etag, kept.mimetype, kept.cache_control, version=str(uuid.uuid4()))
        return self.keep(bucket, copied, upsert=upsert)

    def move(self, bucket: str, source: str, target: str) -> None:
        self.check_key(target)
        with self.lock:
            kept, objects = self.object(bucket, source), self.bucket(bucket).objects
            if target in objects:
                raise already_there()
            kept.name, kept.version, kept.updated = target, str(uuid.uuid4()), now()
            objects[target] = objects.pop(source)

    def remove(self, bucket: str, names: list[str]) -> list[Kept]:
        with self.lock:
            objects = self.buckets[bucket].objects if bucket in self.buckets else {}
            removed = [objects.pop(name) for name in names if name in objects]
        for kept in removed:
            kept.path.unlink(missing_ok=True)
        return removed

    def sorted(self, bucket: str, prefix: str) -> list[Kept]:
        with self.lock:
            there = self.buckets.get(bucket)
            return (
                sorted((o for n, o in there.objects.items() if n.startswith(prefix)), key=lambda o: o.name)
                if there
                else []
            )

    def take_over(self, other: "State") -> None:
        """Have the buckets and objects that another server has, as they are now."""
        with other.lock:
            for bucket in other.buckets.values():
                self.buckets[bucket.id] = copied = replace(bucket, objects={})
                for name, kept in bucket.objects.items():
                    copied.objects[name] = replace(kept, path=self.new_file())
                    copied.objects[name].path.hardlink_to(kept.path)

    def finish(self, upload: Upload, *, upsert: bool) -> None:
        """An upload whose last byte has come becomes an object."""
        path = self.new_file()
        path.hardlink_to(upload.path)
        with path.open("rb") as file:
            etag = hashlib.file_digest(file, "md5").hexdigest()
        kept = Kept(
            upload.name, path, upload.length, f'"{etag}"', upload.mimetype, upload.cache_control, version=upload.version
        )
        self.keep(upload.bucket, kept, upsert=upsert)


def keep_range(state: State, spool: BinaryIO, start: int, end: int) -> tuple[Path, str]:
    """Copy a part of a file to a file of its own; gives that and its entity tag."""
    path, digest = state.new_file(), hashlib.md5(usedforsecurity=False)
    spool.seek(start)
    with path.open("wb") as file:
        for piece in _pieces(spool, end - start):
            digest.update(piece)
            file.write(piece)
    return path, f'"{digest.hexdigest()}"'


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length and (piece := file.read(min(COPY, length))):
        length -= len(piece)
        yield piece


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
