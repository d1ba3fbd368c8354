"""What a step reports of its run: the types that commands, pages and the steps themselves agree on.

A report is a dataclass: its fields are the figures, lists and words that a page shows. What is shown how is not known
here.
"""

import dataclasses
from typing import Any, ClassVar, Protocol, runtime_checkable


class Report(Protocol):
    """A dataclass on what one run of a step did, with a headline of one line."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def headline(self) -> str:
        """The report on one line."""


@runtime_checkable
class PaidReport(Report, Protocol):
    """A report of a step that pays for models or GPUs."""

    @property
    def cost_usd(self) -> float:
        """What this run was paid for, in US dollars."""


def figures_of(report: Report) -> dict[str, object]:
    """Return a report's fields but for its headline, in their order."""
    values = vars(report)
    return {field.name: values[field.name] for field in dataclasses.fields(report) if field.name != "headline"}
