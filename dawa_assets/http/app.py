"""The app that `dawa serve` serves: every route behind one gate, over the ports of one process."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI

from dawa_assets.http import docs_page, files, jobs, pipeline, producer
from dawa_assets.http.access import EVERYBODY_ONLY, Access
from dawa_assets.http.api import (
    dashboard_uploads,
    items,
    library,
    page,
    permissions,
    profiles,
    progress,
    renderings,
    training,
    uploads,
)
from dawa_assets.http.cors import Cors
from dawa_assets.http.errors import add_error_handlers
from dawa_assets.http.file_links import Links
from dawa_assets.http.messages import HealthAnswer
from dawa_assets.http.proxies import TrustedProxies
from dawa_assets.http.request_limits import Gate
from dawa_assets.http.service import Service, waiting_no_longer_than
from dawa_assets.http.worker_options import open_job_queue, web_options
from modal_app.web.body import SMALL_BODY
from modal_app.web.options import WebOptions
from modal_app.web.routes import worker_router
from resources.database.kept_connections import KeptConnections
from resources.job_queue.local import LocalJobQueue
from resources.ports import Ports

_MAX_BODY = {
    "/api/train/save": pipeline.MAX_SAVED_BODY,
    "/api/producer/upload-and-train": producer.MAX_FORM,
    "/store-upload": pipeline.MAX_SAVED_BODY,
}
_PASSWORD_IN_BODY = frozenset({"/api/producer/upload-and-train", "/store-upload", "/train", "/generate"})
_DESCRIPTION = """
The dashboard's routes and the worker's endpoints. A user's token (`Authorization: Bearer …`) is good for the artists
that they are linked to; the password (`x-train-password`) for all. Every error is `{"error": "one line"}`.
"""


def create_app(ports: Ports, access: Access, job_queue: LocalJobQueue | None = None) -> FastAPI:
    """Return the app over these ports.

    Without a `job_queue` one is opened from the settings, and closed with the app.
    """
    settings = ports.settings
    job_queue = job_queue or open_job_queue(settings, ports.compute)
    web = web_options(settings, ports.database)
    app = _app(ports, access, job_queue, web, settings.web_origins or ())
    app.add_middleware(Cors, origins=settings.web_origins or ())
    app.add_middleware(TrustedProxies, networks=settings.web_proxies or ())
    app.include_router(pipeline.router)
    app.include_router(library.router)
    app.include_router(items.router)
    app.include_router(uploads.router)
    app.include_router(dashboard_uploads.router)
    app.include_router(training.router)
    app.include_router(renderings.router)
    app.include_router(profiles.router)
    app.include_router(permissions.router)
    app.include_router(progress.router)
    app.include_router(page.router)
    app.include_router(producer.router)
    app.include_router(jobs.router)
    app.include_router(files.router)
    app.include_router(docs_page.router)
    # They ask for the password themselves, also in the body; without one, a token for some artists is not enough.
    token_only = access.by_token and not access.by_password
    app.include_router(worker_router(job_queue, web), dependencies=[EVERYBODY_ONLY] if token_only else [])
    return app


def create_files_app(ports: Ports) -> FastAPI:
    """Return an app of the files alone, open to this machine: to be listened at on loopback, and behind no proxy."""
    settings = ports.settings
    app = _app(ports, Access(None), open_job_queue(settings, ports.compute), web_options(settings), ())
    app.include_router(files.router)
    return app


def _app(ports: Ports, access: Access, job_queue: LocalJobQueue, web: WebOptions, origins: Collection[str]) -> FastAPI:
    """Return an app behind its gate that answers that it is there, and nothing else yet."""
    settings = ports.settings

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with KeptConnections(ports.database) as database:
            app.state.service = Service(
                ports=waiting_no_longer_than(replace(ports, database=database), settings.web_wait_seconds),
                access=access,
                links=Links(settings.home / "serve.key"),
                job_queue=job_queue,
                web=web,
            )
            yield
            job_queue.close()

    app = FastAPI(title="dawa", version="1", description=_DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None)
    add_error_handlers(app)
    app.add_middleware(
        Gate,
        access=access,
        origins=origins,
        most=lambda path: uploads.most_of_a_part(path) or _MAX_BODY.get(path, SMALL_BODY),
        by_body=_PASSWORD_IN_BODY,
    )
    app.get("/healthz", response_model=HealthAnswer, tags=["server"])(_health)
    app.head("/healthz", include_in_schema=False)(_health)
    return app


async def _health() -> HealthAnswer:
    """Return that the server answers. Looks at nothing: `dawa doctor` does."""
    return HealthAnswer()
