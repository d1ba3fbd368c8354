"""A build whose connection to Storage is cut in one of its calls goes on or fails in one line; the next one ends it.

A build that is cut and the one that ends it are two builds, of five seconds of CPU each.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from resources.bucket.storage_link import Retries
from tests.bucket.storage_server import StorageServer
from tests.bucket.storage_wire import Call, Fault
from tests.campaigns.small_artist import SLUG
from tests.hosted.conftest import Undisturbed, Uploaded
from tests.hosted.parts import bucket_on, build, small_ports, wrong_in

ONCE = Retries(tries=1)
KINDS: dict[str, dict[str, Any]] = {
    "request cut": {"cut": True},
    "answer lost": {"lose_answer": True},
    "answer cut": {"cut_answer_after": 20},
}
SAMPLE = 2


class _Shaky(StorageServer):
    """Cuts the connection at the first, third, fifth … call of each kind: before it is done, or after, in turn."""

    def fault_for(self, call: Call) -> Fault:
        fault = super().fault_for(call)
        before = len([each for each in self.calls[:-1] if (each.method, each.path) == (call.method, call.path)])
        return fault if before % 2 else Fault(**KINDS[("request cut", "answer lost")[len(self.calls) % 2]])


@pytest.fixture(scope="module")
def calls(uploaded: Uploaded, undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What an undisturbed build asks of Storage, call by call."""
    folder = tmp_path_factory.mktemp("calls")
    with uploaded.begun(folder / "undisturbed") as (server, database, home):
        ports = small_ports(home, database, bucket_on(server, home))
        assert build(ports, SLUG).failures == []
        asked = [f"{call.method} {call.path}" for call in server.calls]
        assert wrong_in(ports, undisturbed.state, folder / "aside") == []
    return asked


def _cut_at(
    number: int, kind: str, retries: Retries, uploaded: Uploaded, undisturbed: Undisturbed, folder: Path
) -> list[str]:
    """Build with the connection cut in one call, then build again; gives what the cut build said."""
    with uploaded.begun(folder) as (server, database, home):
        server.fail(skip=number, **KINDS[kind])
        first = build(small_ports(home, database, bucket_on(server, home, retries)), SLUG)
        server.heal()
        for line in first.failures:
            assert "\n" not in line
            assert f"Storage at {server.url.removeprefix('http://')}" in line or "run it again" in line, line
            assert server.secret_key not in line
        ports = small_ports(home, database, bucket_on(server, home))
        if not first.success:
            assert first.failures
            assert build(ports, SLUG).failures == []
        wrong = wrong_in(ports, undisturbed.state, folder / "aside")
        assert not wrong, "\n".join([f"call {number}, {kind}", *first.failures, *wrong[:12]])
        return first.failures


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(SAMPLE))
def test_a_build_that_gives_up_at_a_broken_call_is_ended_by_the_next(
    calls: list[str], uploaded: Uploaded, undisturbed: Undisturbed, tmp_path: Path, part: int
) -> None:
    number = (2 * part + 1) * len(calls) // (2 * SAMPLE)
    _cut_at(number, list(KINDS)[part % len(KINDS)], ONCE, uploaded, undisturbed, tmp_path / "cut")


@pytest.mark.timeout(600)
def test_a_build_goes_on_when_every_call_breaks_once(
    uploaded: Uploaded, undisturbed: Undisturbed, tmp_path: Path, calls: list[str]
) -> None:
    with uploaded.begun(tmp_path / "shaky", _Shaky) as (server, database, home):
        ports = small_ports(home, database, bucket_on(server, home))
        assert build(ports, SLUG).failures == []
        cut = [call for call in server.calls if not call.status]
        assert len(server.calls) - len(cut) >= len(calls) * 3 // 4  # what was done though its answer was lost
        assert len(cut) > len(calls) * 3 // 4
        wrong = wrong_in(small_ports(home, database, bucket_on(server, home)), undisturbed.state, tmp_path / "a")
        assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", KINDS)
def test_every_call_one_at_a_time(
    calls: list[str], uploaded: Uploaded, undisturbed: Undisturbed, tmp_path: Path, kind: str
) -> None:
    gave_up = 0
    for number in range(len(calls)):
        folder = tmp_path / "cut"
        gave_up += bool(_cut_at(number, kind, ONCE, uploaded, undisturbed, folder))
        shutil.rmtree(folder)
    assert gave_up > len(calls) // 2, f"{kind}: of {len(calls)} builds {gave_up} gave up"
