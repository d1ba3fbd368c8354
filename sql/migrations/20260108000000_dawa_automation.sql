-- What sensors and the schedule ask of all artists at once, so that a tick at which nothing is to do costs next to
-- nothing: who is new, whose profile has which version, what waits, what is current.

-- In the order in which they were committed, so that whoever knows all up to a number has only to ask for what is above.
-- The slug's trigger runs first (triggers go by their names) and holds its lock until the commit.
create sequence public.dawa_artist_numbers;
alter table public.artists add column number bigint;
update public.artists set number = nextval('public.dawa_artist_numbers');
alter table public.artists alter column number set not null;
create unique index artists_number on public.artists (number);

create function public.dawa_number_artist() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.number := nextval('public.dawa_artist_numbers');
  return new;
end
$$;

create trigger dawa_number_artist before insert on public.artists
for each row execute function public.dawa_number_artist();

-- Beside the hash of the rest: read for every artist at once without opening the whole profile.
alter table public.artist_profiles add column if not exists schema_version text
  generated always as (coalesce(master_schema ->> 'schema_version', '')) stored;

create index training_items_with_set on public.training_items (artist_id)
  where als_summary_id is not null and excluded_at is null;
create index training_items_undescribed on public.training_items (artist_id)
  where audio_path is not null and audio_hash is null and excluded_at is null;
create index prompts_human on public.prompts (id) where origin = 'human' and given_back_at is null;
create index uploads_waiting on public.uploads (artist_id) where state = 'waiting';
create index datasets_current on public.datasets (artist_id, finished_at desc) where state = 'done';
create index training_runs_dataset on public.training_runs (dataset_id);

revoke all on sequence public.dawa_artist_numbers from public, anon, authenticated;
revoke all on function public.dawa_number_artist() from public, anon, authenticated;
grant execute on function public.dawa_number_artist() to service_role;
