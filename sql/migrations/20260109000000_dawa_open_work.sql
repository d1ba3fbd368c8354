-- What stands open of all artists is asked every few minutes: it must cost what is open, not what there is.

create index training_items_open on public.training_items (status, artist_id)
  where excluded_at is null and status in ('needs_audio', 'needs_prompt', 'failed', 'ready');

create index uploads_open on public.uploads (state, artist_id) where state <> 'taken';

create index training_runs_failed on public.training_runs (artist_id, model_name) where state = 'failed';
