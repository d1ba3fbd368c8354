"""The music generators that can be fine-tuned, by name. To add one: `docs/adding-a-backend.md`."""

from enum import StrEnum


class BackendKind(StrEnum):
    """The music generators that can be fine-tuned."""

    ACE_STEP = "ace_step"
    MUSICGEN = "musicgen"
