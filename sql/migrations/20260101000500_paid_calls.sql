-- What hosted models are asked and paid for: where a text came from, a new take of one, and every cent that was spent.

-- Beyond the columns there are: the answer's id, the model that really served it, calls, repairs.
alter table public.prompts add column if not exists provenance jsonb not null default '{}';

-- Raised to ask for another text from the same inputs; part of the fingerprint.
alter table public.training_items add column if not exists prompt_take integer not null default 0
  check (prompt_take >= 0);

-- One row per day (UTC), service, model and artist. Counts every paid call, also those whose answer could not be used.
-- Not tied to the artist's row: what was spent stays spent.
create table public.spending (
  day date not null,
  service text not null check (service in ('prompts', 'tags')),
  model text not null,
  artist_id uuid not null,
  calls bigint not null default 0,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  cost_usd numeric(14, 6) not null default 0,
  primary key (day, service, model, artist_id)
);

alter table public.spending enable row level security;
revoke all on public.spending from public, anon, authenticated;
grant all on public.spending to service_role;
