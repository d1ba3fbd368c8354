from dataclasses import dataclass

from dawa_assets.intake.live_sets_report import LiveSetsReport
from dawa_assets.pipeline.reports import PaidReport, figures_of


@dataclass(frozen=True)
class Paid:
    headline: str
    cost_usd: float
    calls: int


def test_the_fields_come_in_their_order_without_the_headline() -> None:
    assert list(figures_of(Paid("done", 0.5, 3)).items()) == [("cost_usd", 0.5), ("calls", 3)]
    assert "headline" not in figures_of(LiveSetsReport())


def test_a_report_with_a_cost_is_a_paid_one() -> None:
    assert isinstance(Paid("done", 0.0, 0), PaidReport)
    assert not isinstance(LiveSetsReport(), PaidReport)
