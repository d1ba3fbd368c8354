-- Two users, each linked to an artist of their own, and who is not signed in: what each of them sees and may do.
begin;
select no_plan();

insert into auth.users (id, email) values
  ('a1a1a1a1-0000-4000-8000-000000000001', 'pgtap-one@example.com'),
  ('a1a1a1a1-0000-4000-8000-000000000002', 'pgtap-two@example.com');
insert into public.artists (id, name) values
  ('b1b1b1b1-0000-4000-8000-000000000001', 'pgTAP One'),
  ('b1b1b1b1-0000-4000-8000-000000000002', 'pgTAP Two');
insert into public.user_artists (user_id, artist_id) values
  ('a1a1a1a1-0000-4000-8000-000000000001', 'b1b1b1b1-0000-4000-8000-000000000001'),
  ('a1a1a1a1-0000-4000-8000-000000000002', 'b1b1b1b1-0000-4000-8000-000000000002');
insert into public.artist_profiles (artist_id, master_schema)
select id, '{}' from public.artists where name like 'pgTAP %';
insert into public.als_summaries (als_filename, parse_id, summary, artist_id)
select 'a.als', slug, '{}', id from public.artists where name like 'pgTAP %';
insert into public.training_items (artist_id, parse_id, prompt_text)
select id, slug, 'A text.' from public.artists where name like 'pgTAP %';
insert into public.uploads (artist_id, upload_id, inbox_key, name, kind, sha256, size_bytes, state)
select id, 'u', 'inbox/' || slug || '/u/a.wav', 'a.wav', 'audio', 'h', 1, 'waiting'
from public.artists where name like 'pgTAP %';
insert into public.training_runs (artist_id, fingerprint, backend, base, model_name, parameters, state)
select id, 'f', 'ace_step', 'tiny', 'm', '{}', 'running' from public.artists where name like 'pgTAP %';

set local role authenticated;
set local request.jwt.claims = '{"sub": "a1a1a1a1-0000-4000-8000-000000000001", "role": "authenticated"}';

select results_eq('select name from public.artists', array['pgTAP One'], 'a user sees their artist');
select results_eq('select user_id::text from public.user_artists', array['a1a1a1a1-0000-4000-8000-000000000001'],
  'and their own link');
select results_eq('select count(*)::int from public.artist_profiles', array[1], 'and one profile');
select results_eq('select parse_id from public.als_summaries', array['pgtap-one'], 'and their summaries');
select results_eq('select parse_id from public.training_items', array['pgtap-one'], 'and their items');
select results_eq('select inbox_key from public.uploads', array['inbox/pgtap-one/u/a.wav'], 'and their uploads');
select results_eq('select state, error from public.training_runs', $$values ('running', null::text)$$,
  'and their trainings');
select throws_ok('select metrics from public.training_runs', '42501', null, 'but not what those cost');
select throws_ok('select 1 from public.datasets', '42501', null, 'and nothing of the pipeline''s own tables');

select lives_ok($$update public.training_items set prompt_text = 'Mine.'$$, 'a user writes a text');
select lives_ok($$update public.training_items set excluded_at = now()$$, 'and leaves an item out');
select lives_ok(
  $$insert into public.training_items (artist_id, parse_id) values ('b1b1b1b1-0000-4000-8000-000000000001', 'x')$$,
  'and adds an item to their artist'
);
select throws_ok(
  $$insert into public.training_items (artist_id, parse_id) values ('b1b1b1b1-0000-4000-8000-000000000002', 'x')$$,
  '42501', null, 'and none to another'
);
select throws_ok($$update public.training_items set status = 'ready'$$, '42501', null, 'the status is the pipeline''s');
select lives_ok($$update public.artist_profiles set master_schema = '{"schema_version": "2"}'$$, 'a user edits a profile');
select throws_ok(
  $$insert into public.artist_profiles (artist_id) values ('b1b1b1b1-0000-4000-8000-000000000002')$$,
  '42501', null, 'of their own artist alone'
);
select throws_ok(
  $$insert into public.user_artists (user_id, artist_id)
    values ('a1a1a1a1-0000-4000-8000-000000000001', 'b1b1b1b1-0000-4000-8000-000000000002')$$,
  '42501', null, 'nobody links themselves to an artist'
);
select throws_ok($$insert into public.artists (name) values ('pgTAP Three')$$, '42501', null, 'or makes one');
select throws_ok($$update public.uploads set state = 'taken'$$, '42501', null, 'or changes the ledger');
select throws_ok($$delete from public.training_items$$, '42501', null, 'or deletes an item');

reset role;
select results_eq(
  $$select prompt_text, excluded_at is null from public.training_items where parse_id = 'pgtap-two'$$,
  $$values ('A text.', true)$$, 'the other artist''s item is as it was'
);
select results_eq(
  $$select master_schema from public.artist_profiles where artist_id = 'b1b1b1b1-0000-4000-8000-000000000002'$$,
  array['{}'::jsonb], 'and so is their profile'
);

set local role authenticated;
set local request.jwt.claims = '{"role": "authenticated"}';
select is_empty('select 1 from public.artists', 'a token without a user sees no artist');
select is_empty('select 1 from public.uploads', 'and no upload');

set local role anon;
set local request.jwt.claims = '{"role": "anon"}';
select throws_ok('select 1 from public.' || tablename, '42501', null, 'who is not signed in does not read ' || tablename)
from unnest(array['artists', 'artist_profiles', 'user_artists', 'als_summaries', 'training_items', 'uploads',
  'training_runs', 'prompts', 'spending']) as tablename;

reset role;
select * from finish();
rollback;
