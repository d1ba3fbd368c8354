"""One prompt on the spot: the pipeline's own question and row, paid for once whoever asks first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dawa_assets.errors import BusyError, UnknownLiveSetError
from dawa_assets.pipeline.leases import lease
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.prompting.single_prompt import write_single_prompt
from dawa_assets.tables.artists import Artist
from modal_app.errors import InputError
from resources.errors import NotNowError
from resources.ports import Ports
from tests.dawa_assets.prompting.material import give_set, item, rows, summary


def _parse(ports: Ports, item_id: object) -> str:
    return str(rows(ports.database, "select parse_id from training_items where id = %s", item_id)[0]["parse_id"])


def test_the_pipeline_takes_over_the_single_prompt(ports: Ports, artist: Artist) -> None:
    item_id = give_set(ports.database, artist, summary(), "Glass Harbour")
    before = item(ports.database, item_id)
    asked = write_single_prompt(ports, artist, _parse(ports, item_id))
    assert item(ports.database, item_id) == before
    assert (asked.model_name, asked.system_prompt_version) == ("offline-v1", "train-v1")
    assert asked.text.endswith("BPM: 122")
    report = refresh_prompts(ports, artist.slug)
    assert (report.reused, report.written) == (1, 0)
    assert item(ports.database, item_id)["prompt_text"] == asked.text


def test_what_the_pipeline_wrote_is_given_and_written_once_only(ports: Ports, artist: Artist) -> None:
    item_id = give_set(ports.database, artist, summary(), "Glass Harbour")
    refresh_prompts(ports, artist.slug)
    [before] = rows(ports.database, "select * from prompts")
    assert write_single_prompt(ports, artist, _parse(ports, item_id)).text == before["text"]
    assert rows(ports.database, "select * from prompts") == [before]


def test_many_who_ask_at_once_pay_once(hosted: Callable[..., Ports], artist: Artist) -> None:
    ports = hosted()
    parse = _parse(ports, give_set(ports.database, artist, summary(), "Glass Harbour"))
    with ThreadPoolExecutor(6) as pool:
        texts = list(pool.map(lambda _: write_single_prompt(ports, artist, parse).text, range(6)))
    assert len(set(texts)) == 1
    [spent] = rows(ports.database, "select calls from spending")
    assert spent["calls"] == 1


def test_a_budget_that_is_used_up_puts_it_off(hosted: Callable[..., Ports], artist: Artist) -> None:
    ports = hosted(monthly_budget_usd=0.0)
    parse = _parse(ports, give_set(ports.database, artist, summary(), "Glass Harbour"))
    with pytest.raises(NotNowError, match="budget"):
        write_single_prompt(ports, artist, parse)
    assert rows(ports.database, "select * from prompts") == []


@pytest.mark.parametrize("content", [{}, [], {"overview": {"tempo": "fast"}}])
def test_a_set_without_a_tempo_has_no_prompt(ports: Ports, artist: Artist, content: Any) -> None:
    parse = _parse(ports, give_set(ports.database, artist, content, "Old"))
    with pytest.raises(InputError, match="no tempo"):
        write_single_prompt(ports, artist, parse)


def test_a_set_of_another_artist_is_unknown(ports: Ports, artist: Artist, make_artist: Callable[[str], Artist]) -> None:
    parse = _parse(ports, give_set(ports.database, make_artist("Other"), summary(), "Glass Harbour"))
    with pytest.raises(UnknownLiveSetError):
        write_single_prompt(ports, artist, parse)


def test_a_running_pipeline_is_waited_for_up_to_the_limit(ports: Ports, artist: Artist) -> None:
    parse = _parse(ports, give_set(ports.database, artist, summary(), "Glass Harbour"))
    object.__setattr__(ports, "settings", ports.settings.model_copy(update={"lease_wait_seconds": 0.0}))
    with lease(ports.database, artist.id, "prompts", seconds=30, wait_seconds=0), pytest.raises(BusyError):
        write_single_prompt(ports, artist, parse)
    assert write_single_prompt(ports, artist, parse).text
