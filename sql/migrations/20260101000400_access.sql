-- Who may do what. The pipeline's role sees all; a signed-in user sees the artists he is linked to and may write
-- what is harmless; the anonymous role sees nothing. The source left `artists`, `artist_profiles` and
-- `user_artists` open, so that any user could link himself to any artist: its policies are replaced.

do $$
declare
  found record;
begin
  for found in
    select policyname, tablename from pg_policies
    where schemaname = 'public'
      and tablename in ('artists', 'artist_profiles', 'user_artists', 'als_summaries', 'training_items')
  loop
    execute format('drop policy %I on public.%I', found.policyname, found.tablename);
  end loop;

  for found in
    select unnest(array[
      'artists', 'artist_profiles', 'user_artists', 'als_summaries', 'training_items', 'uploads', 'prompts',
      'artist_prompt_state', 'datasets', 'dataset_items', 'audio_segments', 'segment_tags', 'training_runs', 'leases'
    ]) as tablename
  loop
    execute format('alter table public.%I enable row level security', found.tablename);
    execute format('revoke all on public.%I from public, anon, authenticated', found.tablename);
    execute format('grant all on public.%I to service_role', found.tablename);
  end loop;

  -- Column grants outlive `revoke all on table` where they were given column by column.
  for found in
    select table_name as tablename, column_name, grantee, privilege_type from information_schema.column_privileges
    where table_schema = 'public' and grantee in ('PUBLIC', 'anon', 'authenticated')
      and table_name in ('artists', 'artist_profiles', 'user_artists', 'als_summaries', 'training_items')
  loop
    execute format(
      'revoke %s (%I) on public.%I from %s', found.privilege_type, found.column_name, found.tablename,
      case found.grantee when 'PUBLIC' then 'public' else quote_ident(found.grantee) end
    );
  end loop;

  for found in
    select oid::regprocedure as signature from pg_proc
    where pronamespace = 'public'::regnamespace and proname like 'dawa\_%'
  loop
    execute format('revoke all on function %s from public, anon, authenticated', found.signature);
    execute format('grant execute on function %s to service_role', found.signature);
  end loop;
end
$$;

grant usage on schema public to authenticated, service_role;

grant select on public.user_artists, public.artists, public.artist_profiles, public.als_summaries,
  public.training_items to authenticated;
grant insert (artist_id, name, master_schema), update (name, master_schema) on public.artist_profiles to authenticated;
grant insert (artist_id, als_summary_id, parse_id, als_filename, project_name), update (prompt_text, excluded_at)
  on public.training_items to authenticated;

create policy "users see their own links" on public.user_artists for select to authenticated
using (user_id = (select auth.uid()));

create policy "users see their artists" on public.artists for select to authenticated
using (id in (select artist_id from public.user_artists where user_id = (select auth.uid())));

create policy "users see their artists' profiles" on public.artist_profiles for select to authenticated
using (artist_id in (select artist_id from public.user_artists where user_id = (select auth.uid())));
create policy "users add their artists' profiles" on public.artist_profiles for insert to authenticated
with check (artist_id in (select artist_id from public.user_artists where user_id = (select auth.uid())));
create policy "users edit their artists' profiles" on public.artist_profiles for update to authenticated
using (artist_id in (select artist_id from public.user_artists where user_id = (select auth.uid())));

create policy "users see their artists' summaries" on public.als_summaries for select to authenticated
using (artist_id in (select artist_id from public.user_artists where user_id = (select auth.uid())));

create policy "users see their artists' items" on public.training_items for select to authenticated
using (artist_id in (select artist_id from public.user_artists where user_id = (select auth.uid())));
create policy "users add items to their artists" on public.training_items for insert to authenticated
with check (artist_id in (select artist_id from public.user_artists where user_id = (select auth.uid())));
create policy "users edit their artists' items" on public.training_items for update to authenticated
using (artist_id in (select artist_id from public.user_artists where user_id = (select auth.uid())));
