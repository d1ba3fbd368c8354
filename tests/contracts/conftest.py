"""What each implementation of a port runs on: a Storage server, a server of models, a project's PostgreSQL."""

from tests.fakes.model_server.fixtures import model_server, model_server_process
from tests.resources.bucket.conftest import storage_server
from tests.resources.database.conftest import debian_postgres, pooler
from tests.resources.prompt_writer.conftest import make_writer

__all__ = ["debian_postgres", "make_writer", "model_server", "model_server_process", "pooler", "storage_server"]
