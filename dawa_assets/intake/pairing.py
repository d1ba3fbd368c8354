"""Which bounce belongs to which set: by lying beside it, or by its name. Pure: no database, no files.

Nothing is guessed. A bounce that fits no set, or more than one, or that has a rival, waits with its reason until
something else arrives.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dawa_assets.intake.kinds import loose_stem
from dawa_assets.pipeline.wording import counted


@dataclass(frozen=True)
class Origin:
    """Where a file lay with the user: the upload and the folder in it. Two files of one origin lay side by side."""

    upload_id: str
    folder: str


@dataclass(frozen=True)
class Bounce:
    """Audio that waits for its set; `project` is the one that it lay in, empty where that is not known."""

    id: Hashable
    origin: Origin
    name: str
    sha256: str
    arrived: datetime
    project: str = ""


@dataclass(frozen=True)
class SetOrigin:
    """A Live Set as it was uploaded; `item` is None where it could not be taken in."""

    origin: Origin
    name: str
    item: Hashable | None


@dataclass(frozen=True)
class Target:
    """An item that audio may belong to: every name its set was ever uploaded under, and when its audio arrived."""

    item: Hashable
    name: str
    project: str
    set_names: frozenset[str]
    audio_arrived: datetime | None = None


@dataclass(frozen=True)
class Pairing:
    """What was decided: (bounce, item) and (bounce, why it waits); both in the order of the bounces."""

    matches: list[tuple[Bounce, Hashable]]
    waits: list[tuple[Bounce, str]]


def pair(
    bounces: Sequence[Bounce],
    sets: Sequence[SetOrigin],
    targets: Sequence[Target],
    audio_names: Sequence[tuple[Origin, str]],
) -> Pairing:
    """Decide for each waiting bounce.

    Args:
        bounces: what waits, in the order of arrival: where several uploads bring audio for one item, the last wins.
        sets: every Live Set that was uploaded, rejected ones too: a bounce may be theirs.
        targets: every item of the artist.
        audio_names: every audio file that was uploaded, whatever became of it: the rivals of one folder.
    """
    table = _Table(sets, targets, audio_names)
    decided = [(bounce, table.decide(bounce)) for bounce in bounces]
    rivals: dict[tuple[Hashable, str], list[Bounce]] = defaultdict(list)
    for bounce, decision in decided:
        if isinstance(decision, Target):
            rivals[decision.item, bounce.origin.upload_id].append(bounce)
    pairing = Pairing([], [])
    for bounce, decision in decided:
        if isinstance(decision, str):
            pairing.waits.append((bounce, decision))
            continue
        group = rivals[decision.item, bounce.origin.upload_id]
        if len({rival.sha256 for rival in group}) > 1:
            names = ", ".join(sorted(rival.name for rival in group))
            pairing.waits.append((bounce, f"{names} all fit {decision.name}; upload only the one to be used"))
        elif decision.audio_arrived is not None and bounce.arrived < decision.audio_arrived:
            reason = f"{decision.name} has a bounce that came later; upload this one again to use it"
            pairing.waits.append((bounce, reason))
        else:
            pairing.matches.append((bounce, decision.item))
    return pairing


class _Table:
    def __init__(
        self, sets: Sequence[SetOrigin], targets: Sequence[Target], audio_names: Sequence[tuple[Origin, str]]
    ) -> None:
        self._targets = {target.item: target for target in targets}
        self._by_stem: dict[str, list[Target]] = defaultdict(list)
        for target in targets:
            for stem in {loose_stem(name) for name in target.set_names} - {""}:
                self._by_stem[stem].append(target)
        self._sets: dict[Origin, dict[str, SetOrigin]] = defaultdict(dict)
        for one in sets:
            self._sets[one.origin][one.name] = one  # the same name again, in the same place, replaced it
        self._audio: dict[Origin, set[str]] = defaultdict(set)
        for origin, name in audio_names:
            self._audio[origin].add(name)

    def decide(self, bounce: Bounce) -> Target | str:
        """Return the item it belongs to, or why that can't be told."""
        neighbour = self._only_set_beside(bounce)
        beside = None if neighbour is None or neighbour.item is None else self._targets.get(neighbour.item)
        named = self._of_its_name(bounce)
        if beside is not None:
            others = [target for target in named if target is not beside]
            if others and beside not in named:
                return (
                    f"it lies beside {beside.name} but has the name of {others[0].name}; rename it, or upload it alone"
                )
            return beside
        if len(named) == 1:
            return named[0]
        if named:
            names = ", ".join(sorted(target.name for target in named))
            return f"it has the name of several sets ({names}); upload it together with its set"
        if neighbour is not None:
            return f"the set beside it, {neighbour.name}, could not be taken in; upload that again"
        return self._why_alone(bounce)

    def _only_set_beside(self, bounce: Bounce) -> SetOrigin | None:
        sets = self._sets.get(bounce.origin, {})
        if len(sets) != 1 or self._audio.get(bounce.origin, set()) - {bounce.name}:
            return None
        return next(iter(sets.values()))

    def _of_its_name(self, bounce: Bounce) -> list[Target]:
        """Items whose set has its name; of several, the one uploaded beside it, or of its project or folder's name."""
        named = self._by_stem.get(loose_stem(bounce.name), [])
        if len(named) > 1:
            beside = {one.item for one in self._sets.get(bounce.origin, {}).values()}
            narrowed = [target for target in named if target.item in beside]
            for project in (bounce.project, bounce.origin.folder.rpartition("/")[2]):
                if len(narrowed) != 1:
                    narrowed = [target for target in named if project and target.project == project]
            if len(narrowed) == 1:
                return narrowed
        return named

    def _why_alone(self, bounce: Bounce) -> str:
        sets, audio = self._sets.get(bounce.origin, {}), self._audio.get(bounce.origin, set())
        if sets:
            return (
                f"no set has its name, and beside it lie {counted(len(sets), 'set')} and "
                f"{counted(len(audio), 'bounce')}; "
                "give it the name of its set"
            )
        return "no Live Set has its name; upload the set, or the bounce under the name of its set"
