-- Trainings that are expected to cost more than is let through without being asked: what is waited for, and who said yes.

create table public.training_approvals (
  artist_id uuid not null references public.artists (id) on delete cascade,
  fingerprint text not null,        -- of the training: examples, base and parameters
  model_name text not null,
  dataset_id uuid not null references public.datasets (id) on delete cascade,
  plan text not null,               -- what the training will be, one line
  expected_usd double precision,    -- empty: nobody knows what it costs
  asked_at timestamptz not null default now(),
  approved_at timestamptz,          -- empty while it is waited for
  approved_by text,
  primary key (artist_id, fingerprint),
  check ((approved_at is null) = (approved_by is null))
);
create index training_approvals_waiting on public.training_approvals (asked_at) where approved_at is null;
create index training_approvals_dataset on public.training_approvals (dataset_id);

alter table public.training_approvals enable row level security;
revoke all on public.training_approvals from public, anon, authenticated;
grant all on public.training_approvals to service_role;

create trigger dawa_guard_references before insert or update of artist_id, dataset_id on public.training_approvals
for each row execute function public.dawa_guard_references('dataset_id', 'datasets');
