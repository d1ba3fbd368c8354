"""Another text by the model for one item, at once: asked for, written, and given to the item and to nobody else."""

from dataclasses import dataclass
from uuid import UUID

from dawa_assets.pipeline.step import artist_step
from dawa_assets.prompting.edit import give_back_to_the_model
from dawa_assets.prompting.single_prompt import prompt_asked_for, write_single_prompt
from dawa_assets.tables import prompts
from dawa_assets.tables.artists import Artist
from resources.errors import NotNowError, PromptWriterError
from resources.ports import Ports


@dataclass(frozen=True)
class Rewritten:
    """What became of it. `what` is as in `GivenBack`; `reason` says why the text is still the one before."""

    what: str
    before: str
    after: str
    reason: str | None


def rewrite_item(ports: Ports, artist: Artist, item_id: UUID) -> Rewritten:
    """Give an item's text back to the model, and have it written now.

    Where that can't be done now, the item keeps its text, and the next refresh writes the other one.

    Raises:
        InputError: there is no such item, or it has no Live Set that a prompt can be written for.
        BusyError: another process is writing this artist's prompts and did not end in time.
    """
    given = give_back_to_the_model(ports, str(item_id), artist.slug)
    with ports.database.transaction() as connection:
        item = prompts.locked_item(connection, item_id)
    if item is None:
        return Rewritten(given.what, given.before, given.before, "the item is gone or excluded since a moment ago")
    try:
        write_single_prompt(ports, artist, item.parse_id, take=item.prompt_take)
    except (NotNowError, PromptWriterError) as error:
        return Rewritten(given.what, given.before, given.before, str(error))
    with (
        artist_step(ports, artist, "prompts") as step,
        ports.database.transaction() as connection,
    ):
        step.held.check(connection)
        prompt = prompt_asked_for(ports, artist, item.parse_id, item.prompt_take)
        now = prompts.locked_item(connection, item_id)
        if prompt is None or now is None or not all(prompts.give_prompts(connection, [(now, prompt)])):
            return Rewritten(given.what, given.before, given.before, "somebody else changed the item meanwhile")
    return Rewritten(given.what, given.before, prompt.text, None)
