import hashlib
from io import BytesIO
from pathlib import Path

import pytest

from modal_app.data_root.digests import sha256_file, sha256_stream


def test_a_file_of_many_blocks(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_what_is_left_of_a_stream_and_what_came_before_it() -> None:
    stream = BytesIO(b"once more")
    stream.seek(5)
    assert sha256_stream(stream, b"ever") == hashlib.sha256(b"evermore").hexdigest()
    assert not stream.closed


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sha256_file(tmp_path / "none")
