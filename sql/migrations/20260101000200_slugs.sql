-- Slugs: an artist's name for partitions, folders and the worker. Made once, kept when the name changes.

-- The Latin letters of a name, in [a-z0-9-], '' where there are none. Letters fall apart into a base and marks
-- (NFKD); those that don't are listed.
create or replace function public.dawa_slugify(name text) returns text
language sql immutable strict parallel safe set search_path = '' as $$
  with spelt (name) as (
    select replace(replace(replace(replace(replace(replace(replace(replace(replace(
      name, 'ß', 'ss'), 'ẞ', 'ss'), 'æ', 'ae'), 'Æ', 'ae'), 'œ', 'oe'), 'Œ', 'oe'), 'þ', 'th'), 'Þ', 'th'), '&', ' and ')
  ), plain (name) as (
    select lower(translate(
      regexp_replace(pg_catalog.normalize(spelt.name, 'NFKD'), '[\u0300-\u036f''’]', '', 'g'),
      'øØłŁđĐðÐħĦıŧŦŋŊĸ', 'oOlLdDdDhHitTnNk'))
    from spelt
  )
  select trim(both '-' from left(trim(both '-' from regexp_replace(plain.name, '[^a-z0-9]+', '-', 'g')), 60))
  from plain
$$;

-- The first of wished, wished-2, wished-3 … that no artist has. Callers hold the lock that serialises them.
create or replace function public.dawa_free_slug(wished text, artist uuid) returns text
language plpgsql volatile set search_path = '' as $$
declare
  base text := coalesce(nullif(wished, ''), 'artist-' || left(artist::text, 8));
  free text := base;
  number integer := 1;
begin
  while exists (select from public.artists where slug = free and id <> artist) loop
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
  end if;
  return new;
end
$$;

-- Adopt: where an artist has files already, the folder that most of them lie in is the slug.
do $$
declare
  adopted record;
begin
  perform pg_advisory_xact_lock(1684109175);
  for adopted in
    select artists.id, artists.name, used.slug as used
    from public.artists
    left join lateral (
      select substring(path from '^artists/([a-z0-9]+(?:-+[a-z0-9]+)*)/') as slug
      from (
        select export_path as path from public.als_summaries where artist_id = artists.id
        union all
        select audio_path from public.training_items where artist_id = artists.id
        union all
        select prompt_path from public.training_items where artist_id = artists.id
      ) as paths
      where path ~ '^artists/[a-z0-9]+(?:-+[a-z0-9]+)*/'
      group by 1 order by count(*) desc, 1 limit 1
    ) as used on true
    where artists.slug is null
    order by used.slug is null, artists.created_at, artists.id
  loop
    update public.artists
    set slug = public.dawa_free_slug(coalesce(adopted.used, public.dawa_slugify(adopted.name)), adopted.id)
    where id = adopted.id;
  end loop;
end
$$;

alter table public.artists alter column slug set not null;
alter table public.artists add constraint artists_slug_key unique (slug);
alter table public.artists add constraint artists_slug_check check (slug ~ '^[a-z0-9]+(-+[a-z0-9]+)*$');

create trigger dawa_artist_slug before insert or update of slug on public.artists
for each row execute function public.dawa_artist_slug();
