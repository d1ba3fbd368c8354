-- What a Live Set knows of its bounce: where the bounce begins in the arrangement, what plays when, and what of that
-- falls into each segment. All of it can be made again from the set's file and the audio.

-- One row a set and a bounce that was held against it. Keyed by content: a pair that comes back is not compared again.
create table public.alignments (
  artist_id uuid not null references public.artists (id) on delete cascade,
  parse_id text not null,
  audio_hash text not null,
  version text not null,            -- of what decides an answer
  answer text not null check (answer in ('aligned', 'not this arrangement', 'can''t be told')),
  confidence double precision not null,
  offset_seconds double precision,  -- of the arrangement, where the bounce begins; null unless aligned
  bar double precision,
  tempo double precision,           -- that it was rendered at
  set_tempo double precision not null,
  score double precision,
  margin double precision,
  reasons text[] not null,
  created_at timestamptz not null default now(),
  primary key (artist_id, parse_id, audio_hash),
  check ((answer = 'aligned') = (offset_seconds is not null and tempo is not null))
);

-- What plays when in a set, by its own clock.
create table public.song_timelines (
  artist_id uuid not null references public.artists (id) on delete cascade,
  parse_id text not null,
  version text not null,
  timeline jsonb not null,
  created_at timestamptz not null default now(),
  primary key (artist_id, parse_id)
);

-- What the set knows of each segment of an aligned bounce, as it was last used.
create table public.segment_facts (
  artist_id uuid not null references public.artists (id) on delete cascade,
  parse_id text not null,
  audio_hash text not null,
  index integer not null,           -- as in audio_segments
  version text not null,
  facts jsonb not null,
  primary key (artist_id, parse_id, audio_hash, index)
);

alter table public.alignments enable row level security;
alter table public.song_timelines enable row level security;
alter table public.segment_facts enable row level security;
revoke all on public.alignments, public.song_timelines, public.segment_facts from public, anon, authenticated;
grant all on public.alignments, public.song_timelines, public.segment_facts to service_role;
