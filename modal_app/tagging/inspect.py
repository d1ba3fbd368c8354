"""The `inspect` job: whether the tagger's key and model are good. Asks for the model's description; spends nothing."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Literal

from modal_app.data_root.layout import DataRoot
from modal_app.errors import DawaError, InputError, TryLaterError
from modal_app.protocol.base import Event
from modal_app.protocol.tagging import HostedModel, InspectRequest, ModelHealth
from modal_app.tagging.gemini.failures import trouble
from modal_app.tagging.gemini.models import SUCCESSOR, answering_model, ends_on, price_of, replaced_by
from modal_app.tagging.gemini.service import connect
from modal_app.tagging.tag_key import OFFLINE

_WARN_DAYS = 60


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
    health = ModelHealth(service="gemini", model=request.model.name, state=state, detail=detail)
    return _with_its_end(health, datetime.now(UTC).date()) if state == "ok" else health


def _with_its_end(health: ModelHealth, today: date) -> ModelHealth:
    """Return the same, with what is announced of the model: its end, or another one that answers in its place."""
    if (replaced := replaced_by(health.model)) is not None:
        since, other = replaced
        when = "are" if answering_model(health.model, today) == other else f"will, from {since} on, be"
        detail = f"{health.detail}; its requests {when} answered by {other}; set DAWA_GEMINI_MODEL to that"
        return health.model_copy(update={"state": "warning", "detail": detail, "ends_on": since})
    if (last := ends_on(health.model)) is None:
        return health
    if (left := (last - today).days) >= _WARN_DAYS:
        return health.model_copy(update={"detail": f"{health.detail}; it is there until {last}", "ends_on": last})
    when = f"is shut down in {left} days, on {last}" if left > 0 else f"was to be shut down on {last}"
    detail = f"the model {when}; set DAWA_GEMINI_MODEL to {SUCCESSOR}"
    return health.model_copy(update={"state": "warning", "detail": detail, "ends_on": last})


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
        price = price_of(model, answering_model(model.name, datetime.now(UTC).date()))
    except InputError as error:
        return "warning", str(error)
    return "ok", f"the key and the model are good, at ${price.input_usd:g}/${price.output_usd:g} per million tokens"
