"""Many rows as one statement's parameters: a list a column, for `unnest`."""

from collections.abc import Iterable, Mapping
from typing import Any

AT_ITS_PLACE = "now() + (w.place - 1) * interval '1 microsecond'"
"""When a row is made, of `unnest(...) with ordinality as w (..., place)`: a microsecond after the one before it.

Rows of one statement would all be of one moment; so whatever is sorted by its time stays in the order of the rows.
"""


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
