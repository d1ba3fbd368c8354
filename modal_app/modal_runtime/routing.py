"""Which function of the app does which job, and under which key: plain tables, for those who ask and for the app."""

from typing import Any

from modal_app.config import BackendKind
from modal_app.protocol.base import JobRequest
from modal_app.protocol.producer import ProducerTrainRequest
from modal_app.protocol.requests import generator_of, kind_of
from modal_app.protocol.training import TrainRequest

APP = "nawfside-music"

_ON_A_GPU = {
    "train": "train_lora",
    "train_producer": "train_producer",
    "evaluate": "evaluate",
    "keep_checkpoint": "evaluate",  # has the libraries that write adapters
    "import_lora": "evaluate",  # loads the base too, and is rare
    "generate": "generate",
}
"""Kind of job → its function for ACE-Step; MusicGen's has its own image and its name at the end."""


_SHARDED = ("prepare", "tag")
"""What is taken apart for several machines; each kind has its function."""
CPU_TASK = "cpu_task"
"""All else: short work on a CPU."""


def function_of(request: JobRequest[Any]) -> str:
    """Return the name of the app's function that does this job."""
    kind, generator = kind_of(request), generator_of(request)
    if generator is not None:
        return gpu_function(kind, generator)
    return kind if kind in _SHARDED else CPU_TASK


def gpu_function(kind: str, backend: BackendKind) -> str:
    """Return the name of the function that does this kind of job with this generator."""
    name = _ON_A_GPU[kind]
    return name if backend == BackendKind.ACE_STEP else f"{name}_{backend}"


FUNCTIONS = {*_SHARDED, CPU_TASK, *(gpu_function(kind, backend) for kind in _ON_A_GPU for backend in BackendKind)}
"""All that jobs are asked of."""


def key_of(request: JobRequest[Any]) -> str | None:
    """Return the key under which only one call may work at a time; None where two at once do no harm."""
    if isinstance(request, TrainRequest):
        return f"train/{request.run_id}"
    if isinstance(request, ProducerTrainRequest):
        return f"train_producer/{request.producer_id}/{request.job_id}"
    return None
