"""A build whose connection to Storage is cut in one of its calls goes on or fails in one line; the next one ends it.

A build takes ten seconds of CPU, so one is cut in every kind of call; `make test-slow` cuts in every single one.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

from resources.bucket.storage_link import Retries
from resources.database.base import Database
from tests.campaigns.small_artist import SLUG
from tests.fakes.storage.storage_server import StorageServer
from tests.fakes.storage.storage_wire import Call, Fault
from tests.hosted.conftest import Undisturbed, Uploaded
from tests.hosted.parts import bucket_on, build, small_ports, wrong_in

ONCE = Retries(tries=1)
KINDS: dict[str, dict[str, Any]] = {
    "request cut": {"cut": True},
    "answer lost": {"lose_answer": True},
    "answer cut": {"cut_answer_after": 20},
}
SAMPLE = (("request cut", 20), ("answer lost", 45), ("answer cut", 25))  # and how many calls each build gets before it


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


def _cut_build(
    server: StorageServer, database: Database, home: Path, number: int, kind: str, retries: Retries = ONCE
) -> list[str]:
    """Build with the connection cut in one call; gives what the build said."""
    server.fail(skip=number, **KINDS[kind])
    result = build(small_ports(home, database, bucket_on(server, home, retries)), SLUG)
    server.heal()
    assert bool(result.failures) != result.success
    for line in result.failures:
        assert "\n" not in line
        assert f"Storage at {server.url.removeprefix('http://')}" in line or "run it again" in line, line
        assert server.secret_key not in line
    return result.failures


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_build_that_gave_up_is_finished_by_the_next_one(
    uploaded: Uploaded, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """A few cuts, one a build; every build goes on where the one before it ended."""
    with uploaded.begun(tmp_path / "cut") as (server, database, home):
        said = [_cut_build(server, database, home, number, kind) for kind, number in SAMPLE]
        assert sum(bool(failures) for failures in said) > 1, "a build that tries no second time gives up"
        ports = small_ports(home, database, bucket_on(server, home))
        assert build(ports, SLUG).failures == []
        wrong = wrong_in(ports, undisturbed.state, tmp_path / "aside")
        assert not wrong, "\n".join(["; ".join(each) for each in said] + wrong[:12])


@pytest.mark.timeout(600)
def test_a_build_goes_on_when_every_call_breaks_once(
    uploaded: Uploaded, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    with uploaded.begun(tmp_path / "shaky", _Shaky) as (server, database, home):
        ports = small_ports(home, database, bucket_on(server, home))
        assert build(ports, SLUG).failures == []
        cut = [call for call in server.calls if not call.status]
        done = [call for call in server.calls if call.status]
        kinds = {(call.method, call.path) for call in server.calls}
        assert {(call.method, call.path) for call in cut} == kinds
        assert min(len(kinds), len(cut), len(done)) > 50  # what was done though its answer was lost is not asked again
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
        with uploaded.begun(folder) as (server, database, home):
            failures = _cut_build(server, database, home, number, kind)
            ports = small_ports(home, database, bucket_on(server, home))
            if failures:
                assert build(ports, SLUG).failures == []
            wrong = wrong_in(ports, undisturbed.state, folder / "aside")
            assert not wrong, "\n".join([f"call {number}, {kind}", *failures, *wrong[:12]])
        gave_up += bool(failures)
        shutil.rmtree(folder)
    assert gave_up > len(calls) // 2, f"{kind}: of {len(calls)} builds {gave_up} gave up"
