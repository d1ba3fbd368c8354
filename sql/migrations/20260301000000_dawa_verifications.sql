-- What the last look at an artist's files found: by the schedules, or by `dawa verify`. Shown until it is mended.

create table public.verifications (
  artist_id uuid primary key references public.artists (id) on delete cascade,
  names_at timestamptz,             -- when names and sizes were last held against the rows, to the end
  bytes_at timestamptz,             -- when all bytes were
  findings jsonb not null default '[]' -- problem, what, key, reason, since: what was wrong, and was not mended then
);
create index verifications_open on public.verifications (artist_id) where findings <> '[]';

alter table public.verifications enable row level security;
revoke all on public.verifications from public, anon, authenticated;
grant all on public.verifications to service_role;
