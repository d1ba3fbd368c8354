"""How `dawa serve` does what the worker's endpoints leave open: models, trainings and waiting by the settings."""

from dawa_assets.segments.tagger import hosted_model
from modal_app.config import BackendKind
from modal_app.web.options import WebOptions
from resources.compute.base import Compute
from resources.job_queue.local import LocalJobQueue
from resources.settings import Settings


def open_job_queue(settings: Settings, compute: Compute) -> LocalJobQueue:
    """Return the job queue of this machine; its records lie under the home."""
    return LocalJobQueue(compute, settings.home / "web-jobs", data_root=settings.data_root)


def web_options(settings: Settings) -> WebOptions:
    """Return what the settings say. A `tiny` base is there for every generator, any other for its own alone."""
    kinds = list(BackendKind) if settings.base == "tiny" else [BackendKind(settings.backend)]
    return WebOptions(
        training=settings.asked_training,
        bases=dict.fromkeys(kinds, settings.base),
        backend=BackendKind(settings.backend),
        model_name=settings.model_name,
        tagger=settings.tagger,
        tag_model=hosted_model(settings),
        wait_seconds=settings.web_wait_seconds,
        password=settings.app_password,
    )
