"""What a report becomes on the asset's page."""

import re
from dataclasses import dataclass, field
from uuid import uuid4

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.defs.metadata import MAX_ROWS, describe, file_url, files, label, picture, picture_at, table
from dawa_assets.defs.text_diff import before_and_after, marked
from dawa_assets.prompting.refresh import PromptExample


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


def test_what_is_read_comes_first_then_figures() -> None:
    assert list(describe(Report(), without=["key"])) == [
        "headline",
        "taken",
        "rejected",
        "files",
        "losses",
        "taken (number)",
        "rejected (number)",
        "files (number)",
        "seconds",
    ]


@dataclass(frozen=True)
class Quiet:
    headline: str = "nothing to do"
    taken: list[str] = field(default_factory=list)
    by_status: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    cost_usd: float = 0.0
    note: str = ""
    changed: bool = False
    fingerprint: str = "0" * 64
    rendered: list[dict[str, object]] = field(
        default_factory=lambda: [{"by": "base", "peak_db": -1.0, "cut": {"a": 1}}]
    )


def test_what_did_not_happen_is_left_out_and_no_dict_is_text() -> None:
    shown = describe(Quiet())
    assert list(shown) == ["headline", "rendered", "changed", "fingerprint", "rendered (number)"]
    assert shown["fingerprint"] == dg.MetadataValue.text("000000000000…")
    rendered = shown["rendered"]
    assert isinstance(rendered, dg.TableMetadataValue)
    assert dict(rendered.records[0].data) == {"by": "base", "peak, dB": -1.0, "cut": "a 1"}


def test_few_rows_of_many_figures_stand_upright() -> None:
    figures = {f"figure_{number}": number + 1 for number in range(6)}
    value = describe(Quiet(rendered=[{"by": "base", **figures}, {"by": "lora", **figures}]))["rendered"]
    assert isinstance(value, dg.TableMetadataValue)
    assert [column.name for column in value.schema.columns] == ["by", "base", "lora"]
    assert dict(value.records[0].data) == {"by": "figure 0", "base": 1, "lora": 1}


def test_hashes_give_way_to_what_people_read() -> None:
    value = table([{"item": "a", "seconds": 1.5, "sha": "0" * 64, "segments": 3, "silent": 0}])
    assert isinstance(value, dg.TableMetadataValue)
    assert [column.name for column in value.schema.columns] == ["item", "seconds", "segments"]


def test_a_column_without_a_word_in_it_is_left_out() -> None:
    value = table([{"item": "a", "note": "", "error": None}, {"item": "b", "note": "", "error": None}])
    assert isinstance(value, dg.TableMetadataValue)
    assert [dict(record.data) for record in value.records] == [{"item": "a"}, {"item": "b"}]


def test_what_is_shown_otherwise_is_left_out() -> None:
    assert not {"losses", "taken", "taken (number)"} & set(describe(Report(), without=["losses", "taken"]))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cost_usd", "cost, USD"),
        ("size_bytes", "size, bytes"),
        ("spectrum_change_db", "spectrum change, dB"),
        ("training_seconds", "training, s"),
        ("seconds", "seconds"),
        ("kept_step", "kept step"),
    ],
)
def test_a_field_is_named_in_words_with_its_unit(name: str, said: str) -> None:
    assert label(name) == said


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


def test_columns_for_machines_go_behind_those_that_people_read() -> None:
    value = table([{"run": uuid4(), "item": "A", "sha": "0" * 64, "path": "artists/a/b.zip", "note": "-"}])
    assert isinstance(value, dg.TableMetadataValue)
    assert [column.name for column in value.schema.columns] == ["item", "note", "run", "sha", "path"]


def test_many_losses_are_thinned_and_that_is_reported() -> None:
    value = describe(Report(losses=[float(number) for number in range(1000)]))["losses"]
    assert str(value.value).endswith("(every 50th of 1000)")
    assert len(str(value.value)) < 150


def test_files_are_links_only_where_served_and_never_signed() -> None:
    key = "artists/a b/loras/1/preview (1).wav"
    named = str(files({key: 1234, "artists/a b/x": None}, None).value)
    assert named.splitlines() == [
        "- `artists/a b/loras/1/`",
        r"    - preview \(1\)\.wav, 1,234 bytes",
        "- `artists/a b/`",
        "    - x",
    ]
    linked = str(files({key: 1234}, "https://dawa.example.com/").value)
    assert linked.startswith("- [")
    assert "(https://dawa.example.com/files/artists/a%20b/loras/1/preview%20%281%29.wav)" in linked
    assert "?" not in linked


def test_a_rewritten_prompt_shows_what_went_and_what_came() -> None:
    value = before_and_after([PromptExample("A/B", "Warm house.\nBPM: 120", "Cold house.\nBPM: 120", "profile")])
    assert str(value.value).splitlines() == [
        "**A/B** (profile)",
        r"- old: ~~Warm~~ house\. BPM: 120",
        r"- new: **Cold** house\. BPM: 120",
    ]
    first = str(before_and_after([PromptExample("A/B", "", "Cold house.", "missing")]).value)
    assert first.splitlines() == ["**A/B** (missing)", r"- new: Cold house\."]


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_breaks_out_of_its_line(before: str, after: str) -> None:
    for told in marked(before, after):
        assert len(told.splitlines()) <= 1
        assert re.search(r"(?<!\\)(\\\\)*[<`\[|]", told) is None


def test_a_long_table_says_how_much_it_left_out() -> None:
    value = table([{"number": number} for number in range(MAX_ROWS + 7)])
    assert isinstance(value, dg.TableMetadataValue)
    assert len(value.records) == MAX_ROWS + 1
    assert value.records[-1].data["number"] == "… and 7 more"


def test_a_served_picture_is_a_short_link_that_shows_in_place() -> None:
    told = str(picture_at(file_url("http://127.0.0.1:1/", "artists/a b/x.png"), "A [b]").value)
    whole = "http://127.0.0.1:1/files/artists/a%20b/x.png"
    assert told == rf"[![A \[b\]]({whole}?width=460)]({whole})"


def test_a_picture_is_inline_unless_too_large_for_the_event_log() -> None:
    assert "data:image/png;base64," in str(picture(b"\x89PNG", "curve").value)
    assert picture(b"x" * 500_000, "curve") == dg.MetadataValue.text("curve: 500,000 bytes, open the file")
