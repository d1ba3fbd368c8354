"""SQL of evaluations and promotions: what was found of a run, and the log of what was published when and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from dawa_assets.tables.artists import Artist
from dawa_assets.tables.training_runs import Run
from resources.database.base import Connection

Author = Literal["evaluation", "person"]


Verdict = Literal["better", "no better", "broken", "copies"]


@dataclass(frozen=True)
class Evaluation:
    """A row of `lora_evaluations`."""

    run_id: UUID
    rule: str
    adapter_sha256: str
    rival_id: UUID | None
    verdict: Verdict
    reasons: list[str]
    figures: dict[str, Any]
    prompt: str
    seed: int
    files: dict[str, int]
    decided_at: datetime | None
    decision: str | None
    created_at: datetime


@dataclass(frozen=True)
class Promotion:
    """A row of `lora_promotions`; `published_at` is empty while it is under way."""

    id: UUID
    model_name: str
    run_id: UUID
    promoted_by: Author
    is_rollback: bool
    reason: str
    asked_at: datetime
    published_at: datetime | None


_EVALUATION = (
    "run_id, rule, adapter_sha256, rival_id, verdict, reasons, figures, prompt, seed, files, decided_at, decision, "
    "created_at"
)
_PROMOTION = "id, model_name, run_id, promoted_by, is_rollback, reason, asked_at, published_at"


def find_evaluation(connection: Connection, run: Run) -> Evaluation | None:
    """Return what was found of a run; None where it was not evaluated, or its adapter is another one since."""
    with connection.cursor(row_factory=class_row(Evaluation)) as cursor:
        return cursor.execute(
            f"select {_EVALUATION} from lora_evaluations where run_id = %s and adapter_sha256 = %s",
            [run.id, run.adapter_sha256],
        ).fetchone()


def record_evaluation(
    connection: Connection,
    artist: Artist,
    run: Run,
    *,
    rule: str,
    rival_id: UUID | None,
    verdict: Verdict,
    reasons: list[str],
    figures: dict[str, Any],
    prompt: str,
    seed: int,
    files: dict[str, int],
) -> None:
    """Store what was found. What was decided of the same adapter earlier stays on record."""
    connection.execute(
        """
        insert into lora_evaluations as known (run_id, artist_id, rule, adapter_sha256, rival_id, verdict, reasons,
          figures, prompt, seed, files)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        on conflict (run_id) do update set rule = excluded.rule, adapter_sha256 = excluded.adapter_sha256,
          rival_id = excluded.rival_id, verdict = excluded.verdict, reasons = excluded.reasons,
          figures = excluded.figures, prompt = excluded.prompt, seed = excluded.seed, files = excluded.files,
          decided_at = case when known.adapter_sha256 = excluded.adapter_sha256 then known.decided_at end,
          decision = case when known.adapter_sha256 = excluded.adapter_sha256 then known.decision end,
          created_at = now()
        """,
        [
            run.id,
            artist.id,
            rule,
            run.adapter_sha256,
            rival_id,
            verdict,
            reasons,
            Jsonb(figures),
            prompt,
            seed,
            Jsonb(files),
        ],
    )


def decide(connection: Connection, run: Run, decision: str) -> None:
    """Record what was decided of an evaluated run, and why."""
    connection.execute(
        "update lora_evaluations set decided_at = now(), decision = %s where run_id = %s", [decision, run.id]
    )


def promotions(connection: Connection, artist: Artist, model_name: str) -> list[Promotion]:
    """Return the log of one LoRA, the first one first."""
    with connection.cursor(row_factory=class_row(Promotion)) as cursor:
        return cursor.execute(
            f"select {_PROMOTION} from lora_promotions where artist_id = %s and model_name = %s order by asked_at",
            [artist.id, model_name],
        ).fetchall()


def promotions_under_way(connection: Connection, artist: Artist) -> list[Promotion]:
    """Return those that were asked for and not finished."""
    with connection.cursor(row_factory=class_row(Promotion)) as cursor:
        return cursor.execute(
            f"select {_PROMOTION} from lora_promotions where artist_id = %s and published_at is null order by asked_at",
            [artist.id],
        ).fetchall()


def request_promotion(
    connection: Connection, artist: Artist, run: Run, author: Author, reason: str, *, is_rollback: bool
) -> Promotion:
    """Log that a run is about to be published."""
    with connection.cursor(row_factory=class_row(Promotion)) as cursor:
        promotion = cursor.execute(
            "insert into lora_promotions (artist_id, model_name, run_id, promoted_by, is_rollback, reason) "
            f"values (%s, %s, %s, %s, %s, %s) returning {_PROMOTION}",
            [artist.id, run.model_name, run.id, author, is_rollback, reason],
        ).fetchone()
    assert promotion is not None  # noqa: S101 - just inserted
    return promotion


def finish_promotion(connection: Connection, artist: Artist, promotion: Promotion) -> None:
    """Its files are published: the run is the promoted one, and, where an evaluation asked for it, that is decided."""
    connection.execute(
        "update training_runs set promoted = false where artist_id = %s and model_name = %s and promoted and id <> %s",
        [artist.id, promotion.model_name, promotion.run_id],
    )
    connection.execute("update training_runs set promoted = true where id = %s and not promoted", [promotion.run_id])
    connection.execute("update lora_promotions set published_at = now() where id = %s", [promotion.id])
    if promotion.promoted_by == "evaluation":
        connection.execute(
            "update lora_evaluations set decided_at = now(), decision = %s where run_id = %s",
            [f"promoted: {promotion.reason}", promotion.run_id],
        )


def withdraw_promotion(connection: Connection, promotion: Promotion) -> None:
    """It could not be published; what was promoted stays so."""
    connection.execute("delete from lora_promotions where id = %s and published_at is null", [promotion.id])
