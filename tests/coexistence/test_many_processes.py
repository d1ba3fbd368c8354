"""Many processes that take in the same uploads at once: each file once, no status against the guards.

Three processes, and what they do to each other, take some seconds of CPU.
"""

import hashlib
import multiprocessing
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dawa_assets.datasets.build import build_dataset
from dawa_assets.intake.live_sets import take_in_live_sets
from dawa_assets.items.update import update_training_items
from dawa_assets.maintenance.verify import verify
from dawa_assets.prompting.refresh import refresh_prompts
from resources.bucket.folder import FolderBucket
from resources.compute.local import LocalCompute
from resources.ports import Ports
from resources.prompt_writer.offline import OfflineWriter
from resources.settings import Settings
from tests.databases import GivenDatabase
from tests.dawa_assets.intake.material import als, drop, keys, new_artist, rows, wav

# Every row that is written is looked at as it is committed: where it came from, and whether it may be there.
_WATCH = """
create table public.seen (item uuid, was text, is_now text, why text);
create function public.watch() returns trigger language plpgsql as $$
declare
  moved text := coalesce(case when tg_op = 'UPDATE' then old.status end, 'new') || ' > ' || new.status;
  why text;
begin
  if new.status in ('ready', 'exported') and (new.audio_hash is null or coalesce(new.prompt_text, '') = '') then
    why := 'is ' || new.status || ' without audio or text';
  elsif new.status = 'exported' and (tg_op = 'INSERT' or old.status <> 'exported') and not exists (
    select from public.dataset_items i join public.datasets d on d.id = i.dataset_id
    where d.state = 'done' and i.training_item_id = new.id and i.audio_hash = new.audio_hash
      and i.prompt_text = new.prompt_text) then
    why := 'exported, but in no dataset with this audio and text';
  end if;
  if why is not null or tg_op = 'INSERT' or old.status <> new.status then
    insert into public.seen values (new.id, split_part(moved, ' > ', 1), new.status, why);
  end if;
  return null;
end
$$;
create trigger watch after insert or update on public.training_items for each row execute function public.watch();
"""

_ALLOWED = {
    ("new", "needs_audio"),
    ("needs_audio", "needs_prompt"),
    ("needs_audio", "ready"),
    ("needs_prompt", "ready"),
    ("ready", "exported"),
    ("exported", "ready"),
}


@dataclass
class _Done:
    """What one process says it did: names, and prompts written."""

    taken: list[str] = field(default_factory=list)
    paired: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    written: int = 0


def _ports(url: str, home: Path) -> Ports:
    settings = Settings(home=home)
    return Ports(
        settings=settings,
        database=GivenDatabase(url),
        bucket=FolderBucket(home / "bucket"),
        prompt_writer=OfflineWriter(),
        compute=LocalCompute(settings.data_root),
    )


def _draw(live_set: object, target: Path) -> None:  # noqa: ARG001
    target.write_bytes(b"picture")


def _work(url: str, home: Path, slugs: list[str], seed: int) -> _Done:
    """Every step for every artist, in an order of its own."""
    from dawa_assets.ableton import timeline

    timeline.draw_timeline = _draw
    ports, done = _ports(url, home), _Done()
    for slug in random.Random(seed).sample(slugs, len(slugs)):  # noqa: S311
        sets = take_in_live_sets(ports, slug)
        done.taken += [f"{slug}/{name}" for name in sets.taken]
        done.written += refresh_prompts(ports, slug).written
        items = update_training_items(ports, slug)
        done.paired += [f"{slug}/{name}" for name, _ in items.paired]
        done.rejected += sets.rejected + items.rejected
        build_dataset(ports, slug)
    return done


def _forking() -> multiprocessing.context.ForkServerContext:
    """Processes that are forked where their imports are made once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class _Editor:
    """A person who edits texts in the dashboard until they are stopped."""

    def __init__(self, ports: Ports) -> None:
        self.edits = 0
        self._ports, self._stop, self._thread = ports, threading.Event(), threading.Thread(target=self._edit)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _edit(self) -> None:
        while not self._stop.wait(0.05):
            with self._ports.database.transaction() as connection:
                self.edits += connection.execute(
                    "update training_items set prompt_text = %s where id = ("
                    "select id from training_items where prompt_text is not null order by random() limit 1)",
                    [f"A person's text number {self.edits}.\nBPM: 120"],
                ).rowcount


@pytest.fixture
def editor(ports: Ports) -> Iterator[_Editor]:
    person = _Editor(ports)
    yield person
    person.stop()


@pytest.mark.parametrize(
    ("processes", "artists", "songs"),
    [(3, 3, 8), pytest.param(8, 20, 100, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])],
)
def test_concurrent_processes_take_each_upload_exactly_once(
    ports: Ports, editor: _Editor, processes: int, artists: int, songs: int
) -> None:
    with ports.database.transaction() as connection:
        connection.execute(_WATCH)
    made = [new_artist(ports, f"Artist {number}") for number in range(artists)]
    sound: dict[str, str] = {}
    for place, artist in enumerate(made):
        files: dict[str, bytes] = {}
        for number in range(songs):
            bounce = wav(100 + place * songs + number, seconds=0.05)
            files |= {f"P{number}/song {number}.als": als(60 + number), f"P{number}/song {number}.wav": bounce}
            sound[f"{artist.slug}/P{number}/song {number}"] = hashlib.sha256(bounce).hexdigest()
        drop(ports, artist.slug, files)

    slugs = [artist.slug for artist in made]
    url = ports.database.url()
    with _forking().Pool(processes) as pool:
        done = pool.starmap(_work, [(url, ports.settings.home, slugs, seed) for seed in range(processes)])

    assert [each.rejected for each in done if each.rejected] == []
    taken = Counter(name for each in done for name in each.taken)
    paired = Counter(name for each in done for name in each.paired)
    assert set(taken.values()) == set(paired.values()) == {1}
    assert taken == Counter(f"{name}.als" for name in sound)
    assert paired == Counter(f"{slug}/song {number}.wav" for slug in slugs for number in range(songs))
    [by_model] = rows(ports, "select count(*) as n from prompts where origin = 'model'")
    assert sum(each.written for each in done) == by_model["n"] == len(sound)

    uploads = rows(ports, "select state, count(*) as n, count(distinct inbox_key) as once from uploads group by 1")
    assert uploads == [{"state": "taken", "n": 2 * len(sound), "once": 2 * len(sound)}]
    found = rows(ports, "select slug, item_key, audio_hash from training_items t join artists a on a.id = t.artist_id")
    assert {f"{row['slug']}/{row['item_key']}": row["audio_hash"] for row in found} == sound
    assert len(found) == len(sound) == rows(ports, "select count(*) as n from als_summaries")[0]["n"]
    assert keys(ports.bucket, "inbox") == []

    seen = rows(ports, "select was, is_now, why from seen")
    assert [row["why"] for row in seen if row["why"]] == []
    assert {(row["was"], row["is_now"]) for row in seen} <= _ALLOWED
    editor.stop()
    assert editor.edits > 0
    for slug in slugs:  # a text that changed while its file was written is the next update's
        update_training_items(ports, slug)
    assert [(report.findings, report.foreign) for report in verify(ports, deep=True)] == [([], [])] * artists
