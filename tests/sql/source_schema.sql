-- The source system's database as it is documented: tables, policies, and the grants that Supabase gave by itself.
create table public.artists (
  id uuid primary key default gen_random_uuid(), name text not null unique, created_at timestamptz default now()
);
create table public.artist_profiles (
  artist_id uuid primary key references public.artists (id) on delete cascade, name text,
  master_schema jsonb not null default '{}', created_at timestamptz default now(), updated_at timestamptz default now()
);
create table public.user_artists (
  user_id uuid not null, artist_id uuid not null references public.artists (id) on delete cascade,
  role text not null default 'owner', created_at timestamptz default now(), primary key (user_id, artist_id)
);
create table public.als_summaries (
  id uuid primary key default gen_random_uuid(), project_name text, als_filename text not null, parse_id text not null,
  parse_timestamp timestamptz not null default now(), summary jsonb not null, export_path text,
  artist_id uuid references public.artists (id) on delete set null, created_at timestamptz default now(),
  unique (als_filename, parse_id), unique (artist_id, parse_id)
);
create table public.training_items (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  als_summary_id uuid references public.als_summaries (id) on delete set null,
  parse_id text not null, als_filename text, project_name text, audio_path text, prompt_path text, prompt_text text,
  status text not null default 'needs_audio', system_prompt_version text, model_name text, generated_at timestamptz,
  created_at timestamptz default now(), updated_at timestamptz default now()
);
create index on public.training_items (artist_id, status);

grant all on all tables in schema public to anon, authenticated, service_role;
grant update (name) on public.artists to anon;

alter table public.als_summaries enable row level security;
create policy "read summaries for my artists" on public.als_summaries for select to authenticated
using (exists (select 1 from user_artists ua where ua.user_id = auth.uid() and ua.artist_id = als_summaries.artist_id));
alter table public.training_items enable row level security;
create policy "Users can read their own training items" on public.training_items for select to authenticated
using (exists (select 1 from user_artists ua where ua.user_id = auth.uid() and ua.artist_id = training_items.artist_id));
create policy "Users can insert training items for their artists" on public.training_items for insert to authenticated
with check (
  exists (select 1 from user_artists ua where ua.user_id = auth.uid() and ua.artist_id = training_items.artist_id)
);
create policy "Users can update their own training items" on public.training_items for update to authenticated
using (exists (select 1 from user_artists ua where ua.user_id = auth.uid() and ua.artist_id = training_items.artist_id));

insert into storage.buckets (id, name, public) values ('dawa-exports', 'dawa-exports', false);
create policy "Public read" on storage.objects for select using (bucket_id = 'dawa-exports');
create policy "Public insert" on storage.objects for insert with check (bucket_id = 'dawa-exports');

-- 50 rows. 8 artists: a plain one, two whose names look alike, one of emoji only, one whose files lie elsewhere than
-- their name says, one with folders that no slug can be called.
insert into public.artists (id, name, created_at)
select ('00000000-0000-4000-8000-00000000000' || n)::uuid, name, timestamptz '2025-01-01' + n * interval '1 day'
from (values
  (1, 'Nawf Side'), (2, 'Foo Bar'), (3, 'foo-bar'), (4, '🎹🎶'), (5, 'Renamed Since'), (6, 'Ödd Földers'),
  (7, 'Late'), (8, 'nawfside')
) as a (n, name);
insert into public.artist_profiles (artist_id, name, master_schema)
select id, name, case name when 'Late' then '"no object"' else '{"schema_version": "1"}' end::jsonb from public.artists
where name <> 'Foo Bar';
insert into public.user_artists (user_id, artist_id)
select ('10000000-0000-4000-8000-00000000000' || right(id::text, 1))::uuid, id from public.artists;
-- 12 summaries; the same set name in two projects; two without an artist
insert into public.als_summaries (project_name, als_filename, parse_id, summary, export_path, artist_id)
select 'Project ' || n, case when n in (1, 2) then 'Same.als' else 'Set ' || n || '.als' end, 'parse-' || n, '{}',
  case n % 6
    when 1 then 'artists/nawf-side/daw-data/Project ' || n || '/Same/parse-' || n
    when 5 then 'artists/old-name/daw-data/p/s/parse-' || n
    when 0 then 'artists/Ödd_Földers/daw-data/p/s/parse-' || n
  end,
  case when n <= 10 then ('00000000-0000-4000-8000-00000000000' || (array[1, 1, 2, 3, 5, 6, 1, 4, 5, 7])[n])::uuid end
from generate_series(1, 12) as n;
update public.als_summaries set export_path = 'artists/nawf-side/daw-data/Project 2/Same/parse-2' where parse_id = 'parse-2';
update public.als_summaries set export_path = null where artist_id = '00000000-0000-4000-8000-000000000001' and parse_id = 'parse-7';
-- 15 items in every status, one in a status that is none
insert into public.training_items (artist_id, als_summary_id, parse_id, als_filename, project_name, audio_path, prompt_text, status)
select ('00000000-0000-4000-8000-00000000000' || (n % 7 + 1))::uuid, s.id, 'parse-' || n, s.als_filename, s.project_name,
  case n % 7 when 0 then 'artists/nawf-side/training/' || n || '/audio.mp3' when 4 then 'artists/old-name/training/' || n || '/audio.mp3' end,
  case when n % 2 = 0 then 'An old prompt. BPM: 120' end,
  (array['needs_audio', 'needs_prompt', 'ready', 'exported', 'failed', 'weird'])[n % 6 + 1]
from generate_series(1, 15) as n left join public.als_summaries s on s.parse_id = 'parse-' || n;
