"""Which function answers which request: one line per kind of job. Nothing is done here.

The functions are named, not imported, so that a job loads only what it needs: preparing audio needs no torch.
"""

import importlib
from collections.abc import Callable
from typing import Any

from modal_app.backends.registry import IMPORTS
from modal_app.config import DataRoot
from modal_app.functions import kind_of
from modal_app.protocol.base import Event, JobRequest, JobResult
from modal_app.protocol.producer import ProducerTrainRequest
from modal_app.protocol.requests import AnyRequest
from modal_app.protocol.tagging import InspectRequest, TagRequest
from modal_app.protocol.training import EvaluateRequest, GenerateRequest, TrainRequest

JOBS = {
    "prepare": "modal_app.audio.prepare",
    "publish": "modal_app.audio.view",
    "depict": "modal_app.audio.depict",
    "tag": "modal_app.tagging.tag",
    "inspect": "modal_app.tagging.inspect",
    "train": "modal_app.training.train",
    "train_producer": "modal_app.producer.train_producer",
    "evaluate": "modal_app.training.evaluate",
    "install": "modal_app.training.adapters",
    "generate": "modal_app.training.generate",
    "forget": "modal_app.audio.forget",
}
"""Kind of job → the module that has it, as a function of the same name."""

LIBRARIES = {
    "prepare": ("av", "soxr", "soundfile"),
    "depict": ("matplotlib.figure", "PIL.Image"),
    "tag": ("soundfile", "scipy.fft", "scipy.ndimage", "scipy.signal"),
}
"""Kind of job → what it imports beside its module when it has begun, where that takes time."""


def is_generators(request: JobRequest[Any]) -> bool:
    """Whether a job loads a generator: its libraries are large and slow to import."""
    return isinstance(request, TrainRequest | ProducerTrainRequest | GenerateRequest | EvaluateRequest)


def imports_of(request: JobRequest[Any]) -> tuple[str, ...]:
    """The modules that a job imports in the end, for whoever imports them once for many jobs."""
    kind = kind_of(request)
    libraries: tuple[str, ...] = LIBRARIES.get(kind, ())
    if isinstance(request, TagRequest | InspectRequest) and asks_gemini(request):
        libraries = ("soundfile", "google.genai", "modal_app.tagging.hosted")
    elif isinstance(request, EvaluateRequest):
        libraries = IMPORTS[request.training.backend]
    elif isinstance(request, TrainRequest | ProducerTrainRequest | GenerateRequest):
        libraries = IMPORTS[request.backend]
    return (*libraries, JOBS[kind])


def asks_gemini(request: JobRequest[Any]) -> bool:
    """Whether a job asks Gemini, and so needs its key."""
    return isinstance(request, TagRequest | InspectRequest | ProducerTrainRequest) and request.tagger == "gemini"


def run_job(request: AnyRequest, root: DataRoot, emit: Callable[[Event], None]) -> JobResult:
    """Do what is asked, in this process, and return the result.

    Raises:
        DawaError: the job can't be done; the message is one line.
    """
    job: Callable[[AnyRequest, DataRoot, Callable[[Event], None]], JobResult]
    job = getattr(importlib.import_module(JOBS[request.kind]), request.kind)
    return job(request, root, emit)
