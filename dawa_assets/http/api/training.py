"""Datasets and LoRAs: what there is, which adapter is published and why, and what listeners said."""

from uuid import UUID, uuid4

from fastapi import APIRouter

from dawa_assets.http.access import CallerOf
from dawa_assets.http.api.common import ArtistOf, author_of
from dawa_assets.http.api.training_messages import (
    ApprovedAnswer,
    ApproveRequest,
    DatasetLine,
    DatasetsAnswer,
    LeftOut,
    ListenedAnswer,
    ListenLine,
    ListenRequest,
    ListensAnswer,
    LorasAnswer,
    NextDataset,
    PromotedAnswer,
    PromoteRequest,
    PromotionLine,
    RollbackRequest,
    RunAnswer,
    TallyLine,
    WaitingTraining,
)
from dawa_assets.http.errors import errors
from dawa_assets.http.service import Service, ServiceOf
from dawa_assets.pipeline.one_line import one_line
from dawa_assets.tables.artists import Artist
from modal_app.errors import InputError

router = APIRouter(tags=["training"])

_MAX_LISTENS = 200


@router.get("/api/artists/{artist_id}/datasets", responses=errors(404, 503))
async def datasets(artist: ArtistOf, service: ServiceOf) -> DatasetsAnswer:
    """List an artist's datasets with links to them, and how many items are ready for the next one."""

    def look() -> DatasetsAnswer:
        from dawa_assets.library.datasets import list_datasets

        found = list_datasets(service.ports.database, artist)
        return DatasetsAnswer(
            datasets=[DatasetLine.of(service, artist, line) for line in found.datasets],
            ready=found.ready,
            exported=found.exported,
            total=found.total,
            next=NextDataset(
                item_count=found.next_items, left_out=[LeftOut(name=name, by=by) for name, by in found.left_out]
            ),
        )

    return await service.quickly(look)


@router.get("/api/artists/{artist_id}/loras", responses=errors(404, 503))
async def loras(artist: ArtistOf, service: ServiceOf) -> LorasAnswer:
    """List an artist's trainings with their figures, the latest first, and when what was published."""
    return await service.quickly(_loras, service, artist)


@router.post("/api/artists/{artist_id}/loras/rollback", responses=errors(404, 409, 502, 503))
async def roll_back(body: RollbackRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf) -> PromotedAnswer:
    """Take the last promotion back: publish the adapter that was published before."""

    def change() -> PromotedAnswer:
        from dawa_assets.training.promotion import rollback_lora

        ports = service.ports
        name = body.model_name or ports.settings.model_name
        reason = _why(body, author_of(caller, body.author), "took it back")
        lora = rollback_lora(ports, artist.slug, name, force=body.force, reason=reason)
        return PromotedAnswer(changed=True, run_id=lora.run.id)

    return await service.saving(change)


@router.post("/api/artists/{artist_id}/loras/{run_id}/promote", responses=errors(404, 409, 502, 503))
async def promote(
    run_id: UUID, body: PromoteRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf
) -> PromotedAnswer:
    """Publish a training's adapter in place of the one that is published."""

    def change() -> PromotedAnswer:
        from dawa_assets.tables.training_runs import require_run
        from dawa_assets.training.promotion import promote_lora

        with service.ports.database.transaction() as connection:
            require_run(connection, artist, run_id)
        reason = _why(body, author_of(caller, body.author), "chose it")
        lora, changed = promote_lora(service.ports, artist.slug, str(run_id), force=body.force, reason=reason)
        return PromotedAnswer(changed=changed, run_id=lora.run.id)

    return await service.saving(change)


@router.post("/api/artists/{artist_id}/trainings/approve", responses=errors(404, 503))
async def approve_waiting(
    body: ApproveRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf
) -> ApprovedAnswer:
    """Approve of what the training that waits is expected to cost; it begins with the next minute's look."""

    def change() -> ApprovedAnswer:
        from dawa_assets.training.approval import approve_training

        author = one_line(author_of(caller, body.author), "author", 200)
        return ApprovedAnswer(approved=WaitingTraining.of(approve_training(service.ports, artist, author)))

    return await service.saving(change)


@router.post("/api/artists/{artist_id}/listens", status_code=201, responses=errors(404, 503))
async def listened(body: ListenRequest, artist: ArtistOf, caller: CallerOf, service: ServiceOf) -> ListenedAnswer:
    """Store what a listener said of two renderings: which is closer to the artist, and how close."""
    if body.pair[0] == body.pair[1] or (body.choice is not None and body.choice not in body.pair):
        raise InputError(
            "pair, choice: are not two renderings and one of them; send two different ones, and one of them or null"
        )

    def keep() -> ListenedAnswer:
        from dawa_assets.tables.listens import keep_listen

        listen_id = body.id or uuid4()
        with service.ports.database.transaction() as connection:
            keep_listen(
                connection,
                artist,
                listen_id=listen_id,
                run_id=body.run_id,
                pair=body.pair,
                choice=body.choice,
                score=body.score,
                blind=body.is_blind,
                who=one_line(author_of(caller, body.author), "author", 200),
                rendering_id=body.rendering_id,
            )
        return ListenedAnswer(id=listen_id)

    return await service.saving(keep)


@router.get("/api/artists/{artist_id}/listens", responses=errors(404, 503))
async def listens(artist: ArtistOf, service: ServiceOf) -> ListensAnswer:
    """Show what listeners said, the latest first, and what it comes to for each training."""

    def look() -> ListensAnswer:
        from dawa_assets.tables.listens import latest_listens, tally

        with service.ports.database.transaction() as connection:
            latest = latest_listens(connection, artist.id, _MAX_LISTENS)
            lines = tally(connection, artist.id)
        return ListensAnswer(
            listens=[ListenLine.of(each) for each in latest], tally=[TallyLine.of(line) for line in lines]
        )

    return await service.quickly(look)


def _loras(service: Service, artist: Artist) -> LorasAnswer:
    from dawa_assets.tables.training_approvals import waiting_approval
    from dawa_assets.training.promotion import list_loras, log_of

    ports = service.ports
    found = list_loras(ports, artist.slug)
    with ports.database.transaction() as connection:
        waiting = waiting_approval(connection, artist, ports.settings.model_name)
    return LorasAnswer(
        waiting=None if waiting is None else WaitingTraining.of(waiting),
        model_name=ports.settings.model_name,
        runs=[RunAnswer.of(service, artist, lora) for lora in found],
        log=[PromotionLine.of(line) for line in log_of(ports, artist.slug, ports.settings.model_name)],
    )


def _why(body: PromoteRequest, author: str, otherwise: str) -> str:
    """Return the reason as the log keeps it, with who gave it."""
    reason = one_line(body.reason, "reason", 500)
    author = one_line(author, "author", 200)
    return f"{author}: {reason}" if reason else f"{author} {otherwise}"
