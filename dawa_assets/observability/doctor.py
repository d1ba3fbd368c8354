"""The doctor: which implementation every port uses, whether it answers, what ends soon, and what may still be spent.

Each finding is one line with its way out. Nothing is changed, but for a small file that is written into the bucket and
removed again; nothing is paid for, and no secret is shown.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from dawa_assets.observability.hosted_health import State, look_at_project
from dawa_assets.prompting.system_prompt import system_prompt
from dawa_assets.rights.enforce import permissions_line
from dawa_assets.rights.marks import check_marks
from dawa_assets.segments.tagger import hosted_model
from dawa_assets.tables.artists import count_artists
from dawa_assets.tables.spending import spent_this_month
from modal_app.errors import DawaError
from modal_app.protocol.tagging import InspectRequest, ModelHealth
from modal_app.tagging.tag_key import OFFLINE
from resources.database.client_access import storage_policies, storage_policies_file
from resources.database.migrations import pending_migrations
from resources.errors import BucketError
from resources.ports import open_bucket, open_compute, open_database, open_prompt_writer
from resources.settings import Settings

_LITTLE_SPACE = 2 * 2**30


@dataclass(frozen=True)
class Diagnosis:
    """What there is to say of one part: the implementation that the settings choose, its state, and one line."""

    part: str
    uses: str
    state: State
    detail: str
    ends_on: date | None = None


def examine(settings: Settings) -> Iterator[Diagnosis]:
    """Look at each part in turn; one that can't be used does not keep the others from being looked at."""
    yield _look("home", str(settings.home), lambda: _home(settings))
    yield _look("database", settings.database, lambda: _database(settings))
    yield _look("bucket", settings.bucket, lambda: _bucket(settings))
    if settings.database == "supabase":
        yield _look("storage policies", settings.bucket, lambda: _storage_policies(settings))
        yield from _project(settings)
    yield _look("prompt writer", _writer_name(settings), lambda: _writer(settings))
    yield _look("tagger", _tagger_name(settings), lambda: _tagger(settings))
    yield _look("compute", settings.compute, lambda: _compute(settings))
    yield _look("system prompt", settings.system_prompt_version, lambda: _system_prompt(settings))
    yield _look("budget", "-", lambda: _budget(settings))
    yield _look("permissions", settings.permissions, lambda: _permissions(settings))
    yield _look("marks", settings.marks, lambda: _marks(settings))


def implementations(settings: Settings) -> dict[str, str]:
    """Return the implementation that the settings choose for each part; no secret, and nothing is asked."""
    return {
        "database": settings.database,
        "bucket": settings.bucket,
        "prompt writer": _writer_name(settings),
        "tagger": _tagger_name(settings),
        "compute": settings.compute,
        "base": f"{settings.backend}, {settings.base}",
    }


def writer_health(settings: Settings) -> ModelHealth:
    """Return whether the prompt writer can be used, and for how long.

    Raises:
        DawaError: it can't be opened: a key or a price is not set.
    """
    return open_prompt_writer(settings).inspect()


def tagger_health(settings: Settings) -> ModelHealth:
    """Return whether the tagger can be used, as the machine says that would run it.

    Raises:
        DawaError: the worker can't be asked.
    """
    if settings.tagger == "offline":  # there is nobody to ask
        return ModelHealth(service="offline", model=OFFLINE.model, state="ok", detail="signal processing, for nothing")
    request = InspectRequest(tagger=settings.tagger, model=hosted_model(settings))
    return open_compute(settings).run(request, lambda _event: None)


def _look(part: str, uses: str, look: Callable[[], tuple[State, str] | ModelHealth]) -> Diagnosis:
    try:
        found = look()
    except DawaError as error:
        return Diagnosis(part, uses, "error", str(error))
    if isinstance(found, ModelHealth):
        return Diagnosis(part, uses, found.state, found.detail, found.ends_on)
    return Diagnosis(part, uses, *found)


def _home(settings: Settings) -> tuple[State, str]:
    import os
    import shutil

    there = next(folder for folder in (settings.home.absolute(), *settings.home.absolute().parents) if folder.exists())
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return "error", f"can't be read: {error.strerror}; choose another with DAWA_HOME"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return "error", f"can't be written to ({there}); choose another with DAWA_HOME"
    detail = f"{free / 2**30:.1f} GiB free"
    return (
        ("warning", f"{detail}: little for audio and segments; make room") if free < _LITTLE_SPACE else ("ok", detail)
    )


def _database(settings: Settings) -> tuple[State, str]:
    database = open_database(settings)
    pending = pending_migrations(database.server_url())
    if pending and not database.embedded:  # the embedded one is migrated by its next use
        return "error", f"{len(pending)} migrations are not applied; run `dawa migrate`"
    with database.transaction() as connection:
        count = count_artists(connection)
        version = connection.info.parameter_status("server_version") or "?"
    artists = "1 artist" if count == 1 else f"{count:,} artists"
    return "ok", f"PostgreSQL {version.split()[0]} answers, {artists}"


def _bucket(settings: Settings) -> tuple[State, str]:
    bucket = open_bucket(settings)
    state, detail = bucket.inspect()
    if state != "ok":  # one that is not there yet would be made by writing to it
        return state, detail
    try:
        bucket.try_writing()
    except BucketError as error:
        return "error", f"can be read, but a small file could not be written, read and removed: {error}"
    return "ok", f"{detail}; a small file was written, read and removed"


def _storage_policies(settings: Settings) -> tuple[State, str]:
    with open_database(settings).transaction() as connection:
        found = storage_policies(connection)
    if not found.has_storage:
        if settings.bucket == "folder":
            return "ok", "no Storage beside this database, and none is used"
        return (
            "error",
            "this database has no Storage: set SUPABASE_DB_URL to that of SUPABASE_URL's project",
        )
    if found.public_bucket:
        return (
            "error",
            "the bucket is public, so anyone reads every file; make it private in the dashboard",
        )
    if found.missing:
        return "error", (
            f'{len(found.missing)} of {found.of} are missing, "{found.missing[0]}" first: users can neither upload to '
            f"nor read the bucket; run sql/migrations/{storage_policies_file()} as the owner of storage.objects (the "
            "dashboard's SQL editor), after removing what is there of them"
        )
    return "ok", f"all {found.of} are there"


def _project(settings: Settings) -> Iterator[Diagnosis]:
    """Yield what the owner of a hosted project looks after; nothing where the database does not answer."""
    try:
        with open_database(settings).transaction() as connection:
            for part, state, detail in look_at_project(connection):
                yield Diagnosis(part, "supabase", state, detail)
    except DawaError:
        return  # the part `database` has said why


def _writer_name(settings: Settings) -> str:
    return "offline" if settings.prompt_writer == "offline" else f"{settings.prompt_writer} ({settings.openai_model})"


def _tagger_name(settings: Settings) -> str:
    return "offline" if settings.tagger == "offline" else f"{settings.tagger} ({settings.gemini_model})"


def _writer(settings: Settings) -> ModelHealth:
    return writer_health(settings)


def _tagger(settings: Settings) -> ModelHealth:
    return tagger_health(settings)


def _compute(settings: Settings) -> tuple[State, str]:
    compute = open_compute(settings)
    if settings.compute == "modal":  # a call would cost
        from modal_app.modal_runtime.client import ModalCalls

        ModalCalls(settings.modal_app, settings.modal_environment).look()
        return "ok", f"the app {settings.modal_app} is deployed, ${settings.modal_gpu_usd_per_hour:.2f} a GPU hour"
    compute.run(InspectRequest(), lambda _event: None)
    return "ok", "a worker starts and answers"


def _system_prompt(settings: Settings) -> tuple[State, str]:
    return "ok", f"{len(system_prompt(settings.system_prompt_version).split())} words"


def _permissions(settings: Settings) -> tuple[State, str]:
    is_well, line = permissions_line(open_database(settings), settings)
    return "ok" if is_well else "warning", line


def _marks(settings: Settings) -> tuple[State, str]:
    is_well, line = check_marks(settings)
    return "ok" if is_well else "warning", line


def _budget(settings: Settings) -> tuple[State, str]:
    runs = f"${settings.prompt_budget_usd:.2f} a run for prompts, ${settings.tag_budget_usd:.2f} for tags"
    with open_database(settings).transaction() as connection:
        spent = spent_this_month(connection)
    if settings.monthly_budget_usd is None:
        return "ok", f"{runs}; ${spent:.2f} spent this month, no limit set (DAWA_MONTHLY_BUDGET_USD)"
    left = settings.monthly_budget_usd - spent
    month = f"${max(left, 0):.2f} left of ${settings.monthly_budget_usd:.2f} this month"
    return ("error", f"{month}: nothing more is written or tagged") if left <= 0 else ("ok", f"{runs}; {month}")
