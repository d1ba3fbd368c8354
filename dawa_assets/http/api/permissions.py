"""An artist's permissions over HTTP: put on record and taken back. None of another artist's can be seen or named."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field

from dawa_assets.errors import UnknownItemError
from dawa_assets.http.access import CallerOf
from dawa_assets.http.api.common import ArtistOf, author_of, item_of
from dawa_assets.http.api.item_messages import Author, Reason
from dawa_assets.http.errors import errors
from dawa_assets.http.messages import Message
from dawa_assets.http.service import Service, ServiceOf
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.permissions import Purpose, State

router = APIRouter(tags=["permissions"])

_Line = Annotated[str, Field(max_length=500)]
ItemId = Annotated[UUID | None, Query(alias="itemId", description="what covers this item, and nothing else")]


class PermissionRequest(Message):
    """A permission: for an item, for a song, or, with neither, for all that is the artist's."""

    purposes: list[Purpose] = Field(min_length=1, max_length=3, examples=[["train", "publish"]])
    granted_by: _Line = Field(examples=["Nova Kite"])
    item_id: UUID | None = None
    song: _Line | None = Field(None, examples=["Glass Harbour"])
    evidence: _Line = Field("", examples=["contract 2026-14"])
    valid_from: date | None = Field(None, description="the first day; default: today, in the project's zone")
    valid_until: date | None = Field(None, description="the last day; default: for good")
    territory: _Line = ""
    author: Author = None


class RevokeRequest(Message):
    """Why a permission is taken back."""

    reason: Reason = ""
    author: Author = None


class PermissionAnswer(Message):
    """A permission as it is on record, and what became of it."""

    id: UUID
    item: str | None
    item_id: UUID | None
    song: str | None
    purposes: list[Purpose]
    granted_by: str
    evidence: str
    has_document: bool
    valid_from: date
    valid_until: date | None
    territory: str
    recorded_by: str
    recorded_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None
    revocation: str | None
    state: State


class NotPermitted(Message):
    """An item that is not permitted to be trained on now, and why."""

    item: str
    reason: str = Field(examples=["its permission ran out on 2026-11-30"])


class PermissionsAnswer(Message):
    """Everything on record of an artist, the earliest first; and what is done with what is not permitted."""

    mode: Literal["off", "warn", "required"]
    permissions: list[PermissionAnswer]
    not_permitted: list[NotPermitted]


class ChangedAnswer(Message):
    """What became of a permission, and what followed; `changed` is false where it was so already."""

    id: UUID
    changed: bool
    left_out: int = Field(description="items that nothing permits any more")
    taken_in: int
    taken_down: list[str] = Field(description="adapters that were published")


@router.get("/api/artists/{artist_id}/permissions", responses=errors(404, 503))
async def permissions(artist: ArtistOf, service: ServiceOf, item_id: ItemId = None) -> PermissionsAnswer:
    """List who permitted what, and what is not permitted to be trained on; with an item, of that one alone."""

    def look() -> PermissionsAnswer:
        from dawa_assets.rights.permissions import clock_of
        from dawa_assets.tables.permissions import list_permissions, not_permitted

        clock = clock_of(service.ports.settings)
        if item_id is not None:
            item_of(service.ports, artist, item_id)
        with service.ports.database.transaction() as connection:
            found = list_permissions(connection, clock, artist.id, item_id)
            without = not_permitted(connection, artist.id, "train", clock, item_id)
        fields = set(PermissionAnswer.model_fields) - {"has_document"}
        return PermissionsAnswer(
            mode=service.ports.settings.permissions,
            permissions=[
                PermissionAnswer(
                    has_document=each.evidence_key is not None,
                    **{name: value for name, value in vars(each).items() if name in fields},
                )
                for each in found
            ],
            not_permitted=[NotPermitted(item=item, reason=reason) for item, reason in without],
        )

    return await service.quickly(look)


@router.post("/api/artists/{artist_id}/permissions", responses=errors(404, 503))
async def grant(body: PermissionRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf) -> ChangedAnswer:
    """Put a permission on record; the same again is the one that is there."""

    def change() -> ChangedAnswer:
        from dawa_assets.rights.permissions import Grant
        from dawa_assets.rights.permissions import grant as put_on_record

        given = Grant(
            artist=str(artist.id),
            purposes=tuple(body.purposes),
            granted_by=body.granted_by,
            valid_from=body.valid_from,
            valid_until=body.valid_until,
            item=None if body.item_id is None else str(body.item_id),
            song=body.song,
            evidence=body.evidence,
            territory=body.territory,
        )
        done = put_on_record(service.ports, given, recorded_by=author_of(caller, body.author))
        return _changed(service, artist, done.id, done.changed)

    return await service.saving(change)


@router.post("/api/artists/{artist_id}/permissions/{permission_id}/revoke", responses=errors(404, 503))
async def revoke(
    permission_id: UUID, body: RevokeRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf
) -> ChangedAnswer:
    """Take a permission back, at once. It stays on record."""

    def change() -> ChangedAnswer:
        from dawa_assets.rights.permissions import revoke as take_back
        from dawa_assets.tables.permissions import permissions_by_id

        with service.ports.database.transaction() as connection:
            known = permissions_by_id(connection, str(permission_id))
        if (permission_id, artist.id) not in known:
            raise UnknownItemError(
                f"permission {permission_id}: {artist.slug} has none of this id; look the id up again"
            )
        _, _, changed = take_back(
            service.ports, str(permission_id), reason=body.reason, author=author_of(caller, body.author)
        )
        return _changed(service, artist, permission_id, changed)

    return await service.saving(change)


def _changed(service: Service, artist: Artist, permission_id: UUID, changed: bool) -> ChangedAnswer:
    from dawa_assets.rights.enforce import enforce

    followed = enforce(service.ports, artist)
    return ChangedAnswer(
        id=permission_id,
        changed=changed,
        left_out=followed.left_out,
        taken_in=followed.taken_in,
        taken_down=[lora for lora, _ in followed.taken_down],
    )
