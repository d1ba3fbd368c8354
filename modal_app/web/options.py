"""What whoever serves the endpoints decides: models, how long a request waits, the password. Nothing is served here."""

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from pydantic import SecretStr

from modal_app.config import BackendKind
from modal_app.errors import BadRequestError, InputError
from modal_app.protocol.tagging import HostedModel
from modal_app.protocol.training import AskedTraining
from modal_app.web.marking import Mark, tagged

MAX_UPLOADED = 112_500_000
"""The size of a file that store-upload takes, in bytes: 150 MB of base64."""


@dataclass(frozen=True)
class WebOptions:
    """How the endpoints do what a client leaves open."""

    training: AskedTraining
    bases: Mapping[BackendKind, str] = field(default_factory=lambda: {BackendKind.ACE_STEP: "tiny"})
    backend: BackendKind = BackendKind.ACE_STEP
    model_name: str = "nawfside_lora"
    tagger: Literal["offline", "gemini"] = "offline"
    tag_model: HostedModel | None = None
    wait_seconds: float = 100.0
    most_uploaded: int = MAX_UPLOADED
    password: SecretStr | None = None
    check_lora: Callable[[str], None] | None = None
    """Raises an `InputError` where nothing may be generated with this adapter (`producer:model`)."""
    mark: Mark | None = tagged
    """What is done with rendered audio before it is given away; None: nothing."""

    def backend_for(self, override: str | None) -> tuple[BackendKind, str]:
        """Return the generator that is asked for, and its base.

        Raises:
            InputError: there is no such generator, or none of it here.
        """
        if not override:
            return self.backend, self.bases[self.backend]
        names = ", ".join(kind.value for kind in self.bases)
        try:
            kind = BackendKind(override)
        except ValueError:
            raise InputError(f"backend_override: is no generator that is known here; use one of: {names}") from None
        if kind not in self.bases:
            raise InputError(f"backend_override: {kind} has no base model here; use one of: {names}")
        return kind, self.bases[kind]


def require_password(password: SecretStr | None, *given: str | None) -> None:
    """Let pass who gave the password (the first that is given counts); without one everybody passes.

    Raises:
        BadRequestError: 401, the password is wrong or missing.
    """
    if not is_set(password):
        return
    assert password  # noqa: S101 - `is_set` says so
    offered = next((text for text in given if text is not None), "")
    wanted = password.get_secret_value().encode()
    readings = [offered.encode("utf-8", "surrogatepass")]
    with suppress(UnicodeEncodeError):
        readings.append(offered.encode("latin-1"))  # a header's bytes come so, whatever they are
    if not any(hmac.compare_digest(reading, wanted) for reading in readings):
        raise BadRequestError(
            HTTPStatus.UNAUTHORIZED, "the password is wrong or missing; send it in the header x-train-password"
        )


def is_set(password: SecretStr | None) -> bool:
    """Return whether there is a password; one of nothing but spaces is none."""
    return password is not None and bool(password.get_secret_value().strip())
