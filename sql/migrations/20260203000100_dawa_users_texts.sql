-- What a signed-in user writes into a row directly is bounded as it is over HTTP: a text is a caption's length and plain,
-- names are short and on one line, a profile is some pages. Only what changes is looked at, so a row that was there
-- before can still be edited in its other columns; servers, which have a role of their own, hold to the rules themselves.

create or replace function public.dawa_bound_users_texts() returns trigger
language plpgsql set search_path = '' as $$
declare
  row_now jsonb;
  row_before jsonb := '{}';
  col text;
  given text;
  longest integer;
begin
  if current_user not in ('authenticated', 'anon') then
    return new;
  end if;
  if tg_table_name = 'artist_profiles' then
    if (tg_op = 'INSERT' or new.master_schema is distinct from old.master_schema)
      and octet_length(new.master_schema::text) > 2000000 then
      raise exception 'artist_profiles.master_schema: is larger than 2,000,000 bytes; a profile is some pages of text'
        using errcode = 'check_violation';
    end if;
    row_now := to_jsonb(new) - 'master_schema';
  else
    row_now := to_jsonb(new);
  end if;
  if tg_op = 'UPDATE' then
    row_before := to_jsonb(old) - 'master_schema';
  end if;
  for col, longest in select * from (values
    ('prompt_text', 720), ('als_filename', 255), ('project_name', 255), ('parse_id', 200), ('name', 255)
  ) bounds loop
    given := row_now ->> col;
    continue when given is null or given is not distinct from row_before ->> col;
    if char_length(given) > longest then
      raise exception '%.%: has % characters; at most %', tg_table_name, col, char_length(given), longest
        using errcode = 'check_violation';
    end if;
    -- Control and format characters, lone private ones, line and paragraph separators. A text may have line ends, and
    -- the two joiners that some scripts need.
    if regexp_replace(given, case col when 'prompt_text' then E'[\n\r]' else '' end, '', 'g') ~ (
      E'[\\x01-\\x1f\\x7f-\\x9f\\u00ad\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u180e\\u200b\\u200e\\u200f'
      || E'\\u2028-\\u202e\\u2060-\\u2064\\u2066-\\u206f\\ue000-\\uf8ff\\ufeff\\ufff9-\\ufffb\\U000110bd\\U000110cd'
      || E'\\U00013430-\\U00013438\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0001\\U000e0020-\\U000e007f'
      || E'\\U000f0000-\\U000ffffd\\U00100000-\\U0010fffd]'
    ) then
      raise exception '%.%: holds a control character; write plain text', tg_table_name, col
        using errcode = 'check_violation';
    end if;
    if col = 'prompt_text' and array_length(regexp_split_to_array(btrim(given, E' \n\r'), '\s+'), 1) > 92 then
      raise exception '%.%: has more than 90 words', tg_table_name, col using errcode = 'check_violation';
    end if;
  end loop;
  return new;
end
$$;

revoke all on function public.dawa_bound_users_texts() from public, anon, authenticated;
grant execute on function public.dawa_bound_users_texts() to service_role;

create trigger dawa_bound_users_texts before insert or update on public.training_items
for each row execute function public.dawa_bound_users_texts();
create trigger dawa_bound_users_texts before insert or update on public.artist_profiles
for each row execute function public.dawa_bound_users_texts();
