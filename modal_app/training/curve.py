"""The picture of a training: its loss over the steps."""

from collections.abc import Sequence
from pathlib import Path


def draw_losses(losses: Sequence[float], title: str, target: Path) -> None:
    """Write a PNG with the loss of each step and its running mean over a tenth of the steps."""
    import numpy as np
    from matplotlib.figure import Figure

    window = max(1, len(losses) // 10)
    running = np.convolve(losses, np.ones(window) / window, mode="valid")
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(range(1, len(losses) + 1), losses, color="#9aa5b1", linewidth=1, label="each step")
    axes.plot(range(window, len(losses) + 1), running, color="#c2410c", linewidth=2, label=f"mean of {window}")
    axes.set(title=title, xlabel="step", ylabel="loss", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(target, dpi=110, metadata={"Software": None})
