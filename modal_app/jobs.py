"""Which function answers which request: one line per kind of job. Nothing is done here.

The functions are named, not imported, so that a job loads only what it needs: preparing audio needs no torch.
"""

import importlib
from collections.abc import Callable

from modal_app.config import DataRoot
from modal_app.protocol.base import Event, JobResult
from modal_app.protocol.requests import AnyRequest

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


def run_job(request: AnyRequest, root: DataRoot, emit: Callable[[Event], None]) -> JobResult:
    """Do what is asked, in this process, and return the result.

    Raises:
        DawaError: the job can't be done; the message is one line.
    """
    job: Callable[[AnyRequest, DataRoot, Callable[[Event], None]], JobResult]
    job = getattr(importlib.import_module(JOBS[request.kind]), request.kind)
    return job(request, root, emit)
