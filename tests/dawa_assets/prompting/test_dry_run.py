"""`dawa prompt --als`: what is tried is what would be written, and nothing is stored or reached."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.prompting.rules import rule_names
from dawa_assets.tables.artists import Artist
from modal_app.hosted_models.metered_requests import Usage
from resources.ports import Ports
from resources.prompt_writer.base import PromptAnswer, PromptRequest
from resources.prompt_writer.offline import OfflineWriter
from tests.command_line import dawa as typed
from tests.dawa_assets.intake.material import als
from tests.dawa_assets.prompting.commands import Dawa, dawa_on
from tests.dawa_assets.prompting.material import item, profile, rows, with_writer
from tests.fakes.model_server.control import ModelServer
from tests.fakes.model_server.openai_api import KEY


class PaidWriter(OfflineWriter):
    """The offline writer with a price, that says what it is told to."""

    model_name = "paid-1"

    def __init__(self, text: str | None, error: str | None = None) -> None:
        self.asked: list[PromptRequest] = []
        self._text, self._error = text, error

    def write(self, requests: Iterable[PromptRequest], budget_usd: float | None = None) -> Iterator[list[PromptAnswer]]:
        for request in requests:
            self.asked.append(request)
            yield [PromptAnswer(request.key, self._text, self._error, Usage(2, 700, 60, 0.25), duration_ms=1500)]


@pytest.fixture
def dawa(ports: Ports, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Dawa:
    return dawa_on(ports, monkeypatch, capsys)


@pytest.fixture
def live_set(tmp_path: Path) -> Path:
    file = tmp_path / "Glass Harbour.als"
    file.write_bytes(als(122))
    return file


def test_a_trial_needs_no_database_and_makes_no_home(live_set: Path, tmp_path: Path) -> None:
    file = tmp_path / "master_schema.json"
    file.write_text(json.dumps(profile()))
    home = tmp_path / "home"
    options = ["--als", str(live_set), "--profile", str(file)]
    said = typed("prompt", "--json", *options, env=os.environ | {"DAWA_HOME": str(home)})
    assert (said.returncode, said.stderr) == (0, "")
    trial = json.loads(said.stdout)
    assert trial["prompt"].endswith("\nBPM: 122")
    assert (trial["system_prompt"], trial["model"], trial["cost_usd"]) == ("train-v1", "offline-v1", 0)
    assert trial["context"]["style"]["genres"] == ["melodic house"]
    assert (trial["rules_kept"], trial["rules_broken"]) == (list(rule_names()), [])
    assert not home.exists()


def test_what_is_tried_is_what_is_written(
    ports: Ports, artist: Artist, live_set: Path, tmp_path: Path, dawa: Dawa
) -> None:
    from dawa_assets.ableton.reader import read_live_set
    from dawa_assets.cli.als import summary_of
    from tests.dawa_assets.prompting.material import give_set

    file = tmp_path / "master_schema.json"
    file.write_text(json.dumps(profile()))
    trial = json.loads(dawa("prompt", "--als", live_set, "--profile", file, "--json").out)
    set_profile(ports, artist, profile())
    stored = summary_of(live_set, read_live_set(live_set)).model_dump(mode="json")
    it = give_set(ports.database, artist, stored, "Glass Harbour")
    refresh_prompts(ports, artist.slug)
    assert item(ports.database, it)["prompt_text"] == trial["prompt"]


def test_a_file_as_the_system_prompt_is_what_the_model_is_told(
    ports: Ports, live_set: Path, tmp_path: Path, dawa: Dawa
) -> None:
    system = tmp_path / "train-v2.md"
    system.write_bytes("\ufeffSay it in one word.\r\n".encode())
    writer = PaidWriter("One **slow** word. And a second. And a third.\nBPM: 122")
    said = dawa("prompt", "--als", live_set, "--system", system, on=with_writer(ports, writer))
    assert said.code == 0
    assert [request.instructions for request in writer.asked] == ["Say it in one word."]
    for part in (
        str(system),
        "paid-1",
        "2 calls, 700 + 60 tokens, $0.250000, 1.50 s",
        "breaks",
        "one-or-two-sentences",
    ):
        assert part in said.out
    assert writer.asked[0].fix("One **slow** word") == "One slow word\nBPM: 122"
    assert rows(ports.database, "select * from prompts") == []


def test_several_sets_give_an_array_in_order_despite_a_bad_one(live_set: Path, tmp_path: Path, dawa: Dawa) -> None:
    other, bad = tmp_path / "other.als", tmp_path / "bad.als"
    other.write_bytes(als(90))
    bad.write_text("no set")
    said = dawa("prompt", "--als", other, "--als", bad, "--als", live_set, "--json")
    assert said.code == 2
    assert [Path(trial["name"]).name for trial in json.loads(said.out)] == ["other.als", "Glass Harbour.als"]
    assert said.err.startswith("dawa: bad.als: ")
    assert said.err.count("\n") == 1
    again = dawa("prompt", "try", other, live_set, "--json")
    assert (again.code, json.loads(again.out)[1]["prompt"]) == (0, json.loads(said.out)[1]["prompt"])


def test_a_writer_without_a_text_says_why_and_the_exit_code_is_1(ports: Ports, live_set: Path, dawa: Dawa) -> None:
    said = dawa("prompt", "--als", live_set, on=with_writer(ports, PaidWriter(None, "the model refused")))
    assert said.code == 1
    assert "none: the model refused" in said.out


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--als", "nowhere.als"], "nowhere.als"),
        (["--als", "{set}", "--profile", "nowhere.json"], "nowhere.json"),
        (["--als", "{set}", "--system", "nowhere.md"], "nowhere.md"),
        (["--als", "{set}", "--system", "{empty}"], "is empty"),
        (["--als", "{set}", "--system", "{set}"], "not UTF-8"),
        (["--als", "{set}", "--profile", "{empty}"], "no JSON"),
        (["--json"], "--als"),
        (["--json", "history", "x"], "after it"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    live_set: Path, tmp_path: Path, dawa: Dawa, words: list[str], what: str
) -> None:
    (tmp_path / "empty").write_text(" \n")
    said = dawa("prompt", *[word.format(set=live_set, empty=tmp_path / "empty") for word in words])
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("dawa: ")
    assert said.err.count("\n") == 1
    assert what in said.err


def test_a_hosted_writer_is_asked_and_its_key_is_never_said(
    live_set: Path, tmp_path: Path, model_server: ModelServer
) -> None:
    hosted = {"DAWA_HOME": str(tmp_path / "home"), "DAWA_PROMPT_WRITER": "openai", "OPENAI_API_KEY": KEY}
    hosted |= {"DAWA_OPENAI_BASE_URL": model_server.openai_url, "DAWA_DATABASE": "supabase"}
    said = typed("prompt", "--als", live_set, env=os.environ | hosted)
    assert said.returncode == 0, said.stderr
    assert "model          gpt-6-luna" in said.stdout
    assert "BPM: 122" in said.stdout
    assert "1 call, " in said.stdout
    assert len(model_server.paid()) == 1
    assert KEY not in said.stdout + said.stderr
    assert not (tmp_path / "home").exists()
