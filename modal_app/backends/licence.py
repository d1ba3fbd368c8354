"""Bases whose licence forbids commercial use: an adapter is made from them only where that was agreed to by name."""

from modal_app.backends.base import BaseModel
from modal_app.errors import LicenceError

_NON_COMMERCIAL = {"CC-BY-NC-4.0"}


def require_licence(base: BaseModel, accepted: str) -> None:
    """Refuse to train on a non-commercial base whose licence is not the one `accepted`.

    Raises:
        LicenceError: it is not.
    """
    if base.licence in _NON_COMMERCIAL and accepted != base.licence:
        raise LicenceError(
            f"{base.name}: its licence, {base.licence}, forbids commercial use, of adapters too; "
            f"set DAWA_LICENCE_ACCEPTED={base.licence} if yours is none, or train on a base of ACE-Step (MIT)"
        )
