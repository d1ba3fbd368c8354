-- Since when an item has its text: of several items with the same audio, the one whose text a person gave last counts.

alter table public.training_items add column prompt_text_at timestamptz;

-- What is known of texts that are there: when they were written or saved. No row counts as changed by it.
alter table public.training_items disable trigger dawa_touch;
update public.training_items t
set prompt_text_at = coalesce(
  greatest(t.created_at, coalesce(t.generated_at, (select p.created_at from public.prompts p where p.id = t.prompt_id))),
  t.updated_at, now())
where t.prompt_text is not null;
alter table public.training_items enable trigger dawa_touch;

-- A text that is saved by whomever is of this moment, unless the statement says of which.
create function public.dawa_text_at() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.prompt_text is null then
    new.prompt_text_at := null;
  elsif tg_op = 'INSERT' then
    new.prompt_text_at := coalesce(new.prompt_text_at, clock_timestamp());
  elsif new.prompt_text is distinct from old.prompt_text
    and new.prompt_text_at is not distinct from old.prompt_text_at then
    new.prompt_text_at := clock_timestamp();
  end if;
  return new;
end
$$;
revoke all on function public.dawa_text_at() from public, anon, authenticated;
grant execute on function public.dawa_text_at() to service_role;

create trigger dawa_text_at before insert or update of prompt_text on public.training_items
for each row execute function public.dawa_text_at();
