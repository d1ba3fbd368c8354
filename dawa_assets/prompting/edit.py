"""People's texts: one that is edited, a file of them, and giving a text back to the model.

A text is stored with its author and its item's move in one transaction. It is a person's word: only what no caption can
hold is refused, other broken rules are said. What was there before stays as history.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from dawa_assets.pipeline.step import artist_step
from dawa_assets.prompting.fingerprint import human_fingerprint
from dawa_assets.prompting.item_lookup import Found, find_item
from dawa_assets.prompting.plan import batches
from dawa_assets.prompting.profile_facts import ProfileFacts, read_profile
from dawa_assets.prompting.rules import MAX_LENGTH, MAX_WORDS, rules_for
from dawa_assets.prompting.staleness import is_human
from dawa_assets.prompting.summary_facts import tempo_of
from dawa_assets.prompting.texts_file import Row
from dawa_assets.tables import prompts
from dawa_assets.tables.artist_profiles import observed_profile
from dawa_assets.tables.artists import Artist, resolve_artist
from modal_app.errors import ConflictError, InputError
from resources.database.base import Connection, Database
from resources.ports import Ports

MAX_AUTHOR = 200
_ROWS_A_BATCH = 100
_ANY_TEMPO = 120.0


@dataclass(frozen=True)
class Edit:
    """What became of one text. `warnings` are the rules that it breaks all the same."""

    item: str
    item_id: UUID
    artist: str
    changed: bool
    before: str
    after: str
    warnings: list[str]


@dataclass
class Import:
    """What became of a file of texts. Lines are those of the file, from 1; reasons are one line each."""

    changed: int = 0
    unchanged: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    warnings: list[tuple[int, str]] = field(default_factory=list)
    artists: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class GivenBack:
    """What the model is to write anew: `given back` was a person's text, `another take` a model's, `due` none."""

    item: str
    item_id: UUID
    artist: str
    what: str
    before: str


def edit_prompt(
    database: Database, reference: str, text: str, *, author: str, artist: str | None = None, seen: str | None = None
) -> Edit:
    """Make this the item's text, a person's from now on; the same text again changes nothing.

    With `seen`, only where the item has that text, or the new one already.

    Raises:
        UnknownArtistError: there is no such artist.
        ConflictError: the item has another text by now than the one that was seen.
        InputError: no item, or several, are called so, or the text can't be a prompt; one line.
    """
    author = _author(author)
    with database.transaction() as connection:
        edit = _edit(connection, find_item(connection, reference, artist), text, author, _RuleChecker(connection))
        if seen is not None and edit.changed and edit.before not in (seen, edit.after):
            raise ConflictError(
                f"item {edit.item}: has another text by now than the one that was edited; look at it, and edit that"
            )
        return edit


def text_in_use(database: Database, reference: str, artist: str | None = None) -> str:
    """Return the text that the item has now; empty where it has none.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: no item, or several, are called so.
    """
    with database.transaction() as connection:
        found = find_item(connection, reference, artist)
        item = prompts.locked_item(connection, found.id)
    return (item.prompt_text or "") if item is not None else ""


def import_prompts(
    database: Database,
    rows: Iterable[Row],
    *,
    author: str,
    artist: str | None = None,
    report: Callable[[Import], None] = lambda _: None,
) -> Import:
    """Take over the texts of a file, row by row; a row that can't be used is left out with its reason.

    Each row is committed by itself: what was done stays done, whatever comes after.

    Args:
        database: where the items are.
        rows: from `read_texts`, so that they come as they are needed.
        author: of rows that name none.
        artist: of rows that name none; None looks at everybody's items.
        report: called now and then with what was done until then.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: the file can't be read at all.
    """
    author = _author(author)
    done = Import()
    lines: dict[UUID, int] = {}
    with database.transaction() as connection:
        if artist is not None:
            artist = resolve_artist(connection, artist).slug
    for batch in batches(rows, _ROWS_A_BATCH):
        with database.transaction() as connection:
            rules = _RuleChecker(connection)
            for row in batch:
                connection.commit()  # no locks from row to row: another file may name the same items in another order
                try:
                    found = find_item(connection, _given(row), row.artist or artist)
                    if (earlier := lines.setdefault(found.id, row.line)) != row.line:
                        raise InputError(f"item {found.name}: has a text on line {earlier} already; keep one")
                    edit = _edit(connection, found, row.text, _author(row.author or author), rules)
                except InputError as error:
                    done.refused.append((row.line, str(error)))
                    continue
                done.changed += edit.changed
                done.unchanged += not edit.changed
                done.artists.update([edit.artist] if edit.changed else [])
                done.warnings += [(row.line, f"{edit.item}: breaks {warning}") for warning in edit.warnings]
        report(done)
    return done


def give_back_to_the_model(ports: Ports, reference: str, artist: str | None = None) -> GivenBack:
    """Have the item's text written by the model at the next refresh; until then it keeps the one that it has.

    A person's text makes way for the model's, which costs nothing where it was written before; a model's text for
    another take of the same question.

    Raises:
        UnknownArtistError: there is no such artist.
        InputError: no item, or several, are called so, or it has no Live Set to write from.
        BusyError: another process is writing this artist's prompts.
    """
    with ports.database.transaction() as connection:
        found = find_item(connection, reference, artist)
    with (
        artist_step(ports, found.artist, "prompts") as step,  # a refresh that is under way has planned without it
        ports.database.transaction() as connection,
    ):
        step.held.check(connection)
        item = _locked(connection, found)
        if item.als_summary_id is None:
            raise InputError(f"item {found.name}: has no Live Set to write a prompt from; upload one, or edit the text")
        what = _give_back(connection, found, item)
    return GivenBack(found.name, found.id, found.artist.slug, what, item.prompt_text or "")


def _give_back(connection: Connection, found: Found, item: prompts.Item) -> str:
    if is_human(item):
        if item.origin != "human" or item.text != item.prompt_text:  # saved by the dashboard, and seen by nobody yet
            fingerprint = human_fingerprint(item.id, item.prompt_text or "")
            prompts.keep_human_text(connection, found.artist.id, item, fingerprint)
            item = _locked(connection, found)
        prompts.give_back(connection, item)
        return "given back"
    has_text = bool((item.prompt_text or "").strip())
    more = has_text and not item.given_back
    prompts.ask_again(connection, item, more_takes=int(more))
    return "another take" if more else "given back" if has_text else "due"


def _edit(connection: Connection, found: Found, text: str, author: str, rules: "_RuleChecker") -> Edit:
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    item = _locked(connection, found)
    warnings = rules.check(found.artist, item, text)
    before = item.prompt_text or ""
    changed = before != text or item.origin != "human" or item.text != text or item.given_back
    if changed:
        if is_human(item) and item.text != item.prompt_text:  # keep what the dashboard saved as history
            prompts.save_human_text(connection, found.artist.id, item, human_fingerprint(item.id, before), before)
        fingerprint = human_fingerprint(item.id, text)
        prompt_id = prompts.save_human_text(connection, found.artist.id, item, fingerprint, text, author)
        prompts.give_human_text(connection, item, prompt_id, text)
    return Edit(found.name, found.id, found.artist.slug, changed, before, text, warnings)


def _locked(connection: Connection, found: Found) -> prompts.Item:
    item = prompts.locked_item(connection, found.id)
    if item is None:
        raise InputError(f"item {found.name}: is gone or excluded since a moment ago; run it again")
    return item


class _RuleChecker:
    """Holds texts against the rules; profiles are read once for each artist."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._profiles: dict[UUID, ProfileFacts] = {}

    def check(self, artist: Artist, item: prompts.Item, text: str) -> list[str]:
        """Return the rules that the text breaks and may break.

        Raises:
            InputError: it breaks one that no prompt may break.
        """
        if not text:
            raise InputError(
                f"item {item.name}: the text is empty; write one, or `dawa prompt regenerate` has the model write it"
            )
        tempo = None
        if item.als_summary_id is not None:
            tempos = prompts.tempos(self._connection, artist.id, [item.als_summary_id])
            tempo = tempo_of(tempos.get(item.als_summary_id))
        if artist.id not in self._profiles:
            self._profiles[artist.id] = read_profile(observed_profile(self._connection, artist.id).master_schema)
        rules = rules_for(self._profiles[artist.id], _ANY_TEMPO if tempo is None else tempo, artist_name=artist.name)
        broken = rules.broken(text)
        if (reason := why_no_caption(text, broken)) is not None:
            raise InputError(f"item {item.name}: the text {reason}; mend it")
        return [line for line in broken if tempo is not None or not line.startswith("ends-with-bpm:")]


def why_no_caption(text: str, broken: Iterable[str]) -> str | None:
    """Return which of the rules that a person's text breaks no text may break; None where it may stay as it is."""
    too_long = len(text) > MAX_LENGTH or len(text.split()) > MAX_WORDS
    for line in broken:
        rule, _, reason = line.partition(": ")
        if rule == "clean-characters" or (rule == "length" and too_long):
            return reason
    return None


def _author(name: str) -> str:
    clean = name.strip()
    if not clean or len(clean) > MAX_AUTHOR or not clean.isprintable():
        raise InputError(f"author: must be a name of at most {MAX_AUTHOR} printable characters; give another --author")
    return clean


def _given(row: Row) -> str:
    if row.problem is not None:
        raise InputError(row.problem)
    return row.item
