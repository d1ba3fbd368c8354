"""What the routes of uploads and bounces are sent and answer."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from dawa_assets.http.api.item_messages import ItemAnswer
from dawa_assets.http.messages import Message, PairFields, ParseId
from dawa_assets.intake.part_uploads import MAX_FILES, PartFile, PartUpload

_ID = "20261130T065512000000Z-0a1b2c3d"
UploadId = Annotated[str, Field(max_length=60, examples=[_ID])]


class AnnouncedFile(Message):
    """A file that is about to be sent: its name, with its folders, its size in bytes, and its content type."""

    path: str = Field(min_length=1, max_length=2_000, examples=["Song Project/song.wav"])
    size: int = Field(ge=0, le=2**40, examples=[52_428_800])
    type: str = Field("", max_length=200, examples=["audio/wav"], description="what the browser calls it, if anything")


class UploadRequest(Message):
    """Begin an upload: into the inbox, or of the audio of one pair."""

    purpose: Literal["inbox", "pair"]
    files: list[AnnouncedFile] = Field(min_length=1, max_length=MAX_FILES)


class LinkAnswer(Message):
    """Where to send a file straight to Storage: in one PUT, or by the protocol of tus.io."""

    kind: Literal["put", "tus"]
    url: str = Field(examples=["https://abc.storage.supabase.co/storage/v1/upload/resumable/sign"])
    headers: dict[str, str] = Field(examples=[{"x-signature": "eyJ…"}])
    bucket: str = Field(examples=["dawa-exports"])
    name: str = Field(examples=[f"inbox/nova-kite/{_ID}/song.wav"], description="of the object, as Storage keeps it")
    content_type: str = Field(examples=["audio/x-wav"])
    token: str = Field(examples=["eyJ…"], description="of `uploadToSignedUrl` in supabase-js")
    metadata: str = Field(examples=["bucketName ZGF3YS1leHBvcnRz,objectName aW5ib3gv…"], description="empty for a PUT")
    chunk_bytes: int = Field(examples=[6_291_456], description="0 for a PUT")


class FileAnswer(Message):
    """A file of an upload: how much of it is here, or why it is refused."""

    file: int = Field(examples=[1])
    path: str = Field(examples=["Song Project/song.wav"])
    size: int = Field(examples=[52_428_800])
    received: int = Field(examples=[8_388_608])
    state: Literal["open", "whole", "refused"]
    reason: str | None = Field(examples=[None])
    link: LinkAnswer | None = Field(description="null: send its parts here")

    @classmethod
    def of(cls, file: PartFile) -> "FileAnswer":
        """Return as it stands."""
        link = None if file.link is None else LinkAnswer(**vars(file.link))
        return cls(**{**dict(file), "link": link})


class UploadAnswer(Message):
    """An upload as it stands."""

    id: UploadId
    purpose: Literal["inbox", "pair"]
    state: Literal["open", "complete"]
    created_at: datetime
    expires_at: datetime
    files: list[FileAnswer]

    @classmethod
    def of(cls, upload: PartUpload) -> "UploadAnswer":
        """Return as it stands."""
        return cls(**{**dict(upload), "files": [FileAnswer.of(file) for file in upload.files]})


class UploadsAnswer(Message):
    """Uploads that are not closed, the newest first."""

    uploads: list[UploadAnswer]


class PairRequest(PairFields):
    """Save audio that was uploaded and a text as a training item of its own."""

    upload_id: UploadId
    file: int = Field(1, ge=1, le=MAX_FILES)


class StartedAnswer(Message):
    """It is under way; `GET …/progress` says how far."""

    is_running: bool = True


class WaitingBounce(Message):
    """Audio that waits for its set."""

    id: UUID
    name: str = Field(examples=["song master.wav"])
    folder: str = Field(examples=["Song Project"])
    size_bytes: int
    reason: str = Field(examples=["fits no Live Set by its name"])
    arrived_at: datetime


class InboxUpload(Message):
    """What lies in the inbox and nobody has looked at yet."""

    upload_id: str
    is_complete: bool
    files: list[str] = Field(examples=[["Song Project/song.als"]])


class RejectedUpload(Message):
    """What was put aside, and why."""

    name: str = Field(examples=["broken.wav"])
    reason: str = Field(examples=["it is in no audio format that can be read"])
    at: datetime


class BouncesAnswer(Message):
    """What waits, what is new, and what was rejected (the latest 200)."""

    waiting: list[WaitingBounce]
    inbox: list[InboxUpload]
    rejected: list[RejectedUpload]


class PairByHand(Message):
    """The item, or the Live Set's parse, that a bounce belongs to."""

    item_id: UUID | None = None
    parse_id: ParseId | None = None


class PairedAnswer(Message):
    """The item that has the bounce now."""

    item: ItemAnswer
