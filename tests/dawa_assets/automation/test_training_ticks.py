"""When trainings are asked for: after an upload, and where enough of a dataset changed."""

from collections.abc import Callable
from dataclasses import replace

import dagster as dg
import pytest

from dawa_assets.defs.sensors import run_requests
from dawa_assets.defs.sensors.inbox import inbox_sensor
from dawa_assets.defs.sensors.retraining import retrain_sensor
from dawa_assets.intake.inbox import complete_key
from dawa_assets.tables.artists import Artist
from resources.ports import Ports
from tests.dawa_assets.automation.ticks import leave, leave_run, slugs, tick

MakeArtist = Callable[[str], Artist]


def trained_on(ports: Ports, slug: str, share: float) -> None:
    """A finished dataset of ten items that was trained on, and a newer one of which `share` is new."""
    with ports.database.transaction() as connection:
        for number, new in enumerate((0.0, share)):
            connection.execute(
                "insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count, "
                "finished_at) select id, %(name)s, 'done', 'artists/' || slug || '/z', 'artists/' || slug || '/j', 10, "
                "now() + %(number)s * interval '1 second' from artists where slug = %(slug)s",
                {"name": f"content {number} {share}", "number": number, "slug": slug},
            )
            connection.execute(
                "insert into dataset_items (dataset_id, position, audio_path, audio_hash, audio_format, prompt_text) "
                "select d.id, i, 'artists/' || a.slug || '/a', case when i <= 10 * %(new)s then 'new ' else '' end "
                "|| i, 'mp3', 'Warm.' from datasets d join artists a on a.id = d.artist_id, generate_series(1, 10) i "
                "where d.fingerprint = %(name)s and a.slug = %(slug)s",
                {"name": f"content {number} {share}", "new": new, "slug": slug},
            )
        connection.execute(
            "insert into training_runs (artist_id, dataset_id, fingerprint, backend, base, model_name, parameters, "
            "state, finished_at) select artist_id, id, 'f', 'ace_step', 'tiny', %s, '{}', 'done', now() from datasets "
            "where fingerprint = %s and artist_id = (select id from artists where slug = %s)",
            [ports.settings.model_name, f"content 0 {share}", slug],
        )


def test_what_was_approved_is_trained_on_once_whatever_is_on(
    instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist
) -> None:
    for name in ("Dear", "Waiting"):
        trained_on(ports, make_artist(name).slug, 0.1)
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into training_approvals (artist_id, fingerprint, model_name, dataset_id, plan, approved_at, "
            "approved_by) select d.artist_id, 'f', %s, d.id, 'p', case when a.slug = 'dear' then now() end, "
            "case when a.slug = 'dear' then 'Mia' end from datasets d join artists a on a.id = d.artist_id "
            "where d.fingerprint = 'content 1 0.1'",
            [ports.settings.model_name],
        )
    by_hand = replace(ports, settings=ports.settings.model_copy(update={"follow_uploads": "items"}))
    (request,) = tick(retrain_sensor, instance, by_hand).run_requests or []
    assert request.partition_key == "dear"
    assert request.tags["dawa/retrain"] == "its training was approved"
    leave_run(instance, request, dg.DagsterRunStatus.SUCCESS)
    assert slugs(tick(retrain_sensor, instance, by_hand)) == []


def test_a_changed_dataset_is_trained_on_once_if_enabled(
    instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist
) -> None:
    for name, share in (("Little", 0.1), ("Much", 0.3), ("Nothing", 0.0)):
        trained_on(ports, make_artist(name).slug, share)
    only_items = ports.settings.model_copy(update={"follow_uploads": "items"})
    off = tick(retrain_sensor, instance, replace(ports, settings=only_items))
    assert slugs(off) == []
    assert "DAWA_RETRAIN" in str(off.skip_reason)
    none = tick(retrain_sensor, instance, ports)  # nobody uploaded anything
    assert "3 datasets were not trained on; none is due" in str(none.skip_reason)
    object.__setattr__(ports, "settings", only_items.model_copy(update={"retrain": True}))
    result = tick(retrain_sensor, instance, ports)
    (request,) = result.run_requests or []
    assert (request.partition_key, request.job_name) == ("much", "training_job")
    assert request.tags["dawa/retrain"] == "30% of the dataset is new"
    leave_run(instance, request, dg.DagsterRunStatus.FAILURE)
    assert slugs(tick(retrain_sensor, instance, ports, result.cursor)) == []


def uploaded(ports: Ports, slug: str, seconds: float) -> None:
    """A file that was taken in so many seconds after the dataset that was trained on; the newer one is from a second
    after it."""
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into uploads (artist_id, upload_id, inbox_key, name, kind, sha256, size_bytes, state, updated_at) "
            "select a.id, 'one', 'inbox/' || a.slug || '/one/' || %(at)s, 'Set.als', 'live_set', md5(a.slug), 1, "
            "'taken', min(d.created_at) + %(at)s * interval '1 second' "
            "from artists a join datasets d on d.artist_id = a.id where a.slug = %(slug)s group by a.id",
            {"slug": slug, "at": seconds},
        )


def test_a_dataset_that_an_upload_changed_is_trained_on_once(
    instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist
) -> None:
    for name, seconds in (("Changed", 0.5), ("Long ago", -5), ("Not yet in it", 5), ("Same", 0.5)):
        trained_on(ports, make_artist(name).slug, 0.1)
        uploaded(ports, name.lower().replace(" ", "-"), seconds)
    with ports.database.transaction() as connection:  # this one's content is that of the last training
        connection.execute(
            "update training_runs r set dataset_id = (select id from datasets d where d.artist_id = r.artist_id "
            "order by finished_at desc limit 1) where artist_id = (select id from artists where slug = 'same')"
        )
    upload = leave(instance, "upload_job", {"dagster/partition": "changed"}, dg.DagsterRunStatus.STARTED)
    assert "in hand (changed: " in str(tick(retrain_sensor, instance, ports).skip_reason)
    instance.report_run_canceled(upload)
    (request,) = tick(retrain_sensor, instance, ports).run_requests or []
    assert (request.partition_key, request.job_name) == ("changed", "training_job")
    assert request.tags["dawa/retrain"] == "an upload changed the dataset"
    with ports.database.transaction() as connection:  # the training was begun, and its machine died
        connection.execute(
            "insert into training_runs (artist_id, dataset_id, fingerprint, backend, base, model_name, parameters, "
            "state) select artist_id, id, 'g', 'ace_step', 'tiny', %s, '{}', 'failed' from datasets "
            "where fingerprint = 'content 1 0.1' and artist_id = (select id from artists where slug = 'changed')",
            [ports.settings.model_name],
        )
    assert "1 standing (changed: failed before" in str(tick(retrain_sensor, instance, ports).skip_reason)
    leave_run(instance, request, failure="environment")
    assert "1 waiting (changed: until" in str(tick(retrain_sensor, instance, ports).skip_reason)
    leave_run(instance, request)
    assert "1 standing (changed: failed once" in str(tick(retrain_sensor, instance, ports).skip_reason)


def test_an_upload_whose_run_failed_is_taken_in_then_trained_on(
    instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist
) -> None:
    trained_on(ports, make_artist("Nova").slug, 0.1)
    ports.bucket.put("inbox/nova/one/Set.als", b"x")
    ports.bucket.put(complete_key("nova", "one"), b"")
    (first,) = tick(inbox_sensor, instance, ports).run_requests or []
    ports.bucket.delete(["inbox/nova/one/Set.als", complete_key("nova", "one")])  # it was taken in, and then …
    uploaded(ports, "nova", 0.5)
    failed = leave_run(instance, first, failure="environment")
    told = tick(retrain_sensor, instance, ports)
    assert slugs(told) == []
    assert f"trained on once run {failed.run_id[:8]} (upload_job)" in str(told.skip_reason)
    assert "1 waiting (nova: until" in str(tick(inbox_sensor, instance, ports).skip_reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_requests, "FIRST_PAUSE_SECONDS", 0.0)
        (again,) = tick(inbox_sensor, instance, ports).run_requests or []
    assert again.tags[run_requests.WORK] == first.tags[run_requests.WORK]
    assert again.tags["dagster/priority"] == first.tags["dagster/priority"]
    leave_run(instance, again, dg.DagsterRunStatus.SUCCESS)
    assert "nothing new in the inbox" in str(tick(inbox_sensor, instance, ports).skip_reason)
    assert slugs(tick(retrain_sensor, instance, ports)) == ["nova"]


def test_training_on_items_excluded_since_triggers_retraining(
    instance: dg.DagsterInstance, ports: Ports, make_artist: MakeArtist
) -> None:
    artist = make_artist("Little")
    trained_on(ports, artist.slug, 0.1)
    object.__setattr__(ports, "settings", ports.settings.model_copy(update={"retrain": True}))
    assert slugs(tick(retrain_sensor, instance, ports)) == []
    with ports.database.transaction() as connection:
        connection.execute(
            "insert into training_items (artist_id, parse_id, audio_hash, excluded_at) values (%s, 'p', '3', now())",
            [artist.id],
        )
    (request,) = tick(retrain_sensor, instance, ports).run_requests or []
    assert request.tags["dawa/retrain"] == "the last training heard excluded items"
