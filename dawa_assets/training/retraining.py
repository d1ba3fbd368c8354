"""Which artists' datasets changed enough since their last training, asked of all artists page by page."""

from dataclasses import dataclass
from uuid import UUID

from dawa_assets.tables.item_exclusions import EXCLUDED_TRACK
from resources.database.base import Connection


@dataclass(frozen=True)
class ChangedDataset:
    """A current dataset that no training was ever begun for.

    `share` of its items is new since the last one, which may have heard items that are excluded by now.
    """

    artist_id: UUID
    slug: str
    fingerprint: str
    share: float
    trained_on_excluded: bool


@dataclass(frozen=True)
class ChangedPage:
    """Those of one page of artists, by id; `looked_at` is the page's last artist, None where no more come."""

    changed: list[ChangedDataset]
    looked_at: UUID | None


def changed_datasets(
    connection: Connection, model_name: str, share: float, after: UUID | None, limit: int
) -> ChangedPage:
    """The first artists after this id whose current dataset was never trained on, and those of them with enough change.

    An item is new if the dataset of the last training of this model name had none of the same audio and text. Without
    such a dataset everything is. Where that training heard what is excluded by now, that is enough.
    """
    rows = connection.execute(
        _UNTRAINED, {"model": model_name, "after": after or UUID(int=0), "limit": limit}
    ).fetchall()
    changed = [ChangedDataset(**row) for row in rows if row["share"] >= share or row["trained_on_excluded"]]
    return ChangedPage(changed, rows[-1]["artist_id"] if len(rows) == limit else None)


# First what was never trained on, which is little, then which of that is current: the other way round looks up each.
_UNTRAINED = f"""
with untrained as (
  select d.artist_id, d.id, d.fingerprint from datasets d
  where d.state = 'done' and d.artist_id > %(after)s
    and not exists (select from training_runs r where r.dataset_id = d.id and r.model_name = %(model)s)
    and not exists (
      select from datasets later
      where later.artist_id = d.artist_id and later.state = 'done' and later.finished_at > d.finished_at)
  order by d.artist_id limit %(limit)s
)
select u.artist_id, a.slug, u.fingerprint, (
    select coalesce(avg((not exists (
      select from dataset_items before
      where before.dataset_id = last.dataset_id and before.audio_hash = now.audio_hash
        and before.prompt_text = now.prompt_text))::int), 0)::double precision
    from dataset_items now where now.dataset_id = u.id
  ) as share, exists (
    select from dataset_items i join datasets d on d.id = i.dataset_id
    where d.id = last.dataset_id and {EXCLUDED_TRACK}
  ) as trained_on_excluded
from untrained u join artists a on a.id = u.artist_id
left join lateral (
  select r.dataset_id from training_runs r
  where r.artist_id = u.artist_id and r.model_name = %(model)s and r.state = 'done' and r.dataset_id is not null
  order by r.finished_at desc limit 1
) last on true
order by u.artist_id
"""
