"""A whole pipeline of its own for the tests of the Dagster face: real database, bucket and worker in one folder."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from dawa_assets.defs.resources import Pipeline
from resources.database.embedded.embedded_database import EmbeddedDatabase
from tests.given_pipeline import GivenPipeline
from tests.hosted.parts import WorkerHere
from tests.prepared import prepare_database


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_database(tmp_path_factory.mktemp("home of a pipeline"))


@pytest.fixture(scope="module")
def pipeline(home: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(overrides={"home": str(home), "train_steps": "8", "preview_seconds": "1", "quiet_seconds": "0"})
    database = pipeline.ports().database
    assert isinstance(database, EmbeddedDatabase)
    yield pipeline
    database.stop()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture(scope="module")
def pipeline_here(pipeline: Pipeline) -> GivenPipeline:
    """The same without worker processes, for what is not about them: none is started and imports its libraries."""
    ports = pipeline.ports()
    return GivenPipeline(replace(ports, compute=WorkerHere(ports.settings.data_root)))
