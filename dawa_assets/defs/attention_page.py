"""The page of `needs_attention`: a line for each artist and trouble, which the UI shows in place at any width.

A table would have a fifth of the page for the reason. What does not fit into a text that the UI shows is in a table
below it, whole. An artist's slug stands in bold: by that it is found when the artist is deleted (`history.py`).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import dagster as dg

from dawa_assets.defs.failed_runs import FailedRun
from dawa_assets.defs.metadata import escaped, moment, table
from dawa_assets.intake.inbox import Unclaimed
from dawa_assets.pipeline.wording import counted
from dawa_assets.tables.backlog import OpenIssue

MAX_REASON = 240  # characters
_MAX_TEXT = 999  # of markdown: the UI shows no longer text in place
_MAX_SHOWN_REASON = 200

Shown = dict[str, dg.MetadataValue]


def issues_shown(name: str, issues: Sequence[OpenIssue], artists: int) -> Shown:
    """Return what stands open of one kind, a line an artist; all of it in a table, where that is longer than a page."""
    lines = [
        _line(
            f"[**{issue.slug}**](/assets/{issue.asset}?view=partitions&partition={quote(issue.slug)})",
            f"{escaped(what(issue))}: {_reason(issue.reason)}",
            issue.since,
        )
        for issue in issues
    ]
    return _lines_or_table(name, lines, [{"asset": issue.asset, **row(issue)} for issue in issues], artists)


def runs_shown(runs: Sequence[FailedRun]) -> Shown:
    """Return runs that failed, the oldest trouble first, with links to their logs."""
    oldest_first = sorted(runs, key=lambda run: run.since)
    lines = [
        _line(
            f"[**{run.slug}**](/runs/{run.run_id})",
            f"{escaped(run.asset)}: {_reason(run.reason)}{_tries(run.attempts)}",
            run.since,
        )
        for run in oldest_first
    ]
    rows = [
        {
            "artist": run.slug,
            "asset": run.asset,
            "why": " ".join(run.reason.split())[:MAX_REASON],
            "since (UTC)": moment(run.since),
            "tries": run.attempts,
            "run": run.run_id[:8],
        }
        for run in oldest_first
    ]
    return _lines_or_table("failed runs", lines, rows, len(runs))


def unclaimed_shown(unclaimed: Iterable[Unclaimed]) -> Shown:
    """Return what lies in the inbox and is nobody's."""
    found = list(unclaimed)
    lines = [f"- **{escaped(each.place)}**, {counted(each.files, 'file')}: {_reason(each.reason)}" for each in found]
    rows = [{"where": each.place, "files": each.files, "why": each.reason} for each in found]
    return _lines_or_table("uploads of nobody", lines, rows, len(found))


def what(issue: OpenIssue) -> str:
    """Return what the trouble is with: the oldest thing, and how many more there are."""
    more = f" and {issue.things - 1:,} more" if issue.things > 1 else ""
    return f"{issue.name}{more}"


def row(issue: OpenIssue) -> dict[str, Any]:
    """Return an issue as a table has it."""
    return {
        "artist": issue.slug,
        "what": what(issue),
        "why": " ".join(issue.reason.split())[:MAX_REASON],
        "since (UTC)": None if issue.since is None else moment(issue.since),
    }


def _lines_or_table(name: str, lines: list[str], rows: list[dict[str, Any]], of: int) -> Shown:
    if not lines:
        return {}
    shown: list[str] = []
    for line in lines:
        if shown and sum(len(each) + 1 for each in shown) + len(line) > _MAX_TEXT - len(_more(of)):
            break
        shown.append(line)
    if len(shown) == of:
        return {name: dg.MetadataValue.md("\n".join(shown))}
    text = "\n".join([*shown, _more(of - len(shown))])
    return {name: dg.MetadataValue.md(text), f"{name}, all": table(rows, of=of, keep=["what"])}


def _more(count: int) -> str:
    return f"- … and {count:,} more, in the table below"


def _line(who: str, text: str, since: datetime | None) -> str:
    at = "" if since is None else f" *({since.astimezone(UTC):%-d %b %H:%M})*"
    return f"- {who} {text}{at}"


def _reason(reason: str) -> str:
    text = " ".join(reason.split())
    return escaped(text if len(text) <= _MAX_SHOWN_REASON else f"{text[: _MAX_SHOWN_REASON - 1]}…")


def _tries(attempts: int) -> str:
    return "" if attempts == 1 else f", tried {attempts} times"
