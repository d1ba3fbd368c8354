"""Metadata: turns the reports of domain functions into what the Dagster UI shows and plots.

Numbers stay numbers (the UI plots them over time), lists of rows become tables with a schema, pictures become
inline images. Keys of files are shown, never links that expire.
"""

import base64
import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from urllib.parse import quote
from uuid import UUID

import dagster as dg

from dawa_assets.pipeline.reports import Report, figures_of
from dawa_assets.plots.png_size import at_most

MAX_ROWS = 200
_MAX_PICTURE_BYTES = 150_000
_PAGE_WIDTH = 460  # pixels that a value has on a page of 1600
_NARROW = 3  # columns that leave room for a text among them
_MAX_NUMBERS = 20  # in a row of them: the picture shows the rest
_HASH = re.compile(r"[0-9a-f]{64}")
_MACHINES = re.compile(r"[0-9a-f]{64}$|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}$|(artists|training_data)/")
_UNITS = {"usd": "USD", "bytes": "bytes", "seconds": "s", "db": "dB"}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$])")


def describe(report: Report, *, without: Sequence[str] = ()) -> dict[str, dg.MetadataValue]:
    """Return the fields of a report dataclass as metadata: its headline first, then tables, then words, then figures.

    A list becomes a table and, beside it, its length as a figure of its own, so that the UI can plot it. What is empty
    or zero is left out: it would say that nothing happened, line by line.
    """
    words: dict[str, dg.MetadataValue] = {}
    figures: dict[str, dg.MetadataValue] = {}
    tables: dict[str, dg.MetadataValue] = {}
    for field, value in figures_of(report).items():
        if field in without:
            continue
        name = label(field)
        if value is not True and value is not False and not value:
            continue
        if isinstance(value, list | tuple) and not (value and isinstance(value[0], float)):
            figures[f"{name} (number)"] = dg.MetadataValue.int(len(value))
            tables[name] = _sequence(list(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            figures[name] = _metadata(value)
        else:
            words[name] = _metadata(value)
    headline = {"headline": dg.MetadataValue.text(report.headline)}
    return {**headline, **tables, **words, **figures}


def schema(relation: str, *, made_by: str, **columns: str) -> dict[str, object]:
    """What an asset writes to, the table and the columns that a reader would look for, and the function that does it.

    Args:
        relation: the table.
        made_by: the function, by its module: a file's path would be that of the machine that loads this.
        columns: by name the type and, behind a colon, what it holds.
    """
    described = {name: text.partition(": ") for name, text in columns.items()}
    return {
        "made by": made_by,
        "dagster/table_name": f"public.{relation}",
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(name, kind, says or None) for name, (kind, _, says) in described.items()]
        ),
    }


def label(name: str) -> str:
    """Return a field's name as people read it: words, and its unit behind a comma."""
    words = name.split("_")
    if len(words) > 1 and words[-1] in _UNITS:
        return f"{' '.join(words[:-1])}, {_UNITS[words[-1]]}"
    return "seconds" if name == "seconds" else " ".join(words)


def picture(png: bytes, title: str) -> dg.MetadataValue:
    """Return a PNG, shown in place; one that can't be made small enough for the event log is only named."""
    small = at_most(png, _MAX_PICTURE_BYTES)
    if small is None:
        return dg.MetadataValue.text(f"{title}: {len(png):,} bytes, open the file")
    return dg.MetadataValue.md(f"![{escaped(title)}](data:image/png;base64,{base64.b64encode(small).decode()})")


def picture_at(url: str, title: str) -> dg.MetadataValue:
    """Return a picture that the browser fetches, as wide as an asset's page has room for; a click opens all of it."""
    return dg.MetadataValue.md(f"[![{escaped(title)}]({url}?width={_PAGE_WIDTH})]({url})")


def file_url(serve_url: str, key: str) -> str:
    """Return where `dawa serve` at this address has a file of the bucket."""
    return f"{serve_url.rstrip('/')}/files/{quote(key)}"


def files(sizes: Mapping[str, int | None], serve_url: str | None) -> dg.MetadataValue:
    """Files of the bucket by key and size in bytes, as links through `dawa serve` where that has a known address.

    Never a signed link: it would expire on the page, and open the file to whoever reads the event log.
    """
    lines = []
    by_folder = _by_folder(list(sizes)[:MAX_ROWS])
    where_is_known = serve_url is not None and len(by_folder) == 1  # a folder's name may be wider than the page
    for folder, keys in by_folder.items():
        indent = "" if where_is_known else "    "
        if not where_is_known:
            lines.append(f"- `{folder}/`")
        for key in keys:
            name = escaped(key.rpartition("/")[2])
            link = name if serve_url is None else f"[{name}]({file_url(serve_url, key)})"
            size = sizes[key]
            lines.append(f"{indent}- {link}" if size is None else f"{indent}- {link}, {size:,} bytes")
    return dg.MetadataValue.md("\n".join(lines) or "none")


def _by_folder(keys: Sequence[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for key in keys:
        folders.setdefault(key.rpartition("/")[0], []).append(key)
    return folders


def escaped(text: str) -> str:
    """Text on one line that markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def moment(at: datetime) -> str:
    """Return a time for people: to the minute, in UTC (the column's name says so)."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def table(
    rows: Sequence[Mapping[str, object]], *, of: int | None = None, keep: Collection[str] = ()
) -> dg.MetadataValue:
    """Return rows as a table; at most `MAX_ROWS` of them, without columns in which nothing is said but nothing.

    Columns of ids, hashes and keys come last, and go where there are others enough to fill a page; those of `keep` stay
    where they are, for what is wrong may be a file.

    A `…` row says how many were left out, here or before (`of`).
    """
    if not rows:
        return dg.MetadataValue.text("none")
    shown = [{name: _short(_cell(value)) for name, value in row.items()} for row in rows[:MAX_ROWS]]
    named = [name for name in rows[0] if any(_says_something(row[name]) for row in shown)] or list(rows[0])
    for_machines = [
        name for name in named if name not in keep and any(_is_for_machines(row[name]) for row in rows[:MAX_ROWS])
    ]
    names = [name for name in named if name not in for_machines]
    if len(names) < _NARROW:
        names += for_machines
    columns = [dg.TableColumn(name, _column_type(shown, name)) for name in names]
    if (left_out := max(len(rows), of or 0) - len(shown)) > 0:
        shown.append({columns[0].name: f"… and {left_out:,} more"})
        columns[0] = dg.TableColumn(columns[0].name, "string")
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: row.get(name) for name in names if name in row}) for row in shown],
        schema=dg.TableSchema(columns=columns),
    )


def _metadata(value: object) -> dg.MetadataValue:
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
    if (row := _labelled(value)) is not None:
        return table([row])
    return dg.MetadataValue.text(str(_short(_cell(value))))


def _sequence(values: list[object]) -> dg.MetadataValue:
    if not values:
        return dg.MetadataValue.text("none")
    if rows := [row for value in values if (row := _labelled(value)) is not None]:
        return table(rows)
    if rows := [
        {label(str(name)): item for name, item in value.items()} for value in values if isinstance(value, dict)
    ]:
        return table(_upright(rows))
    if pairs := [value for value in values if isinstance(value, tuple)]:
        return table([dict(zip(("name", "detail", "more"), pair, strict=False)) for pair in pairs])
    if numbers := [value for value in values if isinstance(value, float)]:
        shown = numbers if len(numbers) <= _MAX_NUMBERS else numbers[:: -(-len(numbers) // _MAX_NUMBERS)]
        left_out = "" if shown is numbers else f" (every {len(numbers) // len(shown)}th of {len(numbers)})"
        return dg.MetadataValue.text(" ".join(f"{value:.4g}" for value in shown) + left_out)
    return dg.MetadataValue.md("\n".join(f"- {value}" for value in values[:MAX_ROWS]))


def _upright(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return few rows of many figures as columns of their own, named by what stands in the first one."""
    first, *names = rows[0]
    if len(rows) > _NARROW or len(names) <= _NARROW:
        return rows
    return [{first: name, **{str(row[first]): row.get(name) for row in rows}} for name in names]


def _labelled(row: object) -> dict[str, object] | None:
    """Return the fields of a dataclass by their labels; None for anything else."""
    if not dataclasses.is_dataclass(row) or isinstance(row, type):
        return None
    return {label(name): value for name, value in dataclasses.asdict(row).items()}


def _short(value: str | int | float | bool | None) -> str | int | float | bool | None:
    """Return a whole hash would push every other column out of sight; the row in the database has it."""
    return f"{value[:12]}…" if isinstance(value, str) and _HASH.fullmatch(value) else value


def _says_something(value: str | int | float | bool | None) -> bool:
    return value not in (None, "") and (isinstance(value, bool) or value != 0)


def _is_for_machines(value: object) -> bool:
    """Return whether it is an id, a hash or a key: a column of such goes behind those that people read."""
    return isinstance(value, UUID) or (isinstance(value, str) and _MACHINES.match(value) is not None)


def _cell(value: object) -> str | int | float | bool | None:
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, UUID | Enum):
        return str(value)
    if isinstance(value, list | tuple):
        return ", ".join(str(_cell(item)) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{label(str(name))} {_cell(item)}" for name, item in value.items())
    return str(value)


def _column_type(rows: Sequence[Mapping[str, object]], name: str) -> str:
    kinds = {type(row[name]) for row in rows if row.get(name) is not None}
    if kinds == {bool}:
        return "bool"
    if kinds == {int}:
        return "int"
    return "float" if kinds and kinds <= {int, float} else "string"
