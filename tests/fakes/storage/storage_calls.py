"""The calls that the loopback Storage server answers, each as a real one was recorded to answer it.

What no recording shows follows Storage's public interface: reading one bucket's settings, `x-upsert` on copies and on
the call that ends a resumable upload, ranges that lie outside of an object.
"""

import base64
import contextlib
import os
import re
from collections.abc import Callable
from typing import Any, BinaryIO
from urllib.parse import unquote
from uuid import uuid4

from tests.fakes.storage import storage_state as kept
from tests.fakes.storage.storage_state import RefusedError, Upload
from tests.fakes.storage.storage_wire import BASE, PIECE, Wire

STANDARD_LIMIT = 50 * 2**20


class Calls(Wire):
    """Storage's interface, as far as it was recorded."""

    def route(self, path: str) -> None:
        if match := re.fullmatch(r"/object/sign/([^/]+)/(.+)", path):
            if self.command == "GET":
                return self._signed(*match.groups())
            return self.json(lambda role: self._sign(role, *match.groups()))
        routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("POST", r"/bucket", self._create_bucket),
            ("GET", r"/bucket/([^/]+)", self._read_bucket),
            ("GET", r"/object/info/([^/]+)/(.+)", self._info),
            ("POST", r"/object/sign/([^/]+)", self._sign_many),
            ("POST", r"/object/upload/sign/([^/]+)/(.+)", self._sign_upload),
            ("POST", r"/object/list/([^/]+)", self._list),
            ("POST", r"/object/list-v2/([^/]+)", self._list_v2),
            ("POST", r"/object/move", self._move),
            ("POST", r"/object/copy", self._copy),
            ("DELETE", r"/object/([^/]+)", self._remove),
        ]
        for method, pattern, answer in routes:
            if method == self.command and (match := re.fullmatch(pattern, path)):
                found = match.groups()
                return self.json(lambda role, answer=answer, found=found: answer(role, *found))
        if match := re.fullmatch(r"/upload/resumable/sign(?:/([^/]+))?", path):
            return self._tus_by_link(match.group(1))
        if self.command == "PUT" and (match := re.fullmatch(r"/object/upload/sign/([^/]+)/(.+)", path)):
            return self._put_by_link(*match.groups())
        role = self.role()
        if match := re.fullmatch(r"/upload/resumable(?:/([^/]+))?", path):
            return self._tus(role, match.group(1))
        if match := re.fullmatch(r"/object/(?:authenticated/)?([^/]+)/(.+)", path):
            if self.command == "GET":
                return self._download(*match.groups(), hidden=not self.may_read(role, match.group(2)), cache=True)
            if self.command == "POST":
                return self._upload(role, *match.groups())
        self.drain()
        return self.answer(404, {"message": f"Route {self.command}:{self.path} not found", "error": "Not Found"})

    def _create_bucket(self, role: str) -> Any:
        asked = self.asked()
        if role != "service_role":
            raise kept.not_yours()
        self.server_.state.create_bucket(asked["id"], asked.get("public", False))
        bucket = self.server_.state.bucket(asked["id"])
        bucket.largest, types = asked.get("file_size_limit"), asked.get("allowed_mime_types")
        bucket.types = None if types is None else tuple(types)
        return {"name": asked["name"]}

    def _read_bucket(self, role: str, name: str) -> Any:
        if role != "service_role":
            raise kept.no_such_bucket()
        return self.server_.state.bucket(name).told()

    def _info(self, role: str, bucket: str, name: str) -> Any:
        found = self._visible(role, bucket, name)
        self.extra = {"etag": found.etag, "cache-control": found.cache_control}
        return {
            "id": found.id,
            "name": found.name,
            "version": found.version,
            "bucket_id": bucket,
            "size": found.size,
            "content_type": found.mimetype,
            "cache_control": found.cache_control,
            "etag": found.etag,
            "metadata": {},
            "last_modified": found.updated,
            "created_at": found.created,
        }

    def _visible(self, role: str, bucket: str, name: str) -> kept.Kept:
        if not self.may_read(role, name):
            raise kept.no_such_key()
        return self.server_.state.object(bucket, name)

    def _sign(self, role: str, bucket: str, name: str) -> Any:
        self._visible(role, bucket, name)
        # What the server signs here is the call's own path as `decodeURI` reads it, whatever object that names.
        return {"signedURL": self._signed_url(_decode_uri(self.path).partition("/object/sign/")[2])}

    def _signed_url(self, path: str) -> str:
        issued = int(self.server_.clock())
        claims = {"url": path, "iat": issued, "exp": issued + int(self.asked()["expiresIn"])}
        return f"/object/sign/{path}?token={self.server_.jwt(claims)}"

    def _sign_many(self, role: str, bucket: str) -> Any:
        answers = []
        for name in self.asked()["paths"]:
            try:
                self._visible(role, bucket, name)
                answers.append({"error": None, "path": name, "signedURL": self._signed_url(f"{bucket}/{name}")})
            except RefusedError:
                reason = "Either the object does not exist or you do not have access to it"
                answers.append({"error": reason, "path": name, "signedURL": None})
        return answers

    def _sign_upload(self, role: str, bucket: str, name: str) -> Any:
        self.may_write(role, name)
        if name in self.server_.state.bucket(bucket).objects and not self.upsert():
            raise kept.already_there()
        claims = {"url": f"{bucket}/{name}", "upsert": self.upsert(), "exp": int(self.server_.clock()) + 7200}
        token = self.server_.jwt(claims)
        return {"url": f"/object/upload/sign/{bucket}/{name}?token={token}", "token": token}

    def _put_by_link(self, bucket: str, name: str) -> None:
        """One call's upload by whoever has leave for this object; the leave says whether it replaces."""
        try:
            claims = self.server_.payload(self.query.get("token", [""])[0])
        except ValueError as error:
            raise RefusedError("400", "InvalidJWT", str(error), "InvalidJWT") from None
        if claims.get("url") != f"{bucket}/{name}":
            raise RefusedError("400", "InvalidSignature", "Invalid signature", "InvalidSignature")
        if name in self.server_.state.bucket(bucket).objects and not claims["upsert"]:
            raise kept.already_there()
        self._upload("service_role", bucket, name)

    def _tus_by_link(self, upload_id: str | None) -> None:
        """A resumable upload by whoever has leave for this object."""
        try:
            claims = self.server_.payload(self.headers.get("x-signature") or "")
        except ValueError as error:
            raise RefusedError("400", "InvalidSignature", str(error), "InvalidSignature") from None
        if upload_id is None:
            told = dict(pair.split(" ") for pair in self.headers["upload-metadata"].split(","))
            place = "/".join(base64.b64decode(told[name]).decode() for name in ("bucketName", "objectName"))
        else:
            found = self.server_.state.uploads.get(upload_id)
            place = "" if found is None else f"{found.bucket}/{found.name}"
        if place != claims.get("url"):
            raise RefusedError("400", "InvalidSignature", "Invalid signature", "InvalidSignature")
        self._tus("service_role", upload_id)

    def _signed(self, bucket: str, name: str) -> None:
        try:
            claims = self.server_.payload(self.query.get("token", [""])[0])
        except ValueError as error:
            raise RefusedError("400", "InvalidJWT", str(error), "InvalidJWT") from None
        if claims.get("url") != f"{bucket}/{name}":
            raise RefusedError("400", "InvalidSignature", "Invalid signature", "InvalidSignature")
        self._download(bucket, name, hidden=False, cache=False)

    def _list(self, role: str, bucket: str) -> Any:
        asked = self.asked()
        prefix = f"{asked['prefix'].rstrip('/')}/" if asked.get("prefix") else ""
        rows: dict[str, Any] = {}
        for found in self.server_.state.sorted(bucket, prefix + asked.get("search", "")):
            if not self.may_read(role, found.name):
                continue
            name, slash, _ = found.name.removeprefix(prefix).partition("/")
            if slash:
                nothing = dict.fromkeys(("id", "updated_at", "created_at", "last_accessed_at", "metadata"))
                rows[name] = {"name": name, **nothing}
            else:
                rows[name] = {
                    "name": name,
                    "id": found.id,
                    "updated_at": found.updated,
                    "created_at": found.created,
                    "last_accessed_at": found.created,
                    "metadata": found.metadata(),
                }
        begin = asked.get("offset", 0)
        return sorted(rows.values(), key=lambda row: row["name"])[begin : begin + asked.get("limit", 100)]

    def _list_v2(self, role: str, bucket: str) -> Any:
        asked = self.asked()
        found = [
            one for one in self.server_.state.sorted(bucket, asked.get("prefix", "")) if self.may_read(role, one.name)
        ]
        if cursor := asked.get("cursor"):
            after = base64.b64decode(cursor).decode().removeprefix("l:")
            found = [one for one in found if one.name > after]
        limit = min(asked.get("limit", 1000), 1000)
        page: dict[str, Any] = {"hasNext": len(found) > limit}
        if page["hasNext"]:
            last = found[limit - 1].name
            page |= {"nextCursor": base64.b64encode(f"l:{last}".encode()).decode(), "nextCursorKey": last}
        objects = [
            {
                "id": one.id,
                "name": one.name,
                "metadata": one.metadata(),
                "updated_at": one.updated,
                "created_at": one.created,
                "last_accessed_at": one.created,
            }
            for one in found[:limit]
        ]
        return page | {"folders": [], "objects": objects}

    def _move(self, role: str) -> Any:
        asked = self.asked()
        self._visible(role, asked["bucketId"], asked["sourceKey"])
        if role != "service_role":
            raise kept.not_yours()
        self.server_.state.move(asked["bucketId"], asked["sourceKey"], asked["destinationKey"])
        return {"message": "Successfully moved"}

    def _copy(self, role: str) -> Any:
        asked = self.asked()
        bucket, target = asked["bucketId"], asked["destinationKey"]
        self._visible(role, bucket, asked["sourceKey"])
        self.may_write(role, target)
        found = self.server_.state.copy(bucket, asked["sourceKey"], target, upsert=self.upsert())
        return {"Key": f"{bucket}/{target}", "Id": found.id, **self._row(bucket, found)}

    def _remove(self, role: str, bucket: str) -> Any:
        names = self.asked()["prefixes"]
        if len(names) > 1000:
            raise RefusedError(
                "400", "InvalidRequest", "body/prefixes must NOT have more than 1000 items", "InvalidRequest"
            )
        removed = self.server_.state.remove(bucket, names) if role == "service_role" else []
        return [self._row(bucket, found) for found in removed]

    @staticmethod
    def _row(bucket: str, found: kept.Kept) -> dict[str, Any]:
        return {
            "name": found.name,
            "bucket_id": bucket,
            "owner": "",
            "owner_id": "",
            "version": found.version,
            "id": found.id,
            "updated_at": found.updated,
            "created_at": found.created,
            "last_accessed_at": found.created,
            "metadata": found.metadata(),
            "user_metadata": {},
        }

    # Bytes in and out.

    def _upload(self, role: str, bucket: str, name: str) -> None:
        state = self.server_.state
        settings = state.bucket(bucket)
        state.check_key(name)
        self.may_write(role, name)
        spool_path = state.new_file()
        try:
            with spool_path.open("w+b") as spool:
                for piece in self.pieces():
                    spool.write(piece)
                start, end, mimetype, cache = _file_part(spool, self.headers.get("content-type") or "")
                if end - start > STANDARD_LIMIT:
                    raise kept.too_large()
                settings.check(end - start, mimetype)
                path, etag = kept.keep_range(state, spool, start, end)
        finally:
            spool_path.unlink(missing_ok=True)
        new = kept.Kept(name, path, end - start, etag, mimetype, cache, version=str(uuid4()))
        try:
            found = state.keep(bucket, new, upsert=self.upsert())
        except RefusedError:
            path.unlink()
            raise
        self.answer(200, {"Key": f"{bucket}/{name}", "Id": found.id})

    def _download(self, bucket: str, name: str, *, hidden: bool, cache: bool) -> None:
        with contextlib.ExitStack() as stack:
            with self.server_.state.lock:
                if hidden:
                    raise kept.no_such_key()
                found = self.server_.state.object(bucket, name)
                file = stack.enter_context(found.path.open("rb"))
            start, end, status = 0, found.size, 200
            headers = {"content-type": found.mimetype, "etag": found.etag}
            if cache:
                headers["cache-control"] = found.cache_control
            if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range") or ""):
                start, end, status = int(match[1]), min(int(match[2] or found.size) + bool(match[2]), found.size), 206
                if start >= found.size:
                    raise RefusedError("416", "InvalidRange", "The requested range is not satisfiable", "InvalidRange")
                headers["content-range"] = f"bytes {start}-{end - 1}/{found.size}"
            file.seek(start)
            self.answer(status, file, headers | {"content-length": str(end - start)})

    def _tus(self, role: str, upload_id: str | None) -> None:
        state, base = self.server_.state, {"tus-resumable": "1.0.0"}
        if upload_id is None and self.command == "POST":
            self.drain()
            upload = self._new_upload(role)
            by_link = "/sign" if self.headers.get("x-signature") else ""
            scheme = self.server_.told_scheme
            where = f"{scheme}://{self.headers['host']}{BASE}/upload/resumable{by_link}/{upload.id}"
            return self.answer(201, b"", base | {"location": where, "content-type": "text/plain;charset=UTF-8"})
        if (found := state.uploads.get(upload_id or "")) is None:
            raise RefusedError("404", "not_found", "The file for this url was not found\n", "NoSuchUpload")
        if self.command == "HEAD":
            length = {"upload-offset": str(found.offset), "upload-length": str(found.length)}
            more = {"upload-metadata": found.metadata, "cache-control": "no-store"}
            return self.answer(200, b"", base | length | more | {"content-type": "text/plain;charset=UTF-8"})
        self.may_write(role, found.name)
        with found.lock:
            if found.offset != int(self.headers["upload-offset"]):
                raise RefusedError("409", "conflict", "Upload-Offset conflict\n", "OffsetConflict")
            with found.path.open("ab", buffering=0) as file:
                for piece in self.pieces():
                    file.write(piece)
            if found.offset == found.length:
                state.finish(found, upsert=self.upsert())
            return self.answer(204, b"", base | {"upload-offset": str(found.offset)})

    def _new_upload(self, role: str) -> Upload:
        state, length = self.server_.state, int(self.headers["upload-length"])
        pairs = (pair.split(" ") for pair in self.headers["upload-metadata"].split(","))
        metadata = {name: base64.b64decode(value).decode() for name, value in pairs}
        bucket, name = metadata["bucketName"], metadata["objectName"]
        state.check_key(name)
        objects = state.bucket(bucket).objects
        self.may_write(role, name)
        if name in objects and not self.upsert():
            raise kept.already_there()
        if self.server_.largest_upload is not None and length > self.server_.largest_upload:
            raise RefusedError("413", "Payload too large", "Maximum size exceeded\n", "EntityTooLarge")
        state.bucket(bucket).check(length, metadata.get("contentType", "application/octet-stream"))
        told = metadata.get("cacheControl", "")
        cache = f"max-age={told}" if told.isdigit() else "no-cache"
        encoded = {**metadata, "cacheControl": cache}.items()
        text = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in encoded)
        path = state.new_file()
        path.touch()
        mimetype = metadata.get("contentType", "application/octet-stream")
        upload = Upload(bucket, name, length, text, mimetype, cache, path, version=str(uuid4()))
        state.uploads[upload.id] = upload
        return upload


def _decode_uri(path: str) -> str:
    """A path as JavaScript's `decodeURI` reads it: the signs that divide URLs stay as they are written."""
    kept_signs = re.compile(r"(%(?:3B|2F|3F|3A|40|26|3D|2B|24|2C|23))", re.IGNORECASE)
    return "".join(part if kept_signs.fullmatch(part) else unquote(part) for part in kept_signs.split(path))


def _file_part(spool: BinaryIO, content_type: str) -> tuple[int, int, str, str]:
    """Where in a request's body the file lies, with its type and its cache control."""
    spool.flush()
    total = spool.seek(0, os.SEEK_END)
    match = re.match(r"multipart/form-data; *boundary=(\S+)", content_type)
    if match is None:
        return 0, total, content_type, "no-cache"
    mark = b"--" + match[1].encode()
    spool.seek(0)
    head = spool.read(PIECE)
    control = re.search(rb'name="cacheControl"\r\n\r\n(.*?)\r\n', head)
    # supabase-js calls the file's part nothing, storage3 `file`.
    part = re.search(rb'name="(?:file)?"; filename=.*?\r\n(?:Content-Type: (.*?)\r\n)?\r\n', head)
    if part is None:
        raise RefusedError("400", "InvalidRequest", "body must have a file", "InvalidRequest")
    end = total - len(b"\r\n" + mark + b"--\r\n")
    mimetype = (part[1] or b"application/octet-stream").decode()
    return part.end(), end, mimetype, f"max-age={control[1].decode()}" if control else "no-cache"
