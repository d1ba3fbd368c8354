-- The example artist of `dawa demo` and two users, for a database on this machine (`supabase db reset`): one user is
-- linked to the artist, the other to nobody. Both passwords are written here: never seed a project that others reach.
--
--   nova@example.com      dawa-local-only      sees Nova Kite
--   visitor@example.com   dawa-local-only      sees nothing

do $$
declare
  local_password constant text := '$2a$10$7blzAOcGstQncb5a5IV3POf6X64Cnjdv8Mf6a20EBdLb2BCTZLU4O';  -- by bcrypt
  users constant jsonb := '{
    "10000000-0000-4000-8000-00000000d0a1": "nova@example.com",
    "10000000-0000-4000-8000-00000000d0a2": "visitor@example.com"
  }';
begin
  -- The embedded server has a user's id and address only; Supabase Auth signs in whom it finds with all of this.
  if not exists (
    select from information_schema.columns
    where table_schema = 'auth' and table_name = 'users' and column_name = 'encrypted_password'
  ) then
    insert into auth.users (id, email) select key::uuid, value from jsonb_each_text(users) on conflict (id) do nothing;
    return;
  end if;
  insert into auth.users (
    id, instance_id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
    created_at, updated_at, confirmation_token, recovery_token, email_change, email_change_token_new
  )
  select key::uuid, '00000000-0000-0000-0000-000000000000', 'authenticated', 'authenticated', value, local_password,
    now(), '{"provider": "email", "providers": ["email"]}', '{}', now(), now(), '', '', '', ''
  from jsonb_each_text(users) on conflict (id) do nothing;
  insert into auth.identities (
    user_id, provider, provider_id, identity_data, last_sign_in_at, created_at, updated_at
  )
  select key::uuid, 'email', key, jsonb_build_object('sub', key, 'email', value, 'email_verified', true), now(), now(),
    now()
  from jsonb_each_text(users) on conflict (provider_id, provider) do nothing;
end
$$;

insert into public.artists (id, name) values ('20000000-0000-4000-8000-00000000d0a1', 'Nova Kite')
on conflict (name) do nothing;

insert into public.user_artists (user_id, artist_id)
select '10000000-0000-4000-8000-00000000d0a1', id from public.artists where name = 'Nova Kite'
on conflict (user_id, artist_id) do nothing;

insert into public.artist_profiles (artist_id, name, master_schema)
select id, name, $profile$
{
  "schema_version": "1.0.0",
  "uuids": {"name": "Nova Kite", "artist_id": ""},
  "artist": {
    "name": "Nova Kite",
    "origin": {"city": "Porto", "country": "Portugal"},
    "members": ["Nova Kite"],
    "brand_narrative": {
      "tone": ["warm", "nocturnal", "unhurried"],
      "description": "Electronic pieces between the dance floor and the walk home, built from glassy plucks, dusty drums and melodies that could be sung."
    },
    "core_identities": {
      "tempo_center": "84 to 174 BPM, most at home around 122",
      "energy_profile": ["patient build", "open-hearted drop", "soft landing"],
      "primary_genre_space": ["melodic house", "downtempo"],
      "secondary_spaces": ["liquid drum and bass", "lo-fi beats"],
      "melodic_character": ["bittersweet", "singable", "stepwise lines over wide chords"],
      "sound_design_signature": ["glassy plucks", "dulled string pads", "tape-soft transients"],
      "sync_pitch_identity": ["night drive", "city at dawn", "quiet resolve"]
    }
  },
  "catalog": [
    {
      "work_id": "nk-001",
      "title": "Glass Harbour",
      "primary_artist": "Nova Kite",
      "release_role": "original",
      "label": "Self-released",
      "tempo_bpm": 122.0,
      "key_center": "A minor",
      "energy_arc": "intro – build – drop – outro",
      "core_tags": ["melodic house", "glassy pluck", "four on the floor"],
      "mood_profile": ["hopeful", "wistful", "gliding"],
      "sync_notes": ["opens on bar nine", "night drive, harbour lights"]
    },
    {
      "work_id": "nk-002",
      "title": "Paper Lanterns",
      "primary_artist": "Nova Kite",
      "release_role": "original",
      "label": "Self-released",
      "tempo_bpm": 84.0,
      "key_center": "F major",
      "energy_arc": "intro – verse – hook – outro",
      "core_tags": ["downtempo", "electric piano", "dusty drums"],
      "mood_profile": ["tender", "relaxed", "warm"],
      "sync_notes": ["loops cleanly in four bars", "kitchen morning, slow travel"]
    },
    {
      "work_id": "nk-003",
      "title": "Night Courier",
      "primary_artist": "Nova Kite",
      "release_role": "original",
      "label": "Self-released",
      "tempo_bpm": 174.0,
      "key_center": "F# minor",
      "energy_arc": "intro – build – drop – outro",
      "core_tags": ["liquid drum and bass", "broken beat", "moving bass"],
      "mood_profile": ["restless", "determined", "bright at the edges"],
      "sync_notes": ["impact at bar thirteen", "chase without menace"]
    }
  ],
  "semantic_views": {
    "by_mood": {
      "hopeful_night": {
        "description": "Forward motion in the dark with light ahead.",
        "typical_elements": ["arpeggiated plucks", "ducked pads", "sung lead line"],
        "suitable_for": ["travel montage", "closing scene"]
      },
      "tender_memory": {
        "description": "Close, slightly worn, at ease.",
        "typical_elements": ["electric piano", "swung drums", "record crackle"],
        "suitable_for": ["interview bed", "domestic scene"]
      }
    },
    "by_usage": {
      "trailer_build": {
        "description": "A long rise into a clear downbeat.",
        "features": ["noise riser", "filter sweep", "impact on the drop"],
        "ideal_for": ["teaser", "product reveal"]
      },
      "dialogue_bed": {"description": "Leaves room for a voice.", "features": ["sparse midrange", "steady pulse"]}
    },
    "by_energy_arc": {
      "slow_bloom": {
        "description": "Starts bare, opens step by step, ends where it began.",
        "structure_traits": ["intro without drums", "filtered build", "full middle", "stripped outro"]
      }
    }
  },
  "creative_policy": {
    "keep_foreground": ["melody", "warmth of the low mids"],
    "no_go_zones": ["vocals", "trap hats", "aggressive distortion"],
    "production_guides": ["let the kick duck the pads", "keep transients soft", "one lead at a time"],
    "sync_specific_notes": ["clean ending within two bars", "stems on request"]
  },
  "daw_fingerprint_aggregates": {
    "core_bpm_range": {"min": 84.0, "max": 174.0, "cluster_centers": [84.0, 122.0, 174.0]},
    "keys_and_modes": {
      "common_keys": ["A minor", "F major", "F# minor"],
      "modal_tendencies": ["natural minor with added ninths", "major with a borrowed softness"]
    },
    "drum_palette": {
      "kick_character": ["round", "short tail"],
      "snare_clap_character": ["wide clap", "papery snare"],
      "percussion_notes": ["seed shaker", "wooden rim"]
    },
    "bass_workflow": ["sine body with a filtered edge", "offbeat against the kick"],
    "core_synth_palette": ["two-voice string pad", "partial-tuned pluck", "frequency-modulated keys"],
    "frequent_plugins_tools": ["Courier Drive", "Halide Tape", "Lantern Chorus", "Tidewater Echo", "Tidewater Sub"],
    "arrangement_habits": ["four-section form", "riser into the drop", "filters close at the end"],
    "tempo_tendencies": ["84 BPM", "122 BPM", "174 BPM"]
  },
  "provenance": {
    "last_refreshed": "2026-01-01T00:00:00Z",
    "sources": {
      "daw": [
        "Glass Harbour Project/Glass Harbour.als",
        "Paper Lanterns Project/Paper Lanterns.als",
        "Night Courier Project/Night Courier.als"
      ],
      "metadata_provided": ["example profile"]
    }
  }
}
$profile$
from public.artists where name = 'Nova Kite'
on conflict (artist_id) do nothing;
