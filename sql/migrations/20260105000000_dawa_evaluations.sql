-- What an adapter is worth and which one is published: candidates, what was found of them, and every promotion.

-- Since when a run is the one that is to be judged: the latest training of the artist's current content.
alter table public.training_runs add column if not exists candidate_at timestamptz;
create unique index if not exists training_runs_candidate on public.training_runs (artist_id, model_name)
  where candidate_at is not null;

create table public.lora_evaluations (
  run_id uuid primary key references public.training_runs (id) on delete cascade,
  artist_id uuid not null references public.artists (id) on delete cascade,
  rule text not null,               -- the name of the rule that the verdict follows
  adapter_sha256 text not null,     -- of the adapter that was judged
  rival_id uuid references public.training_runs (id) on delete set null, -- the promoted one that it was compared with
  verdict text not null check (verdict in ('better', 'no better', 'broken')),
  reasons text[] not null,
  figures jsonb not null,
  prompt text not null,             -- what was rendered, with which seed
  seed bigint not null,
  files jsonb not null,             -- name in the run's folder -> size
  decided_at timestamptz,           -- when it was promoted or not
  decision text,                    -- what was decided and why, one line
  created_at timestamptz not null default now()
);
create index lora_evaluations_artist on public.lora_evaluations (artist_id);

-- A log: one row per promotion. What is published now is training_runs.promoted.
create table public.lora_promotions (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  model_name text not null,
  run_id uuid not null references public.training_runs (id) on delete cascade,
  promoted_by text not null check (promoted_by in ('evaluation', 'person')),
  is_rollback boolean not null default false, -- it takes the promotion before it back
  reason text not null,
  asked_at timestamptz not null default now(),
  published_at timestamptz          -- empty while it is under way, or after its process was killed
);
create index lora_promotions_artist on public.lora_promotions (artist_id, model_name, asked_at);
create unique index lora_promotions_under_way on public.lora_promotions (artist_id, model_name)
  where published_at is null;

insert into public.lora_promotions (artist_id, model_name, run_id, promoted_by, reason, published_at)
select artist_id, model_name, id, 'evaluation', 'published before there were evaluations', coalesce(finished_at, now())
from public.training_runs where promoted;

do $$
declare
  name text;
begin
  foreach name in array array['lora_evaluations', 'lora_promotions'] loop
    execute format('alter table public.%I enable row level security', name);
    execute format('revoke all on public.%I from public, anon, authenticated', name);
    execute format('grant all on public.%I to service_role', name);
  end loop;
end
$$;

create trigger dawa_guard_references before insert or update of artist_id, run_id, rival_id on public.lora_evaluations
for each row execute function public.dawa_guard_references('run_id', 'training_runs', 'rival_id', 'training_runs');
create trigger dawa_guard_references before insert or update of artist_id, run_id on public.lora_promotions
for each row execute function public.dawa_guard_references('run_id', 'training_runs');
