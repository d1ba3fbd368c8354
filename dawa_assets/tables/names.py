"""SQL of names: what an item and a dataset's track are called in every list, page and message."""


def item_name(row: str) -> str:
    """Return the name of a row of `training_items`: its key, else its Live Set's file, else its id.

    Pairs that were saved of one set have one name: where they must be told apart, take the id as well.
    """
    return f"coalesce({row}.item_key, {row}.als_filename, {row}.id::text)"


def track_name(row: str) -> str:
    """Return the name of a row of `dataset_items`: its key, else its number."""
    return f"coalesce({row}.item_key, 'track ' || {row}.position)"
