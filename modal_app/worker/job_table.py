"""Which function answers which request, and which libraries it loads: one line per kind of job. Nothing is done here.

Functions and libraries are named, not imported, so that a job loads only what it needs: preparing audio needs no torch.
"""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from modal_app.backends.registry import IMPORTS
from modal_app.data_root.layout import DataRoot
from modal_app.protocol.base import Event, JobRequest, JobResult
from modal_app.protocol.producer import ProducerTrainRequest
from modal_app.protocol.requests import AnyRequest, generator_of, kind_of
from modal_app.protocol.tagging import InspectRequest, TagRequest

JOBS = {
    "prepare": "modal_app.audio.prepare",
    "publish": "modal_app.audio.published_view",
    "depict": "modal_app.audio.render_plots",
    "tag": "modal_app.tagging.tag",
    "inspect": "modal_app.tagging.inspect",
    "train": "modal_app.training.train",
    "train_producer": "modal_app.producer.train_producer",
    "evaluate": "modal_app.evaluation.evaluate",
    "keep_checkpoint": "modal_app.evaluation.keep_checkpoint",
    "import_lora": "modal_app.training.import_lora",
    "install": "modal_app.adapters.publish",
    "withdraw": "modal_app.adapters.publish",
    "generate": "modal_app.training.generate",
    "forget": "modal_app.producer.forget",
}
"""Kind of job → the module that has it, as a function of the same name."""

LIBRARIES = {
    "prepare": ("av", "soxr", "soundfile", "modal_app.audio.fetch"),
    "depict": ("matplotlib.figure", "PIL.Image"),
    "tag": ("soundfile", "scipy.fft", "scipy.ndimage", "scipy.signal"),
}
"""Kind of job → what it imports beside its module when it has begun, where that takes time."""
GEMINI = ("soundfile", "google.genai", "modal_app.tagging.hosted")
"""The same, of a job that asks Gemini and loads no generator."""


class Imports(NamedTuple):
    """The modules that a job imports in the end, for whoever imports them once for many jobs.

    A generator's libraries take seconds, the others' fractions of one: jobs of one family may wait for each other's.
    """

    family: str
    modules: tuple[str, ...]


def imports_of(request: JobRequest[Any]) -> Imports:
    """Return what a job imports."""
    kind = kind_of(request)
    generator = generator_of(request)
    if generator is not None:
        return Imports("generators", (*IMPORTS[generator], JOBS[kind]))
    libraries = GEMINI if asks_gemini(request) else LIBRARIES.get(kind, ())
    return Imports("others", (*libraries, JOBS[kind]))


def asks_gemini(request: JobRequest[Any]) -> bool:
    """Return whether a job asks Gemini, and so needs its key."""
    return isinstance(request, TagRequest | InspectRequest | ProducerTrainRequest) and request.tagger == "gemini"


def run_job(request: AnyRequest, root: DataRoot, emit: Callable[[Event], None]) -> JobResult:
    """Do what is asked, in this process, and return the result.

    Raises:
        DawaError: the job can't be done; the message is one line.
    """
    job: Callable[[AnyRequest, DataRoot, Callable[[Event], None]], JobResult]
    job = getattr(importlib.import_module(JOBS[request.kind]), request.kind)
    return job(request, root, emit)
