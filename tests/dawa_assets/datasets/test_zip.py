"""The archive: names, order, bytes, refusal of altered audio, memory."""

import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dawa_assets.datasets.zip import AUDIO_FORMATS, Track, entry_names, write_zip
from dawa_assets.errors import BadTrackError

CONTENTS = st.lists(st.tuples(st.sampled_from(sorted(AUDIO_FORMATS)), st.binary(max_size=300), st.text()), max_size=12)


def track(position: int, audio_format: str, audio: bytes, text: str, *, recorded: bytes | None = None) -> Track:
    @contextmanager
    def open_audio() -> Iterator[BinaryIO]:
        yield io.BytesIO(audio)

    on_record = audio if recorded is None else recorded
    digest = hashlib.sha256(on_record).hexdigest()
    return Track(position, audio_format, len(on_record), digest, open_audio, text)


@settings(max_examples=60, deadline=None)
@given(contents=CONTENTS)
def test_an_archive_holds_every_pair_in_order_under_its_number(
    contents: list[tuple[str, bytes, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    contents = [(kind, audio, text.encode(errors="ignore").decode()) for kind, audio, text in contents]
    target = tmp_path_factory.mktemp("zip") / "it.zip"
    archive = write_zip([track(n, *content) for n, content in enumerate(contents, 1)], target)
    assert archive.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert archive.size == target.stat().st_size
    with zipfile.ZipFile(target) as found:
        expected = [name for n, (kind, _, _) in enumerate(contents, 1) for name in entry_names(n, kind)]
        assert found.namelist() == expected
        for n, (kind, audio, text) in enumerate(contents, 1):
            audio_name, text_name = entry_names(n, kind)
            assert found.read(audio_name) == audio
            assert found.read(text_name) == text.encode()


@given(position=st.integers(1, 99_999), audio_format=st.text(max_size=12))
def test_no_extension_leads_out_of_the_archives_folder(position: int, audio_format: str) -> None:
    if audio_format in AUDIO_FORMATS:
        names = entry_names(position, audio_format)
        assert all(name.startswith("dataset/track-") and name.count("/") == 1 and ".." not in name for name in names)
    else:
        with pytest.raises(ValueError, match="not one that a dataset may hold"):
            entry_names(position, audio_format)


def test_names_are_those_of_the_source_system() -> None:
    assert entry_names(1, "mp3") == ("dataset/track-0001.mp3", "dataset/track-0001.txt")
    assert entry_names(12_345, "wav") == ("dataset/track-12345.wav", "dataset/track-12345.txt")


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    tracks = [track(1, "mp3", b"a" * 5000, "One. BPM: 120"), track(2, "flac", b"b" * 70, "Zwei — süß. BPM: 90")]
    first = write_zip(tracks, tmp_path / "first.zip")
    second = write_zip(tracks, tmp_path / "second.zip")
    assert first == second
    with zipfile.ZipFile(tmp_path / "first.zip") as found:
        for entry in found.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert (entry.create_system, entry.external_attr) == (3, 0o100644 << 16)


@pytest.mark.parametrize("stored", [b"other sound", b"short", b"the recorded sound and more"])
def test_audio_that_differs_from_its_hash_is_refused_by_position(stored: bytes, tmp_path: Path) -> None:
    tracks = [track(1, "mp3", b"fine", "x"), track(2, "mp3", stored, "x", recorded=b"the recorded sound")]
    with pytest.raises(BadTrackError) as caught:
        write_zip(tracks, tmp_path / "bad.zip")
    assert caught.value.position == 2


def test_an_entry_beyond_4_gib_is_announced_as_zip64(tmp_path: Path) -> None:
    from dawa_assets.datasets.zip import _entry

    entry = _entry("dataset/track-0001.wav")
    entry.file_size = 5 << 30
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as archive, archive.open(entry, "w") as sink:
        sink.write(b"x")
    assert (tmp_path / "it.zip").read_bytes()[4] == 45  # the version that knows zip64


def test_memory_stays_flat_for_half_a_gigabyte(tmp_path: Path) -> None:
    program = """
import contextlib, hashlib, resource, sys
from pathlib import Path
from dawa_assets.datasets.zip import Track, write_zip

class Zeros:
    def __init__(self, size): self.left = size
    def read(self, n):
        n = min(n, self.left); self.left -= n
        return bytes(n)

size = 125 << 20
digest = hashlib.sha256()
for _ in range(125): digest.update(bytes(1 << 20))
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
tracks = [Track(n, "wav", size, digest.hexdigest(), lambda: contextlib.nullcontext(Zeros(size)), "x")
          for n in range(1, 5)]
archive = write_zip(tracks, Path(sys.argv[1]))
assert archive.size > 500 << 20
print(peak() - before)
"""
    target = tmp_path / "large.zip"
    done = subprocess.run(
        [sys.executable, "-c", program, str(target)], capture_output=True, text=True, check=True, timeout=280
    )
    target.unlink()
    assert float(done.stdout) < 20  # MB
