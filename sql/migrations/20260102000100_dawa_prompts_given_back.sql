-- What people do with prompts at the terminal: give their own text back to the model, ask the model for another one.

alter table public.prompts
  -- A person's text that is to be replaced by the model's: kept in use until that is written, kept in history after.
  add column if not exists given_back_at timestamptz,
  -- Of a model's text: the `prompt_take` of the items that it was written for.
  add column if not exists take integer not null default 0 check (take >= 0);
