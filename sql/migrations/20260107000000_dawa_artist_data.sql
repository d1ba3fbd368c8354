-- An artist's data, taken out: why an item was left out and by whom, and who is being deleted or was.

-- A log: one row per change at the terminal. Whether an item is out now is training_items.excluded_at, which the
-- dashboard's users may set too; those leave no row here.
create table public.item_exclusions (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  training_item_id uuid not null references public.training_items (id) on delete cascade,
  excluded boolean not null,        -- false: taken in again
  reason text not null default '',
  author text not null,
  at timestamptz not null default now()
);
create index item_exclusions_item on public.item_exclusions (training_item_id, at);
create index item_exclusions_artist on public.item_exclusions (artist_id);

-- Not tied to the artist's row: it is what is left of him. No name, no content.
create table public.artist_deletions (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null unique,
  slug text not null,
  asked_by text not null,
  asked_at timestamptz not null default now(),
  links integer not null default 0, -- users who could see the artist; they can't from the beginning on
  found jsonb,                      -- files and cached data, as counted before the first one went
  rows jsonb,                       -- rows that went, by table
  rows_gone_at timestamptz,         -- the artist's row went in the same transaction
  late jsonb,                       -- files that arrived while it went on
  finished_at timestamptz
);
create index artist_deletions_slug on public.artist_deletions (slug);

do $$
declare
  name text;
begin
  foreach name in array array['item_exclusions', 'artist_deletions'] loop
    execute format('alter table public.%I enable row level security', name);
    execute format('revoke all on public.%I from public, anon, authenticated', name);
    execute format('grant all on public.%I to service_role', name);
  end loop;
end
$$;

create trigger dawa_guard_references before insert or update of artist_id, training_item_id on public.item_exclusions
for each row execute function public.dawa_guard_references('training_item_id', 'training_items');

-- Since when an item is out decides what may have heard it, so no client's clock says it.
create function public.dawa_excluded_at() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.excluded_at is null then
    return new;
  end if;
  new.excluded_at := case when tg_op = 'UPDATE' then coalesce(old.excluded_at, now()) else now() end;
  return new;
end
$$;
revoke all on function public.dawa_excluded_at() from public, anon, authenticated;
grant execute on function public.dawa_excluded_at() to service_role;

create trigger dawa_excluded_at before insert or update of excluded_at on public.training_items
for each row execute function public.dawa_excluded_at();

-- The slug of somebody who is being deleted is not free: what is removed under it must not be a newcomer's.
create or replace function public.dawa_free_slug(wished text, artist uuid) returns text
language plpgsql volatile set search_path = '' as $$
declare
  base text := coalesce(nullif(wished, ''), 'artist-' || left(artist::text, 8));
  free text := base;
  number integer := 1;
begin
  while exists (select from public.artists where slug = free and id <> artist)
    or exists (select from public.artist_deletions where slug = free and artist_id <> artist and finished_at is null) loop
    number := number + 1;
    free := base || '-' || number;
  end loop;
  return free;
end
$$;

create or replace function public.dawa_artist_slug() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'UPDATE' and old.slug is not null then
    if new.slug is distinct from old.slug then
      raise exception 'the slug of artist % stays %: files lie under it', old.id, old.slug using errcode = 'DA001';
    end if;
    return new;
  end if;
  perform pg_advisory_xact_lock(1684109175);  -- two new artists of alike names must see each other
  if coalesce(new.slug, '') = '' then
    new.slug := public.dawa_free_slug(public.dawa_slugify(new.name), new.id);
  elsif exists (
    select from public.artist_deletions where slug = new.slug and artist_id <> new.id and finished_at is null
  ) then
    raise exception 'the slug % is being deleted: it is free when that is done', new.slug using errcode = 'DA004';
  end if;
  return new;
end
$$;
