"""What a step is made of: order, captions, learning rate, the data made ready, the log. No model here."""

import random
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modal_app.backends.base import Conditioning
from modal_app.errors import JobError
from modal_app.protocol.training import CaptionPart, Example
from modal_app.training.batch_schedule import BatchOrder, seed_of
from modal_app.training.caption_dropout import shortened
from modal_app.training.prefetcher import Feed, StepData
from modal_app.training.run_log import RunLog
from modal_app.training.schedule import interval, is_judged, learning_rate_factor
from tests.modal_app.training.conftest import parameters
from tests.waiting import until

PARTS = [
    CaptionPart(kind="trigger", text="nawfside."),
    CaptionPart(kind="prompt", text="Slow."),
    CaptionPart(kind="tags", text="calm."),
    CaptionPart(kind="key", text="Key: A minor."),
    CaptionPart(kind="tempo", text="BPM: 80"),
]
METADATA = frozenset({"tempo", "key"})


def example(parts: list[CaptionPart]) -> Example:
    return Example(
        audio_hash="0" * 64,
        index=0,
        sha256="1" * 64,
        song="song",
        parts=parts,
        gain_db=0.0,
        bpm=80.0,
        musical_key="A minor",
        time_signature="4/4",
    )


@settings(deadline=None)
@given(st.lists(st.sampled_from([375, 150, 40]), min_size=1, max_size=30), st.integers(1, 5), st.integers(0, 9))
def test_batches_hold_one_shape_and_every_example_once_a_round(keys: list[int], size: int, seed: int) -> None:
    order = BatchOrder(keys, size, seed)
    count = sum(-(-keys.count(key) // size) for key in set(keys))

    for turn in range(2):
        round_of_all = [order.batch(turn * count + number) for number in range(count)]
        assert sorted(index for batch in round_of_all for index in batch) == list(range(len(keys)))
        assert all(len({keys[index] for index in batch}) == 1 and len(batch) <= size for batch in round_of_all)


@settings(deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=20))
def test_any_batch_is_the_same_at_any_time(numbers: list[int]) -> None:
    keys = [375] * 7 + [150] * 3
    order = BatchOrder(keys, 2, seed=4)
    assert [order.batch(number) for number in numbers] == [BatchOrder(keys, 2, 4).batch(number) for number in numbers]


def test_rounds_and_seeds_have_orders_of_their_own() -> None:
    rounds = [tuple(BatchOrder([1] * 8, 8, seed).batch(number)) for seed in range(3) for number in range(3)]
    assert len({*rounds}) == 9
    assert len({seed_of("draw", 0, step, place) for step in range(50) for place in range(50)}) == 2500


def test_captions_vary_in_length_and_are_sometimes_left_out() -> None:
    whole = example(PARTS)
    heard = [shortened(whole, (), part_share=0.15, whole_share=0.1, seed=seed) for seed in range(4000)]

    with_text = [told for told in heard if told.caption is not None]
    assert len(with_text) / 4000 == pytest.approx(0.9, abs=0.02)
    for word in ("Slow.", "calm.", "Key: A minor.", "BPM: 80"):
        share = sum(word in (told.caption or "") for told in with_text) / len(with_text)
        assert share == pytest.approx(0.85, abs=0.03)
    assert all((told.caption or "").startswith("nawfside. ") for told in with_text)
    assert "nawfside. Slow. calm. Key: A minor. BPM: 80" in {told.caption for told in with_text}
    assert len({told.caption for told in with_text}) >= 12


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(PARTS), unique_by=lambda part: part.kind),
    st.sampled_from([frozenset(), METADATA]),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 1 << 56),
)
def test_a_shortened_caption_keeps_its_order_and_some_content(
    parts: list[CaptionPart], beside: frozenset[str], part_share: float, whole_share: float, seed: int
) -> None:
    heard = shortened(example(parts), beside, part_share=part_share, whole_share=whole_share, seed=seed)

    assert heard == shortened(example(parts), beside, part_share=part_share, whole_share=whole_share, seed=seed)
    if heard.caption is None:
        assert heard == Conditioning(None)
        return
    kept = [part for part in parts if part.text in heard.caption]
    assert heard.caption == " ".join(part.text for part in kept)
    kinds, in_text = {part.kind for part in kept}, {part.kind for part in parts} - beside
    assert bool(kinds - {"trigger"}) == bool(in_text - {"trigger"})
    assert ("trigger" in kinds) == ("trigger" in in_text)
    assert not kinds & beside
    if not beside:
        assert (heard.bpm is not None) == ("tempo" in kinds)
        assert (heard.musical_key is not None) == ("key" in kinds)
    assert (heard.bpm is None) == (heard.time_signature is None)


def test_the_learning_rate_warms_up_and_goes_down() -> None:
    factors = [learning_rate_factor(step, parameters(steps=60)) for step in range(60)]

    assert factors[0] < factors[2] == 1.0
    assert factors[2:] == sorted(factors[2:], reverse=True)
    assert 0 < factors[-1] < 0.01
    assert learning_rate_factor(0, parameters(steps=1)) == 1.0
    to_a_tenth = [learning_rate_factor(step, parameters(steps=60, final_learning_rate=0.1)) for step in range(60)]
    assert (to_a_tenth[0], to_a_tenth[2]) == (factors[0], 1.0)
    assert to_a_tenth[-1] == pytest.approx(0.1, abs=0.01)
    assert learning_rate_factor(0, parameters(steps=10, warmup_steps=0)) == 1.0


def test_an_adapter_is_judged_ten_times_and_at_the_end() -> None:
    assert interval(parameters(steps=1000)) == 100
    assert [step for step in range(61) if is_judged(step, parameters(steps=55))] == [0, 10, 20, 30, 40, 50, 55, 60]
    assert interval(parameters(steps=1000, validate_every=7)) == 7


def test_data_is_ready_ahead_and_in_order() -> None:
    with Feed(lambda step: [step], 3, 40) as feed:  # type: ignore[list-item,arg-type,return-value]
        assert [feed.next() for _ in range(38)] == [[step] for step in range(3, 41)]


def test_a_step_that_waits_for_its_data_is_counted() -> None:
    at_the_sixth, asked = threading.Event(), threading.Event()

    def slow_at_the_sixth(step: int) -> StepData:
        if step == 6:
            at_the_sixth.set()
            asked.wait()
        return []

    with Feed(slow_at_the_sixth, 1, 9) as feed:
        for _ in range(4):  # what lies ready when the first is asked for
            feed.next()
            before = feed.waited
        at_the_sixth.wait()
        feed.next()
        reader = threading.Thread(target=feed.next)
        reader.start()
        until(lambda: feed.waited > before)
        asked.set()
        reader.join()
    assert (before, feed.waited) == (0, 1)


def test_what_goes_wrong_with_the_data_is_the_steps_error() -> None:
    def broken(_: int) -> StepData:
        raise JobError("the cache is gone")

    with Feed(broken, 1, 9) as feed, pytest.raises(JobError, match="the cache is gone"):
        feed.next()


def test_a_feed_that_is_left_early_ends_its_thread() -> None:
    with Feed(lambda _: [], 1, 1_000_000) as feed:
        feed.next()
    assert "feed" not in {thread.name for thread in threading.enumerate()}


def test_a_log_is_cut_at_the_length_that_a_checkpoint_knows(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0)
    log.write("validation", 0, loss=3.0)
    log.write("step", 1, loss=random.Random(1).random())  # noqa: S311 - not for secrets
    known, losses = log.length, list(log.losses)
    log.write("step", 2, loss=9.0)
    log.close()
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"event": "st')

    again = RunLog(tmp_path, known)

    assert (again.losses, again.length) == (losses, known)
    assert [validation.loss for validation in again.validations] == [3.0]
    assert (tmp_path / "events.jsonl").stat().st_size == known
    again.close()
    with pytest.raises(JobError, match="shorter than its checkpoint knows"):
        RunLog(tmp_path, known + 1)
