-- What each role of the API is granted, table by table and column by column. The anonymous role has nothing.
begin;
select no_plan();

create temporary table expected_grants (role name, tablename name, privileges name[]);
insert into expected_grants
select 'anon', relname, '{}' from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm');
insert into expected_grants
select 'authenticated', relname, case when relname in (
    'artists', 'artist_profiles', 'user_artists', 'als_summaries', 'training_items', 'uploads', 'item_findings'
  ) then '{SELECT}'::name[] else '{}' end
from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm');

select table_privs_are('public', tablename, role, privileges, role || ' on ' || tablename)
from expected_grants order by role, tablename;

select set_eq(
  $$select role, c.relname::text, a.attname::text, privilege
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    cross join (values ('anon'), ('authenticated')) as r (role)
    cross join (values ('SELECT'), ('INSERT'), ('UPDATE'), ('REFERENCES')) as p (privilege)
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
      and has_column_privilege(role, c.oid, a.attnum, privilege)
      and not has_table_privilege(role, c.oid, privilege)$$,
  $$select 'authenticated', tablename, unnest(columns), privilege from (values
      ('artist_profiles', 'INSERT', array['artist_id', 'name', 'master_schema']),
      ('artist_profiles', 'UPDATE', array['name', 'master_schema']),
      ('training_items', 'INSERT', array['artist_id', 'als_summary_id', 'parse_id', 'als_filename', 'project_name']),
      ('training_items', 'UPDATE', array['prompt_text', 'excluded_at']),
      ('training_runs', 'SELECT', array['id', 'artist_id', 'dataset_id', 'backend', 'base', 'model_name', 'state', 'error',
        'promoted', 'created_at', 'finished_at', 'candidate_at'])
    ) as expected (tablename, privilege, columns)$$,
  'columns are granted one by one where a table is not'
);

select is_empty(
  $$select relname, privilege from pg_class,
      unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as privilege
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
      and not has_table_privilege('service_role', oid, privilege)
      and not (relname in ('permissions', 'permission_revocations') and privilege in ('UPDATE', 'DELETE'))$$,
  'the pipeline''s role may do all, but for histories: those are added to and read'
);
select is_empty(
  $$select oid::regprocedure, role from pg_proc, unnest(array['anon', 'authenticated']) as role
    where pronamespace = 'public'::regnamespace and has_function_privilege(role, oid, 'execute')$$,
  'no function can be called over the API'
);
select is_empty(
  $$select relname, role from pg_class, unnest(array['anon', 'authenticated']) as role
    where relnamespace = 'public'::regnamespace and relkind = 'S' and has_sequence_privilege(role, oid, 'usage')$$,
  'no sequence can be used over the API'
);

select * from finish();
rollback;
