"""Forms with a file, as browsers and other clients send them: read to disk, the file's name however it is written."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import unquote

from fastapi import Request
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser

from dawa_assets.http.errors import RefusedRequestError

_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
_EXTENDED = re.compile(rb";\s*filename\*\s*=\s*([A-Za-z0-9-]+)'[^';]*'([^;\s]*)", re.IGNORECASE)
_CHARSETS = ("utf-8", "iso-8859-1")  # that RFC 5987 knows


@asynccontextmanager
async def read_form(request: Request) -> AsyncIterator[FormData]:
    """The form of a request for the length of the block: one file at most, and a few fields.

    Raises:
        RefusedRequestError: it is no form, or one that can't be read.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise RefusedRequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be a form with a file; send it as multipart/form-data"
        )
    parser = _Parser(request.headers, request.stream(), max_files=1, max_fields=16, max_part_size=10_000)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, error.message) from None
    try:
        yield form
    finally:
        await form.close()


class _Parser(MultiPartParser):
    """Reads a file's name as RFC 5987 writes it (`filename*=UTF-8''S%C3%BC%C3%9F.wav`), too."""

    def on_headers_finished(self) -> None:
        """What a part is; its extended name counts before a plain one."""
        disposition = self._current_part.content_disposition or b""
        name = _extended_name(disposition)
        if name is not None:
            self._current_part.content_disposition = disposition + b'; filename="file"'
        super().on_headers_finished()
        if name is not None and self._current_part.file is not None:
            self._current_part.file.filename = name


def _extended_name(disposition: bytes) -> str | None:
    found = _EXTENDED.search(_QUOTED.sub(b'""', disposition))
    if found is None:
        return None
    charset = found[1].decode().lower()
    try:
        if charset not in _CHARSETS:
            raise ValueError(charset)
        return unquote(found[2].decode("ascii"), charset, "strict")
    except ValueError:
        raise MultiPartException("filename*: can't be read; write it as RFC 5987 has it, UTF-8''a%20b.wav") from None
