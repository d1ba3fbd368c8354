-- What dashboards may follow is in Supabase's publication, and nothing else of the pipeline is.
begin;
select plan(3);

select bag_eq(
  $$select tablename::text from pg_publication_tables
    where pubname = 'supabase_realtime' and schemaname = 'public' and tablename in (
      select relname from pg_class join pg_policy on polrelid = pg_class.oid
      where relnamespace = 'public'::regnamespace
    )$$,
  array['training_items', 'uploads', 'training_runs'],
  'items, uploads and trainings can be followed'
);
select is_empty(
  $$select tablename from pg_publication_tables
    where pubname = 'supabase_realtime' and schemaname = 'public'
      and not has_any_column_privilege('authenticated', format('%I.%I', schemaname, tablename), 'SELECT')$$,
  'nothing is in it that no user may read'
);
select is_empty(
  $$select relname from pg_class c
    where oid in ('public.training_items'::regclass, 'public.uploads'::regclass, 'public.training_runs'::regclass)
      and not has_column_privilege('authenticated', c.oid, 'artist_id', 'SELECT')$$,
  'each of them can be filtered by artist'
);

select * from finish();
rollback;
