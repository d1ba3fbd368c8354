"""Pools: what only so many runs may use at once. How many is in dagster.yaml; who uses one is decided here.

A step that asks no paid service and needs no GPU is in none, so that it waits for nobody.
"""

from resources.settings import Settings

GPU = "gpu"


def writer_pool(settings: Settings) -> str | None:
    """Return the pool of what writes prompts."""
    return "openai" if settings.prompt_writer == "openai" else None


def tagger_pool(settings: Settings) -> str | None:
    """Return the pool of what tags segments."""
    return "gemini" if settings.tagger == "gemini" else None
