-- The five tables of the source system, as documented there. On a database where they exist already, with
-- rows, this file changes nothing: later files adopt what they find.

create table if not exists public.artists (
  id uuid primary key default gen_random_uuid(),
  name text not null unique,
  created_at timestamptz default now()
);

create table if not exists public.artist_profiles (
  artist_id uuid primary key references public.artists (id) on delete cascade,
  name text,
  master_schema jsonb not null default '{}',
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create table if not exists public.user_artists (
  user_id uuid not null,
  artist_id uuid not null references public.artists (id) on delete cascade,
  role text not null default 'owner',
  created_at timestamptz default now(),
  primary key (user_id, artist_id)
);

create table if not exists public.als_summaries (
  id uuid primary key default gen_random_uuid(),
  project_name text,
  als_filename text not null,
  parse_id text not null,
  parse_timestamp timestamptz not null default now(),
  summary jsonb not null,
  export_path text,
  artist_id uuid references public.artists (id) on delete set null,
  created_at timestamptz default now(),
  unique (als_filename, parse_id),
  unique (artist_id, parse_id)
);

create table if not exists public.training_items (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  als_summary_id uuid references public.als_summaries (id) on delete set null,
  parse_id text not null,
  als_filename text,
  project_name text,
  audio_path text,
  prompt_path text,
  prompt_text text,
  status text not null default 'needs_audio',
  system_prompt_version text,
  model_name text,
  generated_at timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);

create index if not exists idx_training_items_artist_status on public.training_items (artist_id, status);
