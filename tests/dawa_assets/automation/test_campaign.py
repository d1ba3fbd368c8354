"""A change of three artists among fifty, under a real daemon that is killed in the middle."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.defs.sensors.run_requests import ATTEMPTS
from dawa_assets.intake.inbox import upload
from dawa_assets.pipeline.leases import lease
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist, ensure_artist
from resources.ports import Ports
from tests.campaigns.small_artist import compose
from tests.dawa_assets.automation.daemon import Daemon
from tests.dawa_assets.prompting.material import give_set, profile, summary

CHANGE = {"dawa__backfill": "schema version 3.0"}


@pytest.fixture
def fifty(home_ports: Ports) -> list[Artist]:
    """Artists with two sets each and prompts that are up to date."""
    with home_ports.database.transaction() as connection:
        artists = [ensure_artist(connection, f"Artist {number:02}") for number in range(50)]
    for artist in artists:
        set_profile(home_ports, artist, profile())
        for name in "AB":
            give_set(home_ports.database, artist, summary(100, name), name, audio=False)
        refresh_prompts(home_ports, artist.slug)
    return artists


def statuses(daemon: Daemon, slug: str | None = None) -> Counter[str]:
    runs = daemon.runs(**CHANGE, **({"dagster__partition": slug} if slug else {}))
    return Counter(run.status.value for run in runs)


def prompts_written(ports: Ports, version: str) -> int:
    with ports.database.transaction() as connection:
        row = connection.execute("select count(*) as n from prompts where schema_version = %s", [version]).fetchone()
    assert row is not None
    return int(row["n"])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_three_of_fifty_get_their_runs_though_the_daemon_dies(
    daemon: Daemon, home_ports: Ports, fifty: list[Artist]
) -> None:
    changed, before = [fifty[7], fifty[21], fifty[42]], prompts_written(home_ports, "3.0")
    for artist in changed:
        set_profile(home_ports, artist, {**profile(), "schema_version": "3.0"})
    daemon.start()
    daemon.until(lambda: statuses(daemon)["STARTED"] > 0)
    daemon.kill()
    daemon.start()
    slugs = {artist.slug for artist in changed}
    daemon.until(lambda: {r.tags["dagster/partition"] for r in daemon.runs(**CHANGE) if r.is_success} == slugs)
    daemon.until(lambda: not any(not run.is_finished for run in daemon.instance.get_runs()))
    daemon.tick_again("stale_prompts_sensor")  # these have nothing to ask for
    runs = daemon.instance.get_runs()
    assert {run.tags["dagster/partition"] for run in runs} == slugs
    assert Counter(run.tags["dagster/partition"] for run in runs if run.is_success) == dict.fromkeys(slugs, 1)
    assert all(run.tags["dawa/backfill"] == "schema version 3.0" for run in runs)
    assert prompts_written(home_ports, "3.0") == before + 3  # both sets of an artist say the same


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_outage_is_told_in_the_tick_and_tried_until_it_passes(
    daemon: Daemon, home_ports: Ports, fifty: list[Artist]
) -> None:
    artist = fifty[13]
    set_profile(home_ports, artist, {**profile(), "schema_version": "3.0"})
    with lease(home_ports.database, artist.id, "prompts", seconds=60, wait_seconds=0):
        daemon.start()
        daemon.until(lambda: statuses(daemon)["FAILURE"] == ATTEMPTS)
        daemon.tick_again("stale_prompts_sensor")
        skipped = " ".join(
            tick.skip_reason or ""
            for state in daemon.instance.all_instigator_state()
            if state.instigator_name == "stale_prompts_sensor"
            for tick in daemon.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=5)
        )
        assert f"{artist.slug}: until " in skipped
        assert "met an outage" in skipped
    daemon.until(lambda: statuses(daemon)["SUCCESS"] == 1)
    runs = daemon.runs(**CHANGE)
    assert {run.tags["dawa/attempt"] for run in runs} == {f"1 of {ATTEMPTS}"}
    assert [run.tags.get("dawa/failure") for run in runs] == ["environment"] * (len(runs) - 1) + [None]
    assert len({run.tags["dagster/run_key"] for run in runs}) == len(runs) > ATTEMPTS
    records = daemon.instance.get_run_records(ascending=True)
    pauses = [then.create_timestamp.timestamp() - (ended.end_time or 0) for ended, then in pairwise(records)]
    assert all(pause > 0 for pause in pauses)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_upload_turns_green_under_forty_queued_backfill_runs(
    daemon: Daemon, home_ports: Ports, fifty: list[Artist], tmp_path: Path
) -> None:
    for artist in fifty[:40]:
        set_profile(home_ports, artist, {**profile(), "schema_version": "3.0"})
    daemon.start()
    daemon.until(lambda: sum(statuses(daemon).values()) == 40)
    compose(tmp_path)
    upload(home_ports, "Waits for nobody", [next(tmp_path.rglob("*.als"))])
    theirs = {"dagster__partition": "waits-for-nobody"}
    daemon.until(lambda: any(run.is_success and run.job_name == "upload_job" for run in daemon.runs(**theirs)))
    waiting = statuses(daemon)["QUEUED"]
    daemon.kill()
    (record,) = daemon.instance.get_run_records(dg.RunsFilter(job_name="upload_job"))
    asked, started = record.create_timestamp.timestamp(), record.start_time or 0
    backfills = daemon.instance.get_run_records(dg.RunsFilter(tags={"dawa/backfill": "schema version 3.0"}))
    overtook = [run for run in backfills if asked < (run.start_time or 0) < started]
    assert len(overtook) <= 1  # it may have been on its way already
    assert waiting > 20
