-- Tables that came since, and are the pipeline's alone: each says so in a policy, as all others do.

do $$
declare
  closed text;
begin
  foreach closed in array array[
    'alignments', 'song_timelines', 'segment_facts', 'training_approvals', 'rendered_audio', 'permissions',
    'permission_revocations'
  ] loop
    continue when exists (
      select from pg_policies
      where schemaname = 'public' and tablename = closed and policyname = 'only the pipeline comes here'
    );
    execute format(
      'create policy "only the pipeline comes here" on public.%I as restrictive for all to anon, authenticated '
      'using (false) with check (false)', closed);
  end loop;
end
$$;
