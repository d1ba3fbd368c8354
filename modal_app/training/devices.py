"""What a training runs on: the device's name, and the most memory that it held."""

import resource
import sys
from typing import Any


def device_name(device: Any) -> str:
    """Return a GPU's name as its driver gives it, or `cpu`; `device` is torch's."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device.type)


def watch_peak(device: Any) -> None:
    """Count a GPU's memory anew from here on: another training may have been in this process."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: Any) -> int:
    """Return the most memory that was held: on a GPU by torch since `watch_peak`, else by this process in all."""
    import torch

    if device.type == "cuda":
        held: int = torch.cuda.max_memory_reserved(device)
        return held
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
