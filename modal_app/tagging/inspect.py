"""The `inspect` job: whether the tagger's key and model are good. Asks for the model's description; spends nothing."""

import asyncio
from collections.abc import Callable
from typing import Literal

from modal_app.config import DataRoot
from modal_app.errors import DawaError, InputError
from modal_app.paid_calls import TryLaterError
from modal_app.protocol.base import Event
from modal_app.protocol.tagging import HostedModel, InspectRequest, ModelHealth
from modal_app.tagging.gemini import connect
from modal_app.tagging.gemini_trouble import trouble
from modal_app.tagging.names import OFFLINE
from modal_app.tagging.prices import price_of


def inspect(request: InspectRequest, root: DataRoot, emit: Callable[[Event], None]) -> ModelHealth:  # noqa: ARG001 - as every job
    """Say whether the tagger can be used now.

    Raises:
        InputError: no model is named.
    """
    if request.tagger == "offline":
        return ModelHealth(
            service="offline", model=OFFLINE.model, state="ok", detail="works on this machine and costs nothing"
        )
    if request.model is None:
        raise InputError(f"the tagger {request.tagger!r} needs a model; name one in the request")
    try:
        state, detail = asyncio.run(_look(request.model))
    except TryLaterError as error:
        state, detail = "error", f"not to be had now: {error}; try again later"
    except DawaError as error:
        state, detail = "error", str(error)
    return ModelHealth(service="gemini", model=request.model.name, state=state, detail=detail)


async def _look(model: HostedModel) -> tuple[Literal["ok", "warning", "error"], str]:
    client = connect(model)
    try:
        async with asyncio.timeout(model.timeout_seconds):
            found = await client.aio.models.get(model=model.name)
    except Exception as error:
        raise trouble(error, model, maybe_usd=0.0) from None
    finally:
        await client.aio.aclose()
    if found.supported_actions is not None and "generateContent" not in found.supported_actions:
        return "error", "the model can't answer questions; set DAWA_GEMINI_MODEL to one that can"
    try:
        price = price_of(model)
    except InputError as error:
        return "warning", str(error)
    return "ok", f"the key and the model are good, at ${price.input_usd:g}/${price.output_usd:g} per million tokens"
