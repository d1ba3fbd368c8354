"""Datasets, LoRAs, renderings, listening, profile and progress over HTTP."""

import io
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from dawa_assets.artists.profile import set_profile
from dawa_assets.prompting.refresh import refresh_prompts
from dawa_assets.tables.artists import Artist
from modal_app.errors import JobError
from modal_app.protocol.training import GenerateRequest, InstallRequest, InstallResult
from resources.ports import Ports
from tests.dawa_assets.http.serving import TEXT, QuickCompute, bearer, client, new_user, pair, protected, server, until
from tests.dawa_assets.intake.material import new_artist, rows, wav
from tests.dawa_assets.prompting.material import execute, give_set, profile, summary


class Renderer(QuickCompute):
    """Renders at another level for each adapter, and installs; a run without its files is unknown to it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.lost: set[str] = set()

    def run(self, request: Any, on_event: Any, record: Any = None) -> Any:
        if isinstance(request, InstallRequest):
            return InstallResult(lora_path="loras/x.safetensors", peft_path=None, changed=True)
        if isinstance(request, GenerateRequest) and request.run_id in self.lost:
            raise JobError("no usable LoRA")
        result = super().run(request, on_event, record)
        if isinstance(request, GenerateRequest) and request.lora_id is None:
            self.store(result.path, io.BytesIO(wav(seconds=0.45)))
        return result


@pytest.fixture
def nova(ports: Ports) -> Artist:
    made = new_artist(ports)
    set_profile(ports, made, profile())
    return made


@pytest.fixture
def compute(settings: Any) -> Renderer:
    return Renderer(settings.data_root)


@pytest.fixture
def http(ports: Ports, nova: Artist) -> Iterator[httpx.Client]:
    with server(ports) as base, client(f"{base}/api/artists/{nova.id}/") as made:
        yield made


def _run(ports: Ports, artist: Artist, *, state: str = "done", promoted: bool = False, candidate: bool = False) -> str:
    metrics = {"losses": [1.0, 0.9, 0.8], "steps": 3, "final_loss": 0.8, "held_out": ["Song"]}
    metrics |= {"validations": [{"step": 0, "loss": 1.1}, {"step": 3, "loss": 0.9}]}
    [row] = rows(
        ports,
        "insert into training_runs (artist_id, fingerprint, backend, base, model_name, parameters, state, metrics, "
        "promoted, candidate_at, adapter_sha256) "
        "values (%s, %s, 'ace_step', 'tiny', 'nawfside_lora', '{}', %s, %s, %s, "
        "case when %s then now() end, 'h') returning id",
        *(artist.id, uuid4().hex, state, json.dumps(metrics), promoted, candidate),
    )
    if promoted:
        execute(
            ports.database,
            "insert into lora_promotions (artist_id, model_name, run_id, promoted_by, reason, published_at) "
            "values (%s, 'nawfside_lora', %s, 'evaluation', 'better', now())",
            *(artist.id, row["id"]),
        )
    return str(row["id"])


def test_datasets_are_listed_with_links_and_ready_items_counted(http: httpx.Client, nova: Artist) -> None:
    assert http.get("datasets").json() == {
        "datasets": [],
        "ready": 0,
        "exported": 0,
        "total": 0,
        "next": {"itemCount": 0, "leftOut": []},
    }
    base = str(http.base_url).partition("/api/")[0]
    httpx.post(f"{base}/api/train/save", json=pair(nova), timeout=60)
    assert http.get("datasets").json()["next"] == {"itemCount": 1, "leftOut": []}
    exported = httpx.post(f"{base}/api/train/export", json={"artistId": str(nova.id)}, timeout=60).json()
    told = http.get("datasets").json()
    assert (told["ready"], told["exported"], told["total"]) == (0, 1, 1)
    [line] = told["datasets"]
    assert (line["state"], line["itemCount"]) == ("export", 1)
    assert httpx.get(base + line["url"]).content == httpx.get(exported["datasetUrl"]).content
    assert httpx.get(base + line["manifestUrl"]).status_code == 200


def test_a_training_that_waits_is_shown_and_approved_once(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    assert http.get("loras").json()["waiting"] is None
    none = http.post("trainings/approve", json={"author": "Mia"})
    assert (none.status_code, "no training waits for approval" in none.text) == (400, True)
    execute(
        ports.database,
        "with d as (insert into datasets (artist_id, fingerprint, state, storage_path, manifest_path, item_count) "
        "select id, 'f', 'done', 'artists/' || slug || '/z', 'artists/' || slug || '/j', 1 from artists "
        "where id = %s returning id, artist_id) "
        "insert into training_approvals (artist_id, fingerprint, model_name, dataset_id, plan, expected_usd) "
        "select artist_id, 'f', %s, id, 'recipe x: 9 steps', 1.316 from d",
        nova.id,
        ports.settings.model_name,
    )
    waiting = http.get("loras").json()["waiting"]
    assert (waiting["plan"], waiting["expectedUsd"]) == ("recipe x: 9 steps", 1.316)

    approved = http.post("trainings/approve", json={"author": "Mia"})

    assert (approved.status_code, approved.json()["approved"]) == (200, waiting)
    (row,) = rows(ports, "select approved_by, approved_at from training_approvals where artist_id = %s", nova.id)
    assert (row["approved_by"], row["approved_at"] is not None) == ("Mia", True)
    assert http.get("loras").json()["waiting"] is None
    assert http.post("trainings/approve", json={"author": "Mia"}).status_code == 400


def test_runs_are_promoted_and_rolled_back_with_who_and_why(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    old, new = _run(ports, nova, promoted=True), _run(ports, nova, candidate=True)
    failed = _run(ports, nova, state="failed")
    found = http.get("loras").json()
    assert {run["id"]: (run["state"], run["isPublished"], run["isCandidate"]) for run in found["runs"]} == {
        old: ("done", True, False),
        new: ("done", False, True),
        failed: ("failed", False, False),
    }
    [shown] = [run for run in found["runs"] if run["id"] == new]
    assert shown["curve"] == [
        {"step": 0, "loss": None, "validationLoss": 1.1},
        {"step": 1, "loss": 1.0, "validationLoss": None},
        {"step": 2, "loss": 0.9, "validationLoss": None},
        {"step": 3, "loss": 0.8, "validationLoss": 0.9},
    ]
    promoted = http.post(f"loras/{new}/promote", json={"reason": "warmer lows", "author": "Mia"})
    assert promoted.json() == {"changed": True, "runId": new}
    assert http.post(f"loras/{new}/promote", json={}).json()["changed"] is False
    back = http.post("loras/rollback", json={"reason": "too dark", "author": "Ana"})
    assert back.json() == {"changed": True, "runId": old}
    log = [(line["runId"], line["by"], line["isRollback"], line["reason"]) for line in http.get("loras").json()["log"]]
    assert log == [
        (old, "evaluation", False, "better"),
        (new, "person", False, "Mia: warmer lows"),
        (old, "person", True, "Ana: too dark"),
    ]
    assert http.post(f"loras/{failed}/promote", json={}).status_code == 400
    assert http.post(f"loras/{uuid4()}/promote", json={}).status_code == 404
    assert http.post("loras/rollback", json={"reason": "x\ny"}).status_code == 400


def test_base_published_and_candidate_are_rendered_equally_loud(
    ports: Ports, http: httpx.Client, nova: Artist, compute: Renderer
) -> None:
    old, new = _run(ports, nova, promoted=True), _run(ports, nova, candidate=True)
    body = {"prompt": TEXT, "seed": 7, "seconds": 1}
    asked = http.post("renderings", json=body)
    assert asked.status_code == 202, asked.text
    url = f"renderings/{asked.json()['id']}"
    until(lambda: http.get(url).json()["state"] == "done")
    done = http.get(url).json()
    assert [(part["who"], part["runId"], part["state"]) for part in done["parts"]] == [
        ("base", None, "done"),
        ("published", old, "done"),
        ("candidate", new, "done"),
    ]
    levels = [part["lufs"] + part["gainDb"] for part in done["parts"]]
    assert max(levels) - min(levels) < 0.02
    assert max(part["gainDb"] for part in done["parts"]) == 0
    base = str(http.base_url).partition("/api/")[0]
    assert all(httpx.get(base + part["url"]).headers["content-type"] == "audio/wav" for part in done["parts"])
    rendered = [(request.lora_id, request.run_id, request.seed) for request in compute.ran]  # type: ignore[attr-defined]
    assert rendered == [(None, None, 7), ("nova:nawfside_lora", old, 7), ("nova:nawfside_lora", new, 7)]
    again = http.post("renderings", json=body)
    assert (again.status_code, again.json()["id"], len(compute.ran)) == (200, done["id"], 3)
    assert [each["id"] for each in http.get("renderings").json()["renderings"]] == [done["id"]]


def test_missing_models_are_named_and_failed_renderings_retried(
    ports: Ports, http: httpx.Client, nova: Artist, compute: Renderer
) -> None:
    new = _run(ports, nova)
    compute.lost.add(new)
    body = {"prompt": "x", "seconds": 1, "who": ["base", "published", "candidate"]}
    asked = http.post("renderings", json=body).json()
    assert [missing["who"] for missing in asked["missing"]] == ["published"]
    url = f"renderings/{asked['id']}"
    until(lambda: http.get(url).json()["state"] == "done")
    states = {part["who"]: (part["state"], part["error"]) for part in http.get(url).json()["parts"]}
    assert states == {"base": ("done", None), "candidate": ("failed", "no usable LoRA")}
    compute.lost.clear()
    assert http.post("renderings", json=body).status_code == 202
    until(lambda: all(part["state"] == "done" for part in http.get(url).json()["parts"]))
    assert http.post("renderings", json={"prompt": "x", "who": ["published"]}).status_code == 400
    assert http.post("renderings", json={"prompt": " "}).status_code == 400
    assert http.post("renderings", json={"prompt": "x", "runId": str(uuid4())}).status_code == 404
    assert http.get("renderings/r-unknown").status_code == 404


def test_listening_is_kept_once_and_tallied_apart(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    run = _run(ports, nova)
    body = {"id": str(uuid4()), "runId": run, "pair": ["candidate", "base"], "isBlind": True, "author": "Mia"}
    for _ in range(2):
        kept = http.post("listens", json=body | {"choice": "candidate", "score": 5})
        assert (kept.status_code, kept.json()) == (201, {"id": body["id"]})
    more: list[dict[str, Any]] = [
        {"choice": "base", "score": 2},
        {"choice": None},
        {"choice": "candidate", "isBlind": False, "author": "Ana"},
    ]
    for each in more:
        assert http.post("listens", json=body | each | {"id": str(uuid4())}).status_code == 201
    told = http.get("listens").json()
    assert [(line["isBlind"], line["choices"], line["meanScore"], line["count"]) for line in told["tally"]] == [
        (False, {"base": 0, "candidate": 1, "none": 0}, None, 1),
        (True, {"base": 1, "candidate": 1, "none": 1}, 3.5, 3),
    ]
    assert len(told["listens"]) == 4
    assert {listen["who"] for listen in told["listens"]} == {"Mia", "Ana"}
    for wrong, status in (
        ({"pair": ["base", "base"]}, 400),
        ({"choice": "published"}, 400),
        ({"score": 6}, 400),
        ({"runId": str(uuid4())}, 404),
        ({"renderingId": "r-other"}, 404),
        ({"author": "a\nb"}, 400),
    ):
        assert http.post("listens", json=body | wrong | {"id": str(uuid4())}).status_code == status, wrong


def test_a_profile_is_validated_previewed_and_saved_if_unchanged(
    ports: Ports, http: httpx.Client, nova: Artist
) -> None:
    give_set(ports.database, nova, summary(), "Song")
    refresh_prompts(ports, "nova")
    stored = http.get("profile").json()
    assert (stored["profile"], stored["hasProfile"], stored["problems"]) == (profile(), True, [])
    wrong = {
        "artist": {"name": 7},
        "catalog": [{}, {"tempo_bpm": "fast"}],
        "daw_fingerprint_aggregates": {"core_bpm_range": {"min": 130, "max": 120}},
    }
    checked = http.post("profile/validate", json={"profile": wrong}).json()
    assert not checked["isValid"]
    assert {problem["field"]: problem["path"] for problem in checked["problems"]} == {
        "artist.name": ["artist", "name"],
        "catalog[1].tempo_bpm": ["catalog", 1, "tempo_bpm"],
        "daw_fingerprint_aggregates.core_bpm_range": ["daw_fingerprint_aggregates", "core_bpm_range"],
    }
    assert all(problem["message"] for problem in checked["problems"])
    other = profile(schema_version="1.1")
    preview = http.post("profile/preview", json={"profile": other}).json()
    assert (preview["toWrite"], preview["current"], preview["costUsd"]) == (1, 0, 0)
    assert [item["name"] for item in preview["items"]] == ["Song/Song"]
    assert http.get("profile").json() == stored
    saved = http.put("profile", json={"profile": other, "seenContentHash": stored["contentHash"]}).json()
    assert (saved["changed"], saved["schemaVersion"]) == (True, "1.1")
    third = profile(artist={"name": "Else"})
    assert http.put("profile", json={"profile": third, "seenContentHash": "another"}).status_code == 409
    assert http.put("profile", json={"profile": wrong}).status_code == 400
    assert http.get("profile").json()["profile"] == other
    assert http.post("refresh-prompts", json={}).status_code == 202
    until(lambda: [each["state"] for each in http.get("progress").json()["activities"]] == ["done"])
    assert rows(ports, "select schema_version from prompts order by created_at")[-1]["schema_version"] == "1.1"
    base = str(http.base_url).partition("artists/")[0]
    assert "artist" in httpx.get(f"{base}profile-schema").json()["properties"]


@pytest.mark.parametrize("data", [None, 7, [], {"a": float(10**6)}, {"\u0000": 1}, {"a": "\u0000"}])
def test_whatever_is_sent_as_a_profile_has_an_answer(http: httpx.Client, data: Any) -> None:
    for path in ("validate", "preview"):
        assert http.post(f"profile/{path}", json={"profile": data}).status_code in (200, 400)


def test_progress_is_sent_as_events_and_on_request(ports: Ports, http: httpx.Client, nova: Artist) -> None:
    item = give_set(ports.database, nova, summary(), "Song", audio=False)
    before = http.get("progress").json()
    assert (before["total"], before["ready"], before["badges"]["needs_audio"]) == (1, 0, 1)
    assert [(notice["what"], notice["reason"]) for notice in before["waiting"]] == [("item", "waits for its bounce")]
    with http.stream("GET", "events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        first = json.loads(next(line for line in lines if line.startswith("data:"))[5:])
        assert first["version"] == before["version"]
        execute(ports.database, "update training_items set status = 'failed', error = 'x' where id = %s", item)
        execute(
            ports.database,
            "insert into leases (artist_id, step, holder, fence, expires_at, started_at, progress) "
            "values (%s, 'training', 'elsewhere:1:1:1', 1, now() + interval '1 minute', now() - interval '10 s', %s)",
            *(nova.id, json.dumps({"done": 40, "total": 60, "message": "step 40"})),
        )

        def is_news(line: str) -> bool:
            return line.startswith("data:") and bool(json.loads(line[5:])["running"])

        second = json.loads(next(filter(is_news, lines))[5:])
    assert second["version"] != first["version"]
    assert second["badges"]["failed"] == 1
    [step] = second["running"]
    assert (step["step"], step["done"], step["total"], step["message"]) == ("training", 40, 60, "step 40")
    assert 4 <= step["secondsLeft"] <= 8


def test_nothing_of_another_s_training_is_there_for_a_user(ports: Ports, nova: Artist) -> None:
    other = new_artist(ports, "Other")
    run = _run(ports, nova)
    theirs = bearer(new_user(ports, other))
    with (
        server(protected(ports, password=False, secret=True)) as base,
        client(f"{base}/api/artists/", **theirs) as http,
    ):
        got = ("datasets", "loras", "listens", "renderings", "profile", "progress", "events")
        answers = [http.get(f"{nova.id}/{path}") for path in got]
        answers += [http.post(f"{at}/loras/{run}/promote", json={}) for at in (nova.id, other.id)]
        listen = {"runId": run, "pair": ["base", "candidate"], "isBlind": True}
        answers += [http.post(f"{at}/listens", json=listen) for at in (nova.id, other.id)]
        render = {"prompt": "x", "runId": run}
        answers += [http.post(f"{at}/renderings", json=render) for at in (nova.id, other.id)]
        answers += [
            http.post(f"{nova.id}/{path}", json={"profile": {}}) for path in ("profile/validate", "profile/preview")
        ]
        answers += [http.put(f"{nova.id}/profile", json={"profile": {}})]
        answers += [http.post(f"{nova.id}/{path}", json={}) for path in ("loras/rollback", "refresh-prompts", "intake")]
        assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert rows(ports, "select * from listens") == rows(ports, "select * from renderings") == []


def test_an_open_server_takes_no_change_from_another_site_s_page(ports: Ports, nova: Artist) -> None:
    with server(ports) as base, client(f"{base}/api/artists/{nova.id}/") as http:
        for header in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
            answers = [
                http.put("profile", json={"profile": {}}, headers=header),
                http.post(
                    "uploads", json={"purpose": "inbox", "files": [{"path": "a.wav", "size": 1}]}, headers=header
                ),
                http.post("renderings", json={"prompt": "x"}, headers=header),
                http.delete(f"uploads/{uuid4()}", headers=header),
                http.get("live-sets", headers=header),
            ]
            assert [answer.status_code for answer in answers] == [403] * 5
