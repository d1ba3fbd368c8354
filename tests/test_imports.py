import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("dawa_assets", "resources", "modal_app")
HEAVY = {"torch", "diffusers", "transformers", "peft", "matplotlib"}
HEAVY |= {"librosa", "openai", "google.genai", "modal", "supabase"}
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
            assert node.level == 0, f"{_name(path)} has a relative import"
            found.add(node.module or "")
    return found


def _importers_of(*packages: str) -> set[str]:
    return {_name(path) for path in MODULES if any(name.split(".")[0] in packages for name in _imports(path))}


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
    assert not HEAVY & _loaded_by("from dawa_assets.definitions import defs")


def test_starting_the_command_line_imports_neither_heavy_packages_nor_dagster() -> None:
    loaded = _loaded_by("import dawa_assets.cli.main")
    assert not (HEAVY | {"dagster", "av", "soundfile", "scipy"}) & loaded


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
