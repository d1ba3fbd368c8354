"""The whole refresh with a hosted writer: a real database, and a real server that speaks OpenAI's API."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from resources.ports import Ports, open_prompt_writer
from tests.fakes.model_server.control import ModelServer
from tests.fakes.model_server.fixtures import model_server, model_server_process
from tests.fakes.model_server.openai_api import KEY

__all__ = ["model_server", "model_server_process"]


@pytest.fixture
def hosted(ports: Ports, model_server: ModelServer) -> Callable[..., Ports]:
    """A function that gives the ports with a writer that asks the server, and settings that differ."""

    def make(**more: Any) -> Ports:
        given = {
            "prompt_writer": "openai",
            "openai_api_key": SecretStr(KEY),
            "openai_base_url": model_server.openai_url,
            "calls_at_once": 8,
            "call_timeout_seconds": 5.0,
        }
        settings = ports.settings.model_copy(update={**given, **more})
        return replace(ports, settings=settings, prompt_writer=open_prompt_writer(settings))

    return make
