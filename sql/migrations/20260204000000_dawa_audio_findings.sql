-- What the reader found in an item's audio: one line each, with its number. Of the audio that audio_hash names.

alter table public.training_items add column audio_findings text[] not null default '{}';
