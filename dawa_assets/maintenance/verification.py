"""One bounded pass of `verify` over all artists: who was looked at longest ago first, as far as time and bytes go.

A pass that is stopped or full goes on with the next one: each artist's last look is recorded when it ends.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dawa_assets.errors import UnknownArtistError
from dawa_assets.maintenance.verify import VerifyReport, verify
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.verifications import least_recently_verified
from modal_app.errors import DawaError
from resources.ports import Ports

log = logging.getLogger(__name__)

_PAUSE = timedelta(hours=12)  # who was looked at since then has been in this pass, or in a person's own
_PAGE = 100
_MAX_FAILED_IN_A_ROW = 3


@dataclass
class VerificationPass:
    """What a pass looked at and found; `failed` artists could not be looked at. `is_whole`: nobody is left."""

    artists: int = 0
    failed: int = 0
    files: int = 0
    bytes_read: int = 0
    wrong: int = 0
    artists_with_wrong: int = 0
    is_whole: bool = True

    @property
    def headline(self) -> str:
        """How much was looked at and what was found, on one line."""
        read = f", {self.bytes_read / 1e9:,.1f} GB read" if self.bytes_read else ""
        found = (
            f"{self.wrong:,} wrong at {self.artists_with_wrong:,}; `dawa verify --repair` mends what needs no guessing"
            if self.wrong
            else "all well"
        )
        found += f"; {self.failed:,} more could not be looked at, their log lines say why" if self.failed else ""
        left = "" if self.is_whole else "; the rest is left for the next pass"
        return f"{self.artists:,} artists, {self.files:,} files on record{read}: {found}{left}"


def verify_longest_unseen(
    ports: Ports,
    *,
    deep: bool,
    max_seconds: float,
    max_bytes: float,
    clock: Callable[[], float] = time.monotonic,
) -> VerificationPass:
    """Verify artists until all were, or the time or the bytes to be read are used up; at least one.

    Args:
        ports: where rows and objects are.
        deep: read every object and compare its hash, too.
        max_seconds: after which no other artist is begun.
        max_bytes: after which none is begun, where bytes are read.
        clock: what tells the seconds.

    Raises:
        DawaError: several in a row could not be looked at: the bucket or the database is away.
    """
    done, started, in_a_row = VerificationPass(), clock(), 0
    for artist in _unseen(ports, deep=deep):
        if done.artists and (clock() - started >= max_seconds or done.bytes_read >= max_bytes):
            done.is_whole = False
            break
        try:
            [report] = verify(ports, artist.slug, deep=deep)
        except UnknownArtistError:  # deleted since they were listed
            continue
        except DawaError as error:
            in_a_row += 1
            if in_a_row == _MAX_FAILED_IN_A_ROW:
                raise
            done.failed += 1
            log.warning("%s: could not be looked at: %s", artist.slug, error)
            continue
        in_a_row = 0
        _add(done, report)
    return done


def _unseen(ports: Ports, *, deep: bool) -> Iterator[Artist]:
    before = datetime.now(UTC) - _PAUSE
    seen: set[Artist] = set()
    while True:
        with ports.database.transaction() as connection:
            page = least_recently_verified(connection, before, _PAGE, deep=deep)
        fresh = [artist for artist in page if artist not in seen]
        if not fresh:
            return
        seen.update(fresh)
        yield from fresh


def _add(done: VerificationPass, report: VerifyReport) -> None:
    done.artists += 1
    done.files += report.claims
    done.bytes_read += report.bytes_read
    done.wrong += report.still_wrong
    done.artists_with_wrong += report.still_wrong > 0
    if report.still_wrong:
        log.warning("%s: %d files are not as recorded", report.slug, report.still_wrong)
