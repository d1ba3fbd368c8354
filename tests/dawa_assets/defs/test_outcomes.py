"""What a run notes of itself: by what it failed, and what it left for a later one, which its checks show in yellow."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import dagster as dg
import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.defs.policies.outcomes import FAILURE, LEFT, note_failure, noted, put_off
from dawa_assets.defs.run import BuildResult, run_job
from dawa_assets.defs.sensors.stale_prompts import stale_prompts_sensor
from dawa_assets.observability.assets import consistency_of
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from modal_app.errors import InputError, ServiceError
from resources.ports import Ports
from resources.prompt_writer.base import PromptAnswer, PromptRequest
from resources.prompt_writer.offline import OfflineWriter
from tests.dawa_assets.automation.ticks import leave, leave_run, slugs, tick
from tests.dawa_assets.prompting.material import give_set, profile, summary, with_writer
from tests.given_pipeline import GivenPipeline


class PuttingOff(OfflineWriter):
    """The offline writer, for as many prompts as are given; then it puts off, or raises."""

    def __init__(self, writes: int, then: str | Exception) -> None:
        self._writes, self._then = writes, then

    def write(self, requests: Iterable[PromptRequest], budget_usd: float | None = None) -> Iterator[list[PromptAnswer]]:
        for number, request in enumerate(requests):
            if number < self._writes:
                yield from super().write([request])
            elif isinstance(self._then, Exception):
                raise self._then
            else:
                yield [PromptAnswer(request.key, None, self._then, deferred=True)]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def two_sets(ports: Ports, artist: Artist) -> Artist:
    set_profile(ports, artist, profile())
    for name, tempo in (("One", 100), ("Two", 90)):
        give_set(ports.database, artist, summary(tempo, name), name, audio=False)
    return artist


def rewrite(instance: dg.DagsterInstance, ports: Ports, artist: Artist) -> tuple[BuildResult, dict[str, str]]:
    """Run `prompts_job`; how it ended, and what was noted on it."""
    result = run_job(instance, GivenPipeline(ports), "prompts_job", artist.slug)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    return result, dict(run.tags)


def check_of(instance: dg.DagsterInstance, result: BuildResult, asset: str) -> dg.AssetCheckEvaluation:
    records = instance.get_records_for_run(result.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    events = [record.event_log_entry.get_dagster_event().asset_check_evaluation_data for record in records]
    (found,) = [each for each in events if each.check_name == f"{asset}_hold_together"]
    return found


@pytest.mark.parametrize(
    ("reason", "left"), [("the budget of $1.00 is used up", "budget"), ("503; tried 5 times", "service")]
)
def test_a_run_that_put_something_off_is_yellow(
    instance: dg.DagsterInstance, ports: Ports, two_sets: Artist, reason: str, left: str
) -> None:
    for written in (0, 1):  # of two that were never written, and of two that are out of date
        result, tags = rewrite(instance, with_writer(ports, PuttingOff(written, reason)), two_sets)
        assert result.success, result.failures
        assert tags["dawa/left"] == left
        check = check_of(instance, result, "prompts")
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert f"{2 - written} put off: {reason}" in str(check.description)
        assert any("its prompt is" in line for line in consistency_of(ports, two_sets.slug, "prompts").warnings)
        set_profile(ports, two_sets, profile(schema_version=f"{written}.5"))
    result, tags = rewrite(instance, ports, two_sets)
    assert check_of(instance, result, "prompts").passed
    assert not {"dawa/left", "dawa/failure"} & tags.keys()


def test_a_run_that_repeats_another_one_notes_for_itself(
    instance: dg.DagsterInstance, ports: Ports, two_sets: Artist
) -> None:
    first, _ = rewrite(instance, with_writer(ports, PuttingOff(0, "503; tried 5 times")), two_sets)
    earlier = instance.get_run_by_id(first.run_id)
    assert earlier is not None
    again = leave(instance, "prompts_job", dict(earlier.tags), dg.DagsterRunStatus.STARTED)
    assert (noted(again, LEFT), put_off(instance, again.run_id, "prompts")) == ("", None)
    note_failure(instance, again.run_id, ValueError("a mistake of ours"))
    again = instance.get_run_by_id(again.run_id) or again
    assert (noted(again, FAILURE), noted(again, LEFT)) == ("content", "")
    assert put_off(instance, again.run_id, "prompts") is None


@pytest.mark.parametrize(
    ("error", "kind"), [(ServiceError("no credit"), "environment"), (InputError("no such file"), "content")]
)
def test_the_kind_of_a_failure_is_noted_on_the_run(
    instance: dg.DagsterInstance, ports: Ports, two_sets: Artist, error: Exception, kind: str
) -> None:
    result, tags = rewrite(instance, with_writer(ports, PuttingOff(1, error)), two_sets)
    assert not result.success
    assert tags["dawa/failure"] == kind


def test_a_profile_set_to_and_fro_is_followed_each_time(
    instance: dg.DagsterInstance, ports: Ports, two_sets: Artist
) -> None:
    refresh_prompts(ports, two_sets.slug)
    assert "no prompt is stale" in str(tick(stale_prompts_sensor, instance, ports).skip_reason)
    for version in ("A", "B", "A", "B"):
        set_profile(ports, two_sets, profile(schema_version=version))
        result = tick(stale_prompts_sensor, instance, ports)
        assert slugs(result) == [two_sets.slug]
        refresh_prompts(ports, two_sets.slug)
        leave_run(instance, (result.run_requests or [])[0], dg.DagsterRunStatus.SUCCESS)
        assert slugs(tick(stale_prompts_sensor, instance, replace(ports))) == []
