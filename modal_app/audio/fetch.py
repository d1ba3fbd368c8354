"""From a URL to an open local file whose bytes have the promised SHA-256. No decoding here."""

import errno
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from modal_app.audio.decode import open_regular
from modal_app.data_root.digests import sha256_stream
from modal_app.data_root.scratch import scratch_folder
from modal_app.errors import DawaError, InputError, JobError, UnreadableAudioError
from modal_app.protocol.audio import AudioSource

MAX_BYTES = 4 * 2**30
_CHUNK = 2**20
_TIMEOUT_SECONDS = 60
_PAUSES = (0.5, 2.0)  # seconds before a transfer that broke is begun again
_MAX_REFUSAL_BYTES = 2000  # bytes of a refusal that are looked at
_EXPIRED = re.compile(r"\bexp\W{1,3}claim|jwt expired|token (has )?expired|Request has expired", re.IGNORECASE)
"""What Storage (first of all), other versions of it, and S3 say of a link that has run out."""


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
        raise InputError(
            f"{source.name}: its URL is {scheme or 'nothing'}://, which is not read; give one of file or https"
        )


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
    """Write what the URL gives to `target` and open that; a transfer that breaks is begun again."""
    for pause in (*_PAUSES, None):
        try:
            _transfer(source, target)
            break
        except (OSError, http.client.HTTPException) as error:
            if pause is None or not _may_pass(error):
                raise _failed(source, error) from None
            time.sleep(pause)
    return target.open("rb")


def _transfer(source: AudioSource, target: Path) -> None:
    size = 0
    with (
        urllib.request.urlopen(source.url, timeout=_TIMEOUT_SECONDS) as answer,  # noqa: S310 - scheme is checked
        target.open("wb") as file,
    ):
        while chunk := answer.read(_CHUNK):
            size += len(chunk)
            if size > MAX_BYTES:
                raise _too_large(source)
            file.write(chunk)
        if answer.length:  # promised, and not come
            raise http.client.IncompleteRead(b"", answer.length)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in (408, 425, 429)
    return not _is_of_the_disk(error)


def _is_of_the_disk(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def _failed(source: AudioSource, error: Exception) -> JobError:
    """Return why, in one line. The URL is signed: neither it nor what an exception says of it gets into the message."""
    if isinstance(error, urllib.error.HTTPError):
        body = error.read(_MAX_REFUSAL_BYTES).decode("utf-8", "replace")
        if _EXPIRED.search(body):
            return JobError(
                f"{source.name}: the signed link to it has expired; run it again, which signs a new one (if that comes "
                "at once, the clock of the storage is wrong)"
            )
        return JobError(f"{source.name}: the download failed (HTTP {error.code}); run it again")
    if isinstance(error, OSError) and _is_of_the_disk(error):
        return JobError(f"{source.name}: the download has no room on the worker's disk ({error.strerror}); make some")
    return JobError(f"{source.name}: the download failed ({type(error).__name__}); run it again")


def _verify(file: BufferedReader, source: AudioSource) -> None:
    if sha256_stream(file) != source.audio_hash:
        raise JobError(f"{source.name}: its bytes are not those that were asked for; run it again")
    file.seek(0)


def _too_large(source: AudioSource) -> DawaError:
    return InputError(f"{source.name}: is larger than {MAX_BYTES // 2**30} GiB; upload a shorter file")
