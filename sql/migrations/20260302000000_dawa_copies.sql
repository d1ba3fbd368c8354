-- A verdict of its own for adapters that play passages of what they were trained on.

alter table public.lora_evaluations drop constraint lora_evaluations_verdict_check;
alter table public.lora_evaluations add constraint lora_evaluations_verdict_check
  check (verdict in ('better', 'no better', 'broken', 'copies'));
