"""Whether an item's prompt is stale, and why.

A prompt is stale when it is missing or its fingerprint is no longer the one that its inputs give. A person's text is
never stale, unless it was given back to the model. A change of model alone makes prompts stale only where somebody
chose the model: under a default, what any hosted model wrote stays.

The same over all rows, without opening a summary: `dawa_assets/tables/prompt_staleness.py`.
"""

from dataclasses import dataclass

from dawa_assets.tables.prompts import Item
from resources.prompt_writer.offline import OfflineWriter

ANY_MODEL = "*"


@dataclass(frozen=True)
class Wanted:
    """What a prompt written now would be recorded with."""

    schema_version: str
    profile_hash: str
    system_prompt_version: str
    model_name: str
    takes_any_model: bool = False
    """Whether the model is a default that nobody chose."""

    def accepts(self, model_name: str | None) -> bool:
        """Say whether a text by this model is as good as one by the wanted."""
        return model_name == self.model_name or (
            self.takes_any_model and model_name is not None and model_name != OfflineWriter.model_name
        )

    @property
    def complete_for(self) -> str:
        """What is recorded as the model that an artist's prompts are complete for."""
        return ANY_MODEL if self.takes_any_model else self.model_name


def is_human(item: Item) -> bool:
    """Return whether the item's text is a person's: saved by the dashboard, edited since a model wrote it, or imported.

    A person's text that was given back is the model's to replace, unless it was edited again since.
    """
    if not (item.prompt_text or "").strip():
        return False
    if item.prompt_id is None or item.text != item.prompt_text:
        return True
    return item.origin == "human" and not item.given_back


def why_stale(item: Item, fingerprint: str, wanted: Wanted) -> str | None:
    """Return why an item's prompt would be another one now; None where it would be the same."""
    if item.fingerprint is None or not (item.prompt_text or "").strip():
        return "missing"
    if item.fingerprint == fingerprint:
        return None
    if item.origin == "human":
        return "given back"
    if item.prompt_of_take != item.prompt_take:
        return "another take"
    if item.schema_version != wanted.schema_version:
        return "schema version"
    if item.system_prompt_version != wanted.system_prompt_version:
        return "system prompt"
    if not wanted.accepts(item.model_name):
        return "model"
    if item.prompt_of_summary_id != item.als_summary_id or item.prompt_summary_id is None:
        return "summary"
    # Also where the builder of contexts or the text of a system prompt changed under the same version.
    return "profile" if item.profile_hash != wanted.profile_hash else "context"
