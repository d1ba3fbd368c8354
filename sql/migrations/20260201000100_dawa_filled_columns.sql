-- Columns that say what a row is, and that the source's first definitions let be empty: filled by what the row holds,
-- and never empty again. Who writes none goes on doing so, the row gets the value that fits.

create function public.dawa_fill_status() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.status := case
    when new.audio_path is null then 'needs_audio'
    when coalesce(new.prompt_text, '') !~ '\S' then 'needs_prompt'
    else 'ready' end;
  return new;
end
$$;
revoke all on function public.dawa_fill_status() from public, anon, authenticated;
grant execute on function public.dawa_fill_status() to service_role;

create trigger dawa_fill_status before insert or update of status on public.training_items
for each row when (new.status is null) execute function public.dawa_fill_status();

alter table public.training_items disable trigger dawa_touch;  -- no row counts as changed by it
update public.training_items set status = null where status is null;
update public.training_items set created_at = coalesce(updated_at, generated_at, now()) where created_at is null;
alter table public.training_items enable trigger dawa_touch;
alter table public.training_items alter column status set default 'needs_audio', alter column status set not null;

-- Of several parses of one set, the newest counts.
update public.als_summaries set parse_timestamp = coalesce(created_at, now()) where parse_timestamp is null;
alter table public.als_summaries
  alter column parse_timestamp set default now(), alter column parse_timestamp set not null;

-- A link between a user and an artist gave all rights before there were roles.
update public.user_artists set role = 'owner' where role is null;
alter table public.user_artists alter column role set default 'owner', alter column role set not null;

create function public.dawa_fill_others() returns trigger
language plpgsql set search_path = '' as $$
begin
  if tg_table_name = 'user_artists' then
    new.role := coalesce(new.role, 'owner');
  else
    new.parse_timestamp := coalesce(new.parse_timestamp, new.created_at, now());
  end if;
  return new;
end
$$;
revoke all on function public.dawa_fill_others() from public, anon, authenticated;
grant execute on function public.dawa_fill_others() to service_role;

create trigger dawa_fill_others before insert or update of role on public.user_artists
for each row when (new.role is null) execute function public.dawa_fill_others();
create trigger dawa_fill_others before insert or update of parse_timestamp on public.als_summaries
for each row when (new.parse_timestamp is null) execute function public.dawa_fill_others();
