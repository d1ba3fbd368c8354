-- Choosing a LoRA by ear: what was rendered to be heard side by side, and what listeners said of it.

create table public.renderings (
  id text primary key,              -- made from what was asked for: the same again is the same rendering
  artist_id uuid not null references public.artists (id) on delete cascade,
  prompt text not null,
  seed bigint not null,
  seconds double precision not null,
  scale double precision not null default 1,
  parts jsonb not null,             -- who (base, published, candidate), run, key in the bucket, loudness, error
  created_at timestamptz not null default now()
);
create index renderings_artist on public.renderings (artist_id, created_at desc);

create table public.listens (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  run_id uuid not null references public.training_runs (id) on delete cascade,
  who text not null,
  first text not null check (first in ('base', 'published', 'candidate')),
  second text not null check (second in ('base', 'published', 'candidate') and second <> first),
  choice text check (choice in (first, second)), -- which is closer to the artist; empty: no difference
  score smallint check (score between 1 and 5),
  blind boolean not null,           -- it was hidden which is which
  rendering_id text references public.renderings (id) on delete set null,
  at timestamptz not null default now()
);
create index listens_run on public.listens (run_id);
create index listens_artist on public.listens (artist_id, at desc);

do $$
declare
  name text;
begin
  foreach name in array array['renderings', 'listens'] loop
    execute format('alter table public.%I enable row level security', name);
    execute format('revoke all on public.%I from public, anon, authenticated', name);
    execute format('grant all on public.%I to service_role', name);
  end loop;
end
$$;

create trigger dawa_guard_references before insert or update of artist_id, run_id on public.listens
for each row execute function public.dawa_guard_references('run_id', 'training_runs');

-- Since when somebody works on a step, and how far that is: for people who wait. No step depends on it.
alter table public.leases
  add column if not exists started_at timestamptz,
  add column if not exists progress jsonb;
