"""What decides on a candidate, as a pure function: verdicts with their reasons, and which one is in effect."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dawa_assets.tables.lora_evaluations import Promotion
from dawa_assets.training.promotion import history_of
from dawa_assets.training.promotion_policy import CandidateState, Judgement, choose, judge
from modal_app.protocol.evaluation import CopiedPassage, CopyFindings
from tests.dawa_assets.training.test_evaluation import FOUND


def copied(seconds: float) -> CopyFindings:
    passage = CopiedPassage(
        rendering=3,
        start_seconds=2.0,
        end_seconds=2.0 + seconds,
        song="one",
        song_seconds=70.0,
        hits=99,
        semitones=1.0,
        speed=0.97,
    )
    return CopyFindings(
        renderings=9,
        songs=4,
        threshold=15,
        is_calibrated=True,
        copied_seconds=seconds,
        passages=[passage] if seconds else [],
    )


@pytest.mark.parametrize(
    ("changes", "verdict", "says"),
    [
        ({}, "better", "held-out segment"),
        ({"lora_loss": 2.0}, "no better", "the base's 2.0000"),
        ({"held_out": []}, "better", "says little"),
        ({"trouble": "3 keys are missing", "lora": None, "lora_loss": None}, "broken", "3 keys"),
        ({"lora_loss": None}, "broken", "no number"),
        ({"waveform_change": 0.0}, "broken", "changes nothing"),
        ({"lora": FOUND.base.model_copy(update={"silent_share": 1.0})}, "broken", "silence"),
        ({"lora": FOUND.base.model_copy(update={"clipped_share": 0.4})}, "broken", "40% of what it renders"),
        ({"lora": FOUND.base.model_copy(update={"samples": 8})}, "broken", "8 samples where 9"),
        ({"copies": copied(0)}, "better", "no passage that it was trained on in 9 renderings, held against 4 songs"),
        ({"copies": copied(5)}, "better", "5 s of one rendering are copied"),
        ({"copies": copied(9)}, "copies", "9 s from 0:02 of rendering 3 are one from 1:10 (+1 "),
        ({"copies": copied(9)}, "copies", "semitones, -3.0% in tempo)"),
        ({"copies": copied(9), "lora_loss": None}, "broken", "no number"),
    ],
)  # fmt: skip
def test_verdicts_have_their_reasons(changes: dict[str, Any], verdict: str, says: str) -> None:
    finding = judge(FOUND.model_copy(update=changes))
    assert finding.verdict == verdict
    assert says in "; ".join(finding.reasons)


def test_a_silent_base_does_not_count_against_the_adapter() -> None:
    silent = FOUND.base.model_copy(update={"silent_share": 1.0})
    assert judge(FOUND.model_copy(update={"base": silent, "lora": silent})).verdict == "better"


@given(
    st.sampled_from(["better", "no better", "broken", "copies"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.tuples(st.floats(0, 9), st.floats(0, 9)),
)
def test_nothing_broken_taken_back_or_worse_is_ever_promoted(
    verdict: Any, is_promoted: bool, has_promoted: bool, taken_back: bool, losses: tuple[float, float] | None
) -> None:
    own, rivals = losses or (None, None)
    found = FOUND.model_copy(update={"shared_lora_loss": own, "shared_rival_loss": rivals})
    standing = CandidateState(is_promoted, has_promoted or is_promoted, taken_back)
    choice = choose(Judgement(verdict, ["a reason"]), found, standing)
    assert choice.reason
    if choice.promote:
        assert verdict not in ("broken", "copies")
        assert not taken_back
        assert not is_promoted
        assert not has_promoted or (own < rivals if own is not None and rivals is not None else verdict == "better")
    elif not (is_promoted or taken_back or has_promoted):
        assert verdict in ("broken", "copies")


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans())))
def test_any_log_of_promotions_has_its_last_one_in_effect(log: list[tuple[int, bool, bool]]) -> None:
    rows: list[Promotion] = []
    for number, (run, is_rollback, is_done) in enumerate(log):
        before = history_of(rows).in_effect
        if is_rollback and len(before) < 2:
            continue
        target = before[-2] if is_rollback else UUID(int=run)
        now: Any = "now"
        rows.append(Promotion(UUID(int=number), "m", target, "person", is_rollback, "r", now, now if is_done else None))
    history = history_of(rows)
    done = [row for row in rows if row.published_at]
    assert history.in_effect[-1:] == [row.run_id for row in done][-1:]
    assert not history.taken_back & set(history.in_effect[-1:])
