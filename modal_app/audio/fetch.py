"""From a URL to an open local file whose bytes have the promised SHA-256. No decoding here."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from modal_app.audio.decode import open_regular
from modal_app.audio.scratch import scratch_folder
from modal_app.errors import DawaError, InputError, JobError, UnreadableAudioError
from modal_app.protocol import AudioSource

MAX_BYTES = 4 * 2**30
_CHUNK = 2**20
_TIMEOUT_SECONDS = 60


@contextmanager
def fetched(source: AudioSource, scratch: Path) -> Iterator[BufferedReader]:
    """The source's bytes as an open file, at its start, after their hash was verified.

    The same handle is hashed and handed out: a file that is replaced by rename meanwhile can't slip in.

    Raises:
        InputError: the file is too large, or the URL is of a kind that is not read.
        JobError: there is no such file, its bytes are not those that were asked for, or the transfer failed.
    """
    scheme = urlsplit(source.url).scheme
    if scheme == "file":
        with _local(source) as file:
            _verify(file, source)
            yield file
    elif scheme in ("http", "https"):
        with scratch_folder(scratch) as folder, _download(source, folder / "audio") as file:
            _verify(file, source)
            yield file
    else:
        raise InputError(f"{source.name}: its URL is {scheme or 'nothing'}://, only file and https can be read")


def _local(source: AudioSource) -> BufferedReader:
    path = Path(url2pathname(urlsplit(source.url).path))
    try:
        file = open_regular(path)
    except UnreadableAudioError as error:  # of the file's place, not of its bytes
        raise JobError(str(error)) from None
    if os.fstat(file.fileno()).st_size > MAX_BYTES:
        file.close()
        raise _too_large(source)
    return file


def _download(source: AudioSource, target: Path) -> BufferedReader:
    size = 0
    try:
        with (
            urllib.request.urlopen(source.url, timeout=_TIMEOUT_SECONDS) as answer,  # noqa: S310 - scheme is checked
            target.open("wb") as file,
        ):
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise _too_large(source)
                file.write(chunk)
    except (OSError, http.client.HTTPException) as error:  # the message must not hold the URL: it is signed
        reason = f"HTTP {error.code}" if isinstance(error, urllib.error.HTTPError) else type(error).__name__
        raise JobError(f"{source.name}: the download failed ({reason}); run it again") from None
    return target.open("rb")


def _verify(file: BufferedReader, source: AudioSource) -> None:
    if hashlib.file_digest(file, "sha256").hexdigest() != source.audio_hash:
        raise JobError(f"{source.name}: its bytes are not those that were asked for; run it again")
    file.seek(0)


def _too_large(source: AudioSource) -> DawaError:
    return InputError(f"{source.name}: is larger than {MAX_BYTES // 2**30} GiB; upload a shorter file")
