"""Stands in for a writer that can't be opened: it knows its model, so that all goes on that needs no new text."""

from collections.abc import Iterable, Iterator

from modal_app.protocol.tagging import ModelHealth
from resources.errors import SettingsError
from resources.prompt_writer.base import Price, PromptAnswer, PromptRequest, PromptWriter


class MissingWriter(PromptWriter):
    """Says why it can't write when it is asked to."""

    def __init__(
        self, service: str, model_name: str, price: Price, why: SettingsError, *, takes_any_model: bool = False
    ) -> None:
        self._service = service
        self.model_name = model_name
        self.price = price
        self.takes_any_model = takes_any_model
        self._why = str(why)

    def write(self, requests: Iterable[PromptRequest], budget_usd: float | None = None) -> Iterator[list[PromptAnswer]]:  # noqa: ARG002 - it spends nothing
        """Nothing, where nothing is wanted.

        Raises:
            SettingsError: something is; the reason why it can't be written.
        """
        for _ in requests:
            raise SettingsError(self._why)
        yield from ()

    def inspect(self) -> ModelHealth:
        """Return the reason."""
        return ModelHealth(service=self._service, model=self.model_name, state="error", detail=self._why)
