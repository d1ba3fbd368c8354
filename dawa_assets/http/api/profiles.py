"""An artist's profile: shown, held against the interface field by field, what a change would rewrite, and stored."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from dawa_assets.http.api.common import ArtistOf
from dawa_assets.http.api.upload_messages import StartedAnswer
from dawa_assets.http.errors import errors
from dawa_assets.http.messages import Message
from dawa_assets.http.service import Service, ServiceOf
from dawa_assets.tables.artists import Artist

router = APIRouter(tags=["profile"])

_PROFILE = {"schema_version": "1.0", "artist": {"name": "Nova Kite"}}
_MAX_ITEMS = 500


class ProfileRequest(Message):
    """A profile (`master_schema`)."""

    profile: Any = Field(examples=[_PROFILE])


class SaveProfileRequest(ProfileRequest):
    """A profile to store in the place of the one that was seen."""

    seen_content_hash: str | None = Field(
        None, max_length=64, description='of the stored one that the change began from; "": there was none'
    )


class ProblemAnswer(Message):
    """What is wrong at a field."""

    path: list[str | int] = Field(examples=[["catalog", 2, "tempo_bpm"]])
    field: str = Field(examples=["catalog[2].tempo_bpm"])
    message: str = Field(examples=["must be a number, is text; mend it or leave it out"])


class ProfileAnswer(Message):
    """The stored profile; `{}` where there is none."""

    profile: Any = Field(examples=[_PROFILE])
    schema_version: str = Field(examples=["1.0"])
    content_hash: str = Field(description="of what prompts use; empty where there is no profile")
    has_profile: bool
    problems: list[ProblemAnswer]


class ValidationAnswer(Message):
    """Whether a profile follows the interface, and where it does not."""

    is_valid: bool
    problems: list[ProblemAnswer]


class RewrittenItem(Message):
    """An item that would get another text."""

    name: str = Field(examples=["Midnight Drive Project/Midnight Drive"])
    reason: str = Field(examples=["the profile changed"])
    is_free: bool = Field(description="it was written before")


class PreviewAnswer(Message):
    """What a profile would rewrite and cost; `takenOver` was written before and costs nothing."""

    to_write: int = Field(examples=[8])
    taken_over: int
    current: int = Field(examples=[2])
    by_people: int = Field(examples=[1])
    input_tokens: int = Field(examples=[9000])
    output_tokens: int = Field(examples=[640])
    cost_usd: float = Field(examples=[0.0018])
    model: str = Field(examples=["offline-v1"])
    items: list[RewrittenItem]


class SavedProfileAnswer(Message):
    """What is stored now; `changed` is false where it was that already."""

    changed: bool
    content_hash: str
    schema_version: str


@router.get("/api/profile-schema", responses=errors(503))
async def schema() -> dict[str, Any]:
    """Give the interface of profiles as a JSON Schema: fields, types and what each is."""
    from dawa_assets.artists.schema import MasterSchema

    return MasterSchema.model_json_schema()


@router.get("/api/artists/{artist_id}/profile", responses=errors(404, 503))
async def profile(artist: ArtistOf, service: ServiceOf) -> ProfileAnswer:
    """Show the artist's profile as it is stored, and where it does not follow the interface."""

    def look() -> ProfileAnswer:
        from dawa_assets.tables.artist_profiles import observed_profile

        with service.ports.database.transaction() as connection:
            found = observed_profile(connection, artist.id)
        has_profile = bool(found.content_hash)
        return ProfileAnswer(
            profile=found.master_schema,
            schema_version=found.schema_version,
            content_hash=found.content_hash,
            has_profile=has_profile,
            problems=_problems(found.master_schema) if has_profile else [],
        )

    return await service.quickly(look)


@router.post("/api/artists/{artist_id}/profile/validate", responses=errors(404, 503))
async def validate(body: ProfileRequest, artist: ArtistOf, service: ServiceOf) -> ValidationAnswer:  # noqa: ARG001
    """Hold a profile against the interface, field by field; nothing is stored."""
    problems = await service.reading(_problems, body.profile)
    return ValidationAnswer(is_valid=not problems, problems=problems)


@router.post("/api/artists/{artist_id}/profile/preview", responses=errors(404, 503))
async def preview(body: ProfileRequest, artist: ArtistOf, service: ServiceOf) -> PreviewAnswer:
    """Tell which texts a profile would have written anew, and what that would cost; nothing is stored."""
    return await service.prompting(artist.id, _preview, service, artist, body.profile)


@router.put("/api/artists/{artist_id}/profile", responses=errors(404, 409, 503))
async def save(body: SaveProfileRequest, artist: ArtistOf, service: ServiceOf) -> SavedProfileAnswer:
    """Store the artist's profile. The texts that it makes stale are written by the pipeline, or when it is asked."""

    def change() -> SavedProfileAnswer:
        from dawa_assets.artists.profile import set_profile
        from dawa_assets.tables.artist_profiles import observed_profile

        changed = set_profile(service.ports, artist, body.profile, seen_hash=body.seen_content_hash)
        with service.ports.database.transaction() as connection:
            found = observed_profile(connection, artist.id)
        return SavedProfileAnswer(changed=changed, content_hash=found.content_hash, schema_version=found.schema_version)

    return await service.saving(change)


@router.post("/api/artists/{artist_id}/refresh-prompts", status_code=202, responses=errors(404, 503))
async def refresh(artist: ArtistOf, service: ServiceOf) -> StartedAnswer:
    """Have the artist's stale texts written now; one at a time."""

    def write() -> str:
        from dawa_assets.prompting.refresh import refresh_prompts

        return refresh_prompts(service.ports, artist.slug).headline

    service.activities.start(artist.id, "refresh-prompts", write)
    return StartedAnswer()


def _problems(data: Any) -> list[ProblemAnswer]:
    from dawa_assets.artists.profile import profile_problems

    return [
        ProblemAnswer(path=list(each.path), field=each.field, message=each.message) for each in profile_problems(data)
    ]


def _preview(service: Service, artist: Artist, data: Any) -> PreviewAnswer:
    from dawa_assets.prompting.backfill import estimate_for_profile

    ports = service.ports
    found = estimate_for_profile(ports, artist, data)
    return PreviewAnswer(
        to_write=found.to_write,
        taken_over=found.taken_over,
        current=found.current,
        by_people=found.human,
        input_tokens=found.input_tokens,
        output_tokens=found.output_tokens,
        cost_usd=found.cost_usd,
        model=ports.prompt_writer.model_name,
        items=[RewrittenItem(**vars(item)) for item in found.items[:_MAX_ITEMS]],
    )
