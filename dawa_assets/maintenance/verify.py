"""Holds an artist's rows against their objects: what is missing, altered, left over, foreign, or pointed to elsewhere.

One listing of the artist's folder runs beside the rows in the same order, so memory does not grow with either. What
looks wrong is looked at once more before it is said: others may be working meanwhile.
"""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from dawa_assets.maintenance.artist_lock import chosen_artists
from dawa_assets.maintenance.repair import RepairOutcome, outlook, repair
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.expected_objects import Claim, claim_now, claims, known_among, paths_outside
from dawa_assets.tables.recovery_sources import summary_of
from dawa_assets.tables.verifications import FileFinding, keep_verification
from modal_app.data_root.digests import sha256_stream
from resources.bucket.base import StoredObject
from resources.errors import InvalidKeyError, ObjectNotFoundError
from resources.ports import Ports

log = logging.getLogger(__name__)

Problem = Literal["missing", "wrong size", "wrong bytes", "left over", "outside"]

_MAX_FOREIGN = 1000
_BATCH_SIZE = 2000
_MAX_JSON = 64 << 20


@dataclass(frozen=True)
class Discrepancy:
    """Something that is wrong: an object, or the path of a row (`table.column id`), and what becomes of it."""

    problem: Problem
    key: str
    what: str
    name: str
    outcome: RepairOutcome


@dataclass
class VerifyReport:
    """What was looked at of an artist's, and what is wrong with it. Of `foreign` objects at most 1000 are named."""

    slug: str
    artist_name: str
    objects: int = 0
    claims: int = 0
    findings: list[Discrepancy] = field(default_factory=list)
    foreign: list[tuple[str, int]] = field(default_factory=list)
    foreign_count: int = 0
    foreign_bytes: int = 0
    bytes_read: int = 0
    seconds: float = 0.0

    @property
    def still_wrong(self) -> int:
        """How many findings are not mended. Foreign objects are nobody's fault and not among them."""
        return sum(finding.outcome.state != "mended" for finding in self.findings)


def verify(ports: Ports, slug: str | None = None, *, deep: bool = False, fix: bool = False) -> Iterator[VerifyReport]:
    """Verify one artist, or every one, one after the other. What is still wrong is kept, for `needs_attention`.

    Args:
        ports: where rows and objects are.
        slug: only this artist.
        deep: read every object and compare its hash, too.
        fix: repair what can be repaired without guessing (`repair.py`).

    Raises:
        UnknownArtistError: there is no artist of this slug.
    """
    for artist in chosen_artists(ports, slug):
        started = time.monotonic()
        run = _Verify(ports, artist, deep, fix, VerifyReport(artist.slug, artist.name))
        run.run()
        run.report.seconds = round(time.monotonic() - started, 3)
        with ports.database.transaction() as connection:
            keep_verification(connection, artist.id, run.still_wrong, deep=deep)
        yield run.report


@dataclass
class _Verify:
    ports: Ports
    artist: Artist
    deep: bool
    fix: bool
    report: VerifyReport
    still_wrong: list[FileFinding] = field(default_factory=list)

    def run(self) -> None:
        with self.ports.database.transaction() as connection:
            outside = paths_outside(connection, self.artist)
        for column, row, path in outside:
            outcome = RepairOutcome("needs you", f"let the row name a file below artists/{self.artist.slug}/, or none")
            finding = Discrepancy("outside", f"{column} {row}", "path", path, outcome)
            self.report.findings.append(finding)
            self._remember(finding, column.partition(".")[0])
        stored = self.ports.bucket.list(f"artists/{self.artist.slug}")
        unclaimed: list[StoredObject] = []
        # Findings are dealt with after the walk: mending changes what is being listed.
        found: list[tuple[Problem, Claim]] = []
        for one, claimed in _side_by_side(stored, self._claims()):
            if one is not None:
                self.report.objects += 1
                if self.report.objects % 10_000 == 0:
                    log.info("%s: %d objects looked at", self.artist.slug, self.report.objects)
            found += [(problem, claim) for claim in claimed if (problem := self._problem(claim, one)) is not None]
            if one is not None and not claimed:
                unclaimed.append(one)
            if len(unclaimed) == _BATCH_SIZE:
                self._sort_out(unclaimed)
                unclaimed = []
        self._sort_out(unclaimed)
        for problem, claim in found:
            self._conclude(problem, claim)

    def _claims(self) -> Iterator[Claim]:
        for claim in claims(self.ports.database, self.artist):
            self.report.claims += 1
            yield claim

    def _problem(self, claim: Claim, one: StoredObject | None) -> Problem | None:
        if one is None:
            return "missing" if claim.must else None
        if claim.what == "pruned zip":
            return "left over"
        if not claim.must:
            return None
        if claim.size is not None and one.size != claim.size:
            return "wrong size"
        if not self.deep:
            return None
        self.report.bytes_read += one.size
        return None if self._has_right_bytes(claim) else "wrong bytes"

    def _has_right_bytes(self, claim: Claim) -> bool:
        try:
            if claim.what in ("summary", "manifest"):
                return self._says_the_right_thing(claim)
            if claim.sha256 is None:
                return True
            with self.ports.bucket.open(claim.key) as stream:
                if claim.what == "Live Set":
                    return sha256_stream(stream, str(self.artist.id).encode())[:12] == claim.sha256
                return sha256_stream(stream) == claim.sha256
        except ObjectNotFoundError:
            return True  # gone meanwhile: not a matter of its bytes

    def _says_the_right_thing(self, claim: Claim) -> bool:
        with self.ports.bucket.open(claim.key) as stream:
            raw = stream.read(_MAX_JSON)
        try:
            content = json.loads(raw)
        except (ValueError, RecursionError):
            return False
        if claim.what == "manifest":
            described = content.get("zip") if isinstance(content, dict) else None
            return isinstance(described, dict) and described.get("sha256") == claim.sha256
        with self.ports.database.transaction() as connection:
            summary = summary_of(connection, claim.row_id)
        return summary is None or summary == content

    def _conclude(self, problem: Problem, claim: Claim) -> None:
        """Look once more, mend if that is asked for, and report."""
        with self.ports.database.transaction() as connection:
            now = claim_now(connection, self.artist, claim)
        if now is None or now != claim:
            return
        one = self._stored(claim.key)
        if (one is None) != (problem == "missing") or (problem == "wrong size" and one and one.size == claim.size):
            return
        outcome = repair(self.ports, self.artist, claim, problem) if self.fix else outlook(claim, problem)
        finding = Discrepancy(problem, claim.key, claim.what, claim.name, outcome)
        self.report.findings.append(finding)
        if outcome.state != "mended" and (not self.fix or self._is_wrong_now(claim)):
            self._remember(finding, claim.what)

    def _is_wrong_now(self, claim: Claim) -> bool:
        """Return whether it is still so: a repair may have recorded that the object is gone, and said who acts."""
        with self.ports.database.transaction() as connection:
            now = claim_now(connection, self.artist, claim)
        return now is not None and self._problem(now, self._stored(now.key)) is not None

    def _stored(self, key: str) -> StoredObject | None:
        try:
            return self.ports.bucket.stat(key)
        except InvalidKeyError:
            return None

    def _remember(self, finding: Discrepancy, what: str) -> None:
        way_out = finding.outcome.said.replace("--repair", f"`dawa verify --artist {self.artist.slug} --repair`", 1)
        self.still_wrong.append(FileFinding(finding.problem, what, finding.key, f"{finding.problem}; {way_out}"))

    def _sort_out(self, unclaimed: list[StoredObject]) -> None:
        if not unclaimed:
            return
        with self.ports.database.transaction() as connection:
            known = known_among(connection, self.artist, [one.key for one in unclaimed])
        for one in unclaimed:
            if one.key not in known:
                self.report.foreign_count += 1
                self.report.foreign_bytes += one.size
                if len(self.report.foreign) < _MAX_FOREIGN:
                    self.report.foreign.append((one.key, one.size))


def _side_by_side(
    stored: Iterator[StoredObject], claimed: Iterator[Claim]
) -> Iterator[tuple[StoredObject | None, list[Claim]]]:
    """Objects with the claims to their keys, in key order; one side may be empty."""
    groups = ((key, list(group)) for key, group in groupby(claimed, key=lambda claim: claim.key))
    one, group = next(stored, None), next(groups, None)
    while one is not None or group is not None:
        if group is None or (one is not None and one.key < group[0]):
            yield one, []
            one = next(stored, None)
        elif one is None or group[0] < one.key:
            yield None, group[1]
            group = next(groups, None)
        else:
            yield one, group[1]
            one, group = next(stored, None), next(groups, None)
