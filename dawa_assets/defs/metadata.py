"""Metadata: turns the reports of domain functions into what the Dagster UI shows and plots.

Numbers stay numbers (the UI plots them over time), lists of rows become tables with a schema, pictures become
inline images. Keys of files are shown, never links that expire.
"""

import base64
import dataclasses
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import dagster as dg

MAX_ROWS = 200
_MAX_PICTURE_BYTES = 400_000
_HASH = re.compile(r"[0-9a-f]{64}")


def describe(report: Any) -> dict[str, dg.MetadataValue]:
    """Every field of a report dataclass as metadata: its headline first, then figures, then words and tables.

    A list becomes a table and, beside it, its length as a figure of its own, so that the UI can plot it.
    """
    words: dict[str, dg.MetadataValue] = {}
    figures: dict[str, dg.MetadataValue] = {}
    tables: dict[str, dg.MetadataValue] = {}
    for field in dataclasses.fields(report):
        value = getattr(report, field.name)
        if field.name == "headline":
            continue
        if isinstance(value, list | tuple) and not (value and isinstance(value[0], float)):
            figures[f"{field.name} (number)"] = dg.MetadataValue.int(len(value))
            if value:
                tables[field.name] = _sequence(list(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            figures[field.name] = _metadata(value)
        elif value is not None:
            words[field.name] = _metadata(value)
    headline = {"headline": dg.MetadataValue.text(report.headline)}
    return {**headline, **figures, **words, **tables}


def schema(relation: str, **columns: str) -> dict[str, Any]:
    """What an asset writes to: the table and the columns that a reader would look for."""
    return {
        "dagster/table_name": f"public.{relation}",
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(name, kind) for name, kind in columns.items()]),
    }


def picture(png: bytes, title: str) -> dg.MetadataValue:
    """A PNG, shown in place; one that is too large for the event log is only named."""
    if len(png) > _MAX_PICTURE_BYTES:
        return dg.MetadataValue.text(f"{title}: {len(png):,} bytes, open the file")
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")


def moment(at: datetime) -> str:
    """A time for people: to the minute, in UTC (the column's name says so)."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def table(rows: Sequence[dict[str, Any]], *, of: int | None = None) -> dg.MetadataValue:
    """Rows as a table; at most `MAX_ROWS` of them. A `…` row says how many were left out, here or before (`of`)."""
    if not rows:
        return dg.MetadataValue.text("none")
    shown = [{name: _short(_cell(value)) for name, value in row.items()} for row in rows[:MAX_ROWS]]
    columns = [dg.TableColumn(name, _column_type(shown, name)) for name in rows[0]]
    if (left_out := max(len(rows), of or 0) - len(shown)) > 0:
        shown.append({columns[0].name: f"… and {left_out:,} more"})
        columns[0] = dg.TableColumn(columns[0].name, "string")
    return dg.MetadataValue.table(
        records=[dg.TableRecord(row) for row in shown], schema=dg.TableSchema(columns=columns)
    )


def _metadata(value: Any) -> dg.MetadataValue:
    if isinstance(value, bool):
        return dg.MetadataValue.bool(value)
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(round(value, 4))
    if isinstance(value, list | tuple):
        return _sequence(list(value))
    if isinstance(value, dict):
        return table([{"name": str(name), "value": _cell(item)} for name, item in value.items()])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return table([dataclasses.asdict(value)])
    return dg.MetadataValue.text(str(_cell(value)))


def _sequence(values: list[Any]) -> dg.MetadataValue:
    if not values:
        return dg.MetadataValue.text("none")
    first = values[0]
    if dataclasses.is_dataclass(first):
        return table([dataclasses.asdict(value) for value in values])
    if isinstance(first, tuple):
        return table([dict(zip(("name", "detail", "more"), value, strict=False)) for value in values])
    if isinstance(first, float):
        return dg.MetadataValue.text(" ".join(f"{value:.4g}" for value in values))
    return dg.MetadataValue.md("\n".join(f"- {value}" for value in values[:MAX_ROWS]))


def _short(value: str | int | float | bool | None) -> str | int | float | bool | None:
    """A whole hash would push every other column out of sight; the row in the database has it."""
    return f"{value[:12]}…" if isinstance(value, str) and _HASH.fullmatch(value) else value


def _cell(value: Any) -> str | int | float | bool | None:
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if isinstance(value, UUID | Enum):
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(_cell(item)) for item in value)
    return str(value)


def _column_type(rows: list[dict[str, Any]], name: str) -> str:
    kinds = {type(row[name]) for row in rows if row.get(name) is not None}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int"
    return "float" if kinds and kinds <= {int, float} else "string"
