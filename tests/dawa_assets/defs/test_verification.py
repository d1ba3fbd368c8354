"""The pipeline looks after its files by itself: what a pass finds is shown with the way out, until it is mended."""

from collections.abc import Iterator
from typing import cast
from uuid import UUID

import dagster as dg
import pytest

from dawa_assets.defs.code_location import build_defs
from dawa_assets.defs.jobs import standing_check
from dawa_assets.defs.open_issues import standing_checks_sensor
from dawa_assets.defs.verification import verify_job, verify_schedules
from dawa_assets.maintenance.verification import VerificationPass, verify_longest_unseen
from dawa_assets.maintenance.verify import verify
from resources.bucket.base import StoredObject
from resources.errors import BucketError
from resources.ports import Ports
from resources.settings import Settings
from tests.dawa_assets.training.catalogue import Catalogue, open_catalogue
from tests.given_pipeline import GivenPipeline


@pytest.fixture
def nova(ports: Ports) -> Catalogue:
    return open_catalogue(ports, "Nova")


def _key(catalogue: Catalogue, item: UUID) -> str:
    return f"artists/{catalogue.slug}/training/{item}/audio.wav"


def _run(ports: Ports, schedule: str) -> None:
    """What the schedule asks for, as the job does it; as if half a day had passed."""
    with ports.database.transaction() as connection:
        connection.execute(
            "update verifications set names_at = names_at - interval '1 day', bytes_at = bytes_at - interval '1 day'"
        )
    [asked] = [each for each in verify_schedules(ports.settings) if each.name == schedule]
    with dg.build_schedule_context() as context:
        [request] = cast("list[dg.RunRequest]", asked.evaluate_tick(context).run_requests)
    done = verify_job.execute_in_process(request.run_config, resources={"pipeline": GivenPipeline(ports)})
    assert done.success


def _seen(ports: Ports) -> tuple[dg.AssetCheckEvaluation, dict[str, dg.MetadataValue]]:
    """The standing check of the training items, and the page of all."""
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, resources={"pipeline": GivenPipeline(ports)}) as context,
    ):
        result = standing_checks_sensor(context)
    assert isinstance(result, dg.SensorResult)
    by_asset = {event.asset_key.to_user_string(): event for event in result.asset_events}
    check = cast("dg.AssetCheckEvaluation", by_asset["training_items"])
    assert check.check_name == standing_check("training_items").name
    [page] = [event for event in result.asset_events if isinstance(event, dg.AssetMaterialization)]
    return check, dict(page.metadata)


DAMAGED = "files missing or altered: training_items"


def _rows(metadata: object) -> list[dict[str, object]]:
    return [dict(record.data) for record in cast("dg.TableMetadataValue", metadata).records]


def test_a_lost_file_is_red_with_the_way_out_until_it_is_fixed(ports: Ports, nova: Catalogue) -> None:
    item = nova.add("n/one", b"sound")
    _run(ports, "nightly_verify")
    assert DAMAGED not in _seen(ports)[1]
    ports.bucket.delete([_key(nova, item)])
    _run(ports, "nightly_verify")
    check, page = _seen(ports)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert r"[**nova**](/assets/training_items?" in str(page[DAMAGED].value)
    [row] = _rows(check.metadata["files missing or altered"])
    assert (row["artist"], row["what"]) == ("nova", _key(nova, item))
    assert row["why"] == (
        "missing; `dawa verify --artist nova --repair` looks for the same bytes elsewhere, "
        "else marks its item as failed"
    )
    since = nova.sql("select findings from verifications")[0]["findings"][0]["since"]
    _run(ports, "nightly_verify")
    assert [each["since"] for each in nova.sql("select findings from verifications")[0]["findings"]] == [since]

    ports.bucket.put(_key(nova, nova.add("n/two", b"sound")), b"sound")  # where the same bytes are
    [report] = verify(ports, "nova", fix=True)
    assert report.still_wrong == 0
    check, page = _seen(ports)
    assert DAMAGED not in page
    assert check.severity == dg.AssetCheckSeverity.WARN


def test_what_a_repair_hands_to_a_person_is_reported_once(ports: Ports, nova: Catalogue) -> None:
    ports.bucket.delete([_key(nova, nova.add("n/one", b"sound"))])
    [report] = verify(ports, "nova", fix=True)
    assert report.still_wrong == 1
    check, page = _seen(ports)
    assert DAMAGED not in page
    assert [row["what"] for row in _rows(check.metadata["failed"])] == ["n/one"]


def test_altered_bytes_are_found_weekly_and_kept_by_the_night(ports: Ports, nova: Catalogue) -> None:
    item = nova.add("n/one", b"sound")
    ports.bucket.put(_key(nova, item), b"noise")
    _run(ports, "nightly_verify")
    assert _seen(ports)[0].severity == dg.AssetCheckSeverity.WARN
    _run(ports, "weekly_verify")
    assert str(_rows(_seen(ports)[0].metadata["files missing or altered"])[0]["why"]).startswith("wrong bytes; ")
    _run(ports, "nightly_verify")
    assert _seen(ports)[0].severity == dg.AssetCheckSeverity.ERROR
    ports.bucket.put(_key(nova, item), b"sound")
    _run(ports, "weekly_verify")
    assert _seen(ports)[0].severity == dg.AssetCheckSeverity.WARN


def test_a_path_outside_and_a_zip_left_over_are_told_too(ports: Ports, nova: Catalogue) -> None:
    item = nova.add("n/one", b"sound")
    with ports.database.transaction() as connection:
        connection.execute("alter table training_items disable trigger user")
        connection.execute("update training_items set audio_path = 'artists/other/x.wav' where id = %s", [item])
        connection.execute("alter table training_items enable trigger user")
        connection.execute(
            "insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count, pruned_at, "
            "finished_at) values (%s, 'f', 'done', %s, %s, 1, now(), now())",
            [nova.artist.id, "artists/nova/datasets/d.zip", "artists/nova/datasets/d.json"],
        )
    for name in ("d.zip", "d.json"):
        ports.bucket.put(f"artists/nova/datasets/{name}", b"{}")
    _run(ports, "nightly_verify")
    check, page = _seen(ports)
    assert [row["what"] for row in _rows(check.metadata["files missing or altered"])] == [
        f"training_items.audio_path {item}"
    ]
    assert r"artists/nova/datasets/d\.zip" in str(page["behind what arrived: dataset_zip"].value)


def _pass(ports: Ports, **bounds: float) -> VerificationPass:
    return verify_longest_unseen(ports, **{"deep": True, "max_seconds": 60, "max_bytes": 1e9, **bounds})  # type: ignore[arg-type]


@pytest.mark.parametrize("bounds", [{"max_seconds": 0}, {"max_bytes": 3}])
def test_a_pass_that_is_full_goes_on_with_the_next(ports: Ports, bounds: dict[str, float]) -> None:
    for name in ("A", "B", "C"):
        open_catalogue(ports, name).add("x/y", b"sound")
    seen = []
    for _ in range(3):
        done = _pass(ports, **bounds)
        seen.append((done.artists, done.bytes_read, done.is_whole))
    assert seen == [(1, 5, False), (1, 5, False), (1, 5, True)]
    assert _pass(ports, **bounds).artists == 0
    assert "; the rest is left for the next pass" in VerificationPass(is_whole=False).headline


def test_one_that_cannot_be_looked_at_keeps_nobody_waiting(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ABCDE":
        open_catalogue(ports, name)
    listed, refused = ports.bucket.list, ["artists/a"]

    def refusing(prefix: str = "") -> Iterator[StoredObject]:
        if prefix in refused:
            raise BucketError(f"{prefix}: the disk is bad; see to that")
        return listed(prefix)

    monkeypatch.setattr(ports.bucket, "list", refusing)
    done = _pass(ports)
    assert (done.artists, done.failed) == (4, 1)
    assert "; 1 more could not be looked at, their log lines say why" in done.headline
    assert _pass(ports).failed == 1
    refused += [f"artists/{slug}" for slug in "bcde"]
    with ports.database.transaction() as connection:
        connection.execute("delete from verifications")
    with pytest.raises(BucketError, match="artists/c: the disk is bad"):
        _pass(ports)


def test_no_bytes_are_read_where_none_may_be(settings: Settings) -> None:
    free = settings.model_copy(update={"verify_weekly_gb": 0})
    assert [each.name for each in verify_schedules(free)] == ["nightly_verify"]
    assert "verify_job" in {job.name for job in build_defs(settings).resolve_all_job_defs()}
