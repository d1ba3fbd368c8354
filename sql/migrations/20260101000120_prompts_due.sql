-- Which items' prompts are to be looked at, as one small index: so that "is any artist's prompt missing or older than
-- its set's summary?" costs what is due, not what there is.

alter table public.training_items
  -- the summary for which the prompt was last settled: written, found current, a person's, or known to be impossible
  add column if not exists prompt_summary_id uuid;

create index training_items_prompt_due on public.training_items (artist_id)
  where als_summary_id is not null and excluded_at is null and prompt_summary_id is distinct from als_summary_id;

-- A summary that says something else now (a newer parser read the set again) is one that nothing was settled for.
create function public.dawa_summary_changed() returns trigger
language plpgsql set search_path = '' as $$
begin
  update public.training_items set prompt_summary_id = null
  where als_summary_id = new.id and prompt_summary_id is not null;
  return null;
end
$$;

create trigger als_summaries_prompts_due after update of summary on public.als_summaries
  for each row when (old.summary is distinct from new.summary) execute function public.dawa_summary_changed();
