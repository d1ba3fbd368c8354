"""What the benchmarks of the automation share: a database in which nothing is to do, and an instance that knows it."""

from pathlib import Path


def fill(folder: Path, artists: int, items_each: int) -> None:
    """So many artists with profiles, finished prompts, exported items, current datasets and trainings of these."""
    import psycopg

    from dawa_assets.tables.datasets import _FINGERPRINT

    with psycopg.connect(ports(folder).database.url(), autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")  # no trigger: each row is as it would leave it
        connection.execute(
            "insert into artists (name, slug, number) select 'Artist ' || i, 'artist-' || i, i "
            "from generate_series(1, %s) i",
            [artists],
        )
        connection.execute(
            "insert into artist_profiles (artist_id, name, master_schema) select id, name, jsonb_build_object("
            "'schema_version', '1.0', 'sound', (select string_agg(md5(i || slug), ' ') from generate_series(1, 40) i)) "
            "from artists"
        )
        connection.execute(
            "insert into artist_prompt_state "
            "(artist_id, profile_hash, schema_version, system_prompt_version, model_name) "
            "select artist_id, content_hash, schema_version, 'train-v1', 'offline-v1' from artist_profiles"
        )
        connection.execute(
            "insert into als_summaries (artist_id, als_filename, parse_id, summary) "
            "select id, 'Set ' || i || '.als', left(md5(slug || ' ' || i), 12), '{}' "
            "from artists, generate_series(1, %s) i",
            [items_each],
        )
        connection.execute(
            "insert into prompts (artist_id, als_summary_id, fingerprint, origin, text, system_prompt_version, "
            "schema_version, profile_hash, model_name) select artist_id, id, md5(id::text), 'model', "
            "'A warm evening groove with a round bass, brushed drums and slow chords that open up late. ' || parse_id, "
            "'train-v1', '1.0', '', 'offline-v1' from als_summaries"
        )
        connection.execute(
            "insert into training_items (artist_id, als_summary_id, prompt_summary_id, parse_id, item_key, status, "
            "prompt_id, prompt_text, audio_path, audio_hash, audio_format) select s.artist_id, s.id, s.id, s.parse_id, "
            "s.als_filename, 'exported', p.id, p.text, 'artists/x/' || s.id, md5(s.id::text) || md5(p.id::text), 'mp3' "
            "from als_summaries s join prompts p on p.als_summary_id = s.id"
        )
        connection.execute(
            f"with wanted as (select artist_id, {_FINGERPRINT} as fingerprint from training_items group by 1) "
            "insert into datasets "
            "(artist_id, fingerprint, state, storage_path, manifest_path, item_count, finished_at) "
            "select artist_id, fingerprint, 'done', 'artists/x/z', 'artists/x/j', %s, now() from wanted",
            [items_each],
        )
        connection.execute(
            "insert into training_runs (artist_id, dataset_id, fingerprint, backend, base, model_name, parameters, "
            "state, finished_at) "
            "select artist_id, id, '', 'ace_step', 'tiny', 'nawfside_lora', '{}', 'done', now() from datasets"
        )
        connection.execute("vacuum analyze")


def ports(folder: Path):  # type: ignore[no-untyped-def]
    """The ports of the benchmark's home, which trains by itself and has somebody to tell."""
    return pipeline(folder).ports()


def pipeline(folder: Path):  # type: ignore[no-untyped-def]
    """The resource that sensors are handed."""
    from dawa_assets.defs.resources import Pipeline

    return Pipeline(
        overrides={"home": str(folder / "home"), "retrain": "true", "alert_webhook_url": "http://127.0.0.1:9/nobody"}
    )


def instance(folder: Path):  # type: ignore[no-untyped-def]
    """Dagster's instance of the benchmark's home."""
    from dawa_assets.defs.run import open_instance

    return open_instance(ports(folder).settings)
