"""Milestones of a run: the chosen one becomes its adapter, whatever is killed, and old ones go. And what ears do."""

import shutil
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from dawa_assets.prompting.profile_facts import read_profile
from dawa_assets.tables import run_milestones
from dawa_assets.tables.listens import Preference, Who, keep_listen, preference
from dawa_assets.training.evaluation_prompts import profile_prompt
from dawa_assets.training.promotion import list_loras
from dawa_assets.training.runs import train_lora
from modal_app.protocol.base import JobRequest
from modal_app.protocol.evaluation import EvaluateRequest, KeepCheckpointRequest
from modal_app.protocol.training import InstallRequest
from tests.dawa_assets.training.catalogue import Catalogue, RecordingCompute
from tests.dawa_assets.training.test_evaluation import Killed, candidate, evaluate, published, state


@pytest.fixture(autouse=True)
def milestones(worker: RecordingCompute) -> None:
    worker.milestones = [20, 40]


def row(catalogue: Catalogue, run_id: str) -> dict[str, Any]:
    (found,) = catalogue.sql("select metrics, adapter_sha256 from training_runs where id = %s", run_id)
    return found


def keys(catalogue: Catalogue, run_id: str) -> list[str]:
    folder = f"artists/{catalogue.slug}/loras/{run_id}/"
    return [stored.key.removeprefix(folder) for stored in catalogue.ports.bucket.list(folder + "milestones/")]


CHOSEN = {"chosen_step": 20, "chosen_strength": 0.75, "choice": "the nearest to the held-out songs"}


def test_the_chosen_milestone_is_kept_and_published(worker: RecordingCompute, catalogue: Catalogue) -> None:
    worker.figures = CHOSEN
    run = candidate(catalogue, "one", 220)
    trained = row(catalogue, run)
    report = evaluate(catalogue)

    (asked,) = [request for request in worker.requests if isinstance(request, EvaluateRequest)]
    assert asked.milestones == [20, 40]
    assert (report.chosen_step, report.chosen_strength) == (20, 0.75)
    assert "step 20 at strength 0.75: the nearest to the held-out songs" in report.reasons
    kept = row(catalogue, run)
    assert (kept["metrics"]["kept_step"], kept["metrics"]["strength"]) == (20, 0.75)
    assert kept["metrics"]["trained_sha256"] == trained["adapter_sha256"] != kept["adapter_sha256"]
    assert state(catalogue) == ([run], run)
    worker.forget()
    again = evaluate(catalogue)
    assert (again.state, again.decision) == ("unchanged", report.decision)
    assert (worker.count(EvaluateRequest), worker.count(KeepCheckpointRequest)) == (0, 0)
    assert train_lora(catalogue.ports, catalogue.slug).state == "unchanged"


@pytest.mark.parametrize("place", ["before the files", "before the row", "before it is published"])
def test_a_kill_while_it_is_kept_is_made_good(
    worker: RecordingCompute, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    worker.figures = CHOSEN
    run = candidate(catalogue, "one", 220)

    def killed(*_: object, **__: object) -> None:
        raise Killed

    def before(request: JobRequest[Any]) -> None:
        kind = KeepCheckpointRequest if place == "before the files" else InstallRequest
        if isinstance(request, kind):
            raise Killed

    with monkeypatch.context() as patches:
        if place == "before the row":
            patches.setattr(run_milestones, "replace_adapter", killed)
        else:
            worker.before = before
        with pytest.raises(Killed):
            evaluate(catalogue)
    worker.before = lambda _: None
    shutil.rmtree(catalogue.ports.settings.data_root)  # the worker may have forgotten everything meanwhile
    worker.forget()

    report = evaluate(catalogue)

    assert worker.count(EvaluateRequest) == 0
    assert row(catalogue, run)["metrics"]["kept_step"] == 20
    assert state(catalogue) == ([run], run)
    assert report.verdict == "better"


def test_only_candidate_and_published_run_keep_milestones(catalogue: Catalogue) -> None:
    names = ["milestones/000020.safetensors", "milestones/000040.safetensors"]
    runs = []
    for name, hertz in (("one", 220), ("two", 330), ("three", 440)):
        runs.append(candidate(catalogue, name, hertz))
        evaluate(catalogue)
    assert [keys(catalogue, run) for run in runs] == [[], [], names]
    assert row(catalogue, runs[0])["metrics"]["milestones"] == []
    assert "dropping" not in row(catalogue, runs[0])["metrics"]
    assert not [name for name in row(catalogue, runs[0])["metrics"]["sizes"] if name.startswith("milestones")]
    assert published(catalogue) == runs[2]


def test_a_kill_while_milestones_go_leaves_none(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    first = candidate(catalogue, "one", 220)
    evaluate(catalogue)
    candidate(catalogue, "two", 330)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patches:
        patches.setattr(type(catalogue.ports.bucket), "delete", killed)
        with pytest.raises(Killed):
            evaluate(catalogue)
    assert row(catalogue, first)["metrics"]["milestones"] == []
    assert len(keys(catalogue, first)) == 2
    evaluate(catalogue)
    assert keys(catalogue, first) == []


def answer(catalogue: Catalogue, run: str, choice: Who | None, times: int, *, blind: bool = True) -> None:
    for _ in range(times):
        with catalogue.ports.database.transaction() as connection:
            keep_listen(
                connection,
                catalogue.artist,
                listen_id=uuid4(),
                run_id=UUID(run),
                pair=("published", "candidate"),
                choice=choice,
                score=None,
                blind=blind,
                who="somebody",
                rendering_id=None,
            )


def test_ears_outrank_the_measure(worker: RecordingCompute, catalogue: Catalogue) -> None:
    first = candidate(catalogue, "one", 220)
    evaluate(catalogue)
    worker.figures = {"shared": ["two"], "shared_lora_loss": 1.4, "shared_rival_loss": 1.3}
    second = candidate(catalogue, "two", 330)
    assert str(evaluate(catalogue).decision).startswith("not promoted: loss")
    answer(catalogue, second, "candidate", 5, blind=False)
    answer(catalogue, second, "candidate", 2)
    evaluate(catalogue)
    assert state(catalogue) == ([first], first)  # too few, and open ones don't count
    answer(catalogue, second, None, 3)
    answer(catalogue, second, "candidate", 1)

    report = evaluate(catalogue)

    assert report.decision == "promoted: people chose it in 3 of 3 blind comparisons"
    assert report.preferred == "3 for it, 0 for the published one, 3 for neither, blindly"
    assert state(catalogue) == ([second], second)


def test_ears_never_promote_what_copies(worker: RecordingCompute, catalogue: Catalogue) -> None:
    first = candidate(catalogue, "one", 220)
    evaluate(catalogue)
    worker.figures = {
        "copies": {
            "renderings": 1,
            "songs": 2,
            "threshold": 15,
            "is_calibrated": True,
            "copied_seconds": 9.0,
            "passages": [],
        }
    }
    second = candidate(catalogue, "two", 330)
    assert evaluate(catalogue).verdict == "copies"
    answer(catalogue, second, "candidate", 5)
    evaluate(catalogue)
    assert state(catalogue) == ([first], first)


def test_a_preference_counts_blind_answers_on_this_pair_only(catalogue: Catalogue) -> None:
    run = candidate(catalogue, "one", 220)
    answer(catalogue, run, "published", 2)
    answer(catalogue, run, "candidate", 1, blind=False)
    lora = list_loras(catalogue.ports, catalogue.slug)[0]
    with catalogue.ports.database.transaction() as connection:
        found = preference(connection, lora.run.id)
        assert preference(connection, uuid4()) == Preference()
    assert (found.candidate, found.published, found.no_difference) == (0, 2, 0)
    assert found.latest is not None
    assert found.latest <= datetime.now(UTC)


def test_prompts_are_those_of_songs_of_the_artist_and_of_nobody(worker: RecordingCompute, catalogue: Catalogue) -> None:
    candidate(catalogue, "one", 220)
    evaluate(catalogue)
    (asked,) = [request for request in worker.requests if isinstance(request, EvaluateRequest)]
    kinds = [prompt.kind for prompt in asked.prompts]
    assert (kinds[0], kinds[-1], len(asked.seeds)) == ("held out", "foreign", 2)
    assert "one" in asked.prompts[0].text


@pytest.mark.parametrize("profile", [None, [], {"artist": 3}, {"artist": {"core_identities": {"x": ["y"]}}}])
def test_a_profile_that_says_nothing_gives_no_prompt(profile: object) -> None:
    assert profile_prompt(read_profile(profile)) is None


def test_a_profiles_prompt_has_its_genres_and_sounds() -> None:
    identities = {"primary_genre_space": ["melodic house", " "], "sound_design_signature": ["glassy plucks"]}
    assert profile_prompt(read_profile({"artist": {"core_identities": identities}})) == "Melodic house, glassy plucks."
