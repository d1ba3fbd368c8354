"""The four ports of one process, opened from the settings. The only place that chooses implementations."""

from dataclasses import dataclass

from pydantic import SecretStr

from modal_app.hosted_models.metered_requests import Limits
from resources.bucket.base import Bucket
from resources.compute.base import Compute
from resources.database.base import Database
from resources.errors import SettingsError
from resources.prompt_writer.base import Price, PromptWriter
from resources.settings import Settings


@dataclass(frozen=True)
class Ports:
    """Everything that a domain function may need from outside."""

    settings: Settings
    database: Database
    bucket: Bucket
    prompt_writer: PromptWriter
    compute: Compute


def open_ports(settings: Settings) -> Ports:
    """Return the ports that the settings name. Nothing is started or reached before it is used.

    A prompt writer without its key or price says so when it is asked to write: all else goes on without it.

    Raises:
        SettingsError: database or bucket need a key or an address that is not set, or the worker runs where it could
            not read the bucket.
    """
    return Ports(
        settings=settings,
        database=open_database(settings),
        bucket=open_bucket(settings),
        prompt_writer=_writer_or_why_not(settings),
        compute=open_compute(settings),
    )


def open_database(settings: Settings) -> Database:
    """Return the database alone, for what needs nothing else; raises as `open_ports`."""
    if settings.database == "embedded":
        from resources.database.embedded.embedded_database import EmbeddedDatabase

        return EmbeddedDatabase(settings.home / "postgres")
    from resources.database.hosted import HostedDatabase

    return HostedDatabase(_secret(settings.supabase_db_url, "SUPABASE_DB_URL", "DAWA_DATABASE=supabase"))


def open_bucket(settings: Settings) -> Bucket:
    """Return the bucket alone; raises as `open_ports`."""
    if settings.bucket == "folder":
        from resources.bucket.folder import FolderBucket

        return FolderBucket(settings.home / "bucket")
    from resources.bucket.supabase import SupabaseBucket

    if not settings.supabase_url:
        raise SettingsError("SUPABASE_URL: is not set, and DAWA_BUCKET=supabase needs it; set it, or another choice")
    key = _secret(settings.supabase_secret_key, "SUPABASE_SECRET_KEY", "DAWA_BUCKET=supabase")
    return SupabaseBucket(settings.supabase_url, key, resume_folder=settings.home / "uploads")


def open_compute(settings: Settings, *, several_jobs: bool = True) -> Compute:
    """Return what runs the worker. For one job alone nothing is made ready for others: a refusal comes at once.

    Raises:
        SettingsError: it runs elsewhere, and could not read the bucket's files there.
    """
    if settings.compute == "modal":
        from modal_app.modal_runtime.client import ModalCalls
        from resources.compute.modal import ModalCompute

        if settings.bucket == "folder":
            raise SettingsError(
                "DAWA_BUCKET: `folder` is on this machine only, and DAWA_COMPUTE=modal must read it from elsewhere; "
                "set DAWA_BUCKET=supabase, or DAWA_COMPUTE=local"
            )
        return ModalCompute(ModalCalls(settings.modal_app, settings.modal_environment))
    from resources.compute.local import LocalCompute

    return LocalCompute(settings.data_root, gemini_api_key=settings.gemini_api_key, several_jobs=several_jobs)


def open_prompt_writer(settings: Settings) -> PromptWriter:
    """Return the prompt writer alone.

    Raises:
        SettingsError: its key or its model's price is not set, or can't be used.
    """
    if settings.prompt_writer == "offline":
        from resources.prompt_writer.offline import OfflineWriter

        return OfflineWriter()
    from resources.prompt_writer.openai import OpenAIWriter

    return OpenAIWriter(
        SecretStr(_secret(settings.openai_api_key, "OPENAI_API_KEY", "DAWA_PROMPT_WRITER=openai")),
        model=settings.openai_model,
        base_url=settings.openai_base_url,
        takes_any_model=settings.takes_any_openai_model,
        price=None if settings.openai_price is None else Price(*map(float, settings.openai_price.split("/"))),
        limits=Limits(
            at_once=settings.calls_at_once, calls=settings.calls_per_run, budget_usd=settings.prompt_budget_usd
        ),
        timeout_seconds=settings.call_timeout_seconds,
    )


def _writer_or_why_not(settings: Settings) -> PromptWriter:
    try:
        return open_prompt_writer(settings)
    except SettingsError as error:
        from resources.prompt_writer.missing import MissingWriter
        from resources.prompt_writer.models import profile_of

        price = profile_of(settings.openai_model).price or Price(0, 0)
        return MissingWriter(
            settings.prompt_writer,
            settings.openai_model,
            price,
            error,
            takes_any_model=settings.takes_any_openai_model,
        )


def _secret(value: SecretStr | None, name: str, choice: str) -> str:
    if value is None or not value.get_secret_value().strip():
        raise SettingsError(f"{name}: is not set, and {choice} needs it; set it, or make another choice")
    return value.get_secret_value()
