-- The quality gate: what was measured of each content, where the same music is twice, and what that means for an item.

-- One row an artist and a content. Keyed by content: audio that comes back is not measured again.
create table public.audio_measurements (
  artist_id uuid not null references public.artists (id) on delete cascade,
  audio_hash text not null,
  version text not null,            -- of what measures
  measured jsonb not null,
  fingerprint bytea not null,
  compared_at timestamptz,          -- since when it has been looked for among all others
  created_at timestamptz not null default now(),
  primary key (artist_id, audio_hash)
);
create index audio_measurements_hash on public.audio_measurements (audio_hash);
create index audio_measurements_uncompared on public.audio_measurements (artist_id) where compared_at is null;

-- Where a content is in another one, of the same artist or of another; a pair has a row on each side.
create table public.audio_matches (
  artist_id uuid not null,
  audio_hash text not null,
  other_artist_id uuid not null,
  other_hash text not null,
  hits integer not null,
  pitch double precision not null,  -- semitones by which it is higher than the other
  speed double precision not null,  -- how many times as fast
  seconds double precision not null,
  start_seconds double precision not null,
  other_start_seconds double precision not null,
  primary key (artist_id, audio_hash, other_artist_id, other_hash),
  foreign key (artist_id, audio_hash) references public.audio_measurements (artist_id, audio_hash) on delete cascade,
  foreign key (other_artist_id, other_hash) references public.audio_measurements (artist_id, audio_hash)
    on delete cascade
);
create index audio_matches_other on public.audio_matches (other_artist_id, other_hash);

-- What there is to say of an item's audio now. Nothing here names another artist.
create table public.item_findings (
  artist_id uuid not null references public.artists (id) on delete cascade,
  training_item_id uuid not null references public.training_items (id) on delete cascade,
  kind text not null,
  subject text not null default '', -- the artist's other item that it is about
  audio_hash text not null,
  level text not null check (level in ('blocks', 'warns')),
  number double precision,
  sentence text not null,
  way_out text not null,
  version text not null,            -- of the rules
  found_at timestamptz not null default now(),
  primary key (training_item_id, kind, subject)
);
create index item_findings_artist on public.item_findings (artist_id);

-- What a person accepted of an item's audio, and why. It holds for this audio; other audio is looked at anew.
create table public.item_acceptances (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  training_item_id uuid not null references public.training_items (id) on delete cascade,
  audio_hash text not null,
  kind text not null,
  reason text not null,
  author text not null,
  at timestamptz not null default now(),
  withdrawn_at timestamptz
);
create unique index item_acceptances_current on public.item_acceptances (training_item_id, audio_hash, kind)
where withdrawn_at is null;
create index item_acceptances_artist on public.item_acceptances (artist_id);

do $$
declare
  name text;
begin
  foreach name in array array['audio_measurements', 'audio_matches', 'item_findings', 'item_acceptances'] loop
    execute format('alter table public.%I enable row level security', name);
    execute format('revoke all on public.%I from public, anon, authenticated', name);
    execute format('grant all on public.%I to service_role', name);
  end loop;
  foreach name in array array['audio_measurements', 'audio_matches', 'item_acceptances'] loop
    execute format(
      'create policy "only the pipeline comes here" on public.%I as restrictive for all to anon, authenticated '
      'using (false) with check (false)', name);
  end loop;
end
$$;

grant select on public.item_findings to authenticated;
create policy "users see their artists' findings" on public.item_findings for select to authenticated
using (artist_id in (select artist_id from public.user_artists where user_id = (select auth.uid())));

create trigger dawa_guard_references before insert or update of artist_id, training_item_id on public.item_findings
for each row execute function public.dawa_guard_references('training_item_id', 'training_items');
create trigger dawa_guard_references before insert or update of artist_id, training_item_id on public.item_acceptances
for each row execute function public.dawa_guard_references('training_item_id', 'training_items');
