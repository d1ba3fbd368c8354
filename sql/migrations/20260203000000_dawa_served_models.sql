-- A service may answer a request for one model with another. What was asked decides what is current and stays the key;
-- who answered is recorded beside it, where that is not the same.

alter table public.prompts add column if not exists served_model text;

alter table public.segment_tags add column if not exists served_model text;
