-- The publication that Supabase Realtime reads. Nobody reads it here: it is there so that migrations meet one.
do $$
begin
  if not exists (select from pg_publication where pubname = 'supabase_realtime') then
    set local client_min_messages = error;  -- it would say that nothing can be read by this server's wal_level
    create publication supabase_realtime;
  end if;
end
$$;
