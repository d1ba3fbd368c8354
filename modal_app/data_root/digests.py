"""SHA-256 digests of files and streams, in hexadecimal. Content is read in blocks, whatever its size."""

import hashlib
from functools import partial
from pathlib import Path
from typing import BinaryIO


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return sha256_stream(file)


def sha256_stream(stream: BinaryIO, before: bytes = b"") -> str:
    """Return the SHA-256 of what is left of a stream, and of the bytes `before` that were read from it already.

    The stream is at its end afterwards and stays open.
    """
    return hashlib.file_digest(stream, partial(hashlib.sha256, before)).hexdigest()  # type: ignore[arg-type]
