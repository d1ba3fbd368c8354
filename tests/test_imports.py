import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("dawa_assets", "resources", "modal_app")
HEAVY = {"torch", "diffusers", "transformers", "peft", "matplotlib"}
HEAVY |= {"librosa", "openai", "google.genai", "modal", "supabase"}
SQL_PACKAGES = ("dawa_assets/tables/", "resources/database/", "dawa_assets/defs/history.py")  # last: Dagster's tables
SQL_STATEMENT = re.compile(
    r"[\s(]*(?:select\s(?:.*\sfrom\s|\s*[\w.]+\()|insert\s+into\s|update\s+[\w.]+(?:\s+(?:as\s+)?\w+)?\s+set\s.*=|delete\s+from\s"
    r"|with\s.*\bas\s+(?:(?:not\s+)?materialized\s*)?\(\s*(?:--.*\n\s*)?(?:select|insert|update|delete)\s)",
    re.IGNORECASE | re.DOTALL,
)
MODULES = sorted(path for package in (*LAYERS, "sql", "benchmarks") for path in (ROOT / package).rglob("*.py"))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path) -> set[str]:
    """Every module that a file imports anywhere, also inside functions and for type checking."""
    found: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def _importers_of(*packages: str) -> set[str]:
    named = [path for path in MODULES if any(package in path.read_text(encoding="utf-8") for package in packages)]
    return {_name(path) for path in named if any(name.split(".")[0] in packages for name in _imports(path))}


def _loaded_by(code: str) -> set[str]:
    child = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return set(json.loads(child.stdout.splitlines()[-1]))


def test_loading_the_definitions_imports_no_heavy_package() -> None:
    assert not HEAVY & _loaded_by("from dawa_assets.definitions import defs; defs()")


def test_the_command_line_imports_no_heavy_package_or_dagster() -> None:
    loaded = _loaded_by("import dawa_assets.cli.main")
    assert not (HEAVY | {"dagster", "av", "soundfile", "scipy"}) & loaded


def test_building_a_dataset_imports_nothing_that_measures() -> None:
    loaded = _loaded_by("import dawa_assets.datasets.build, resources.bucket.folder, resources.compute.local")
    assert not (HEAVY | {"dagster", "av", "soundfile", "scipy", "numpy"}) & loaded


def test_the_worker_protocol_is_light() -> None:
    loaded = _loaded_by("import modal_app.protocol.requests, modal_app.config")
    assert not (HEAVY | {"dagster", "psycopg", "numpy"}) & loaded


def test_the_product_never_imports_its_benchmarks_or_tests() -> None:
    importers = _importers_of("benchmarks", "tests")
    assert {name for name in importers if not name.startswith("benchmarks/")} == set()


def test_every_module_says_what_belongs_there() -> None:
    assert [_name(path) for path in MODULES if not ast.get_docstring(_tree(path))] == []


def test_an_init_holds_a_docstring_only() -> None:
    assert [_name(path) for path in MODULES if path.name == "__init__.py" and len(_tree(path).body) > 1] == []


def test_no_module_is_longer_than_one_concept() -> None:
    lines = {_name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_heavy_packages_are_imported_where_they_are_needed() -> None:
    found = {}
    for path in MODULES:
        top = [node for node in _tree(path).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in top if isinstance(node, ast.ImportFrom)}
        found[_name(path)] = {name for name in names if name in HEAVY or name.split(".")[0] in HEAVY}
    found["modal_app/app.py"] -= {"modal"}  # it declares the app, and nobody imports it
    assert {name: heavy for name, heavy in found.items() if heavy} == {}


def _text(node: ast.AST) -> str | None:
    """The text of a string, with a name in the place of what is filled in or added; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "filled_in" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (_text(node.left) or "filled_in") + (_text(node.right) or "filled_in")
    return None


def _sql(tree: ast.Module) -> list[str]:
    """Where a module holds an SQL statement or sends one; docstrings may speak of them."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("execute", "executemany"):
                found.append(f"line {node.lineno}: {ast.unparse(node.func)}(…)")
        elif id(node) not in docstrings and (text := _text(node)) and SQL_STATEMENT.match(text):
            found.append(f"line {node.lineno}: {text.strip()[:60]!r}")
    return found


def test_sql_stands_among_the_tables() -> None:
    others = [path for path in MODULES if _name(path).startswith(LAYERS) and not _name(path).startswith(SQL_PACKAGES)]
    assert {_name(path): found for path in others if (found := _sql(_tree(path)))} == {}


@pytest.mark.parametrize(
    "code",
    [
        'A = "select id from artists"',
        'A = "select now()"',
        'A = """\n  (select id,\n name from artists)"""',
        'A = f"select {COLUMNS} from artists"',
        'A = "select id, " + f"{NAME} from artists"',
        'A = "with one as (select 1) select * from one"',
        'A = "insert into artists (name) values (%s)"',
        'A = "UPDATE artists SET name = %s"',
        'A = f"update {TABLE} t set name = %s"',
        'A = "delete from artists"',
        "rows = connection.execute(QUERY)",
        "cursor.executemany(QUERY, rows)",
    ],
)
def test_sql_is_seen_wherever_it_stands(code: str) -> None:
    assert _sql(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        '"""Select rows from artists."""',
        'A = "with the adapter of a run"',
        'A = "update it, and set another"',
        'A = "selected from all"',
        'A = f"with {trait} in its melody"',
    ],
)
def test_words_are_not_taken_for_sql(code: str) -> None:
    assert _sql(ast.parse(code)) == []


def test_a_test_is_named_in_sixty_characters() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    functions = [name for text in texts for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE)]
    assert len(functions) > 1_000
    assert [name for name in functions if len(name) > 60] == []
