"""The picture of `docs/benchmarks.md`: what peers and floors need beside ours, of every result that is written down."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS

_OURS, _PEER, _FLOOR = "#1d4ed8", "#c2410c", "#6b7280"


def draw(target: Path, results: Path = RESULTS) -> None:
    """Write a PNG: a line for each benchmark, ours at 1, its peer and its floor at their multiple, by logarithm."""
    from matplotlib.figure import Figure

    found = [json.loads(path.read_bytes()) for path in sorted(results.glob("*.json"))]
    found.sort(key=_peer_ratio)
    figure = Figure(figsize=(9, 1.1 + 0.3 * len(found)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.axvline(1, color=_OURS, linewidth=2, zorder=1)
    for place, result in enumerate(found):
        ratios = result["ratio_to_ours"]
        axes.plot([ratios["floor"], max(ratios["peer"], 1)], [place, place], color="#d1d5db", linewidth=3, zorder=0)
        axes.plot(ratios["floor"], place, "|", color=_FLOOR, markersize=11, markeredgewidth=2.5, zorder=2)
        axes.plot(ratios["peer"], place, "o", color=_PEER, markersize=7, zorder=3)
        side = 1 if ratios["peer"] >= 1 else -1  # away from the line of ours
        axes.annotate(
            f"{ratios['peer']:.2g}×",
            (ratios["peer"], place),
            (7 * side, 9 * (side < 0)),  # above the floor's bar
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(found)), [f"{each['name']}  ({_unit(each)})" for each in found], fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(min(each["ratio_to_ours"]["floor"] for each in found) / 1.5, _peer_ratio(found[-1]) * 2.5)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_xlabel("what it costs, ours = 1 (blue); dot: the peer, right of 1 is dearer than ours; bar: the floor")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(target, format="png", dpi=100, metadata={"Software": None})


def _peer_ratio(result: Mapping[str, Any]) -> float:
    return float(result["ratio_to_ours"]["peer"])


def _unit(result: Mapping[str, Any]) -> str:
    return {"wall_seconds": "wall", "cpu_seconds": "CPU", "peak_rss_mb": "MB"}[result["figure"]]
