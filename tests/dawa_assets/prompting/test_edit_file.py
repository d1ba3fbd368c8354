"""Files of texts: what spreadsheets and scripts write is read row by row, and a bad row costs nothing but itself."""

import csv
import io
import json
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dawa_assets.prompting.texts_file import Row, read_texts
from dawa_assets.tables.artists import Artist
from modal_app.errors import InputError
from resources.ports import Ports
from tests.dawa_assets.prompting.commands import Dawa, dawa_on
from tests.dawa_assets.prompting.material import everything, give_set, item, rows, summary

MINE = "Dusty drums under a slow, glowing organ.\nBPM: 122"


@pytest.fixture
def dawa(ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dawa:
    return dawa_on(ports, monkeypatch, capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "texts.csv"


# What a spreadsheet cell can hold; the spaces around a text are not part of it.
cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=60).map(str.strip)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.tuples(cells.filter(bool), cells, cells), max_size=8),
    separator=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    order=st.permutations(["item", "Text ", "AUTHOR", "notes"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_whatever_a_spreadsheet_writes_is_read_as_it_was_meant(
    file: Path, texts: list[tuple[str, str, str]], separator: str, end: str, mark: str, order: list[str], quoting: int
) -> None:
    target = io.StringIO()
    writer = csv.DictWriter(target, order, delimiter=separator, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writeheader()
    starts = []
    for name, text, author in texts:
        starts.append(target.getvalue().count("\n") + 1)
        writer.writerow({"item": name, "Text ": text, "AUTHOR": author, "notes": "x"})
    file.write_bytes((mark + target.getvalue()).encode())
    assert list(read_texts(file)) == [
        Row(line, name, text, author) for line, (name, text, author) in zip(starts, texts, strict=True)
    ]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=300), st.text(alphabet='a,";\n\r\t\x00 é', max_size=300).map(str.encode)))
def test_any_bytes_give_rows_or_one_line(file: Path, content: bytes) -> None:
    file.write_bytes(b"item,text\n" + content)
    before = 1
    for row in read_texts(file):
        assert before < row.line <= content.count(b"\n") + 2
        before = row.line
        assert row.problem is None or row.problem.isprintable()
    file.write_bytes(content)
    with suppress(InputError):
        list(read_texts(file))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no column 'item'"),
        (b"\n", "no column 'item'"),
        (b"name,text\nOne,x", "no column 'item'"),
        (b"item;words\n", "no column 'text'"),
        (b"item,text,Item\n", "two columns called 'item'"),
        (b"item,t\xe9xt\n", "first line byte 7 is not UTF-8"),
        (b"i" * 300_000, "more than 100,000 bytes"),
    ],
)
def test_a_first_line_without_the_columns_is_refused(file: Path, content: bytes, why: str) -> None:
    file.write_bytes(content)
    with pytest.raises(InputError, match=why):
        list(read_texts(file))


def test_a_bad_row_is_told_with_its_line_and_the_next_is_read(file: Path) -> None:
    file.write_bytes(
        b'item,text\r\nA,"two\r\nlines"\r\nB\r\n\r\nC,"so" it says\r\nD,caf\xe9\r\n,x\r\nE,'
        + b"x" * 250_000
        + b"\r\nF,last, one\r\nG,fine"
    )
    assert [(row.line, row.item, row.problem) for row in read_texts(file)] == [
        (2, "A", None),
        (4, "", "has 1 fields where the first line has 2; put a text with commas in double quotes"),
        (6, "", "is no CSV (',' expected after '\"'); mend its quotes"),
        (7, "", "byte 6 is not UTF-8; save the file as UTF-8"),
        (8, "", "names no item"),
        (9, "", "has more than 100,000 bytes; a prompt has some hundred"),
        (10, "", "has 3 fields where the first line has 2; put a text with commas in double quotes"),
        (11, "G", None),
    ]


def test_a_quote_that_is_never_closed_takes_no_other_rows_text(file: Path) -> None:
    file.write_text('item,text\nA,"open\n' + "B,fine\n" * 50_000)
    found = list(read_texts(file))
    assert found[0].line == 2
    assert found[0].problem is not None
    assert all(row.text == "fine" for row in found if row.problem is None)


def test_a_huge_file_is_not_held_in_memory(file: Path) -> None:
    with file.open("w") as target:
        target.write("item,text\n")
        for number in range(40_000):
            target.write(f"{number},A text of some length that says little of much.\n")
    tracemalloc.start()
    count = sum(1 for _ in read_texts(file))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 40_000
    assert most < 1_000_000


def test_import_stores_says_and_goes_on(ports: Ports, artist: Artist, dawa: Dawa, file: Path) -> None:
    items = [give_set(ports.database, artist, summary(122, name), name) for name in ("One", "Two", "Three")]
    file.write_bytes(
        (f'\ufeffitem;text;author\r\nOne;"{MINE}";Grace\r\n{items[1]};"Drums; and bass.";\r\nFour;x;\r\n').encode()
    )
    said = dawa("prompt", "import", file, "--author", "Ada")
    assert said.code == 2
    assert said.out.splitlines() == [
        f"{file}: 2 texts stored, 0 unchanged, 1 row refused",
        "Next: dawa build --artist test-artist",
    ]
    told = [line.removeprefix(f"dawa: {file}: ") for line in said.err.splitlines()]
    assert [line[:60] for line in told] == [
        "line 5: refused: item 'Four': no item has this id, key or se",
        "line 4: stored all the same: Two/Two: breaks ends-with-bpm: ",
    ]
    assert [item(ports.database, each)["prompt_text"] for each in items] == [MINE, "Drums; and bass.", None]
    assert [item(ports.database, each)["status"] for each in items] == ["ready", "ready", "needs_prompt"]
    assert {row["author"] for row in rows(ports.database, "select author from prompts")} == {"Ada", "Grace"}
    before = everything(ports.database)
    again = dawa("prompt", "import", file, "--author", "Ada", "--json")
    plain = json.loads(again.out)
    assert (again.code, plain["changed"], plain["unchanged"], plain["artists"]) == (2, 0, 2, [])
    assert plain["refused"][0][0] == 5
    assert everything(ports.database) == before


def test_import_of_a_file_without_a_mistake_ends_well(ports: Ports, artist: Artist, dawa: Dawa, file: Path) -> None:
    give_set(ports.database, artist, summary(122, "One"), "One")
    file.write_text(f'text,item\n"{MINE}",One/One\n')
    assert dawa("prompt", "import", file, "--artist", "Test Artist").code == 0
    refused = dawa("prompt", "import", file, "--artist", "nobody")
    assert (refused.code, refused.out) == (2, "")
    assert "artist 'nobody'" in refused.err
