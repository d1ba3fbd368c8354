"""SQL of which dataset is an artist's current one: the whole set that was finished last. Fragments for queries.

Content that returns to what an earlier dataset holds makes that one current again: its `finished_at` is moved.
"""

CURRENT_DATASETS = """(
  select distinct on (artist_id) * from datasets where state = 'done' order by artist_id, finished_at desc)"""
"""To select from: the current dataset of each artist who has one. A condition on `artist_id` reads only theirs."""

CURRENT_DATASET_ID = f"(select c.id from {CURRENT_DATASETS} c where c.artist_id = %(artist)s)"
"""A value: the id of the artist's current dataset; null where there is none."""

CURRENT_ITEMS = f"(select di.* from dataset_items di where di.dataset_id = {CURRENT_DATASET_ID})"
"""To select from: the items of the artist's current dataset."""
