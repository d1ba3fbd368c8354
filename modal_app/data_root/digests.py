"""SHA-256 digests of files and streams, in hexadecimal. Content is read in blocks, whatever its size."""

import hashlib
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return sha256_stream(file)


def sha256_stream(stream: BinaryIO, before: bytes = b"") -> str:
    """Return the SHA-256 of what is left of a stream, and of the bytes `before` that were read from it already.

    The stream is at its end afterwards and stays open. (`hashlib.file_digest` takes all of a `BytesIO`, wherever it
    stands.)
    """
    digest = hashlib.sha256(before)
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()
