"""Many rows as one statement's parameters: a list a column, for `unnest`."""

from collections.abc import Iterable, Mapping
from typing import Any


def columns_of(rows: Iterable[object], kinds: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return the values of the rows' attributes, a list each, by the names that `kinds` has.

    Whole numbers of a column of `float8` become floats: psycopg refuses lists of both.
    """
    each = list(rows)
    return {
        name: [_float(getattr(row, name)) if kind == "float8" else getattr(row, name) for row in each]
        for name, kind in kinds.items()
    }


def arrays(kinds: Mapping[str, str]) -> str:
    """Return the arguments of an `unnest` of what `columns_of` gives: `%(id)s::uuid[], %(name)s::text[]`."""
    return ", ".join(f"%({name})s::{kind}[]" for name, kind in kinds.items())


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
