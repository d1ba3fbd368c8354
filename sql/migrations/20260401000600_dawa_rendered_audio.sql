-- What was generated, to be known again: a row for each sound that left the project, with its landmarks.

create table public.rendered_audio (
  id text primary key,              -- made from artist, adapter, run and samples: the same again is the same row
  artist_id uuid references public.artists (id) on delete cascade, -- empty: the base alone, or no artist's adapter
  audio_sha256 text not null check (audio_sha256 ~ '^[0-9a-f]{64}$'), -- of the samples, before any mark
  origin text not null check (origin in ('command', 'http', 'preview', 'evaluation', 'rendering')),
  generator text not null,
  base text not null,
  lora text,                        -- producer:model; empty: the base alone
  run text,                         -- the training that the adapter is of
  prompt text not null,
  seed bigint,
  seconds double precision not null,
  landmarks bytea,                  -- frames and hashes, packed; empty where nothing here could find them
  made_at timestamptz not null default now()
);
create index rendered_audio_artist on public.rendered_audio (artist_id, made_at desc);
create index rendered_audio_samples on public.rendered_audio (audio_sha256);

alter table public.rendered_audio enable row level security;
revoke all on public.rendered_audio from public, anon, authenticated;
grant all on public.rendered_audio to service_role;
