"""A CSV file of texts for items, read row by row: whatever a spreadsheet or a script writes, of any length.

A row that can't be used comes with its problem instead of its text; only what makes the rest unreadable is an error.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from modal_app.errors import InputError

COLUMNS = ("item", "text", "author", "artist")
_NEEDED = COLUMNS[:2]
_MAX_LINE_LENGTH = 100_000  # bytes; below what the csv module takes for one field


@dataclass(frozen=True)
class Row:
    """One text. `line` is where its row begins in the file, from 1."""

    line: int
    item: str
    text: str
    author: str = ""
    artist: str = ""
    problem: str | None = None


def read_texts(path: Path) -> Iterator[Row]:
    """Yield the file's rows as they are needed; empty ones are left out.

    UTF-8 with or without a byte order mark, lines that end with LF or CRLF, fields in double quotes where they hold the
    separator (a comma, a semicolon or a tab: the one that the first line uses), a quote or a line break.

    Raises:
        InputError: it can't be read, or its first line does not name the columns.
    """
    try:
        with path.open("rb") as file:
            yield from _rows(path, _Lines(file))
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror}); name a CSV file") from None


class _UnreadableLineError(Exception):
    """A line that is no text; those after it may be."""


class _Lines:
    """The lines of a file, also those after one that can't be read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._file.readline(_MAX_LINE_LENGTH)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == _MAX_LINE_LENGTH:
            while line and not line.endswith(b"\n"):
                line = self._file.readline(_MAX_LINE_LENGTH)
            raise _UnreadableLineError(f"has more than {_MAX_LINE_LENGTH:,} bytes; a prompt has some hundred")
        try:
            return line.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise _UnreadableLineError(f"byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None


def _rows(path: Path, lines: _Lines) -> Iterator[Row]:
    try:
        first = next(lines, "")
    except _UnreadableLineError as error:
        raise InputError(f"{path}: its first line {error}") from None
    columns = _columns(path, first)
    reader = csv.reader(lines, delimiter=_separator(first), strict=True)
    while True:
        line = lines.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, "", "", problem=f"is no CSV ({error}); mend its quotes")
        except _UnreadableLineError as error:
            yield Row(lines.number, "", "", problem=str(error))
        else:
            if any(field.strip() for field in fields):
                yield _row(line, columns, fields)


def _separator(first: str) -> str:
    return max(",;\t", key=first.count)


def _columns(path: Path, first: str) -> dict[str, int]:
    try:
        names = [name.strip().casefold() for name in next(csv.reader([first], delimiter=_separator(first)), [])]
    except csv.Error:
        names = []
    for name in COLUMNS:
        if names.count(name) > 1:
            raise InputError(f"{path}: has two columns called {name!r}; keep one")
        if name in _NEEDED and name not in names:
            raise InputError(f"{path}: its first line names no column {name!r}; it must name item and text")
    return {name: names.index(name) for name in COLUMNS if name in names} | {"": len(names)}


def _row(line: int, columns: dict[str, int], fields: list[str]) -> Row:
    if len(fields) != columns[""]:
        wanted = f"{len(fields)} fields where the first line has {columns['']}"
        return Row(line, "", "", problem=f"has {wanted}; put a text with commas in double quotes")
    values = {name: fields[place].strip() for name, place in columns.items() if name}
    if not values["item"]:
        return Row(line, "", "", problem="names no item")
    return Row(line, **values)
