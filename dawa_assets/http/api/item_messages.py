"""What the routes of items are sent and answer: an item, its texts, its waveform, what became of an edit."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from dawa_assets.http.api.common import file_link, listening_link
from dawa_assets.http.messages import Message, ParseId
from dawa_assets.http.service import Service
from dawa_assets.tables.alignments import StoredAlignment
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.best_saves import BestSave
from dawa_assets.tables.item_lookup import ItemText
from dawa_assets.tables.library_items import ShownItem
from dawa_assets.tables.library_sets import Badge

_TEXT = "Warm melodic house with glassy plucks over a patient, rolling bass.\nBPM: 122"
PromptText = Annotated[str, Field(max_length=20_000, examples=[_TEXT])]
Author = Annotated[
    str | None,
    Field(
        max_length=200,
        examples=["Mia"],
        description="who does it; a signed-in user is known by their id",
    ),
]
Reason = Annotated[str, Field(max_length=500, examples=["a demo only"])]
By = Literal["model", "person"]


class ItemAudio(Message):
    """An item's audio; the links are good for some hours, with ranges and without headers."""

    url: str = Field(examples=["/files/artists/nova/training/77aa…/audio.mp3?expires=1796000000&signature=…"])
    listen_url: str | None = Field(
        examples=["/files/artists/nova/training/77aa…/audio.mp3?expires=1796000000&signature=…&decoded=true"],
        description="the same as FLAC, in which a player finds every place exactly; null: the file itself is as good",
    )
    waveform_url: str = Field(examples=["/api/artists/6f…/items/77aa…/waveform"])
    format: str | None = Field(examples=["mp3"])
    seconds: float | None = Field(examples=[214.5], description="null: nobody has decoded it yet")
    sha256: str | None


class SegmentAnswer(Message):
    """What a training hears at once, in seconds."""

    start: float = Field(examples=[0.0])
    end: float = Field(examples=[15.0])


class BestSaveAnswer(Message):
    """The Live Set, or the save of one, that a bounce fits best of those that it was compared with."""

    name: str = Field(examples=["Harbour Project/Harbour"])
    line: str = Field(
        examples=["Harbour Project/Harbour, aligned from bar 1 (0.00 s), score 1.21, 0.86 above the best of 7 others"]
    )
    is_own: bool = Field(description="it is the one that the item has")
    score: float | None = Field(examples=[1.21])
    margin: float = Field(examples=[0.86], description="by how much its score is above the next that doesn't fit alike")
    alike: int = Field(examples=[0], description="how many older saves fit as well")

    @classmethod
    def of(cls, best: BestSave) -> "BestSaveAnswer":
        """Return as it is shown."""
        return cls(
            name=best.name,
            line=best.words,
            is_own=best.is_own,
            score=best.alignment.score,
            margin=best.margin,
            alike=best.alike,
        )


class AlignmentAnswer(Message):
    """Where a bounce begins in its Live Set, or that it is of another one, or why that can't be told."""

    answer: Literal["aligned", "not this arrangement", "can't be told"] = Field(examples=["aligned"])
    line: str = Field(examples=["aligned from bar 9 (15.74 s)"])
    confidence: float = Field(examples=[0.93], description="0.5 to 1; 0 where it can't be told")
    offset_seconds: float | None = Field(examples=[15.74], description="of the arrangement, where the bounce begins")
    bar: float | None = Field(examples=[9.0])
    tempo: float | None = Field(examples=[122.0], description="that it was rendered at")
    margin: float | None = Field(examples=[0.11], description="by how much it fits better than at any other place")
    reasons: list[str] = Field(examples=[["onsets fit by 0.58 and pitches by 0.81"]])
    version: str = Field(examples=["alignment-v1"])
    best_save: BestSaveAnswer | None = Field(description="null: no others were compared, or none fits")

    @classmethod
    def of(cls, found: StoredAlignment, best: BestSave | None) -> "AlignmentAnswer":
        """Return as it is shown."""
        shown = {name: value for name, value in vars(found).items() if name in cls.model_fields}
        best_save = None if best is None else BestSaveAnswer.of(best)
        return cls(**shown, line=found.words, best_save=best_save)


class ExcludedAnswer(Message):
    """Since when an item is left out, why, and by whom."""

    at: datetime
    reason: str = Field(examples=["a demo only"])
    author: str = Field(examples=["Mia"])


class TextAnswer(Message):
    """One text that an item has or had."""

    id: UUID
    in_use: bool
    origin: By
    text: str = Field(examples=[_TEXT])
    author: str | None = Field(examples=["Mia"])
    model: str | None = Field(examples=[None])
    system_prompt_version: str | None = Field(examples=[None])
    schema_version: str | None = Field(examples=["1.0"])
    take: int
    cost_usd: float = Field(examples=[0.0001])
    created_at: datetime
    given_back_at: datetime | None

    @classmethod
    def of(cls, text: ItemText) -> "TextAnswer":
        """Return as it is shown."""
        shown = {name: value for name, value in vars(text).items() if name in cls.model_fields}
        return cls(**{**shown, "origin": "person" if text.origin == "human" else "model", "model": text.model_name})


class FindingAnswer(Message):
    """What was found of an item's audio: how bad it is, in a sentence, and what to do."""

    kind: str = Field(examples=["clipped"])
    standing: Literal["blocks", "warns", "accepted"]
    number: float | None = Field(examples=[0.021])
    sentence: str = Field(examples=["2.1% of its samples lie flat at the peak: it is clipped"])
    way_out: str = Field(examples=["lower the master, and export the bounce again"])
    accepted_by: str | None
    accepted_reason: str | None


class ItemAnswer(Message):
    """A training item: its text, its audio, how far it is and why."""

    id: UUID
    name: str = Field(examples=["Midnight Drive Project/Midnight Drive"])
    parse_id: str = Field(examples=["3f2a9c0b7d41"])
    live_set_id: UUID | None
    als_filename: str | None = Field(examples=["Midnight Drive.als"])
    project_name: str | None = Field(examples=["Midnight Drive Project"])
    is_saved_pair: bool = Field(description="somebody saved it with its audio at once")
    status: str = Field(examples=["ready"])
    badge: Badge = Field(examples=["ready"])
    reason: str | None = Field(examples=[None], description="why it is not ready, one line")
    text: str | None = Field(examples=[_TEXT])
    text_by: By | None
    model: str | None = Field(examples=["offline-v1"])
    system_prompt_version: str | None = Field(examples=["train-v1"])
    text_at: datetime | None
    is_regenerating: bool = Field(description="another text by the model was asked for, and is not there yet")
    audio: ItemAudio | None
    segments: list[SegmentAnswer] = Field(description="empty before it was cut")
    excluded: ExcludedAnswer | None
    alignment: AlignmentAnswer | None = Field(description="null: it was not held against its set yet")
    findings: list[str] = Field(examples=[[]], description="what is to be known of its audio, one line each")
    quality: list[FindingAnswer] = Field(description="what was found by measuring its audio, and by other items'")
    is_blocked: bool = Field(description="it waits because of a finding that nobody accepted")
    superseded_by: str | None = Field(examples=[None], description="the item that is used in its place")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, service: Service, artist: Artist, item: ShownItem) -> "ItemAnswer":
        """Return as it is shown."""
        return cls(**_shown(service, artist, item))


class ItemsAnswer(Message):
    """All of an artist's items, oldest first."""

    items: list[ItemAnswer]


class ItemWithTexts(ItemAnswer):
    """An item with every text that it had, oldest first."""

    texts: list[TextAnswer]

    @classmethod
    def with_texts(cls, service: Service, artist: Artist, item: ShownItem, texts: list[ItemText]) -> "ItemWithTexts":
        """Return as it is shown."""
        return cls(**_shown(service, artist, item), texts=[TextAnswer.of(text) for text in texts])


class LoudnessAnswer(Message):
    """How loud it is (EBU R 128); null where that can't be said."""

    integrated_lufs: float | None = Field(examples=[-9.3])
    range_lu: float | None = Field(examples=[6.1])
    true_peak_dbtp: float | None = Field(examples=[-0.4])


class WaveformAnswer(Message):
    """A stretch of a waveform as so many points: extremes of all channels, −127…127, and their level, 0…127."""

    sha256: str
    seconds: float = Field(examples=[214.5])
    sample_rate: int = Field(examples=[44100])
    channels: int = Field(examples=[2])
    start: float = Field(alias="from", examples=[0.0])
    end: float = Field(alias="to", examples=[214.5])
    points: int = Field(examples=[3])
    low: list[int] = Field(examples=[[-87, -90, -3]])
    high: list[int] = Field(examples=[[92, 90, 2]])
    rms: list[int] = Field(examples=[[30, 31, 1]])
    loudness: LoudnessAnswer


class EditRequest(Message):
    """Give an item a text of a person's."""

    text: PromptText
    author: Author = None
    seen_text: str | None = Field(
        None, max_length=20_000, description="the text that the edit began from; another one by now is 409"
    )


class EditAnswer(Message):
    """What became of an edit; `warnings` are rules that the text breaks all the same."""

    changed: bool
    before: str
    after: str = Field(examples=[_TEXT])
    warnings: list[str] = Field(examples=[["length: has 2 words; describe the track"]])
    item: ItemAnswer


class RegenerateAnswer(Message):
    """What the model wrote; `reason` says why there is nothing new yet."""

    what: Literal["another take", "given back", "due"]
    before: str
    after: str = Field(examples=[_TEXT])
    reason: str | None = Field(examples=[None])
    item: ItemAnswer


class CheckRequest(Message):
    """Hold a text against the rules, for a set, an item, or (neither) for any tempo."""

    text: PromptText
    parse_id: ParseId | None = None
    item_id: UUID | None = None


class RuleAnswer(Message):
    """One rule."""

    name: str = Field(examples=["ends-with-bpm"])
    kept: bool = Field(examples=[False])
    reason: str | None = Field(examples=["does not end with 'BPM: 122'"])


class CheckAnswer(Message):
    """Every rule in order; `refusal` is why the text could not even be saved."""

    rules: list[RuleAnswer]
    refusal: str | None = Field(examples=[None])
    bpm_line: str | None = Field(examples=["BPM: 122"], description="how the text must end; null: any tempo")


class ExcludeRequest(Message):
    """Leave an item out of what comes next."""

    reason: Reason = ""
    author: Author = None


class IncludeRequest(Message):
    """Take an item in again."""

    author: Author = None


class TrainedOnAnswer(Message):
    """An adapter that was trained on items which are out now."""

    run_id: UUID
    model_name: str = Field(examples=["nawfside_lora"])
    is_published: bool


class AcceptRequest(Message):
    """What is accepted of an item's audio, or with `withdraw` no longer."""

    finding: str = Field(examples=["duplicate"], description="the finding's kind")
    reason: str = Field("", examples=["the second one is the extended mix"], description="why; needed to accept")
    author: str | None = None
    withdraw: bool = False


class AcceptAnswer(Message):
    """What became of it; `changed` is false where it was so already."""

    changed: bool
    item: ItemAnswer


class ExclusionAnswer(Message):
    """What became of it; `changed` is false where it was so already."""

    changed: bool
    item: ItemAnswer
    trained_on: list[TrainedOnAnswer]


def _shown(service: Service, artist: Artist, item: ShownItem) -> dict[str, object]:
    fields = {name: value for name, value in vars(item).items() if name in ItemAnswer.model_fields}
    url = file_link(service, artist, item.audio_path)
    audio = None
    if url is not None:
        audio = ItemAudio(
            url=url,
            listen_url=listening_link(service, artist, item),
            waveform_url=f"/api/artists/{artist.id}/items/{item.id}/waveform",
            format=item.audio_format,
            seconds=item.audio_seconds,
            sha256=item.audio_hash,
        )
    return fields | {
        "audio": audio,
        "segments": [SegmentAnswer(start=start, end=end) for start, end in item.segments],
        "alignment": None if item.alignment is None else AlignmentAnswer.of(item.alignment, item.best_save),
        "excluded": None if item.excluded is None else ExcludedAnswer(**vars(item.excluded)),
        "quality": [
            FindingAnswer(
                kind=each.kind,
                standing=each.standing,
                number=each.number,
                sentence=each.sentence,
                way_out=each.way_out,
                accepted_by=each.accepted_by or None,
                accepted_reason=each.accepted_reason or None,
            )
            for each in item.quality
        ],
        "is_blocked": any(each.blocks for each in item.quality),
    }
