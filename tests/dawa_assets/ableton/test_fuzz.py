"""Whatever the bytes are, a reading ends with a set that can be stored and drawn from, or with the one error."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dawa_assets.ableton.reader import read_live_set
from dawa_assets.ableton.summary_builder import summarise
from dawa_assets.errors import UnreadableLiveSetError
from tests.dawa_assets.ableton.als_factory import VERSIONS, SetSpec, TrackSpec, plugin, rack, sampler, xml_of

free_form = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _sound_or_refused(folder: Path, data: bytes) -> bool:
    path = folder / "fuzzed.als"
    path.write_bytes(data)
    try:
        live_set = read_live_set(path)
    except UnreadableLiveSetError as error:
        return _complain_unless_one_line(str(error))
    summary = summarise(live_set, als_filename="x.als", project_folder="", artist_name="")
    stored = json.dumps(summary.model_dump(mode="json"), allow_nan=False)
    assert "\\u0000" not in stored
    return True


def _complain_unless_one_line(message: str) -> bool:
    assert message.startswith("fuzzed.als: ")
    assert "\n" not in message
    return False


def _whole(version: int) -> bytes:
    tracks = [
        TrackSpec(tag="GroupTrack", id="1", name="Group"),
        TrackSpec(id="2", group="1", clips=[(0, 4, "a"), (4, 8, "b")], slots=["x", None], colour=3),
        TrackSpec(tag="AudioTrack", id="3", devices=rack(plugin("P") + sampler(version, "a/b.wav"))),
    ]
    spec = SetSpec(version=version, tracks=tracks, tempo_points=[(0, 100), (4, 120)], locators=[(0, "A"), (4, "B")])
    return xml_of(spec)


WHOLE = {version: _whole(version) for version in VERSIONS}


@free_form
@given(st.binary(max_size=2000))
@example(b"<")
@example(b"\x1f\x8b")
@example(b"\x1f\x8b\x08\x1e")
def test_random_bytes(tmp_path: Path, data: bytes) -> None:
    assert not _sound_or_refused(tmp_path, data)
    assert not _sound_or_refused(tmp_path, gzip.compress(data))


@free_form
@given(st.sampled_from(VERSIONS), st.data())
def test_bytes_overwritten_in_the_xml(tmp_path: Path, version: int, data: st.DataObject) -> None:
    xml = bytearray(WHOLE[version])
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(xml) - 1))
        new = data.draw(st.binary(min_size=0, max_size=6))
        xml[at : at + data.draw(st.integers(0, 6))] = new
    _sound_or_refused(tmp_path, bytes(xml) if data.draw(st.booleans()) else gzip.compress(bytes(xml)))


@free_form
@given(st.sampled_from(VERSIONS), st.data())
def test_bytes_overwritten_in_the_gzip_data(tmp_path: Path, version: int, data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(WHOLE[version], mtime=0))
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    _sound_or_refused(tmp_path, bytes(packed))


@free_form
@given(st.sampled_from(VERSIONS), st.data())
def test_a_set_cut_off_anywhere_is_refused(tmp_path: Path, version: int, data: st.DataObject) -> None:
    packed = gzip.compress(WHOLE[version], mtime=0)
    assert not _sound_or_refused(tmp_path, packed[: data.draw(st.integers(0, len(packed) - 1))])
    xml = WHOLE[version]
    assert not _sound_or_refused(tmp_path, xml[: data.draw(st.integers(0, len(xml.rstrip()) - 1))])


@free_form
@given(st.sampled_from(VERSIONS), st.data())
def test_attributes_that_say_anything(tmp_path: Path, version: int, data: st.DataObject) -> None:
    parts = WHOLE[version].split(b'"')
    odd = st.sampled_from(
        [b"", b"NaN", b"-inf", b"1e999", b"-1", b"99999999999999999999", b"\xf0\x9f\x8e\xb9", b"&#10;"]
    )
    for _ in range(data.draw(st.integers(1, 8))):
        at = 1 + 2 * data.draw(st.integers(3, len(parts) // 2 - 1))
        parts[at] = data.draw(odd)
    _sound_or_refused(tmp_path, b'"'.join(parts))


@pytest.mark.slow
@settings(free_form, max_examples=3000)
@given(st.sampled_from(VERSIONS), st.data())
def test_bytes_overwritten_in_the_xml_many_times(tmp_path: Path, version: int, data: st.DataObject) -> None:
    xml = bytearray(WHOLE[version])
    for _ in range(data.draw(st.integers(1, 20))):
        at = data.draw(st.integers(0, len(xml) - 1))
        xml[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=20))
    _sound_or_refused(tmp_path, bytes(xml))
