-- What the pipeline adds to the source's tables, and its own tables beside them.

alter table public.artists add column if not exists slug text;

-- Only what prompts are made from: a refreshed provenance must not make a prompt stale, and schema_version is
-- compared by itself.
alter table public.artist_profiles add column if not exists content_hash text
  generated always as (
    md5(
      case jsonb_typeof(master_schema)
        when 'object' then (master_schema - 'provenance' - 'schema_version' - 'uuids')::text
        else master_schema::text
      end
    )
  ) stored;

alter table public.als_summaries add column if not exists parser_version text;
alter table public.als_summaries add column if not exists source_key text;

create table public.uploads (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  upload_id text not null,          -- the folder of the inbox: one per upload, never reused by the pipeline
  inbox_key text not null,          -- where it lay (or lies, while it waits)
  folder text not null default '',  -- the folder inside the upload, as it was on the user's machine
  name text not null,               -- the file's own name
  kind text not null check (kind in ('live_set', 'audio', 'other')),
  sha256 text not null,
  size_bytes bigint not null,
  state text not null check (state in ('waiting', 'taken', 'rejected')),
  reason text,                      -- why it waits or was rejected
  final_key text,                   -- where it goes; set before the copy is made
  als_summary_id uuid references public.als_summaries (id) on delete set null,
  training_item_id uuid references public.training_items (id) on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (inbox_key, sha256)
);
create index uploads_artist_state on public.uploads (artist_id, state);

-- Every prompt ever written, one row per fingerprint. What an item uses now is training_items.prompt_id.
create table public.prompts (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  als_summary_id uuid references public.als_summaries (id) on delete set null,
  fingerprint text not null,
  origin text not null check (origin in ('model', 'human')),
  text text not null,
  system_prompt_version text,
  schema_version text,
  profile_hash text,
  model_name text,
  author text,
  input_tokens integer not null default 0,
  output_tokens integer not null default 0,
  cost_usd numeric(12, 6) not null default 0,
  duration_ms integer not null default 0,
  created_at timestamptz not null default now(),
  unique (artist_id, fingerprint)
);
create index prompts_summary on public.prompts (als_summary_id);

-- What an artist's prompts were last complete for: makes "is anything stale?" one comparison per artist.
create table public.artist_prompt_state (
  artist_id uuid primary key references public.artists (id) on delete cascade,
  profile_hash text not null,
  schema_version text not null,
  system_prompt_version text not null,
  model_name text not null,
  completed_at timestamptz not null default now()
);

alter table public.training_items
  add column if not exists item_key text,       -- project folder + set name; only the pipeline sets it
  add column if not exists prompt_id uuid references public.prompts (id) on delete set null,
  add column if not exists prompt_file_hash text, -- of the text that prompt_path holds
  add column if not exists audio_hash text,
  add column if not exists audio_format text,   -- file extension without dot
  add column if not exists audio_duration_seconds double precision,
  add column if not exists error text,
  add column if not exists excluded_at timestamptz;
create unique index training_items_item_key on public.training_items (artist_id, item_key);
create index training_items_summary on public.training_items (als_summary_id);

create table public.datasets (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  fingerprint text not null,
  -- done: a whole set, the latest finished one is the artist's current one; export: only what was new, to hand out
  state text not null check (state in ('building', 'done', 'export')),
  storage_path text not null,       -- fixed when building starts
  manifest_path text not null,
  item_count integer not null,
  size_bytes bigint,
  sha256 text,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  pruned_at timestamptz,
  unique (artist_id, fingerprint)
);

create table public.dataset_items (
  dataset_id uuid not null references public.datasets (id) on delete cascade,
  position integer not null,        -- 1, 2, … as in track-0001
  training_item_id uuid references public.training_items (id) on delete set null,
  item_key text,
  parse_id text,
  als_summary_id uuid references public.als_summaries (id) on delete set null,
  audio_path text not null,
  audio_hash text not null,
  audio_format text not null,
  prompt_id uuid references public.prompts (id) on delete set null,
  prompt_text text not null,
  primary key (dataset_id, position)
);
create index dataset_items_item on public.dataset_items (training_item_id);

-- What the worker cut from a file: a record of its write-once cache, so that what is made, tagged or missing can
-- be told where the cache is not at hand.
create table public.audio_segments (
  audio_hash text not null,
  recipe text not null,
  index integer not null,
  segment_hash text not null,       -- of the wav file's bytes
  start_seconds double precision not null,
  samples integer not null,
  gain_db double precision not null,
  peak_dbfs double precision,
  silent boolean not null,
  primary key (audio_hash, recipe, index)
);
create index audio_segments_hash on public.audio_segments (segment_hash);

-- What a tagger said of a segment. Belongs to the sound, not to an artist: the same bytes are tagged once.
create table public.segment_tags (
  segment_hash text not null,
  model text not null,
  tag_prompt_version text not null,
  hint text not null default '',    -- the known facts that the tagger was told, e.g. bpm=124
  text text not null,
  tags jsonb not null,
  figures jsonb not null,
  cost_usd numeric(12, 6) not null default 0,
  created_at timestamptz not null default now(),
  primary key (segment_hash, model, tag_prompt_version, hint)
);

create table public.training_runs (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  dataset_id uuid references public.datasets (id) on delete set null,
  fingerprint text not null,        -- of everything that decides the adapter: examples, base, parameters
  backend text not null,
  base text not null,
  model_name text not null,
  parameters jsonb not null,
  call_id text,
  state text not null check (state in ('running', 'done', 'failed')),
  error text,
  metrics jsonb not null default '{}',
  adapter_key text,                 -- folder in the bucket
  adapter_sha256 text,
  promoted boolean not null default false,
  created_at timestamptz not null default now(),
  finished_at timestamptz,
  unique (artist_id, fingerprint)
);
create unique index training_runs_promoted on public.training_runs (artist_id, model_name) where promoted;

-- One worker per artist and step. The fencing number is checked again in the transaction that commits.
create table public.leases (
  artist_id uuid not null references public.artists (id) on delete cascade,
  step text not null,
  holder text not null,
  fence bigint not null,
  expires_at timestamptz not null,
  primary key (artist_id, step)
);
