"""Lists in messages name a few and count the rest."""

from dawa_assets.pipeline.wording import first_of


def test_the_first_are_named_and_the_rest_is_counted() -> None:
    assert first_of([], 2) == ""
    assert first_of(["a", "b"], 2) == "a, b"
    assert first_of(["a", "b", "c"], 2) == "a, b and 1 more"
    assert first_of([str(number) for number in range(1_201)], 1) == "0 and 1,200 more"
