"""The Dagster face: the only package that imports Dagster, one file per Dagster concept."""
