"""The fingerprint of a prompt: what it was made from and by whom. Equal fingerprints mean the same question.

A text is paid for once per fingerprint, and a prompt is stale when its fingerprint is no longer the one that its
inputs give.
"""

import hashlib
import json
from uuid import UUID


def prompt_fingerprint(
    *, instructions: str, context: str, model_name: str, system_prompt_version: str, schema_version: str, take: int = 0
) -> str:
    """64 hex digits over the exact messages, the model, and the versions of system prompt and profile.

    `take` is raised to ask the same question once more.
    """
    parts: list[str | int] = [instructions, context, model_name, system_prompt_version, schema_version]
    parts += [take] if take else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def human_fingerprint(item_id: UUID, text: str) -> str:
    """Return the fingerprint of a person's text for one item; never one of a model's."""
    return f"human:{item_id}:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
