"""The job from a producer's files to a published adapter, on a tiny base, in this process."""

import json
import re
import shutil
from pathlib import Path

import pytest
import soundfile

from modal_app.adapters.file_format import read_adapter, read_card, write_adapter
from modal_app.adapters.publish import install, resolve_lora
from modal_app.config import BackendKind
from modal_app.data_root.layout import DataRoot
from modal_app.errors import ConflictError, InputError
from modal_app.producer.train_producer import run_id_of, train_producer
from modal_app.protocol.base import Event
from modal_app.protocol.producer import ProducerFile, ProducerTrainRequest, ProducerTrainResult
from modal_app.protocol.training import AskedTraining, InstallRequest
from tests.modal_app.producer.conftest import Answer, Internet, song

STEPS = 3


class KilledError(BaseException):
    """Stands for SIGKILL at an event: nothing of the job catches it."""


def ignore(event: Event) -> None:
    """Nobody listens."""


def request(*files: ProducerFile, job_id: str = "job_abc", **changes: object) -> ProducerTrainRequest:
    plain = ProducerTrainRequest(
        job_id=job_id,
        producer_id="producer_123",
        model_name="nawfside_lora",
        backend=BackendKind.ACE_STEP,
        base="tiny",
        parameters=AskedTraining(steps=STEPS, batch_size=1, learning_rate=1e-3, rank=2, alpha=4, seed=0),
        files=list(files) or [upload("beat.wav")],
    )
    return plain.model_copy(update=changes)


def upload(name: str, job_id: str = "job_abc", **facts: object) -> ProducerFile:
    return ProducerFile.model_validate({"path": f"uploads/producer_123/{job_id}/{name}", **facts})


def put(root: DataRoot, name: str, content: bytes, job_id: str = "job_abc") -> None:
    path = root.uploads("producer_123") / job_id / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def published_by_the_pipeline(root: DataRoot, result: ProducerTrainResult, run_id: str = "a-run") -> None:
    """Publish the adapter of a job again, as if a run of the pipeline had made it."""
    root.run(run_id).mkdir()
    for path in root.run(result.run_id).glob("*.safetensors"):
        card, state = read_adapter(path)
        write_adapter(root.run(run_id) / path.name, state, card.model_copy(update={"run_id": run_id}))
    (root.run(run_id) / "adapter_config.json").write_text("{}")
    install(InstallRequest(run_id=run_id, producer_id=result.producer_id, model_name=result.model_name), root, ignore)


def test_files_become_a_published_adapter_in_places_of_their_own(root: DataRoot, internet: Internet) -> None:
    internet.answers["/beat1.wav"] = Answer(song(110.0, 16.0))
    internet.answers["/beat2.wav"] = Answer(song(140.0))
    internet.answers["/page.wav"] = Answer(b"<html>not found</html>")
    url = "https://example.com/{}.wav?sig=s3cret"
    asked = request(
        ProducerFile(url=url.format("beat1"), title="Track 1", bpm=124, tags=["dub"], musical_key="A minor"),
        ProducerFile(url=url.format("beat2"), title="Track 2"),
        ProducerFile(url=url.format("page")),
        ProducerFile(url=url.format("missing")),
        ProducerFile(url=url.format("beat2").replace("example", "www.example")),
        ProducerFile(url="http://["),
        ProducerFile(url="http://0177.0.0.1/octal.wav?sig=s3cret"),
        ProducerFile(url="http://xn--a/punycode.wav"),
        ProducerFile(path="/data/uploads/other/j/x.wav"),
        tagger="offline",
    )
    before = set(root.root.parent.iterdir())

    result = train_producer(asked, root, ignore, internet.fetcher())

    assert result.lora_path == "loras/producer_123_nawfside_lora.safetensors"
    assert result.run_id.startswith("http-")
    failed = ["missing.wav", "beat2.wav", "file 6", "octal.wav", "punycode.wav", "upload path", "page.wav"]
    assert [line.partition(":")[0].partition(" '")[0] for line in result.failed] == failed
    assert "s3cret" not in result.model_dump_json()
    resolved = resolve_lora(root, "producer_123:nawfside_lora")
    assert resolved.card.run_id == result.run_id
    assert (resolved.card.songs, resolved.card.recipe) == (2, "stereo48")
    assert read_card(root.peft_model("producer_123") / "adapter_model.safetensors").run_id == result.run_id
    view = root.training_data("producer_123.job_abc")
    names = [f"seg_{number:04d}" for number in range(len(list((view / "audio").iterdir())))]
    assert sorted(path.name for path in (view / "audio").iterdir()) == [f"{name}.wav" for name in names]
    assert sorted(path.name for path in (view / "text").iterdir()) == [f"{name}.txt" for name in names]
    first = (view / "text" / "seg_0000.txt").read_text()
    assert first.startswith("Track 1. dub, ")  # then what the tagger heard
    assert first.endswith("Key: A minor. BPM: 124")
    audio = soundfile.info(view / "audio" / "seg_0000.wav")
    assert (audio.samplerate, audio.channels, audio.duration) == (44_100, 1, 15.0)
    assert not root.training_data("producer_123").exists()
    assert sorted(path.name for path in root.producer_job(result.run_id).iterdir()) == ["plan.json"]
    assert set(root.root.parent.iterdir()) - before == {root.root}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataRoot, ProducerTrainResult]:
    """A data root with a finished job, for tests that leave it as it is."""
    root = DataRoot(tmp_path_factory.mktemp("done") / "data")
    put(root, "beat.wav", song())
    return root, train_producer(request(), root, ignore)


@pytest.fixture
def copied(done: tuple[DataRoot, ProducerTrainResult], root: DataRoot) -> tuple[DataRoot, ProducerTrainResult]:
    """The same in a data root of the test's own."""
    shutil.copytree(done[0].root, root.root, symlinks=True)
    return root, done[1]


def test_the_same_job_again_trains_nothing_again(done: tuple[DataRoot, ProducerTrainResult]) -> None:
    root, first = done
    events: list[Event] = []

    assert train_producer(request(), root, events.append) == first
    assert any("nothing is trained again" in event.message for event in events)


def test_another_request_under_the_same_job_is_refused(done: tuple[DataRoot, ProducerTrainResult]) -> None:
    root, _ = done

    with pytest.raises(ConflictError, match="was used for another request"):
        train_producer(request(skip_preprocess=True), root, ignore)


class Kills:
    """Kills a job at its n-th event."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, event: Event) -> None:
        self.left -= 1
        if self.left < 0:
            raise KilledError


def test_a_job_that_is_killed_anywhere_goes_on(root: DataRoot, internet: Internet, tmp_path: Path) -> None:
    internet.answers["/once.wav"] = Answer(song(120.0))
    asked = request(ProducerFile(url="https://example.com/once.wav"))
    whole = train_producer(asked, DataRoot(tmp_path / "other"), ignore, internet.fetcher())
    before = len(internet.seen)
    result, kills = None, 0

    while result is None:
        try:
            result = train_producer(asked, root, Kills(kills), internet.fetcher())
        except KilledError:
            kills += 1

    assert kills >= 5
    assert len(internet.seen) - before == 1  # fetched once, however often it began
    assert {Path(path).name: digest for path, digest in result.files.items() if path.endswith(".safetensors")} == {
        Path(path).name: digest for path, digest in whole.files.items() if path.endswith(".safetensors")
    }
    assert list(root.scratch().iterdir()) == []
    assert [path.name for path in (root.root / "runs").iterdir()] == [result.run_id]
    assert [path.name for path in (root.root / "training_data").glob("[!.]*")] == ["producer_123.job_abc"]


def test_a_name_the_pipeline_published_is_refused_at_once(
    copied: tuple[DataRoot, ProducerTrainResult], internet: Internet
) -> None:
    root, result = copied
    published_by_the_pipeline(root, result)
    before = len(internet.seen)
    asked = request(ProducerFile(url="https://example.com/beat1.wav"), job_id="second")

    with pytest.raises(ConflictError, match="the pipeline's, which published it; choose another model_name"):
        train_producer(asked, root, ignore, internet.fetcher())

    assert len(internet.seen) == before
    assert not root.run(run_id_of("producer_123", "second")).exists()
    assert resolve_lora(root, "producer_123:nawfside_lora").card.run_id == "a-run"

    put(root, "beat.wav", song(130.0), "third")
    other = train_producer(request(upload("beat.wav", "third"), job_id="third", model_name="other"), root, ignore)
    assert other.lora_path == "loras/producer_123_other.safetensors"
    assert resolve_lora(root, "producer_123:other").card.run_id == other.run_id
    assert read_card(root.peft_model("producer_123") / "adapter_model.safetensors").run_id == "a-run"


def test_a_default_name_gives_way_to_the_pipelines_name(
    copied: tuple[DataRoot, ProducerTrainResult],
) -> None:
    root, result = copied
    published_by_the_pipeline(root, result)
    put(root, "beat.wav", song(130.0), "second")
    asked = request(upload("beat.wav", "second"), job_id="second", may_rename=True)

    made = train_producer(asked, root, ignore)

    assert (made.model_name, made.renamed_from) == ("nawfside_lora_upload", "nawfside_lora")
    assert made.lora_path == "loras/producer_123_nawfside_lora_upload.safetensors"
    assert resolve_lora(root, "producer_123:nawfside_lora_upload").card.run_id == made.run_id
    assert resolve_lora(root, "producer_123:nawfside_lora").card.run_id == "a-run"
    assert read_card(root.peft_model("producer_123") / "adapter_model.safetensors").run_id == "a-run"
    assert train_producer(asked, root, ignore) == made  # the same job, however often it is asked for
    published_by_the_pipeline(root, made, "b-run")
    with pytest.raises(ConflictError, match="choose another model_name"):  # and never over what was published since
        train_producer(asked, root, ignore)


@pytest.mark.parametrize("length", [1, 57, 58, 64])
def test_a_name_of_any_length_has_others_beside_it(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    taken: list[str] = []

    def refuse(_root: DataRoot, _run: str, _producer: str, name: str) -> None:
        taken.append(name)
        raise ConflictError("taken")

    monkeypatch.setattr("modal_app.producer.train_producer.require_free_name", refuse)
    with pytest.raises(ConflictError):
        train_producer(request(model_name="n" * length, may_rename=True), root, ignore)
    assert len(taken) == len(set(taken)) == 10
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name) for name in taken)


def test_a_name_the_pipeline_publishes_meanwhile_is_not_taken(
    copied: tuple[DataRoot, ProducerTrainResult],
) -> None:
    root, first = copied

    def publish_at_the_end(event: Event) -> None:
        if event.message.startswith("step") and not root.run("a-run").exists():
            published_by_the_pipeline(root, first)

    put(root, "beat.wav", song(130.0), "second")
    with pytest.raises(ConflictError, match="choose another model_name"):
        train_producer(request(upload("beat.wav", "second"), job_id="second"), root, publish_at_the_end)
    assert resolve_lora(root, "producer_123:nawfside_lora").card.run_id == "a-run"


def test_a_producer_whose_file_path_is_taken_is_refused(
    done: tuple[DataRoot, ProducerTrainResult],
) -> None:
    root, _ = done
    asked = request(job_id="x").model_copy(update={"producer_id": "producer", "model_name": "123_nawfside_lora"})

    with pytest.raises(ConflictError, match="is that of producer_123:nawfside_lora"):
        train_producer(asked, root, ignore)


def test_files_as_they_are_keep_their_length_and_level(root: DataRoot) -> None:
    put(root, "long.wav", song(110.0, 20.0))

    result = train_producer(request(upload("long.wav"), skip_preprocess=True), root, ignore)

    assert result.segments == 1
    (audio,) = (root.training_data("producer_123.job_abc") / "audio").iterdir()
    signal, rate = soundfile.read(audio)
    before, _ = soundfile.read(root.uploads("producer_123") / "job_abc" / "long.wav")
    assert (rate, signal.shape) == (48_000, (960_000, 2))
    assert abs(signal).max() == pytest.approx(abs(before).max(), rel=0.01)


def test_a_file_that_is_too_long_as_it_is_is_named(root: DataRoot) -> None:
    put(root, "long.wav", song(110.0, 31.0))
    asked = request(upload("long.wav"), skip_preprocess=True, backend=BackendKind.MUSICGEN)

    with pytest.raises(InputError, match=r"long\.wav: is longer than the 30 s .* leave skip_preprocess out"):
        train_producer(asked, root, ignore)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"beat.wav": b"no audio"}, "none of the 1 files can be used: beat.wav: it is in no audio format"),
        ({}, "none of the 1 files can be used: 'beat.wav': there is no such upload"),
        ({"beat.wav": song(110.0, 0.0)}, "none of the 1 files can be used: beat.wav: it holds a header but no audio"),
    ],
)
def test_a_job_of_bad_files_only_is_one_clear_line(root: DataRoot, files: dict[str, bytes], reason: str) -> None:
    for name, content in files.items():
        put(root, name, content)

    with pytest.raises(InputError) as caught:
        train_producer(request(), root, ignore)

    assert str(caught.value).startswith(reason)
    assert str(caught.value).isprintable()


def test_a_tagger_without_its_key_is_one_clear_line(root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    put(root, "beat.wav", song())
    asked = json.loads(request(tagger="gemini").model_dump_json())
    asked["tag_model"] = {"name": "gemini-3.5-flash-lite"}

    with pytest.raises(InputError, match="GEMINI_API_KEY"):
        train_producer(ProducerTrainRequest.model_validate(asked), root, ignore)
