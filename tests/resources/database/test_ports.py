"""Which implementation a setting opens, and what happens where its key is missing."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from dawa_assets.observability.status import artist_statuses
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from resources.errors import SettingsError
from resources.ports import Ports, open_ports, open_prompt_writer
from resources.settings import Settings
from tests.dawa_assets.prompting.material import give_set, item, summary


@pytest.fixture
def keyless(ports: Ports) -> Ports:
    settings = ports.settings.model_copy(update={"prompt_writer": "openai", "openai_api_key": None})
    return replace(ports, settings=settings, prompt_writer=open_ports(settings).prompt_writer)


def test_a_writer_without_its_key_stops_nothing_but_writing(keyless: Ports, artist: Artist) -> None:
    it = give_set(keyless.database, artist, summary(), "One")
    [status] = artist_statuses(keyless, artist.slug)
    assert status.items == 1
    with pytest.raises(SettingsError, match="OPENAI_API_KEY: is not set"):
        refresh_prompts(keyless, artist.slug)
    assert item(keyless.database, it)["status"] == "needs_prompt"


def test_a_writer_needs_no_key_where_nothing_is_to_be_written(keyless: Ports, artist: Artist) -> None:
    assert refresh_prompts(keyless, artist.slug).written == 0
    assert keyless.prompt_writer.model_name == "gpt-6-luna"
    assert keyless.prompt_writer.inspect().state == "error"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"openai_api_key": None}, "OPENAI_API_KEY: is not set"),
        ({"openai_api_key": SecretStr("  ")}, "OPENAI_API_KEY: is not set"),
        ({"openai_api_key": SecretStr("sk-secret"), "openai_model": "a-new-model"}, "DAWA_OPENAI_PRICE"),
    ],
)
def test_a_writer_that_can_not_be_opened_says_what_to_set(
    tmp_path: Path, given: dict[str, SecretStr], said: str
) -> None:
    settings = Settings(_env_file=None, home=tmp_path, prompt_writer="openai").model_copy(update=given)
    with pytest.raises(SettingsError, match=said) as refused:
        open_prompt_writer(settings)
    assert "sk-secret" not in str(refused.value)


def test_a_price_of_ones_own_opens_a_model_that_nobody_knows(tmp_path: Path) -> None:
    settings = Settings(
        _env_file=None,
        home=tmp_path,
        prompt_writer="openai",
        openai_api_key=SecretStr("sk-x"),
        openai_model="a-new-model",
        openai_price="1.5/6",
    )
    assert open_prompt_writer(settings).price.of(1_000_000, 1_000_000) == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bucket": "supabase"}, "SUPABASE_URL: is not set"),
        ({"bucket": "supabase", "supabase_url": "https://x.supabase.co"}, "SUPABASE_SECRET_KEY: is not set"),
        ({"database": "supabase"}, "SUPABASE_DB_URL: is not set"),
    ],
)
def test_tables_and_files_need_their_keys_at_once(tmp_path: Path, given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        open_ports(Settings(_env_file=None, home=tmp_path, **given))


@pytest.mark.parametrize("key", ["OPENAI_API_KEY", "GEMINI_API_KEY", "SUPABASE_SECRET_KEY", "SUPABASE_DB_URL"])
def test_settings_never_show_a_secret(key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(key, "a-very-secret-value")
    settings = Settings(_env_file=None, home=tmp_path)
    assert "a-very-secret-value" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize("zone", ["Foo/Bar", "../UTC", "", "Europe"])
def test_a_time_zone_that_is_none_is_one_line(zone: str) -> None:
    with pytest.raises(SettingsError, match=r"^DAWA_TIMEZONE: no time zone is called .*in \.env$"):
        Settings.load(timezone=zone)
    assert Settings.load(timezone="Europe/Berlin").timezone == "Europe/Berlin"
