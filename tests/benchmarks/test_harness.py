import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.harness import BenchmarkError, Measurement, Result, names, run, write_down


@pytest.mark.parametrize("name", names())
def test_a_benchmark_names_its_measure_its_peer_and_its_floor(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert all(isinstance(getattr(module, said), str) for said in ("WHAT", "PEER", "FLOOR"))
    assert all(callable(getattr(module, contender)) for contender in harness.CONTENDERS)


@pytest.mark.parametrize("path", sorted(harness.RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_committed_result_has_a_benchmark_and_names_no_machine(path: Path) -> None:
    result = json.loads(path.read_bytes())
    assert path.stem in names()
    assert set(result["medians"]) == set(harness.CONTENDERS)
    assert set(result["machine"]) == {"cpus", "architecture", "python"}
    assert str(Path.home()) not in path.read_text() or str(Path.home()) == "/"


def test_rounds_are_interleaved_and_medians_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    costs = {"ours": [1.0, 9.0, 2.0], "peer": [4.0, 4.0, 4.0], "floor": [0.5, 0.1, 0.9]}
    order: list[str] = []

    def measured(_name: str, contender: str, _folder: Path) -> Measurement:
        order.append(contender)
        seconds = costs[contender][order.count(contender) - 1] if contender in costs else 0.0
        return Measurement(seconds, seconds * 2, 10.0)

    monkeypatch.setattr(harness, "measure", measured)
    *told, result = run("als", rounds=3)
    assert order == ["setup", *["ours", "peer", "floor"] * 3]
    assert len(told) == 3
    assert isinstance(result, Result)
    assert result.medians["ours"] == Measurement(2.0, 4.0, 10.0)
    assert result.ratio("peer") == 2.0
    assert (
        replace(result, figure="wall_seconds", medians=result.medians | {"peer": Measurement(9.0, 1.0, 1.0)}).ratio(
            "peer"
        )
        == 4.5
    )
    written = json.loads(write_down(replace(result, figures={"bytes": 7}), tmp_path).read_bytes())
    assert written["ratio_to_ours"] == {"peer": 2.0, "floor": 0.25}
    assert (result.figures, written["figures"]) == ({}, {"bytes": 7})
    assert [path.name for path in tmp_path.iterdir()] == ["als.json"]


def test_teardown_runs_even_when_a_contender_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("benchmarks.als")
    called: list[str] = []

    def measured(_name: str, contender: str, _folder: Path) -> Measurement:
        called.append(contender)
        if contender == "peer":
            raise BenchmarkError("als, peer: it failed")
        return Measurement(1.0, 1.0, 1.0)

    monkeypatch.setattr(harness, "measure", measured)
    monkeypatch.setattr(module, "teardown", lambda _folder: None, raising=False)
    with pytest.raises(BenchmarkError, match="it failed"):
        list(run("als"))
    assert called == ["setup", "ours", "peer", "teardown"]


def test_a_contender_that_fails_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="als, floor: FileNotFoundError"):
        harness.measure("als", "floor", tmp_path)  # nothing was set up there


def test_an_unknown_benchmark_is_refused_by_name() -> None:
    with pytest.raises(BenchmarkError, match="nonsense: no such benchmark; there are"):
        list(run("nonsense"))
