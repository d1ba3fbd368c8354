"""The Dagster code location that `workspace.yaml` points at."""

from dawa_assets.defs.code_location import build_defs

defs = build_defs()
