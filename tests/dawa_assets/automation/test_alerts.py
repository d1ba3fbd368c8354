"""Failures that nobody will try again are told once by a webhook, and so are recoveries; the address stays secret."""

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from dawa_assets.defs.run import run_job
from dawa_assets.defs.sensors import alerts, run_requests
from dawa_assets.defs.sensors.alerts import alert_on_failure
from dawa_assets.defs.sensors.run_requests import PAUSES, WORK
from dawa_assets.errors import AlertError
from dawa_assets.observability.alerts import Line, Message, send
from resources.errors import SettingsError
from resources.ports import Ports
from tests.dawa_assets.automation.ticks import leave, tick
from tests.dawa_assets.intake.material import new_artist
from tests.dawa_assets.prompting.material import give_set, summary
from tests.given_pipeline import GivenPipeline

SECRET = "T0CANARY/B0CANARY/4711canary"
FAILED, SUCCEEDED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


class Webhook:
    """An incoming webhook on loopback: keeps what it is told, answers what it is set to."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.answers: list[int] = []
        self.calls = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.calls += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = outer.answers.pop(0) if outer.answers else 200
                if status == 200:
                    outer.told.append(json.loads(body)["text"])
                self.send_response(status)
                if status == 307:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = SecretStr(f"http://127.0.0.1:{self._server.server_port}/services/{SECRET}")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    webhook = Webhook()
    yield webhook
    webhook.close()


@pytest.fixture
def told_to(ports: Ports, webhook: Webhook) -> Ports:
    """Ports whose settings name the webhook."""
    object.__setattr__(ports, "settings", ports.settings.model_copy(update={"alert_webhook_url": webhook.address}))
    return ports


def test_a_failure_is_reported_once_though_the_cursor_is_lost(
    instance: dg.DagsterInstance, told_to: Ports, webhook: Webhook
) -> None:
    run = leave(instance, "dataset_job", {"dagster/partition": "nova", "dawa/nightly": "2026-11-21"}, FAILED)
    first = tick(alert_on_failure, instance, told_to)
    assert first.skip_reason is not None
    assert first.skip_reason.skip_message == "told: 1 failed, 0 recovered"
    for cursor in (first.cursor, None, "nonsense", '{"since": "x"}', '{"since": 1e30, "not_before": 1e30}'[:16]):
        tick(alert_on_failure, instance, told_to, cursor)
    (text,) = webhook.told
    assert "dataset_job of nova" in text
    assert run.run_id in text


def test_a_recovery_is_reported_once(instance: dg.DagsterInstance, told_to: Ports, webhook: Webhook) -> None:
    of_nova = {"dagster/partition": "nova"}
    leave(instance, "dataset_job", of_nova, FAILED)
    tick(alert_on_failure, instance, told_to)
    leave(instance, "dataset_job", {"dagster/partition": "other"}, SUCCEEDED)
    leave(instance, "prompts_job", of_nova, SUCCEEDED)
    tick(alert_on_failure, instance, told_to)
    assert len(webhook.told) == 1
    leave(instance, "dataset_job", of_nova, SUCCEEDED)
    for _ in range(3):
        tick(alert_on_failure, instance, told_to)
    assert len(webhook.told) == 2
    assert "recovered: dataset_job of nova" in webhook.told[1]


def test_what_recovered_before_it_was_told_is_not_told(
    instance: dg.DagsterInstance, told_to: Ports, webhook: Webhook
) -> None:
    of_nova = {"dagster/partition": "nova"}
    leave(instance, "dataset_job", of_nova, FAILED)
    webhook.answers = [400]
    tick(alert_on_failure, instance, told_to)
    leave(instance, "dataset_job", of_nova, SUCCEEDED)
    leave(instance, "dataset_job", {"dagster/partition": "other"}, FAILED)
    for _ in range(2):
        tick(alert_on_failure, instance, told_to)
    (text,) = webhook.told
    assert text.startswith("*dawa: 1 failed*")
    assert "nova" not in text


def test_what_is_reported_links_to_the_run_and_the_asset(
    instance: dg.DagsterInstance, told_to: Ports, webhook: Webhook
) -> None:
    ports = replace(told_to, settings=told_to.settings.model_copy(update={"ui_url": "https://dagster.example/"}))
    broken = replace(ports, settings=ports.settings.model_copy(update={"system_prompt_version": "none-such"}))
    give_set(ports.database, new_artist(ports), summary(100, "One"), "One", audio=False)
    done = run_job(instance, GivenPipeline(broken), "prompts_job", "nova")
    assert not done.success
    tick(alert_on_failure, instance, ports)
    (text,) = webhook.told
    assert f" · <https://dagster.example/runs/{done.run_id}|its log>" in text
    assert " · <https://dagster.example/assets/prompts?view=partitions&partition=nova|prompts>" in text


def test_what_never_recovers_keeps_no_other_recovery_untold(
    instance: dg.DagsterInstance, told_to: Ports, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "OPEN_PER_TICK", 2)
    for slug in ("first", "second", "third"):
        leave(instance, "dataset_job", {"dagster/partition": slug}, FAILED)
    cursor = tick(alert_on_failure, instance, told_to).cursor
    leave(instance, "dataset_job", {"dagster/partition": "first"}, SUCCEEDED)
    for _ in range(4):
        cursor = tick(alert_on_failure, instance, told_to, cursor).cursor
    assert [text.count("recovered: dataset_job of first") for text in webhook.told] == [0, 1]
    leave(instance, "dataset_job", {"dagster/partition": "third"}, SUCCEEDED)
    for _ in range(4):
        cursor = tick(alert_on_failure, instance, told_to, cursor).cursor
    assert len(webhook.told) == 3


@pytest.mark.parametrize(
    ("failed", "later", "is_good"),
    [
        (None, None, True),
        (["prompts"], None, True),
        (["prompts"], ["prompts", "training_items"], True),
        (["prompts", "training_items"], ["prompts"], False),
        (["lora_weights"], ["als_summaries"], False),
        (None, ["als_summaries"], False),
    ],
)
def test_a_run_makes_good_what_it_made_too(failed: list[str] | None, later: list[str] | None, is_good: bool) -> None:
    before, after = (
        dg.DagsterRun("__ASSET_JOB", asset_selection=None if chosen is None else frozenset(map(dg.AssetKey, chosen)))
        for chosen in (failed, later)
    )
    assert alerts._makes_good(after, before) is is_good
    again = dg.DagsterRun(
        "__ASSET_JOB", asset_selection=after.asset_selection, parent_run_id=before.run_id, root_run_id=before.run_id
    )
    assert alerts._makes_good(again, before)


def test_a_failure_is_reported_only_after_the_last_attempt(
    instance: dg.DagsterInstance, told_to: Ports, webhook: Webhook
) -> None:
    work = {"dagster/partition": "nova", WORK: "nova:x"}
    work |= {"dawa/failure": "content"}
    leave(instance, "prompts_job", {**work, "dawa/attempt": "1 of 2"}, FAILED)
    seen = tick(alert_on_failure, instance, told_to)
    assert webhook.told == []
    leave(instance, "prompts_job", {**work, "dawa/attempt": "2 of 2"}, FAILED)
    seen = tick(alert_on_failure, instance, told_to, seen.cursor)
    assert len(webhook.told) == 1
    assert "attempt 2 of 2" in webhook.told[0]
    leave(instance, "prompts_job", {"dagster/will_retry": "true", "dagster/partition": "other"}, FAILED)
    tick(alert_on_failure, instance, told_to, seen.cursor)
    assert len(webhook.told) == 1


def test_an_outage_is_reported_once_when_it_lasts(
    instance: dg.DagsterInstance, told_to: Ports, webhook: Webhook
) -> None:
    work = {"dagster/partition": "nova", WORK: "nova:x", "dawa/attempt": "1 of 3", "dawa/failure": "environment"}
    for pauses in range(alerts.REPORTED_AFTER_FAILURES + 2):
        leave(instance, "prompts_job", {**work, PAUSES: str(pauses)}, FAILED)
        tick(alert_on_failure, instance, told_to)
        assert len(webhook.told) == (pauses + 1 >= alerts.REPORTED_AFTER_FAILURES)
    leave(instance, "prompts_job", work, SUCCEEDED)
    tick(alert_on_failure, instance, told_to)
    assert [text.splitlines()[0] for text in webhook.told] == ["*dawa: 1 failed*", "*dawa: 1 recovered*"]


def test_an_attempt_that_nobody_repeats_is_reported_in_the_end(
    instance: dg.DagsterInstance, told_to: Ports, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(instance, "build_job", {WORK: "nova:x", "dawa/attempt": "1 of 3"}, FAILED)
    seen = tick(alert_on_failure, instance, told_to)
    later = time.time() + run_requests.pause_after(1) + 700
    monkeypatch.setattr(time, "time", lambda: later)
    tick(alert_on_failure, instance, told_to, seen.cursor)
    assert len(webhook.told) == 1


def test_a_failing_webhook_is_retried_with_growing_pauses(
    instance: dg.DagsterInstance, told_to: Ports, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dawa_assets.observability.alerts.time.sleep", lambda _seconds: None)
    leave(instance, "dataset_job", {}, FAILED)
    webhook.answers = [500] * 6
    cursor, pauses, now = None, [], time.time()
    for _ in range(2):
        result = tick(alert_on_failure, instance, told_to, cursor)
        cursor = result.cursor
        not_before = json.loads(cursor or "{}")["not_before"]
        pauses.append(not_before - now)
        called = webhook.calls
        tick(alert_on_failure, instance, told_to, cursor)
        assert webhook.calls == called, "asked again before its pause was over"
        now = not_before + 1
        monkeypatch.setattr(time, "time", lambda now=now: now)
    assert webhook.told == []
    assert 55 < pauses[0] < pauses[1] < 200
    tick(alert_on_failure, instance, told_to, cursor)
    assert len(webhook.told) == 1


def test_many_failures_are_one_message(instance: dg.DagsterInstance, told_to: Ports, webhook: Webhook) -> None:
    for number in range(25):
        leave(instance, "dataset_job", {"dagster/partition": f"artist-{number}"}, FAILED)
    tick(alert_on_failure, instance, told_to)
    (text,) = webhook.told
    assert text.startswith("*dawa: 25 failed*")
    assert "and 5 more" in text


def test_without_an_address_nothing_is_reported(instance: dg.DagsterInstance, ports: Ports) -> None:
    leave(instance, "dataset_job", {}, FAILED)
    result = tick(alert_on_failure, instance, ports)
    assert "DAWA_ALERT_WEBHOOK_URL is not set" in str(result.skip_reason)


@pytest.mark.parametrize("answer", [400, 404, 410, 429, 500, 503, 307])
def test_what_passes_is_tried_again_and_what_does_not_is_not(webhook: Webhook, answer: int) -> None:
    webhook.answers = [answer] * 3
    with pytest.raises(AlertError) as caught:
        send(webhook.address, Message("t", []), pauses=(0.0, 0.0))
    assert webhook.calls == (3 if answer in (429, 500, 503) else 1)
    assert str(answer) in str(caught.value)
    assert "canary" not in str(caught.value).lower()


ADDRESSES = [
    f"http://hooks.example.com/{SECRET}",
    f"ftp://127.0.0.1/{SECRET}",
    f"file:///{SECRET}",
    f"https://[half/{SECRET}",
    f"https://host:port/{SECRET}",
    f"hooks.example.com/{SECRET}",
    f"https://hooks.example.com/ {SECRET}",
    f"https://hooks.example.com/ä{SECRET}",
    f"http://127.0.0.1.example.com/{SECRET}",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_is_not_private_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(SettingsError) as caught:
        send(SecretStr(address), Message("t", []))
    assert "DAWA_ALERT_WEBHOOK_URL" in str(caught.value)
    assert "canary" not in str(caught.value).lower()


def test_a_host_that_can_be_none_is_reported_and_not_repeated() -> None:
    with pytest.raises(AlertError) as caught:
        send(SecretStr(f"https://hooks..example.com/{SECRET}"), Message("t", []), pauses=())
    assert "canary" not in str(caught.value).lower()


def test_the_address_is_in_no_log_and_no_error(caplog: pytest.LogCaptureFixture, webhook: Webhook) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = SecretStr(f"http://127.0.0.1:{unused.getsockname()[1]}/{SECRET}")
    with caplog.at_level(logging.DEBUG):
        send(webhook.address, Message("t", [Line("a")]))
        with pytest.raises(AlertError) as caught:
            send(closed, Message("t", []), pauses=(0.0,))
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert "canary" not in (caplog.text + " ".join(map(repr, chain))).lower()


@given(st.text(max_size=800), st.lists(st.text(max_size=800), max_size=30))
def test_a_message_is_bounded_json_without_markup_of_its_content(title: str, lines: list[str]) -> None:
    text = json.loads(Message(title[:200], [Line(line) for line in lines]).body())["text"]
    assert len(text) < 20 * 5 * 510 + 2000
    assert text.count("\n") <= 21
    assert "<" not in text
    assert ">" not in text
