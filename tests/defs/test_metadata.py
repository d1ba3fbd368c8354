"""What a report becomes on the asset's page."""

from dataclasses import dataclass, field

import dagster as dg

from dawa_assets.defs.metadata import MAX_ROWS, describe, picture, table


@dataclass(frozen=True)
class Row:
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Report:
    headline: str = "two taken in"
    taken: list[str] = field(default_factory=lambda: ["a", "b"])
    rejected: list[tuple[str, str]] = field(default_factory=lambda: [("c.als", "empty")])
    losses: list[float] = field(default_factory=lambda: [2.0, 1.5])
    files: list[Row] = field(default_factory=lambda: [Row("x", 3, "0" * 64)])
    key: str | None = None
    seconds: float = 1.23456


def test_the_headline_comes_first_then_figures_then_tables() -> None:
    assert list(describe(Report())) == [
        "headline",
        "taken (number)",
        "rejected (number)",
        "files (number)",
        "seconds",
        "losses",
        "taken",
        "rejected",
        "files",
    ]


def test_lengths_of_lists_are_figures_that_the_ui_can_plot() -> None:
    described = describe(Report())
    assert described["rejected (number)"] == dg.MetadataValue.int(1)
    assert described["seconds"] == dg.MetadataValue.float(1.2346)
    assert described["losses"] == dg.MetadataValue.text("2 1.5")


def test_rows_become_a_table_with_a_schema_and_short_hashes() -> None:
    value = describe(Report())["files"]
    assert isinstance(value, dg.TableMetadataValue)
    assert [(column.name, column.type) for column in value.schema.columns] == [
        ("name", "string"),
        ("size", "int"),
        ("sha256", "string"),
    ]
    assert dict(value.records[0].data) == {"name": "x", "size": 3, "sha256": "000000000000…"}


def test_a_long_table_says_how_much_it_left_out() -> None:
    value = table([{"number": number} for number in range(MAX_ROWS + 7)])
    assert isinstance(value, dg.TableMetadataValue)
    assert len(value.records) == MAX_ROWS + 1
    assert value.records[-1].data["number"] == "… and 7 more"


def test_a_picture_is_shown_in_place_unless_it_is_too_large_for_the_event_log() -> None:
    assert "data:image/png;base64," in str(picture(b"\x89PNG", "curve").value)
    assert picture(b"x" * 500_000, "curve") == dg.MetadataValue.text("curve: 500,000 bytes, open the file")
