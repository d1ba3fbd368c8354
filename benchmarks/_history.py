"""What the benchmarks of runs share: the example artist, built in a home of its own, and a hello world beside it."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

SLUG = "nova-kite"
CHAIN = (
    *("als_summaries", "prompts", "training_items", "dataset_zip", "preprocessed_segments", "segment_tags"),
    *("lora_weights", "lora_evaluation", "lora_preview"),
)

_HELLO = f"""
import dagster as dg

artists = dg.StaticPartitionsDefinition(["{SLUG}"])


def made(name, before):
    @dg.asset(name=name, partitions_def=artists, deps=before)
    def hello(context):
        return dg.MaterializeResult(metadata={{"headline": f"hello {{context.partition_key}}"}})

    return hello


names = {CHAIN!r}
defs = dg.Definitions(
    [made(name, names[place - 1 : place]) for place, name in enumerate(names)], executor=dg.in_process_executor
)
"""


def build_example(folder: Path) -> None:
    """Build the example artist, and write down a hello world of as many assets."""
    (folder / "hello.py").write_text(_HELLO, encoding="utf-8")
    for name in ("home", "hello"):
        (folder / name / "dagster").mkdir(parents=True, exist_ok=True)
    (folder / "hello" / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    dawa(folder, "demo")


def dawa(folder: Path, *words: str) -> None:
    """Run a command of the project's."""
    _run(folder, "home", [sys.executable, "-c", "from dawa_assets.cli.main import main; main()", *words])


def materialize(folder: Path, home: str) -> None:
    """Let Dagster's command line make all nine assets: of the project (`home`), or of the hello world (`hello`)."""
    module = "dawa_assets.definitions" if home == "home" else "hello"
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", ",".join(CHAIN)]
    _run(folder, home, [*command, "--partition", SLUG, "-m", module, "-d", str(folder)])


def records(folder: Path, home: str) -> tuple[int, int]:
    """Bytes of Dagster's home on the disk, and of the events alone, wherever they are stored."""
    dagster = folder / home / "dagster"
    files = sum(path.stat().st_size for path in dagster.rglob("*") if path.is_file() and path.name != "dagster.yaml")
    events = 0
    for path in (dagster / "history" / "runs").glob("*.db"):
        with closing(sqlite3.connect(path)) as database:
            events += database.execute("select coalesce(sum(length(event)), 0) from event_logs").fetchone()[0]
    return files, events


def seconds_a_step(folder: Path, home: str) -> float:
    """Mean seconds of the assets' steps in the latest run, as Dagster has them on record."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(folder / home / "dagster")) as instance:
        run = instance.get_runs(limit=1)[0]
        steps = [step for step in instance.get_run_step_stats(run.run_id) if step.step_key in CHAIN]
    assert len(steps) == len(CHAIN)
    return sum((step.end_time or 0) - (step.start_time or 0) for step in steps) / len(steps)


def bucket(folder: Path) -> dict[str, int]:
    """Keys and sizes of what lies in the bucket."""
    root = folder / "home" / "bucket"
    return {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}


def _run(folder: Path, home: str, command: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DAWA_", "DAGSTER_"))}
    own = {"DAWA_HOME": str(folder / home), "DAGSTER_HOME": str(folder / home / "dagster"), "PYTHONPATH": str(folder)}
    # As `make ui` sets it, so that pages link to pictures.
    served = {"DAWA_SERVE_URL": "http://127.0.0.1:8923"}
    subprocess.run(command, env={**environment, **own, **served}, stdout=subprocess.DEVNULL, check=True)
