"""Budgets of hosted models: what a run may spend, and what is said where another model answered."""

from dawa_assets.tables.spending import spent_this_month
from resources.database.base import Connection


def mismatch(asked: str, answered_by: str) -> str | None:
    """Return what is to be said where another model answered than the one that was asked; None where none did."""
    if answered_by == asked:
        return None
    return (
        f"{asked} was asked and {answered_by} answered: its texts and their cost are recorded as {answered_by}'s; "
        f"choose {answered_by}, or another model"
    )


def left_to_spend(connection: Connection, run_budget: float, monthly_budget: float | None) -> float:
    """Return what a run may spend: its own budget, or what is left of the month's where that is less."""
    if monthly_budget is None:
        return run_budget
    return min(run_budget, max(monthly_budget - spent_this_month(connection), 0.0))
