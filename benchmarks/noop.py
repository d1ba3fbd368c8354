"""What a run of the chain costs that finds nothing to do, beside what nine assets that do nothing cost in Dagster."""

from pathlib import Path

from benchmarks import _history, _home

WHAT = "`dagster asset materialize` of all nine assets, with their checks, when everything is made"
PEER = "the same of nine assets that say hello, without checks"
FLOOR = "importing Dagster"
ROUNDS = 3


def setup(folder: Path) -> None:
    """The example artist, all of whose pictures are drawn."""
    _history.build_example(folder)
    _history.materialize(folder, "home")


def teardown(folder: Path) -> None:
    """End the database."""
    _home.stop_database(folder)


def ours(folder: Path) -> None:
    """A run that may change nothing."""
    before = _history.bucket(folder)
    _history.materialize(folder, "home")
    assert _history.bucket(folder) == before


def peer(folder: Path) -> None:
    """As many assets that do nothing."""
    _history.materialize(folder, "hello")


def floor(folder: Path) -> None:
    """What any program has paid before its first line when it uses Dagster."""
    import dagster

    assert folder.is_dir()
    assert dagster


def figures(folder: Path) -> dict[str, float]:
    """Mean seconds of an asset's step, as Dagster has them on record."""
    return {
        "seconds a step": round(_history.seconds_a_step(folder, "home"), 3),
        "seconds a step, hello world": round(_history.seconds_a_step(folder, "hello"), 3),
    }
