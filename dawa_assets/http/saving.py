"""What the routes that save a pair share: the pair that is asked for, and the answer. Its audio is the routes' own."""

from uuid import UUID

from dawa_assets.http.messages import PairFields, SaveAnswer
from dawa_assets.items.save import NewPair
from dawa_assets.tables.artists import Artist
from dawa_assets.tables.chosen_items import superseded_items
from dawa_assets.tables.training_items import findings_of, get_item
from resources.ports import Ports


def pair_of(asked: PairFields, user: UUID | None) -> NewPair:
    """Return the pair that a request asks for; its text is the user's."""
    return NewPair(
        parse_id=asked.parse_id,
        als_filename=asked.als_filename,
        project_name=asked.project_name,
        text=asked.prompt_text,
        author=None if user is None else str(user),
    )


def saved_answer(ports: Ports, artist: Artist, item_id: UUID) -> SaveAnswer:
    """What is said of a saved item: what is to be known of its audio, and the items of the same audio behind it."""
    with ports.database.transaction() as connection:
        findings = findings_of(connection, item_id)
        item = get_item(connection, item_id)
        same = superseded_items(connection, artist.id, item.audio_hash) if item and item.audio_hash else []
    behind = [each.id for each in same if each.by_id == item_id]
    return SaveAnswer(training_item_id=item_id, findings=findings or None, supersedes=behind or None)
