"""How `dawa serve` does what the worker's endpoints leave open: models, trainings, waits and marks, by the settings."""

import shutil
import tempfile
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore
from typing import BinaryIO

from dawa_assets.rights.marks import Marker, Occasion
from dawa_assets.rights.permissions import require_lora_permitted
from dawa_assets.segments.tagger import hosted_model
from modal_app.config import BackendKind
from modal_app.marks.tags import provenance_of
from modal_app.protocol.training import GenerateResult
from modal_app.web.marking import Mark
from modal_app.web.options import WebOptions
from resources.compute.base import Compute
from resources.database.base import Database
from resources.job_queue.local import LocalJobQueue
from resources.settings import Settings

_MARKED_AT_ONCE = 2  # each has a connection to the database for a moment


def open_job_queue(settings: Settings, compute: Compute) -> LocalJobQueue:
    """Return the job queue of this machine; its records lie under the home."""
    return LocalJobQueue(compute, settings.home / "web-jobs", data_root=settings.data_root)


def web_options(settings: Settings, database: Database | None = None) -> WebOptions:
    """Return what the settings say; what is generated is put on record in `database`.

    A `tiny` base is there for every generator, any other for its own alone.
    """
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
        check_lora=None if database is None else partial(require_lora_permitted, database, settings),
        mark=None if database is None else _mark(settings, database),
    )


def _mark(settings: Settings, database: Database) -> Mark:
    marker, turns = Marker(settings, database), BoundedSemaphore(_MARKED_AT_ONCE)
    folder = settings.home / "tmp"

    def mark(audio: BinaryIO, result: GenerateResult, producer: str | None) -> BinaryIO:
        with turns:
            if result.lora is not None and result.lora_id is not None:  # it may have been revoked meanwhile
                require_lora_permitted(database, settings, result.lora_id, result.run_id)
            if settings.marks == "off":
                return audio
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as name:
                wav, marked = Path(name) / "rendered.wav", Path(name) / "marked.wav"
                with audio, wav.open("wb") as copy:
                    shutil.copyfileobj(audio, copy)
                occasion = Occasion("http", result.prompt or "", result.seed, producer=producer)
                marker.mark(wav, marked, provenance_of(result), occasion)
                return marked.open("rb")  # stays readable though its name is gone

    return mark
