import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LISTED = PROJECT["tool"]["setuptools"]["packages"]
TOPS = sorted({package.split(".")[0] for package in LISTED})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the build's own folders never lie in the checkout."""
    if find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed here; it comes with the build")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in [*TOPS, "pyproject.toml", "README.md"]:
        if (ROOT / name).exists():
            subprocess.run(["cp", "-R", ROOT / name, source], check=True)
    if not (source / "README.md").exists():
        (source / "README.md").write_text("")
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", target, source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip does with a wheel of pure Python, without the seconds that pip takes."""
    target = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def _run(code: str, installed: Path, cwd: Path) -> str:
    """Run code that finds the project in `installed` only: this checkout is taken off the path."""
    hide = "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]; "
    check = "import dawa_assets; assert 'installed' in dawa_assets.__path__[0], dawa_assets.__path__; "
    child = subprocess.run(
        [sys.executable, "-c", hide + f"sys.path.insert(0, {str(installed)!r}); " + check + code],
        cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    return child.stdout


def test_every_package_of_the_tree_is_listed_and_nothing_else() -> None:
    tree = {".".join(init.parent.relative_to(ROOT).parts) for top in TOPS for init in (ROOT / top).rglob("__init__.py")}
    assert set(LISTED) == tree
    assert sorted(LISTED) == LISTED
    folders = {path.parent for top in TOPS for path in (ROOT / top).rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()


def test_the_wheel_holds_code_sql_prompts_and_the_page(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for top in TOPS
        for pattern in ("*.py", "py.typed", "*.sql", "*.toml", "system_prompts/*.md", "train_mode/*.*")
        for path in (ROOT / top).rglob(pattern)
    }
    assert wanted - names == set()
    shipped = {name for name in names if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in shipped} == set(TOPS)
    assert {name for name in shipped if not name.endswith((".py", "py.typed", ".sql", ".md", ".toml"))} == {
        str(path.relative_to(ROOT)) for path in (ROOT / "dawa_assets/http/train_mode").iterdir()
    }


def test_the_wheel_names_the_command_and_the_extras(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = {name.rpartition("/")[2]: archive.read(name).decode() for name in archive.namelist() if "info/" in name}
    assert "dawa = dawa_assets.cli.main:main" in info["entry_points.txt"]
    for extra in ("train", "hosted", "dev"):
        assert f"Provides-Extra: {extra}" in info["METADATA"]
    required = [line for line in info["METADATA"].splitlines() if line.startswith("Requires-Dist")]
    assert not [line for line in required if "torch" in line and "extra" not in line]


def test_the_installed_wheel_has_its_migrations(installed: Path, tmp_path: Path) -> None:
    code = (
        "from importlib.resources import files; "
        "print(*sorted(p.name for p in files('sql').joinpath('migrations').iterdir() if p.name.endswith('.sql')))"
    )
    here = sorted(path.name for path in (ROOT / "sql" / "migrations").glob("*.sql"))
    assert _run(code, installed, tmp_path).split() == here


def test_the_installed_wheel_loads_definitions_and_commands(installed: Path, tmp_path: Path) -> None:
    code = (
        "import dawa_assets.cli.main, dawa_assets.definitions as d; "
        "print(len(list(d.defs().resolve_all_asset_keys())), dawa_assets.__path__[0])"
    )
    count, where = _run(code, installed, tmp_path).split(maxsplit=1)
    assert int(count) >= 9
    assert Path(where.strip()).parent == installed


def test_an_installed_project_keeps_state_in_the_home_folder(installed: Path, tmp_path: Path) -> None:
    home = _run("from resources.settings import Settings; print(Settings().home)", installed, tmp_path).strip()
    assert Path(home) == Path.home() / ".dawa"
