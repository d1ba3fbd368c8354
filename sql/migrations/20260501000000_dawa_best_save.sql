-- Which of an artist's saves a bounce fits best: its alignments with other saves than its item's own stand beside that
-- one, so only what the search begins with is new. Rows of before are measured once more where a search needs it.

alter table public.alignments
  add column if not exists heard_tempo double precision;  -- of the bounce, in BPM; 0: nothing begins in it

create index if not exists alignments_of_audio on public.alignments (artist_id, audio_hash);
