"""Request bodies: streamed to disk within a limit, then read as JSON without ever holding a long text in memory.

A body's one long text (`content_base64`) is cut out of the file before the rest is parsed, and decoded piece by piece.
"""

import asyncio
import binascii
import mmap
import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import IO, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from modal_app.errors import BadRequestError
from modal_app.web.error_responses import first_problem

M = TypeVar("M", bound=BaseModel)

SMALL_BODY = 1_000_000
"""What a body may have beside its long text, in bytes."""
SILENT_SECONDS = 30.0
"""How long a body that stopped coming is waited for."""
NOT_JSON = "the body must be JSON; send it with Content-Type: application/json"
_LONG_TEXT = 65_536
_CHUNK = 1 << 18
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("|\\?\Z)', re.DOTALL)
"""A string, or one without an end: so no byte is looked at twice, whatever the body is."""
_ESCAPE = re.compile(rb"\\(?:/|u00([0-9a-fA-F]{2}))")
_MAX_ESCAPE_LENGTH = 6
_IN_MEMORY = 1 << 16
_MAX_HEAD = 300


def limit_with_file(most: int) -> int:
    """Return how many bytes a body may have whose long text is a file of at most `most` bytes in base64."""
    return (most + 2) // 3 * 4 + SMALL_BODY


@dataclass(frozen=True)
class LongText:
    """A long text of a body: where it lies in the file, and what stands for it in the parsed body."""

    stand_in: str
    start: int
    end: int


@asynccontextmanager
async def streamed_body(request: Request, most: int) -> AsyncIterator[IO[bytes]]:
    """The body as a file that is gone after the block; what declares or has more than `most` bytes is not read.

    Raises:
        BadRequestError: it is too large, not JSON by its header, or its sender fell silent.
    """
    if not is_json(request):
        raise BadRequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, NOT_JSON)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        size = 0
        chunks = request.stream()
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks, None), SILENT_SECONDS)
            except TimeoutError:
                raise BadRequestError(HTTPStatus.REQUEST_TIMEOUT, "the body stopped coming; send it again") from None
            if chunk is None:
                break
            size += len(chunk)
            if size > most:
                raise _too_large(most)
            file.write(chunk)
        file.flush()
        yield file


def read_json(file: IO[bytes], model: type[M]) -> tuple[M, list[LongText]]:
    """Return a body as `model`, and its long texts, for which stand-ins are in the model.

    Raises:
        BadRequestError: it is no JSON, or not what the model asks.
    """
    small, texts = _without_long_texts(file)
    try:
        return model.model_validate_json(small), texts
    except ValidationError as error:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, first_problem(error)) from None


def decoded(file: IO[bytes], text: str, texts: list[LongText], target: Path, most: int) -> int:
    """Write what a base64 text of the body stands for to `target`, and give its size in bytes.

    A data URL (`data:audio/mpeg;base64,…`, what a browser's `readAsDataURL` gives) stands for its content.

    Raises:
        BadRequestError: it is no strict base64, empty, or more than `most` bytes.
    """
    long = next((part for part in texts if part.stand_in == text), None)
    if long:
        file.seek(long.start)
        skipped = _length_of_head(file.read(min(_MAX_HEAD, long.end - long.start)))
        pieces = _pieces(file, replace(long, start=long.start + skipped))
    else:
        content = text.encode("utf-8", "replace")
        pieces = iter([content[_length_of_head(content[:_MAX_HEAD]) :]])
    size, carry, ended = 0, b"", False
    with target.open("wb") as out:
        for piece in pieces:
            ready, carry = _whole_groups(carry + piece)
            if ready and ended:
                raise _no_base64()
            try:
                content = binascii.a2b_base64(ready, strict_mode=True) if ready else b""
            except binascii.Error:
                raise _no_base64() from None
            ended = ready.endswith(b"=")
            size += len(content)
            if size > most:
                raise BadRequestError(
                    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    f"the file has more than {most} bytes; send a smaller one, or its URL",
                )
            out.write(content)
    if carry:
        raise _no_base64()
    if not size:
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "content_base64: is empty; send the file's bytes")
    return size


def is_json(request: Request) -> bool:
    """Return whether a body is called JSON by its header."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _without_long_texts(file: IO[bytes]) -> tuple[bytes, list[LongText]]:
    """Return the body with each long text replaced by a stand-in that nobody can guess."""
    size = file.seek(0, 2)
    if size <= _IN_MEMORY:
        file.seek(0)
        return file.read(), []
    texts: list[LongText] = []
    kept: list[bytes] = []
    position = length = 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        for found in _STRING.finditer(view):
            if length + found.start() - position > SMALL_BODY or not found[1]:
                break
            if found.end() - found.start() < _LONG_TEXT:
                continue
            text = LongText(secrets.token_hex(16), found.start() + 1, found.end() - 1)
            length += found.start() - position
            kept += [view[position : found.start()], f'"{text.stand_in}"'.encode()]
            texts.append(text)
            position = found.end()
        if length + size - position > SMALL_BODY or len(texts) > 1:
            raise BadRequestError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "only one text of the body, content_base64, may be a long one; shorten the others",
            )
        kept.append(view[position:])
    return b"".join(kept), texts


def _pieces(file: IO[bytes], text: LongText) -> Iterator[bytes]:
    """Yield a long text without its JSON escapes: some encoders escape the slash and the plus."""
    file.seek(text.start)
    left, carry = text.end - text.start, b""
    while left or carry:
        read = file.read(min(_CHUNK, left))
        left -= len(read)
        chunk = carry + read
        cut = chunk.rfind(b"\\", max(0, len(chunk) - _MAX_ESCAPE_LENGTH + 1)) if left else -1
        carry = chunk[cut:] if cut >= 0 else b""
        yield _ESCAPE.sub(_unescaped, chunk[:cut] if cut >= 0 else chunk)


def _length_of_head(begin: bytes) -> int:
    """Return how many bytes stand before a data URL's content; 0 for a text that is none."""
    if begin[:5].lower() != b"data:":
        return 0
    comma = begin.find(b",")
    if comma < 0 or not _ESCAPE.sub(_unescaped, begin[:comma]).lower().endswith(b";base64"):
        raise BadRequestError(HTTPStatus.BAD_REQUEST, "content_base64: is a data URL without base64; send it with")
    return comma + 1


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found.group(1).decode()) if found.group(1) else b"/"


def _whole_groups(text: bytes) -> tuple[bytes, bytes]:
    whole = len(text) // 4 * 4
    return text[:whole], text[whole:]


def _no_base64() -> BadRequestError:
    return BadRequestError(HTTPStatus.BAD_REQUEST, "content_base64: is no base64; encode the file's bytes, unbroken")


def _too_large(most: int) -> BadRequestError:
    return BadRequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {most} bytes; send a smaller file, or its URL"
    )
