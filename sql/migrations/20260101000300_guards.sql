-- What must hold of a row whoever writes it: its files and references are its own artist's, its status is one of five.

update public.training_items
set error = 'its status was ' || status, status = 'failed'
where status not in ('needs_audio', 'needs_prompt', 'ready', 'exported', 'failed');

alter table public.training_items add constraint training_items_status_check
check (status in ('needs_audio', 'needs_prompt', 'ready', 'exported', 'failed'));

-- A path that a row may name: below its artist's folder, without a step up, an empty part or a control character.
create or replace function public.dawa_is_under(path text, slug text) returns boolean
language sql immutable parallel safe set search_path = '' as $$
  select starts_with(path, 'artists/' || slug || '/')
    and path !~ '(^|/)\.{0,2}(/|$)'
    and path !~ '[[:cntrl:]\\]'
$$;

-- Every path column given as an argument must lie under the artist of the row. Values that were there before the
-- guard are left alone until they change (and are checked again before they are read).
create or replace function public.dawa_guard_paths() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  row_now jsonb := to_jsonb(new);
  row_before jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) else '{}' end;
  artist uuid;
  artist_slug text;
  col text;
  path text;
begin
  if tg_table_name = 'dataset_items' then
    select datasets.artist_id into artist from public.datasets where id = (row_now ->> 'dataset_id')::uuid;
  else
    artist := (row_now ->> 'artist_id')::uuid;
  end if;
  if artist is null then
    return new;
  end if;
  foreach col in array tg_argv loop
    path := row_now ->> col;
    continue when path is null;
    continue when tg_op = 'UPDATE' and path is not distinct from row_before ->> col
      and (row_now -> 'artist_id') is not distinct from (row_before -> 'artist_id')
      and (row_now -> 'dataset_id') is not distinct from (row_before -> 'dataset_id');
    if artist_slug is null then
      select slug into artist_slug from public.artists where id = artist;
      continue when artist_slug is null;  -- no such artist: the foreign key says so
    end if;
    if not public.dawa_is_under(path, artist_slug) then
      raise exception '%.%: % does not lie under artists/%/', tg_table_name, col, path, artist_slug
        using errcode = 'DA002';
    end if;
  end loop;
  return new;
end
$$;

create trigger dawa_guard_paths before insert or update of artist_id, export_path, source_key on public.als_summaries
for each row execute function public.dawa_guard_paths('export_path', 'source_key');
create trigger dawa_guard_paths before insert or update of artist_id, audio_path, prompt_path on public.training_items
for each row execute function public.dawa_guard_paths('audio_path', 'prompt_path');
create trigger dawa_guard_paths before insert or update of artist_id, final_key on public.uploads
for each row execute function public.dawa_guard_paths('final_key');
create trigger dawa_guard_paths before insert or update of artist_id, storage_path, manifest_path on public.datasets
for each row execute function public.dawa_guard_paths('storage_path', 'manifest_path');
create trigger dawa_guard_paths before insert or update of dataset_id, audio_path on public.dataset_items
for each row execute function public.dawa_guard_paths('audio_path');
create trigger dawa_guard_paths before insert or update of artist_id, adapter_key on public.training_runs
for each row execute function public.dawa_guard_paths('adapter_key');

-- Every reference given as pairs of (column, table) must be a row of the same artist.
create or replace function public.dawa_guard_references() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  row_now jsonb := to_jsonb(new);
  row_before jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) else '{}' end;
  artist uuid;
  its_artist uuid;
  target text;
begin
  if tg_table_name = 'dataset_items' then
    select datasets.artist_id into artist from public.datasets where id = (row_now ->> 'dataset_id')::uuid;
  else
    artist := (row_now ->> 'artist_id')::uuid;
  end if;
  for i in 0 .. tg_nargs - 1 by 2 loop
    target := row_now ->> tg_argv[i];
    continue when target is null;
    continue when tg_op = 'UPDATE' and target is not distinct from row_before ->> tg_argv[i]
      and (row_now -> 'artist_id') is not distinct from (row_before -> 'artist_id')
      and (row_now -> 'dataset_id') is not distinct from (row_before -> 'dataset_id');
    execute format('select artist_id from public.%I where id = $1', tg_argv[i + 1]) into its_artist using target::uuid;
    if its_artist is distinct from artist then
      raise exception '%.%: no row of the same artist is called %', tg_table_name, tg_argv[i], target
        using errcode = 'DA003';
    end if;
  end loop;
  return new;
end
$$;

create trigger dawa_guard_references before insert or update of artist_id, als_summary_id, prompt_id
on public.training_items for each row
execute function public.dawa_guard_references('als_summary_id', 'als_summaries', 'prompt_id', 'prompts');
create trigger dawa_guard_references before insert or update of artist_id, als_summary_id on public.prompts
for each row execute function public.dawa_guard_references('als_summary_id', 'als_summaries');
create trigger dawa_guard_references before insert or update of artist_id, als_summary_id, training_item_id
on public.uploads for each row execute function public.dawa_guard_references(
  'als_summary_id', 'als_summaries', 'training_item_id', 'training_items'
);
create trigger dawa_guard_references before insert or update of dataset_id, training_item_id, als_summary_id, prompt_id
on public.dataset_items for each row execute function public.dawa_guard_references(
  'training_item_id', 'training_items', 'als_summary_id', 'als_summaries', 'prompt_id', 'prompts'
);
create trigger dawa_guard_references before insert or update of artist_id, dataset_id on public.training_runs
for each row execute function public.dawa_guard_references('dataset_id', 'datasets');

-- Text that is saved without naming a prompt is a person's: from then on no prompt of ours stands for it.
create or replace function public.dawa_human_text() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.prompt_text is not distinct from old.prompt_text or new.prompt_id is distinct from old.prompt_id then
    return new;
  end if;
  new.prompt_id := null;
  new.prompt_summary_id := null;
  if (new.system_prompt_version, new.model_name, new.generated_at)
    is not distinct from (old.system_prompt_version, old.model_name, old.generated_at) then
    new.system_prompt_version := null;  -- they told of the text that is gone
    new.model_name := null;
    new.generated_at := null;
  end if;
  if new.status = old.status then
    if coalesce(new.prompt_text, '') = '' and old.status in ('ready', 'exported') then
      new.status := 'needs_prompt';
    elsif coalesce(new.prompt_text, '') <> '' and old.status in ('needs_prompt', 'exported') then
      new.status := 'ready';
    end if;
  end if;
  return new;
end
$$;

create trigger dawa_human_text before update of prompt_text on public.training_items
for each row execute function public.dawa_human_text();

create or replace function public.dawa_touch() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end
$$;

create trigger dawa_touch before update on public.artist_profiles
for each row when ((new.name, new.master_schema) is distinct from (old.name, old.master_schema)) execute function public.dawa_touch();
create trigger dawa_touch before update on public.training_items
for each row when (new is distinct from old) execute function public.dawa_touch();
create trigger dawa_touch before update on public.uploads
for each row when (new is distinct from old) execute function public.dawa_touch();
