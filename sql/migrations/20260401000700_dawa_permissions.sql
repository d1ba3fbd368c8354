-- Who permitted what of an artist's music, and what of that was taken back. Both only grow; nobody changes or removes a
-- row but the deletion of the artist. The database's clock alone says when.

create table public.permissions (
  id uuid primary key default gen_random_uuid(),
  artist_id uuid not null references public.artists (id) on delete cascade,
  training_item_id uuid,            -- one item; kept where the item goes
  song text,                        -- items of this name; both empty: all that is the artist's
  purposes text[] not null check (purposes <> '{}' and purposes <@ array['train', 'publish', 'generate']),
  granted_by text not null check (granted_by ~ '\S'),
  evidence text not null default '',
  evidence_key text,                -- a file in the bucket
  evidence_sha256 text,
  valid_from date not null,         -- days in the project's zone; the last one counts
  valid_until date,
  territory text not null default '',
  recorded_by text not null,
  recorded_at timestamptz not null default now(),
  check (training_item_id is null or song is null),
  check (valid_until is null or valid_until >= valid_from)
);
create index permissions_artist on public.permissions (artist_id, recorded_at);

create table public.permission_revocations (
  permission_id uuid primary key references public.permissions (id) on delete cascade,
  artist_id uuid not null references public.artists (id) on delete cascade,
  reason text not null default '',
  revoked_by text not null,
  revoked_at timestamptz not null default now()
);
create index permission_revocations_artist on public.permission_revocations (artist_id);

-- A row is as it was written, as long as its artist is there; when it was written is not for its writer to say.
create or replace function public.dawa_append_only() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    if tg_table_name = 'permissions' then
      new.recorded_at := now();
    else
      new.revoked_at := now();
    end if;
    return new;
  end if;
  if tg_op = 'DELETE' and not exists (select from public.artists where id = old.artist_id) then
    return old;
  end if;
  raise exception '%: its rows are a history, which is not changed', tg_table_name using errcode = 'DA004';
end
$$;

create or replace function public.dawa_no_truncate() returns trigger
language plpgsql set search_path = '' as $$
begin
  raise exception '%: its rows are a history, which is not removed', tg_table_name using errcode = 'DA004';
end
$$;

revoke all on function public.dawa_append_only() from public, anon, authenticated;
revoke all on function public.dawa_no_truncate() from public, anon, authenticated;
grant execute on function public.dawa_append_only() to service_role;
grant execute on function public.dawa_no_truncate() to service_role;

do $$
declare
  name text;
begin
  foreach name in array array['permissions', 'permission_revocations'] loop
    execute format('alter table public.%I enable row level security', name);
    execute format('revoke all on public.%I from public, anon, authenticated, service_role', name);
    execute format('grant select, insert on public.%I to service_role', name);
    execute format('create trigger dawa_append_only before insert or update or delete on public.%I '
      'for each row execute function public.dawa_append_only()', name);
    execute format('create trigger dawa_no_truncate before truncate on public.%I '
      'for each statement execute function public.dawa_no_truncate()', name);
  end loop;
end
$$;

create trigger dawa_guard_references before insert or update of artist_id, training_item_id on public.permissions
for each row execute function public.dawa_guard_references('training_item_id', 'training_items');
create trigger dawa_guard_paths before insert or update of artist_id, evidence_key on public.permissions
for each row execute function public.dawa_guard_paths('evidence_key');
create trigger dawa_guard_references before insert or update of artist_id, permission_id
on public.permission_revocations for each row
execute function public.dawa_guard_references('permission_id', 'permissions');
