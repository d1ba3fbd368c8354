-- The bucket is private, and a user writes new files into the inboxes of their artists and reads their folders alone.
begin;
select no_plan();

select results_eq(
  $$select public from storage.buckets where id = 'dawa-exports'$$, array[false], 'the bucket is private'
);
select results_eq(
  $$select relrowsecurity from pg_class where oid in ('storage.objects'::regclass, 'storage.buckets'::regclass)$$,
  array[true, true], 'files and buckets have row level security'
);
select bag_eq(
  $$select tablename::text, policyname::text, cmd, permissive from pg_policies
    where schemaname = 'storage' and policyname like 'dawa: %'$$,
  $$values
    ('objects', 'dawa: users upload to the inboxes of their artists', 'INSERT', 'PERMISSIVE'),
    ('objects', 'dawa: users read the folders of their artists', 'SELECT', 'PERMISSIVE'),
    ('objects', 'dawa: users upload nothing else', 'INSERT', 'RESTRICTIVE'),
    ('objects', 'dawa: users read nothing else', 'SELECT', 'RESTRICTIVE'),
    ('objects', 'dawa: nobody changes a file', 'UPDATE', 'RESTRICTIVE'),
    ('objects', 'dawa: nobody deletes a file', 'DELETE', 'RESTRICTIVE'),
    ('objects', 'dawa: only users come here', 'ALL', 'RESTRICTIVE'),
    ('buckets', 'dawa: the bucket is nobody''s', 'ALL', 'RESTRICTIVE')$$,
  'its policies are there'
);
select is_empty(
  $$select policyname from pg_policies
    where schemaname = 'storage' and permissive = 'PERMISSIVE' and policyname not like 'dawa: %'
      and coalesce(qual, '') || coalesce(with_check, '') like '%dawa-exports%'$$,
  'and nobody else''s lets into it'
);

insert into auth.users (id, email) values ('a1a1a1a1-0000-4000-8000-000000000001', 'pgtap-one@example.com');
insert into public.artists (id, name) values
  ('b1b1b1b1-0000-4000-8000-000000000001', 'pgTAP One'), ('b1b1b1b1-0000-4000-8000-000000000002', 'pgTAP Two');
insert into public.user_artists (user_id, artist_id)
values ('a1a1a1a1-0000-4000-8000-000000000001', 'b1b1b1b1-0000-4000-8000-000000000001');
insert into storage.objects (bucket_id, name)
select 'dawa-exports', 'artists/' || slug || '/training/i/audio.wav' from public.artists where name like 'pgTAP %';

set local role authenticated;
set local request.jwt.claims = '{"sub": "a1a1a1a1-0000-4000-8000-000000000001", "role": "authenticated"}';
select results_eq(
  $$select name from storage.objects where bucket_id = 'dawa-exports'$$,
  array['artists/pgtap-one/training/i/audio.wav'], 'a user reads their artist''s folder'
);
select lives_ok(
  $$insert into storage.objects (bucket_id, name) values ('dawa-exports', 'inbox/pgtap-one/u/a.wav')$$,
  'and uploads to the inbox'
);
select throws_ok(
  format($$insert into storage.objects (bucket_id, name) values ('dawa-exports', %L)$$, name), '42501', null,
  'but not to ' || name
) from unnest(array[
  'inbox/pgtap-two/u/a.wav', 'inbox/pgtap-one/a.wav', 'inbox/pgtap-one/../pgtap-two/u/a.wav',
  'artists/pgtap-one/training/i/audio.wav', 'artists/pgtap-one/new.wav', 'a.wav'
]) as name;
update storage.objects set name = 'inbox/pgtap-one/u/b.wav' where bucket_id = 'dawa-exports';
reset role;
select is_empty(
  $$select 1 from storage.objects where name = 'inbox/pgtap-one/u/b.wav'$$, 'a user renames no file'
);

set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select is_empty(
  $$select 1 from storage.objects where bucket_id = 'dawa-exports'$$, 'who is not signed in sees no file'
);
select throws_ok(
  $$insert into storage.objects (bucket_id, name) values ('dawa-exports', 'inbox/pgtap-one/u/c.wav')$$, '42501', null,
  'and uploads none'
);

reset role;
select * from finish();
rollback;
