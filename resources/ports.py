"""The four ports of one process, opened from the settings. The only place that chooses implementations."""

from dataclasses import dataclass

from resources.bucket.base import Bucket
from resources.compute.base import Compute
from resources.database import Database
from resources.prompt_writer.base import PromptWriter
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
    """The ports that the settings name. Nothing is started or reached before it is used."""
    from resources.bucket.folder import FolderBucket
    from resources.compute.local import LocalCompute
    from resources.embedded_postgres import EmbeddedDatabase
    from resources.prompt_writer.offline import OfflineWriter

    return Ports(
        settings=settings,
        database=EmbeddedDatabase(settings.home / "postgres"),
        bucket=FolderBucket(settings.home / "bucket"),
        prompt_writer=OfflineWriter(),
        compute=LocalCompute(settings.data_root),
    )
