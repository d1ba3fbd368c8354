-- What a list of Live Sets shows, beside the summary: a large set's has megabytes, which a list must not unpack.

alter table public.als_summaries
  add column if not exists overview jsonb generated always as (summary -> 'overview') stored,
  add column if not exists scale jsonb generated always as (summary -> 'scale') stored,
  add column if not exists length_bars jsonb generated always as (summary -> 'length_bars') stored;
