"""The picture of a training: its losses over the steps, on what it is trained on and on what is held out."""

from collections.abc import Sequence
from pathlib import Path

from modal_app.protocol.training import Validation


def draw_losses(
    losses: Sequence[float], validations: Sequence[Validation], kept_step: int, title: str, target: Path
) -> None:
    """Write a PNG: each step's loss, its running mean over a tenth of the steps, the validations, the kept adapter."""
    import numpy as np
    from matplotlib.figure import Figure

    window = max(1, len(losses) // 10)
    running = np.convolve(losses, np.ones(window) / window, mode="valid")
    figure = Figure(figsize=(8, 4))
    axes = figure.add_axes((0.09, 0.13, 0.89, 0.77))  # a layout that is worked out takes as long as the drawing
    axes.plot(range(1, len(losses) + 1), losses, color="#9aa5b1", linewidth=1, label="each step")
    axes.plot(range(window, len(losses) + 1), running, color="#c2410c", linewidth=2, label=f"mean of {window}")
    if validations:
        steps, found = [part.step for part in validations], [part.loss for part in validations]
        axes.plot(steps, found, color="#1d4ed8", linewidth=2, marker="o", markersize=4, label="held-out songs")
    axes.axvline(kept_step, color="#15803d", linewidth=1, linestyle="--", label=f"kept: step {kept_step}")
    axes.set(title=title, xlabel="step", ylabel="loss", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(target, dpi=110, metadata={"Software": None})
