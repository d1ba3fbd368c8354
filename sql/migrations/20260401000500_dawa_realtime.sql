-- What a dashboard may follow while it happens: its artists' items, the ledger of their uploads, their trainings. A
-- signed-in user sees those rows, and where the project has Supabase's publication for Realtime they are in it; Realtime
-- hands on a row only to whom its policy shows it, with the columns that they may read.

grant select on public.uploads to authenticated;
-- Neither what a training cost nor what names its call on another machine.
grant select (
  id, artist_id, dataset_id, backend, base, model_name, state, error, promoted, created_at, finished_at, candidate_at
) on public.training_runs to authenticated;

create policy "users see their artists' uploads" on public.uploads for select to authenticated
using (artist_id in (select artist_id from public.user_artists where user_id = (select auth.uid())));
create policy "users see their artists' trainings" on public.training_runs for select to authenticated
using (artist_id in (select artist_id from public.user_artists where user_id = (select auth.uid())));

-- All other tables of the pipeline say so in a policy: a table that has none looks like one that was forgotten.
do $$
declare
  closed text;
begin
  foreach closed in array array[
    'prompts', 'artist_prompt_state', 'datasets', 'dataset_items', 'audio_segments', 'segment_tags', 'lora_evaluations',
    'lora_promotions', 'leases', 'renderings', 'listens', 'verifications', 'spending', 'item_exclusions',
    'artist_deletions'
  ] loop
    execute format(
      'create policy "only the pipeline comes here" on public.%I as restrictive for all to anon, authenticated '
      'using (false) with check (false)', closed);
  end loop;
end
$$;

do $$
declare
  followed text;
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    raise notice 'there is no Realtime beside this database: nothing can be followed by it';
    return;
  end if;
  if exists (select from pg_publication where pubname = 'supabase_realtime' and puballtables) then
    return;
  end if;
  foreach followed in array array['training_items', 'uploads', 'training_runs'] loop
    continue when exists (
      select from pg_publication_tables
      where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = followed
    );
    execute format('alter publication supabase_realtime add table public.%I', followed);
  end loop;
exception when insufficient_privilege then
  raise warning 'this user may not change the publication supabase_realtime: dashboards can''t follow training_items, '
    'uploads and training_runs until somebody who may adds them to it';
end
$$;
