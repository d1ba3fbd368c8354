"""What a signed-in user writes into a row directly is bounded as it is over HTTP."""

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dawa_assets.prompting.edit import why_no_caption
from dawa_assets.prompting.rules import PromptRules
from resources.database.base import Database
from tests.sql.roles import Side, acting_as, side

FINE = "Warm melodic house with glassy plucks over a patient bass.\nBPM: 122"


@pytest.fixture
def a(database: Database) -> Side:
    return side(database, "Artist A")


def _refused(database: Database, a: Side, text: str) -> str | None:
    """What is said of a text that the user gives their item; None where it is taken."""
    with acting_as(database, "authenticated", a.user) as connection:
        try:
            with connection.transaction():
                connection.execute("update training_items set prompt_text = %s where id = %s", [text, a.item])
        except psycopg.errors.CheckViolation as error:
            return str(error.diag.message_primary)
        row = connection.execute("select prompt_text from training_items where id = %s", [a.item]).fetchone()
    assert row is not None
    assert row["prompt_text"] == text
    return None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FINE, None),
        ("Ein Stück mit Ümläuten, 音楽, 🎹, व\u094d\u200dर and «quotes».\r\nBPM: 90", None),
        ("", None),
        (" ".join(["word"] * 90) + "\nBPM: 120", None),
        ("x" * 721, "has 721 characters; at most 720"),
        ("x" * 5_000_000, "has 5000000 characters"),
        ("w " * 95, "more than 90 words"),
        ("plain \x1b[31m red", "control character"),
        ("tab\there", "control character"),
        ("bell \x07", "control character"),
        ("a \u202egnp.exe", "control character"),
        ("a \u200b b", "control character"),
        ("a \ue000 b", "control character"),
        ("a \U000e0041 b", "control character"),
        ("a \u2028 b", "control character"),
    ],
)
def test_a_text_is_bounded(database: Database, a: Side, text: str, said: str | None) -> None:
    refused = _refused(database, a, text)
    assert (refused is None) if said is None else (refused is not None and said in refused)
    assert refused is None or refused.startswith("training_items.prompt_text: ")


_ODD = st.characters(categories=["Cc", "Cf", "Co", "Zl", "Zp"], exclude_characters="\0\n\r\u200c\u200d")


@given(odd=_ODD)
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_character_that_http_refuses_is_refused(database: Database, a: Side, odd: str) -> None:
    text = f"Warm melodic house{odd} with glassy plucks over a patient bass.\nBPM: 122"
    assert why_no_caption(text, PromptRules(tempo=122).broken(text)) is not None
    assert "control character" in (_refused(database, a, text) or "")


@given(text=st.text(st.characters(exclude_categories=["Cc", "Cf", "Co", "Cs", "Zl", "Zp"]), max_size=100))
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_short_and_plain_is_taken(database: Database, a: Side, text: str) -> None:
    if len(text.split()) <= 90:
        assert _refused(database, a, text) is None


def test_names_and_profiles_of_users_are_bounded_too(database: Database, a: Side) -> None:
    insert = "insert into training_items (artist_id, parse_id, als_filename, project_name) values (%s, %s, %s, %s)"
    with acting_as(database, "authenticated", a.user) as connection:
        connection.execute(insert, [a.artist, "p", "Ünïcode (1).als", "Project"])
        for names in (("p" * 201, "a.als", "P"), ("p", "a" * 256, "P"), ("p", "a\nb", "P"), ("p", "a", "P\x07")):
            with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
                connection.execute(insert, [a.artist, *names])
        for statement, value in (
            ("update artist_profiles set name = %s where artist_id = %s", "n" * 256),
            (
                "update artist_profiles set master_schema = jsonb_build_object('x', %s::text) where artist_id = %s",
                "y" * 2_000_001,
            ),
        ):
            with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
                connection.execute(statement, [value, a.artist])
        connection.execute("update artist_profiles set name = 'Fine' where artist_id = %s", [a.artist])


def test_other_columns_of_an_overlong_row_can_be_edited(database: Database, a: Side) -> None:
    with database.transaction() as connection:
        connection.execute("update training_items set prompt_text = %s where id = %s", ["x" * 5_000, a.item])
    with acting_as(database, "authenticated", a.user) as connection:
        assert connection.execute("update training_items set excluded_at = now() where id = %s", [a.item]).rowcount == 1
    with acting_as(database, "service_role") as connection:
        connection.execute("update training_items set prompt_text = %s where id = %s", ["y" * 5_000, a.item])
