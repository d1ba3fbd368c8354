"""SQL of spending: what hosted models cost, a running account by day, service, model and artist. No prices here.

Written in the transaction that stores the answers it was spent on, so that the two can't disagree.
"""

from typing import Literal
from uuid import UUID

from modal_app.hosted_models.metered_requests import Usage
from resources.database.base import Connection


def record_spending(
    connection: Connection, *, service: Literal["prompts", "tags"], model: str, artist_id: UUID, used: Usage
) -> None:
    """Add what calls took to today's account (UTC). Calls that gave nothing usable count too."""
    if not used.calls:
        return
    connection.execute(
        "insert into spending as s (day, service, model, artist_id, calls, input_tokens, output_tokens, cost_usd) "
        "values ((now() at time zone 'utc')::date, %s, %s, %s, %s, %s, %s, %s) "
        "on conflict (day, service, model, artist_id) do update set calls = s.calls + excluded.calls, "
        "input_tokens = s.input_tokens + excluded.input_tokens, "
        "output_tokens = s.output_tokens + excluded.output_tokens, cost_usd = s.cost_usd + excluded.cost_usd",
        [service, model, artist_id, used.calls, used.input_tokens, used.output_tokens, used.cost_usd],
    )


def spent_this_month(connection: Connection) -> float:
    """Return the US dollars spent since the first of this month (UTC), by all services and artists."""
    row = connection.execute(
        "select coalesce(sum(cost_usd), 0) as spent from spending "
        "where day >= date_trunc('month', now() at time zone 'utc')::date"
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    return float(row["spent"])


def spent_by_artist(connection: Connection, artist_id: UUID) -> float:
    """Return the US dollars spent on one artist since the first of this month (UTC), by models and by trainings."""
    row = connection.execute(
        "select (select coalesce(sum(cost_usd), 0) from spending where artist_id = %(artist)s "
        "  and day >= date_trunc('month', now() at time zone 'utc')::date) "
        "+ (select coalesce(sum((metrics ->> 'cost_usd')::numeric), 0) from training_runs where artist_id = %(artist)s "
        "  and finished_at >= date_trunc('month', now() at time zone 'utc') at time zone 'utc') as spent",
        {"artist": artist_id},
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    return float(row["spent"])
