"""Which adapter is published: promotions, taken back or not, and what a killed one leaves to be finished.

A promotion is logged before the first file is touched and finished after the last, and the row says `promoted` only
then. Of the two published files the one that a name resolves to is replaced last, in one step. So a process that is
killed leaves the old one published and promoted, or a promotion under way, which is finished by whoever comes next.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from dawa_assets.errors import LostLeaseError
from dawa_assets.items.exclusions import trained_on_line
from dawa_assets.pipeline.step import artist_step
from dawa_assets.rights.enforce import withdraw_files
from dawa_assets.rights.permissions import require_permitted
from dawa_assets.tables import lora_evaluations, training_runs
from dawa_assets.tables.artists import Artist, get_artist, resolve_artist
from dawa_assets.tables.item_exclusions import excluded_but_trained_on
from dawa_assets.tables.leases import Lease
from dawa_assets.tables.lora_evaluations import Author, Evaluation, Promotion
from dawa_assets.tables.training_runs import Run
from dawa_assets.training.adapters import install
from modal_app.errors import DawaError, InputError, JobCancelledError
from modal_app.protocol.training import InstallResult
from resources.errors import DatabaseError
from resources.ports import Ports

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class History:
    """What a log of promotions comes to: those in effect, the published one last, and the runs taken back."""

    in_effect: list[UUID]
    taken_back: set[UUID]


@dataclass(frozen=True)
class Lora:
    """A run as a person chooses among runs."""

    artist: str
    run: Run
    evaluation: Evaluation | None
    under_way: bool
    """Its promotion was begun and not finished."""
    trained_on_excluded: list[str]
    """Names of items that it was trained on and that are excluded by now."""


def history_of(promotions: Sequence[Promotion]) -> History:
    """Replay a log: a promotion comes on top, a rollback takes the top one off."""
    in_effect: list[UUID] = []
    taken_back: set[UUID] = set()
    for promotion in promotions:
        if promotion.published_at is None:
            continue
        if promotion.is_rollback and len(in_effect) > 1:
            taken_back.add(in_effect.pop())
        if not in_effect or in_effect[-1] != promotion.run_id:
            in_effect.append(promotion.run_id)
        taken_back.discard(promotion.run_id)
    return History(in_effect, taken_back)


def promote(
    ports: Ports, artist: Artist, run: Run, author: Author, reason: str, *, is_rollback: bool = False
) -> InstallResult:
    """Publish a done run's adapter and mark it promoted.

    Raises:
        BusyError: another promotion of this artist did not end in time.
        InputError: it is not permitted to be published.
        JobError: it can't be published; what was published stays so.
    """
    with _promoting(ports, artist) as held:
        with ports.database.transaction() as connection:
            held.check(connection)
            require_permitted(connection, ports.settings, run.id, "publish")
            asked = lora_evaluations.request_promotion(connection, artist, run, author, reason, is_rollback=is_rollback)
        return _publish(ports, artist, held, asked, run)


def finish_promotions(ports: Ports, artist: Artist) -> None:
    """Finish what was under way when its process was killed; what can't be published is withdrawn.

    Raises:
        BusyError: a promotion of this artist did not end in time.
    """
    with ports.database.transaction() as connection:
        left = lora_evaluations.promotions_under_way(connection, artist)
    if left:
        with _promoting(ports, artist):
            log.debug("nothing is under way any more")


def ensure_published(ports: Ports, artist: Artist, model_name: str) -> tuple[Run, InstallResult] | None:
    """Put the promoted adapter under its paths if it is not there; None where none is promoted.

    Raises:
        BusyError: a promotion of this artist did not end in time.
        JobError: it can't be published.
    """
    with _promoting(ports, artist):
        with ports.database.transaction() as connection:
            run = training_runs.promoted_run(connection, artist, model_name)
        return None if run is None else (run, install(ports, artist.slug, run))


@contextmanager
def _promoting(ports: Ports, artist: Artist) -> Iterator[Lease]:
    """The right to change what is published, with nothing left under way by somebody who was killed."""
    with artist_step(ports, artist, "promotion") as step:
        with ports.database.transaction() as connection:
            left = [
                (promotion, training_runs.get_run(connection, promotion.run_id))
                for promotion in lora_evaluations.promotions_under_way(connection, artist)
            ]
        for promotion, run in left:
            log.info("the promotion of run %s was not finished; it is now", run.id)
            try:
                _publish(ports, artist, step.held, promotion, run)
            except JobCancelledError:
                raise
            except DawaError as error:
                log.warning("run %s can't be published: %s", run.id, error)
        yield step.held


def _publish(ports: Ports, artist: Artist, held: Lease, promotion: Promotion, run: Run) -> InstallResult:
    """Return files first, then the row. What can't be published is withdrawn, and the old one put back in whole."""
    try:
        installed = install(ports, artist.slug, run)
        with ports.database.transaction() as connection:
            held.check(connection)
            require_permitted(connection, ports.settings, run.id, "publish")  # as it is at the end, whatever it was
            lora_evaluations.finish_promotion(connection, artist, promotion)
    except (JobCancelledError, LostLeaseError, DatabaseError):
        raise  # as if it had been killed
    except DawaError:
        with ports.database.transaction() as connection:
            held.check(connection)
            lora_evaluations.withdraw_promotion(connection, promotion)
            before = training_runs.promoted_run(connection, artist, run.model_name)
        if before is not None:
            install(ports, artist.slug, before)
        else:
            withdraw_files(ports, artist, run)
        raise
    return installed


# --- what a person asks for ---


def list_loras(ports: Ports, name: str) -> list[Lora]:
    """Return the artist's runs (slug, id or name), the latest first.

    Raises:
        UnknownArtistError: there is no such artist.
    """
    with ports.database.transaction() as connection:
        artist = resolve_artist(connection, name)
        under_way = {each.run_id for each in lora_evaluations.promotions_under_way(connection, artist)}
        heard = excluded_but_trained_on(connection, artist.id)
        return [
            Lora(
                artist.slug,
                run,
                lora_evaluations.find_evaluation(connection, run),
                run.id in under_way,
                heard.get(run.id, []),
            )
            for run in training_runs.list_runs(connection, artist)
        ]


def log_of(ports: Ports, name: str, model_name: str) -> list[Promotion]:
    """Return every promotion of one LoRA, the first one first; raises as `list_loras`."""
    with ports.database.transaction() as connection:
        artist = resolve_artist(connection, name)
        return lora_evaluations.promotions(connection, artist, model_name)


def find_lora(loras: Sequence[Lora], run_id: str) -> Lora:
    """Return the run whose id begins so.

    Raises:
        InputError: there is none, or more than one.
    """
    found = [lora for lora in loras if run_id and str(lora.run.id).startswith(run_id.lower())]
    if len(found) != 1:
        what = "no run's id begins so" if not found else f"{len(found)} runs' ids begin so"
        raise InputError(f"run {run_id!r}: {what}; `dawa lora list` names them")
    return found[0]


def promote_lora(
    ports: Ports, name: str, run_id: str, *, force: bool, reason: str = "a person chose it"
) -> tuple[Lora, bool]:
    """Publish a run by a person's choice, for a reason of one line; gives it, and whether anything changed.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: there is no such run, it is not done, or it is broken or heard excluded items and is not forced.
    """
    lora = find_lora(list_loras(ports, name), run_id)
    return lora, _promote_as_asked(ports, lora, reason, is_rollback=False, force=force)


def rollback_lora(ports: Ports, name: str, model_name: str, *, force: bool, reason: str | None = None) -> Lora:
    """Publish the run that was promoted before the published one, for a reason of one line.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: there is none before, or it is broken or heard excluded items and is not forced.
    """
    with ports.database.transaction() as connection:
        artist = resolve_artist(connection, name)
    finish_promotions(ports, artist)
    in_effect = history_of(log_of(ports, name, model_name)).in_effect
    if len(in_effect) < 2:
        raise InputError(f"{name}:{model_name}: nothing was promoted before; `dawa lora list` shows what there is")
    lora = find_lora(list_loras(ports, name), str(in_effect[-2]))
    _promote_as_asked(ports, lora, reason or f"a person took run {in_effect[-1]} back", is_rollback=True, force=force)
    return lora


def _promote_as_asked(ports: Ports, lora: Lora, reason: str, *, is_rollback: bool, force: bool) -> bool:
    run, evaluation = lora.run, lora.evaluation
    if run.state != "done":
        raise InputError(f"run {run.id}: is {run.state}, there is no adapter to publish; `dawa lora list` shows others")
    if evaluation is not None and evaluation.verdict in ("broken", "copies") and not force:
        what = "is broken" if evaluation.verdict == "broken" else "plays what it was trained on"
        raise InputError(f"run {run.id}: {what} ({'; '.join(evaluation.reasons)}); --force publishes it all the same")
    if lora.trained_on_excluded and not force:
        raise InputError(
            f"run {run.id}: {trained_on_line(lora.trained_on_excluded)}; "
            f"`dawa build --artist {lora.artist}` trains one without, --force publishes this one all the same"
        )
    with ports.database.transaction() as connection:
        artist = get_artist(connection, lora.artist)
    if run.promoted and not is_rollback:
        ensure_published(ports, artist, run.model_name)
        return False
    promote(ports, artist, run, "person", reason, is_rollback=is_rollback)
    return True
