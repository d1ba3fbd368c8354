-- Who may do what with the bucket's files by the project's own API: a signed-in user writes new files into the inbox of
-- the artists that he is linked to and reads what lies under their folders; nobody else does anything. The inbox can
-- only be written to: what lies there is moved within minutes, and nobody can replace what somebody else uploads.
-- The source let everybody read, insert and update.
--
-- Policies that let in are joined by OR, with those of other buckets too, some of which name no bucket at all. So each
-- rule is laid down twice: once to let in, and once as a restriction that whatever lets in can't get around. Only
-- signed-in users may look into the tables that rules are about, so every other role has a restriction of its own.

do $$
declare
  found record;
  inbox constant text := $sql$
    split_part(name, '/', 1) = 'inbox'
    and name ~ '^inbox/[^/]+/[^/]+/.+$'
    and name !~ '(^|/)\.{0,2}(/|$)'
    and name !~ '[[:cntrl:]\\]'
    and split_part(name, '/', 2) in (
      select artists.slug from public.artists
      join public.user_artists on user_artists.artist_id = artists.id
      where user_artists.user_id = (select auth.uid())
    )
  $sql$;
  folder constant text := $sql$
    split_part(name, '/', 1) = 'artists'
    and name ~ '^artists/[^/]+/.+$'
    and split_part(name, '/', 2) in (
      select artists.slug from public.artists
      join public.user_artists on user_artists.artist_id = artists.id
      where user_artists.user_id = (select auth.uid())
    )
  $sql$;
  ours constant text := $sql$bucket_id = 'dawa-exports'$sql$;
  others constant text := $sql$bucket_id is distinct from 'dawa-exports'$sql$;
  a_user constant text := $sql$current_user = 'authenticated'$sql$;
begin
  if to_regclass('storage.objects') is null or to_regclass('storage.buckets') is null then
    raise notice 'there is no Supabase Storage beside this database: no policies for it';
    return;
  end if;
  if not (select bool_and(relrowsecurity) from pg_class
          where oid in ('storage.objects'::regclass, 'storage.buckets'::regclass)) then
    raise exception 'storage.objects has no row level security: whoever can reach it can read all files';
  end if;

  insert into storage.buckets (id, name, public) values ('dawa-exports', 'dawa-exports', false)
  on conflict (id) do update set public = false where buckets.public is distinct from false;

  -- Those that are about this bucket alone, as the source's three are. One that is about several may be needed for the
  -- others and stays; the restriction keeps it out of this one.
  for found in
    select policyname, coalesce(qual, '') || ' ' || coalesce(with_check, '') as rule from pg_policies
    where schemaname = 'storage' and tablename = 'objects' and permissive = 'PERMISSIVE'
  loop
    continue when strpos(found.rule, $sql$(bucket_id = 'dawa-exports'::text)$sql$) = 0;
    continue when replace(found.rule, 'IS NOT NULL', '') ~ '\m(OR|NOT|ANY|CASE)\M';
    execute format('drop policy %I on storage.objects', found.policyname);
  end loop;

  execute format(
    'create policy "dawa: users upload to the inboxes of their artists" on storage.objects for insert to authenticated '
    'with check (%s and %s)', ours, inbox);
  execute format(
    'create policy "dawa: users read the folders of their artists" on storage.objects for select to authenticated '
    'using (%s and %s)', ours, folder);

  execute format(
    'create policy "dawa: users upload nothing else" on storage.objects as restrictive for insert to authenticated '
    'with check (%s or (%s))', others, inbox);
  execute format(
    'create policy "dawa: users read nothing else" on storage.objects as restrictive for select to authenticated '
    'using (%s or (%s))', others, folder);
  execute format(
    'create policy "dawa: nobody changes a file" on storage.objects as restrictive for update to public '
    'using (%s) with check (%s)', others, others);
  execute format(
    'create policy "dawa: nobody deletes a file" on storage.objects as restrictive for delete to public '
    'using (%s)', others);
  execute format(
    'create policy "dawa: only users come here" on storage.objects as restrictive for all to public '
    'using (%s or %s) with check (%s or %s)', others, a_user, others, a_user);
  create policy "dawa: the bucket is nobody's" on storage.buckets as restrictive for all to public
  using (id is distinct from 'dawa-exports') with check (id is distinct from 'dawa-exports');
exception when insufficient_privilege then
  -- Without any policy nothing is let in, so only one that is there already can make this unsafe.
  if exists (
    select from pg_policies where schemaname = 'storage' and tablename = 'objects' and permissive = 'PERMISSIVE'
    and (coalesce(qual, '') || coalesce(with_check, '') ~ 'dawa-exports'
      or coalesce(qual, '') || coalesce(with_check, '') !~ 'bucket_id')
  ) or exists (select from storage.buckets where id = 'dawa-exports' and public) then
    raise exception 'this user may not make policies on storage.objects, and the bucket dawa-exports is public or opened '
      'by policies there: mend it in the dashboard (Storage, Policies), or migrate as the user who owns the table';
  end if;
  raise warning 'this user may not make policies on storage.objects: dashboard users can neither upload to nor read the '
    'bucket dawa-exports until somebody who may runs the file dawa_storage_policies';
end
$$;
