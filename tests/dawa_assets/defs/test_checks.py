"""Checks that are started by hand: "Execute all" on a checks page names no artist, and asks for all of an asset's."""

import dagster as dg

from dawa_assets.defs.code_location import build_defs
from dawa_assets.defs.run import run_job
from resources.ports import Ports
from tests.dawa_assets.intake.material import als, drop, keys, new_artist
from tests.given_pipeline import GivenPipeline


def execute_all(instance: dg.DagsterInstance, ports: Ports, asset: str) -> list[str]:
    """Do what the button does, in one run without a partition; gives the checks with a result of the run's own."""
    defs = build_defs(ports.settings, {"pipeline": GivenPipeline(ports)})
    asked = {key for key in defs.resolve_asset_graph().asset_check_keys if key.asset_key == dg.AssetKey(asset)}
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection=asked)
    done = job.execute_in_process(instance=instance)
    assert done.success
    return sorted(each.check_name for each in done.get_asset_check_evaluations())


def outcomes(instance: dg.DagsterInstance, asset: str) -> dict[str | None, tuple[bool, str | None]]:
    """By artist, what was said last of whether the asset holds together."""
    key = dg.AssetCheckKey(dg.AssetKey(asset), f"{asset}_hold_together")
    found = [
        record.event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
        for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=20)
        if record.event is not None and record.event.dagster_event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    return {each.partition: (each.passed, each.description) for each in reversed(found)}


def test_all_checks_of_an_asset_run_together_for_everybody(ports: Ports) -> None:
    instance = dg.DagsterInstance.ephemeral()
    for name in ("Nova", "Lumen"):
        drop(ports, new_artist(ports, name).slug, {"Song.als": als()})
        run_job(instance, GivenPipeline(ports), "ingest_job", name.lower())
    assert execute_all(instance, ports, "prompts") == ["prompts_model_lasts", "prompts_nothing_open"]
    assert {slug: passed for slug, (passed, _) in outcomes(instance, "prompts").items()} == {
        "nova": True,
        "lumen": True,
    }
    ports.bucket.delete(keys(ports.bucket, "artists/lumen"))
    assert execute_all(instance, ports, "als_summaries") == ["als_summaries_nothing_open"]
    found = outcomes(instance, "als_summaries")
    assert (found["nova"][0], found["lumen"][0]) == (True, False)
    assert "bucket" in (found["lumen"][1] or "")


def test_a_model_is_looked_at_once_whoever_the_run_is_for(ports: Ports) -> None:
    graph = build_defs(ports.settings).resolve_asset_graph()
    partitioned = {key.name: graph.get_check_spec(key).partitions_def is not None for key in graph.asset_check_keys}
    assert not any(is_so for name, is_so in partitioned.items() if name.endswith(("_model_lasts", "_nothing_open")))
    assert all(is_so for name, is_so in partitioned.items() if name.endswith("_hold_together"))
