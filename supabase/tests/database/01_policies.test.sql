-- Row level security is on for every table, and each policy is there by its name, for its command and its roles.
begin;
select no_plan();

select is_empty(
  $$select relname from pg_class
    where relnamespace = 'public'::regnamespace
      and (relkind in ('r', 'p') and not relrowsecurity or relkind in ('v', 'm', 'f'))$$,
  'every table has row level security, and there is no view beside them'
);

create temporary table expected_policies (tablename name, policyname name, cmd text, roles name[], permissive text);
insert into expected_policies values
  ('artists', 'users see their artists', 'SELECT', '{authenticated}', 'PERMISSIVE'),
  ('user_artists', 'users see their own links', 'SELECT', '{authenticated}', 'PERMISSIVE'),
  ('artist_profiles', 'users see their artists'' profiles', 'SELECT', '{authenticated}', 'PERMISSIVE'),
  ('artist_profiles', 'users add their artists'' profiles', 'INSERT', '{authenticated}', 'PERMISSIVE'),
  ('artist_profiles', 'users edit their artists'' profiles', 'UPDATE', '{authenticated}', 'PERMISSIVE'),
  ('als_summaries', 'users see their artists'' summaries', 'SELECT', '{authenticated}', 'PERMISSIVE'),
  ('training_items', 'users see their artists'' items', 'SELECT', '{authenticated}', 'PERMISSIVE'),
  ('training_items', 'users add items to their artists', 'INSERT', '{authenticated}', 'PERMISSIVE'),
  ('training_items', 'users edit their artists'' items', 'UPDATE', '{authenticated}', 'PERMISSIVE'),
  ('item_findings', 'users see their artists'' findings', 'SELECT', '{authenticated}', 'PERMISSIVE'),
  ('uploads', 'users see their artists'' uploads', 'SELECT', '{authenticated}', 'PERMISSIVE'),
  ('training_runs', 'users see their artists'' trainings', 'SELECT', '{authenticated}', 'PERMISSIVE');
-- Every other table is the pipeline's alone, and says so.
insert into expected_policies
select relname, 'only the pipeline comes here', 'ALL', '{anon,authenticated}', 'RESTRICTIVE' from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
  and relname not in (select tablename from expected_policies);

select policies_are('public', tablename, array_agg(policyname), tablename || ' has its policies and no others')
from expected_policies group by tablename order by tablename;
select policy_cmd_is('public', tablename, policyname, cmd) from expected_policies order by tablename, policyname;
select policy_roles_are('public', tablename, policyname, roles) from expected_policies order by tablename, policyname;
select results_eq(
  $$select tablename, policyname, permissive from pg_policies where schemaname = 'public' order by 1, 2$$,
  $$select tablename, policyname, permissive from expected_policies order by 1, 2$$,
  'what lets in lets in, and what restricts restricts'
);
select is_empty(
  $$select tablename, policyname from pg_policies
    where schemaname = 'public' and permissive = 'PERMISSIVE'
      and (coalesce(qual, with_check) !~ 'user_artists|user_id' or coalesce(with_check, qual) !~ 'user_artists|user_id')$$,
  'no policy lets in who is not linked to the artist, to read or to write'
);

select * from finish();
rollback;
