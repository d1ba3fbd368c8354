"""The card of an adapter: what it was trained on, with what, and for whom. It travels in the files' headers."""

from pydantic import BaseModel, ConfigDict

from modal_app.config import BackendKind
from modal_app.protocol.base import Identifier
from modal_app.protocol.training import Origin, TrainParameters

CARD_KEY = "dawa_card"
"""The card's place in a safetensors header."""


class AdapterCard(BaseModel):
    """What an adapter says of itself. No times: the same training gives the same bytes.

    Of an adapter that was imported, nothing is known of its training: of the parameters, rank and alpha alone count.
    """

    model_config = ConfigDict(frozen=True)

    run_id: Identifier
    producer_id: Identifier
    model_name: Identifier
    backend: BackendKind
    base: str
    base_revision: str
    base_licence: str
    dataset_fingerprint: str
    recipe: str
    examples: int
    songs: int
    caption_rule: str = ""
    trigger_word: str = ""  # that every caption began with
    parameters: TrainParameters
    steps: int | None = None  # that were done
    kept_step: int | None = None  # whose adapter this is
    strength: float = 1.0  # baked into the weights
    stopped_because: str = ""
    first_loss: float | None
    final_loss: float | None
    held_out: list[str] = []
    base_validation_loss: float | None = None
    best_validation_loss: float | None = None
    trainable_parameters: int
    targets: list[str] = []  # what it has in each layer; empty: what the backend trains
    imported: Origin | None = None
    versions: dict[str, str]
