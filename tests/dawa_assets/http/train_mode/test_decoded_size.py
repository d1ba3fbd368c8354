"""What the page counts of a file before it decodes it: enough, for any file, and not much more for an honest one."""

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.dawa_assets.http.train_mode.test_page_files import FOLDER
from tests.modal_app.audio.conftest import encode_with_ffmpeg, synthesise

NODE = shutil.which("node")
SECONDS = 5
_COUNT = """
import { readFileSync } from "node:fs";
const { decodedSize } = await import(process.argv[1]);
const counted = process.argv.slice(2).map((path) => decodedSize(new Uint8Array(readFileSync(path))));
console.log(JSON.stringify(counted));
"""

pytestmark = pytest.mark.skipif(NODE is None, reason="no Node is installed")


def _counted(*paths: Path) -> list[dict[str, Any] | None]:
    command = [str(NODE), "--input-type=module", "-e", _COUNT, (FOLDER / "decoded_size.js").as_uri(), *map(str, paths)]
    answer: list[dict[str, Any] | None] = json.loads(subprocess.check_output(command, text=True, timeout=120))
    return answer


def _honest(folder: Path) -> dict[str, Path]:
    """A file of each kind that browsers decode, of the same music."""
    made = {}
    for name, codec, rate, channels in (
        ("a.mp3", "libmp3lame", 44_100, 2),
        ("low.mp3", "libmp3lame", 22_050, 1),
        ("a.opus", "libopus", 48_000, 2),
        ("a.m4a", "aac", 48_000, 2),
        ("lossless.m4a", "alac", 44_100, 2),
        ("a.ogg", None, 44_100, 2),
        ("a.flac", None, 96_000, 2),
        ("a.wav", None, 44_100, 2),
    ):
        signal = synthesise(SECONDS * rate, channels)
        if codec:
            encode_with_ffmpeg(folder / name, signal, rate, codec)
        else:
            soundfile.write(folder / name, signal, rate)
        made[name] = folder / name
    return made


def test_an_honest_file_holds_what_is_counted(tmp_path: Path) -> None:
    made = _honest(tmp_path)
    for name, found in zip(made, _counted(*made.values()), strict=True):
        assert found is not None, name
        assert SECONDS <= found["seconds"] <= SECONDS * 1.3, (name, found)
        assert found["channels"] == 2, (name, found)
        assert found["isPlain"] is (name in ("a.flac", "a.wav"))


def test_what_a_header_claims_counts_for_nothing(tmp_path: Path) -> None:
    silence = np.zeros((600 * 8_000, 1), np.float32)
    soundfile.write(tmp_path / "short.flac", silence, 8_000)
    short = bytearray((tmp_path / "short.flac").read_bytes())
    assert len(short) < 200_000  # ten minutes, as 40 kB a minute at most
    short[21:26] = bytes([short[21] & 0xF0, 0, 0, 0, 1])  # "one sample"
    (tmp_path / "short.flac").write_bytes(short)
    wav = bytearray(_honest(tmp_path)["a.wav"].read_bytes())
    wav[40:44] = b"\1\0\0\0"  # "one byte of music"
    (tmp_path / "one.wav").write_bytes(wav)
    tagged = b"ID3\4\0\0\0\0\0\12" + bytes(10) + (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "tagged.mp3").write_bytes(tagged)
    flac, one, mp3 = _counted(tmp_path / "short.flac", tmp_path / "one.wav", tmp_path / "tagged.mp3")
    for found, least in ((flac, 599.9), (one, SECONDS), (mp3, SECONDS)):
        assert found is not None
        assert found["seconds"] >= least


def test_what_is_of_no_known_kind_or_damaged_ends_in_an_answer(tmp_path: Path) -> None:
    rng = random.Random(7)  # noqa: S311 - the same damage every time
    made = _honest(tmp_path)
    ogg = made["a.ogg"].read_bytes()
    odd = {
        "empty": b"",
        "riff": b"RIFF....WAVE",
        "coded.wav": made["a.wav"].read_bytes().replace(b"fmt \x10\0\0\0\1\0", b"fmt \x10\0\0\0\x55\0"),
        "ftyp": b"\0\0\0\x10ftypM4A \0\0\0\0" + b"\0\0\0\x08moov" * 50,
        "two.ogg": ogg + ogg,
    }
    damaged = [tmp_path / "noise"]
    damaged[0].write_bytes(rng.randbytes(50_000))
    for name, path in made.items():
        content = path.read_bytes()
        for n in range(6):
            changed = bytearray(content[: rng.randrange(1, len(content))] if n % 2 else content)
            for _ in range(20):
                changed[rng.randrange(min(len(changed), 400))] = rng.randrange(256)
            damaged.append(tmp_path / f"{n} {name}")
            damaged[-1].write_bytes(changed)
    for name, content in odd.items():
        (tmp_path / name).write_bytes(content)
    answers = _counted(*(tmp_path / name for name in odd), *damaged)
    assert answers[: len(odd)] == [None] * len(odd)
    for found in answers[len(odd) :]:
        assert found is None or found["seconds"] is None or found["seconds"] >= 0  # Infinity has no JSON
