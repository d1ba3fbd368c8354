"""What must not get through, or must, and that nothing of it costs more than 150 MB (`bench hostile` has the times)."""

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.stream import UsableReferences
from dawa_assets.errors import UnreadableLiveSetError
from tests.dawa_assets.ableton.als_factory import VERSIONS, SetSpec, TrackSpec, xml_of
from tests.shared_data import shared, shared_names

MAX_MEGABYTES = 150
ACCEPTED = None
# The manifest's verdicts; garbage after the end is our choice (the docstring of `stream.xml_chunks` says why).
VERDICTS = {
    "01": "is empty",
    "02": "neither gzip nor XML",
    "03": "neither gzip nor XML",
    "04": "truncated",
    "05": "truncated",
    "06": "damaged gzip",
    "07": "damaged gzip",
    "08": "XML error",
    "09": "XML error",
    "10": "not a Live Set",
    "11": "not a Live Set",
    "12": "XML error",
    "13": "not a Live Set",
    "14": "neither gzip nor XML",
    "15": "neither gzip nor XML",
    "17": "DOCTYPE",
    "18": "DOCTYPE",
    "19": "DOCTYPE",
    "20": "DOCTYPE",
    "21": "nested deeper",
    "22": "XML error",
    "23": "XML error",
    "24": "XML error",
    "25": ACCEPTED,
    "26": ACCEPTED,
    "27": ACCEPTED,
    "28": ACCEPTED,
    "29": "its tempo is 'NaN'",
    "30": "its time signature is '999999999'",
    "31": ACCEPTED,
    "32": "times its size",
    "33": "times its size|single XML tag",
    "34": "times its size",
    "35": "times its size",
    "36": "times its size|more than 5,000 tracks",
}

READ_EACH = """
import json, sys
from pathlib import Path
from dawa_assets.ableton.reader import read_live_set
from dawa_assets.errors import UnreadableLiveSetError
for name in sys.argv[1:]:
    try:
        live_set = read_live_set(Path(name))
        message = None
        found = [live_set.tempo, str(live_set.time_signature), len(live_set.tracks_of("Audio"))]
    except UnreadableLiveSetError as error:
        message, found = str(error), None
    status = Path("/proc/self/status")
    peak = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    print(json.dumps({"message": message, "found": found, "megabytes": int(peak[0]) / 1024}))
"""
measured = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


@dataclass(frozen=True)
class Reading:
    message: str | None
    found: list[object] | None
    megabytes: float


def _read_in_one_fresh_process(*paths: Path) -> list[Reading]:
    child = subprocess.run(
        [sys.executable, "-c", READ_EACH, *map(str, paths)], capture_output=True, text=True, check=True
    )
    return [Reading(**json.loads(line)) for line in child.stdout.splitlines()]


@pytest.fixture(scope="module")
def readings() -> dict[str, Reading]:
    names = shared_names("als-bad", "*.als")
    paths = [shared("als-bad", name) for name in names]
    return dict(zip(names, _read_in_one_fresh_process(*paths), strict=True))


@measured
@pytest.mark.parametrize("name", shared_names("als-bad", "*.als"))
def test_each_bad_file_gets_its_verdict_within_150_mb(name: str, readings: dict[str, Reading]) -> None:
    reading, verdict = readings[name], VERDICTS[name[:2]]
    if verdict is ACCEPTED:
        assert reading.found == [120, "4/4", 1]
    else:
        assert reading.message is not None
        assert re.fullmatch(rf"{re.escape(name)}: [^\n;]*({verdict})[^\n;]*; [^\n]+", reading.message)
    assert reading.megabytes < MAX_MEGABYTES


def _bomb(inside: bytes, copies: int, xml: bool = True) -> bytes:
    head = b"<Ableton><LiveSet>" if xml else b""
    return head + inside * copies


def _names(count: int) -> bytes:
    return b"<Ableton><LiveSet>" + b"".join(b"<n%x/>" % number for number in range(count))


def _attributes(count: int) -> bytes:
    return b"<Ableton " + b" ".join(b'a%x=""' % number for number in range(count)) + b"/>"


def _many_clips(count: int) -> bytes:
    spec = SetSpec(tracks=[TrackSpec(clips=[(0, 4, "SPLIT")])])
    before, after = xml_of(spec).split(b"<MidiClip", 1)
    clip, after = after.split(b"</MidiClip>", 1)
    clip = b"<MidiClip" + clip + b"</MidiClip>"
    return before + b"".join(clip.replace(b"SPLIT", b"%0300d" % number) for number in range(count)) + after


# Where no ratio helps, each bad in another way.
MADE: dict[str, tuple[Callable[[], bytes], str]] = {
    "elements": (lambda: _bomb(b"<a/>", 4_000_000), "more XML elements than a set of its size"),
    "text": (lambda: _bomb(b"x" * 1000, 110_000), "XML error"),
    "different names": (lambda: _names(400_000), "different XML names"),
    "attributes": (lambda: _attributes(3_000_000), "single XML tag"),
    "comment": (lambda: b"<Ableton><!--" + b"x" * 30_000_000, "single XML tag"),
    "clips": (lambda: _many_clips(150_000), "more clips, devices and names"),
    "members": (lambda: gzip.compress(b"<Ableton>") + gzip.compress(b"") * 1_000_000, "gzip members"),
    "zeros": (lambda: gzip.compress(b"<Ableton/>") + b"\0" * 110_000_000, "not a Live Set"),
    "tracks": (lambda: _bomb(b"<Tracks><MidiTrack></MidiTrack></Tracks>", 6_000), "5,000 tracks"),
}


@pytest.fixture(scope="module")
def made_readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reading]:
    """All of them read by one process, whose peak is that of the worst one so far."""
    paths = []
    for kind, (make, _) in MADE.items():
        paths.append(tmp_path_factory.mktemp("made") / f"{kind}.als")
        paths[-1].write_bytes(make())
    return dict(zip(MADE, _read_in_one_fresh_process(*paths), strict=True))


@measured
@pytest.mark.parametrize("kind", MADE)
def test_what_no_ratio_catches_is_bounded_too(kind: str, made_readings: dict[str, Reading]) -> None:
    reading, verdict = made_readings[kind], MADE[kind][1]
    assert reading.message is not None
    assert verdict in reading.message
    assert reading.megabytes < MAX_MEGABYTES


def _refusal(path: Path) -> str:
    with pytest.raises(UnreadableLiveSetError) as refused:
        read_live_set(path)
    message = str(refused.value)
    assert "\n" not in message
    assert "; " in message
    return message


@pytest.fixture
def xml() -> bytes:
    return xml_of(SetSpec())


@pytest.mark.parametrize("zeros", [1, 511, 200_000])
def test_zeros_after_the_end_are_padding(tmp_path: Path, xml: bytes, zeros: int) -> None:
    path = tmp_path / "set.als"
    path.write_bytes(gzip.compress(xml) + b"\0" * zeros)
    assert read_live_set(path).tempo == 120


def test_members_of_any_size_are_read_as_one(tmp_path: Path, xml: bytes) -> None:
    path = tmp_path / "set.als"
    path.write_bytes(b"".join(gzip.compress(xml[at : at + 7]) for at in range(0, len(xml), 7)) + gzip.compress(b""))
    assert read_live_set(path).tempo == 120


def test_a_second_member_that_is_cut_off_is_a_truncated_file(tmp_path: Path, xml: bytes) -> None:
    path = tmp_path / "set.als"
    path.write_bytes(gzip.compress(xml[:-40]) + gzip.compress(xml[-40:])[:-12])
    assert "truncated" in _refusal(path)


def test_garbage_after_a_whole_set_is_left_alone_with_a_warning(
    tmp_path: Path, xml: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "set.als"
    path.write_bytes(gzip.compress(xml) + b"garbage")
    assert read_live_set(path).tempo == 120
    assert "left alone" in caplog.text


def test_garbage_in_place_of_the_rest_of_a_set_is_no_excuse(tmp_path: Path, xml: bytes) -> None:
    path = tmp_path / "set.als"
    path.write_bytes(gzip.compress(xml[:-40]) + b"garbage")
    assert "XML error" in _refusal(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1"])
@pytest.mark.parametrize("packed", [True, False])
def test_xml_of_other_encodings_is_read(tmp_path: Path, encoding: str, packed: bool) -> None:
    declared = "utf-16" if "16" in encoding else encoding.removesuffix("-sig")
    text = xml_of(SetSpec(tracks=[TrackSpec(name="Größe")])).decode().replace("UTF-8", declared)
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    data = (mark + text).encode(encoding)
    path = tmp_path / "set.als"
    path.write_bytes(gzip.compress(data) if packed else data)
    assert read_live_set(path).tracks[0].name == "Größe"


@pytest.mark.parametrize("encoding", ["utf-7", "idna", "zip", "no-such-thing", "shift_jis"])
def test_an_encoding_that_is_none_is_an_xml_error(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "set.als"
    path.write_bytes(xml_of(SetSpec()).replace(b"UTF-8", encoding.encode()))
    assert "XML error" in _refusal(path)


def test_an_apple_double_is_told_from_a_set(tmp_path: Path) -> None:
    path = tmp_path / "._x.als"
    path.write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + b"\0" * 100)
    assert "neither" in _refusal(path) or "not gzip or XML" in _refusal(path)


def test_a_folder_and_a_missing_file_get_one_line(tmp_path: Path) -> None:
    assert _refusal(tmp_path).startswith(f"{tmp_path.name}: a folder")
    assert _refusal(tmp_path / "nope.als").startswith("nope.als: can't be read (No such file or directory)")


def test_a_fifo_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "pipe.als"
    os.mkfifo(path)
    assert "not a regular file" in _refusal(path)


@pytest.mark.parametrize("name", ["a\nb.als", "x\x1b[31m.als", os.fsdecode(b"\xff\xfe.als")])
def test_an_odd_file_name_still_gives_one_printable_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"")
    message = _refusal(path)
    assert message.isprintable()
    message.encode()


@pytest.mark.parametrize("packed", [True, False])
def test_what_is_larger_than_any_set_is_refused_while_it_is_read(
    tmp_path: Path, xml: bytes, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dawa_assets.ableton.stream.MAX_XML_BYTES", 1_000)
    monkeypatch.setattr("dawa_assets.ableton.stream.MAX_FILE_BYTES", 100_000_000 if packed else 1_000)
    path = tmp_path / "set.als"
    path.write_bytes(gzip.compress(xml) if packed else xml)
    assert re.search("more than 0 MB of XML.*with fewer tracks|larger than 0 MB", _refusal(path))


_UNUSABLE = ["&#x7;", "&#1;", "&#x1F;", "&#xD800;", "&#57343;", "&#xFFFF;", "&#x110000;", "&#99999999;"]


@pytest.mark.parametrize("reference", _UNUSABLE)
@pytest.mark.parametrize("packed", [True, False])
def test_an_unusable_character_reference_is_replaced(tmp_path: Path, reference: str, packed: bool) -> None:
    data = xml_of(SetSpec(tracks=[TrackSpec(name="Bell SPLIT x")])).replace(b"SPLIT", reference.encode())
    path = tmp_path / "set.als"
    path.write_bytes(gzip.compress(data) if packed else data)
    live_set = read_live_set(path)
    assert live_set.tracks[0].name == "Bell \ufffd x"
    assert live_set.warnings == ("1 unusable character reference replaced",)


@pytest.mark.parametrize("reference", ["&#9;", "&#65;", "&#x1F3B9;", "&amp;#7;", "&#xE000;"])
def test_a_character_reference_that_is_usable_stays(tmp_path: Path, reference: str) -> None:
    path = tmp_path / "set.als"
    path.write_bytes(xml_of(SetSpec(tracks=[TrackSpec(name="SPLIT")])).replace(b"SPLIT", reference.encode()))
    live_set = read_live_set(path)
    assert "\ufffd" not in live_set.tracks[0].name
    assert live_set.warnings == ()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_references_are_found_wherever_a_chunk_ends(size: int) -> None:
    data = b"<a b='&#x7;&#65;&&#;&#x;x&amp;&#1;&#xD8" + b"00;&#x00000007;'/>&#7"
    usable = UsableReferences(data[at : at + size] for at in range(0, len(data), size))
    expected = data.replace(b"&#x7;", b"&#xFFFD;").replace(b"&#1;", b"&#xFFFD;")
    expected = expected.replace(b"&#xD800;", b"&#xFFFD;").replace(b"&#x00000007;", b"&#xFFFD;")
    assert (b"".join(usable), usable.replaced) == (expected, 4)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("where", ["track", "clip", "locator", "scene"])
def test_a_reference_is_replaced_wherever_a_name_stands(tmp_path: Path, version: int, where: str) -> None:
    track = TrackSpec(name="SPLIT" if where == "track" else "a", clips=[(0, 4, "SPLIT" if where == "clip" else "b")])
    locators = [(0.0, "SPLIT" if where == "locator" else "c")]
    scenes = ["SPLIT" if where == "scene" else "d"]
    data = xml_of(SetSpec(version=version, tracks=[track], locators=locators, scenes=scenes))
    path = tmp_path / "set.als"
    path.write_bytes(gzip.compress(data.replace(b"SPLIT", b"x&#x1;y&#2;")))
    live_set = read_live_set(path)
    (read,) = live_set.tracks
    names = [read.name, read.arrangement_clips[0].name, live_set.locators[0].name, live_set.scenes[0]]
    assert sorted(names, key=len)[-1] == "x\ufffdy\ufffd"
    # A clip also stands in the frozen copy of its track.
    assert live_set.warnings == (f"{4 if where == 'clip' else 2} unusable character references replaced",)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["git-lfs", "hawser"])
@pytest.mark.parametrize("extension", [[], [f"ext-0-case sha256:{'1' * 64}"]])
def test_a_git_lfs_pointer_is_named(tmp_path: Path, line_end: str, name: str, extension: list[str]) -> None:
    path = tmp_path / "set.als"
    lines = [f"version https://{name}.github.com/spec/v1", *extension, f"oid sha256:{'0' * 64}", "size 12345", ""]
    path.write_bytes(line_end.join(lines).encode())
    assert re.search("a Git LFS pointer.*git lfs pull", _refusal(path))
