"""What the routes of datasets, LoRAs, renderings and listening are sent and answer."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from dawa_assets.http.api.common import file_link
from dawa_assets.http.api.item_messages import Author, Reason
from dawa_assets.http.messages import Message
from dawa_assets.http.service import Service
from dawa_assets.prompting.json_access import mapping, number, objects
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.library_datasets import ListedDataset
from dawa_assets.tables.listens import Listen, Tally
from dawa_assets.tables.lora_evaluations import Promotion
from dawa_assets.tables.training_approvals import Approval
from dawa_assets.training.promotion import Lora
from modal_app.web.messages import Prompt

Who = Literal["base", "published", "candidate"]
RenderingId = Annotated[str, Field(max_length=60, examples=["r-0a1b2c3d4e5f60718293a4b5"])]
_MAX_CURVE = 400


class DatasetLine(Message):
    """A dataset and where to fetch it; both links are null while it is built, or after it was pruned."""

    id: UUID
    state: Literal["building", "done", "export"]
    is_current: bool
    item_count: int = Field(examples=[10])
    size_bytes: int | None = Field(examples=[52_428_800])
    created_at: datetime
    finished_at: datetime | None
    url: str | None
    manifest_url: str | None

    @classmethod
    def of(cls, service: Service, artist: Artist, line: ListedDataset) -> "DatasetLine":
        """Return as it is listed."""
        links = {
            "url": file_link(service, artist, line.storage_path),
            "manifest_url": file_link(service, artist, line.manifest_path),
        }
        return cls(**{name: value for name, value in vars(line).items() if name in cls.model_fields} | links)


class LeftOut(Message):
    """A ready item that another one of the same audio stands for."""

    name: str = Field(examples=["Song.als 77aa…"])
    by: str = Field(examples=["Song/Song"])


class NextDataset(Message):
    """What an export would hold now, and which ready items would not be in it."""

    item_count: int = Field(examples=[3])
    left_out: list[LeftOut]


class DatasetsAnswer(Message):
    """The latest datasets first; `total` leaves excluded items out."""

    datasets: list[DatasetLine]
    ready: int = Field(examples=[3])
    exported: int = Field(examples=[4])
    total: int = Field(examples=[10])
    next: NextDataset


class RunFile(Message):
    """Something to hear or look at of a training."""

    name: str = Field(examples=["base.wav"])
    url: str


class CurvePoint(Message):
    """The loss at a step; of a validation, on what was held out."""

    step: int = Field(examples=[10])
    loss: float | None = Field(examples=[1.02])
    validation_loss: float | None = Field(examples=[1.04])


class RunAnswer(Message):
    """A training and what was found of it."""

    id: UUID
    model_name: str = Field(examples=["nawfside_lora"])
    backend: str = Field(examples=["ace_step"])
    base: str = Field(examples=["tiny"])
    state: Literal["running", "done", "failed"]
    error: str | None
    is_published: bool
    is_candidate: bool
    is_under_way: bool = Field(description="its promotion was begun and is not finished")
    created_at: datetime
    finished_at: datetime | None
    dataset_id: UUID | None
    verdict: str | None = Field(examples=["better"])
    reasons: list[str]
    decision: str | None
    base_loss: float | None = Field(examples=[1.02])
    loss: float | None = Field(examples=[0.97])
    compared_with: UUID | None
    shared_loss: float | None
    shared_rival_loss: float | None
    held_out: list[str]
    steps: int | None = Field(examples=[60])
    final_loss: float | None = Field(examples=[0.91])
    curve: list[CurvePoint]
    trained_on_excluded: list[str]
    files: list[RunFile]

    @classmethod
    def of(cls, service: Service, artist: Artist, lora: Lora) -> "RunAnswer":
        """Return as it is listed."""
        run, found = lora.run, lora.evaluation
        figures = {} if found is None else mapping(found.figures)
        steps = number(run.metrics.get("steps"))
        return cls(
            id=run.id,
            model_name=run.model_name,
            backend=run.backend,
            base=run.base,
            state=run.state,
            error=run.error,
            is_published=run.promoted,
            is_candidate=run.candidate_at is not None,
            is_under_way=lora.under_way,
            created_at=run.created_at,
            finished_at=run.finished_at,
            dataset_id=run.dataset_id,
            verdict=None if found is None else found.verdict,
            reasons=[] if found is None else found.reasons,
            decision=None if found is None else found.decision,
            base_loss=number(figures.get("base_loss")),
            loss=number(figures.get("lora_loss")),
            compared_with=None if found is None else found.rival_id,
            shared_loss=number(figures.get("shared_lora_loss")),
            shared_rival_loss=number(figures.get("shared_rival_loss")),
            held_out=[str(name) for name in run.metrics.get("held_out", [])],
            steps=None if steps is None else int(steps),
            final_loss=number(run.metrics.get("final_loss")),
            curve=_curve(run.metrics),
            trained_on_excluded=lora.trained_on_excluded,
            files=_files(service, artist, lora),
        )


class PromotionLine(Message):
    """One line of the log of what was published."""

    run_id: UUID
    at: datetime
    by: Literal["evaluation", "person"]
    is_rollback: bool
    reason: str = Field(examples=["Mia: warmer lows"])

    @classmethod
    def of(cls, line: Promotion) -> "PromotionLine":
        """Return as it is listed."""
        return cls(
            run_id=line.run_id,
            at=line.published_at or line.asked_at,
            by=line.promoted_by,
            is_rollback=line.is_rollback,
            reason=line.reason,
        )


class WaitingTraining(Message):
    """A training that begins once a person approves of what it is expected to cost."""

    plan: str = Field(examples=["recipe ace-step-2b-some@2: 834 steps; about 20 min on H100, 1.32 USD"])
    expected_usd: float | None = Field(examples=[1.32], description="null: nobody knows yet")
    asked_at: datetime

    @classmethod
    def of(cls, approval: Approval) -> "WaitingTraining":
        """Return as it is listed."""
        return cls(plan=approval.plan, expected_usd=approval.expected_usd, asked_at=approval.asked_at)


class LorasAnswer(Message):
    """The artist's trainings, the latest first, the log of what was published, the first first, and what waits."""

    waiting: WaitingTraining | None
    model_name: str = Field(examples=["nawfside_lora"])
    runs: list[RunAnswer]
    log: list[PromotionLine]


class PromoteRequest(Message):
    """Publish a training's adapter, with the reason."""

    reason: Reason = ""
    author: Author = None
    force: bool = Field(False, description="although it is broken, or was trained on what is excluded by now")


class ApproveRequest(Message):
    """Approve of the training that waits."""

    author: Author = None


class ApprovedAnswer(Message):
    """What was approved."""

    approved: WaitingTraining


class RollbackRequest(PromoteRequest):
    """Publish the adapter again that was published before."""

    model_name: str | None = Field(None, max_length=64, examples=[None], description="default: the one that is set")


class PromotedAnswer(Message):
    """What is published now; `changed` is false where it was so already."""

    changed: bool
    run_id: UUID


class ListenRequest(Message):
    """Which of two renderings is closer to the artist, and how close."""

    id: UUID | None = Field(None, description="made by the client, so that a repeated send is one answer")
    run_id: UUID
    pair: tuple[Who, Who] = Field(examples=[["base", "candidate"]])
    choice: Who | None = Field(None, examples=["candidate"], description="null: no difference")
    score: int | None = Field(None, ge=1, le=5, examples=[4])
    is_blind: bool
    rendering_id: RenderingId | None = None
    author: Author = None


class ListenedAnswer(Message):
    """The answer's id."""

    id: UUID


class ListenLine(Message):
    """One answer."""

    id: UUID
    run_id: UUID
    pair: tuple[Who, Who] = Field(examples=[["base", "candidate"]])
    choice: Who | None
    score: int | None
    is_blind: bool
    who: str = Field(examples=["Mia"])
    at: datetime
    prompt: str | None
    seed: int | None

    @classmethod
    def of(cls, listen: Listen) -> "ListenLine":
        """Return as it is listed."""
        fields = {name: value for name, value in vars(listen).items() if name in cls.model_fields}
        return cls(**fields, pair=(listen.first, listen.second), is_blind=listen.blind)


class TallyLine(Message):
    """What all answers on a pair come to."""

    run_id: UUID
    pair: tuple[Who, Who] = Field(examples=[["base", "candidate"]])
    is_blind: bool
    choices: dict[str, int] = Field(examples=[{"base": 1, "candidate": 4, "none": 0}])
    mean_score: float | None = Field(examples=[3.8])
    count: int = Field(examples=[5])

    @classmethod
    def of(cls, line: Tally) -> "TallyLine":
        """Return as it is listed."""
        fields = {name: value for name, value in vars(line).items() if name in cls.model_fields}
        return cls(**fields, pair=(line.first, line.second), is_blind=line.blind)


class ListensAnswer(Message):
    """The latest answers, and what all come to."""

    listens: list[ListenLine]
    tally: list[TallyLine]


class RenderRequest(Message):
    """Render a prompt by the base alone, by what is published, and by a candidate, with one seed."""

    prompt: Prompt
    seed: int = Field(0, ge=0, lt=2**31, examples=[7])
    seconds: float = Field(8.0, ge=0.5, le=60, allow_inf_nan=False, examples=[8.0])
    who: list[Who] = Field(["base", "published", "candidate"], min_length=1, max_length=3)
    run_id: UUID | None = Field(None, description="the candidate; default: the one to be judged, else the latest")
    scale: float = Field(1.0, ge=0, le=4, allow_inf_nan=False)


class PartAnswer(Message):
    """One rendering; `gainDb` brings it to the level of the quietest."""

    who: Who
    run_id: UUID | None
    state: Literal["queued", "done", "failed"]
    error: str | None
    url: str | None
    lufs: float | None = Field(examples=[-14.2])
    true_peak_dbtp: float | None = Field(examples=[-1.0])
    gain_db: float = Field(examples=[-2.1])


class MissingAnswer(Message):
    """Who can't be heard, and why."""

    who: Who
    reason: str = Field(examples=["nothing is published yet"])


class RenderingAnswer(Message):
    """A prompt as each of them renders it."""

    id: RenderingId
    state: Literal["running", "done", "failed"]
    error: str | None
    prompt: str
    seed: int
    seconds: float
    parts: list[PartAnswer]
    missing: list[MissingAnswer]
    created_at: datetime


class RenderingsAnswer(Message):
    """The latest renderings first."""

    renderings: list[RenderingAnswer]


def _curve(metrics: dict[str, Any]) -> list[CurvePoint]:
    """Losses thinned to what a picture shows, and every validation."""
    stored = metrics.get("losses")
    losses: list[Any] = stored if isinstance(stored, list) else []
    validations = {
        int(step): number(each.get("loss"))
        for each in objects(metrics.get("validations"))
        if (step := number(each.get("step"))) is not None
    }
    every = max(len(losses) // _MAX_CURVE, 1)
    steps = {*range(every, len(losses) + 1, every), *validations}
    return [
        CurvePoint(
            step=step,
            loss=number(losses[step - 1]) if 0 < step <= len(losses) else None,
            validation_loss=validations.get(step),
        )
        for step in sorted(steps)[: 2 * _MAX_CURVE]
    ]


def _files(service: Service, artist: Artist, lora: Lora) -> list[RunFile]:
    names = [] if lora.evaluation is None else sorted(lora.evaluation.files)
    found = []
    for name in names:
        url = file_link(service, artist, f"artists/{artist.slug}/loras/{lora.run.id}/{name}")
        if url is not None and name.endswith((".wav", ".png")):
            found.append(RunFile(name=name, url=url))
    return found
