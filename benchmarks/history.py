"""What a build leaves in Dagster's home, and what a run leaves that finds nothing to do."""

import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks import _history, _home

WHAT = "`dawa build` when everything is made; what it and the first build leave in Dagster's home is in the figures"
PEER = "a run of nine assets that say hello, without checks"
FLOOR = "importing Dagster"
ROUNDS = 3

_KEPT = "history.json"
_MAX_BUILD, _MAX_NOOP = 450_000, 400_000  # of events


def setup(folder: Path) -> None:
    """The example artist; what its build left is kept."""
    from dawa_assets.defs.run import open_instance
    from resources.settings import Settings

    open_instance(Settings(home=folder / "home", dagster_home=None)).dispose()
    before = _history.records(folder, "home")
    _history.build_example(folder)
    _keep(folder, "a build", before, _history.records(folder, "home"))
    _history.materialize(folder, "hello")  # what is there once


def teardown(folder: Path) -> None:
    """End the database."""
    _home.stop_database(folder)


def ours(folder: Path) -> None:
    """A run that finds nothing to do."""
    before = _history.records(folder, "home")
    _history.dawa(folder, "build", "--artist", _history.SLUG)
    _keep(folder, "a build with nothing to do", before, _history.records(folder, "home"))


def peer(folder: Path) -> None:
    """As many assets that do nothing."""
    before = _history.records(folder, "hello")
    _history.materialize(folder, "hello")
    _keep(folder, "a hello world", before, _history.records(folder, "hello"))


def floor(folder: Path) -> None:
    """What any program has paid before its first line when it uses Dagster."""
    import dagster

    assert folder.is_dir()
    assert dagster


def figures(folder: Path) -> dict[str, float]:
    """Bytes of events, and of files, that one run adds."""
    kept = json.loads((folder / _KEPT).read_text(encoding="utf-8"))
    return {f"{what}, bytes of {kind}": size for what, sizes in kept.items() for kind, size in sizes.items()}


def score(folder: Path) -> Iterator[str]:
    """How much it is; no more than that."""
    found = figures(folder)
    yield from (f"history: {what}: {size:,.0f}" for what, size in found.items())
    assert found["a build, bytes of events"] <= _MAX_BUILD
    assert found["a build with nothing to do, bytes of events"] <= _MAX_NOOP


def _keep(folder: Path, what: str, before: tuple[int, int], after: tuple[int, int]) -> None:
    path = folder / _KEPT
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept[what] = {"files": after[0] - before[0], "events": after[1] - before[1]}
    path.write_text(json.dumps(kept), encoding="utf-8")
