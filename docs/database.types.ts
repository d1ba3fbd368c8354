// The tables of a migrated database for supabase-js: `createClient<Database>(…)`. Made by `supabase gen types typescript`
// (3.1.0) and prettier; after a migration, `python -m tests.supabase.typescript` writes the type `Database` anew.

export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[];

export type Database = {
  public: {
    Tables: {
      alignments: {
        Row: {
          answer: string;
          artist_id: string;
          audio_hash: string;
          bar: number | null;
          confidence: number;
          created_at: string;
          heard_tempo: number | null;
          margin: number | null;
          offset_seconds: number | null;
          parse_id: string;
          reasons: string[];
          score: number | null;
          set_tempo: number;
          tempo: number | null;
          version: string;
        };
        ComputedFields: never;
        Insert: {
          answer: string;
          artist_id: string;
          audio_hash: string;
          bar?: number | null;
          confidence: number;
          created_at?: string;
          heard_tempo?: number | null;
          margin?: number | null;
          offset_seconds?: number | null;
          parse_id: string;
          reasons: string[];
          score?: number | null;
          set_tempo: number;
          tempo?: number | null;
          version: string;
        };
        Update: {
          answer?: string;
          artist_id?: string;
          audio_hash?: string;
          bar?: number | null;
          confidence?: number;
          created_at?: string;
          heard_tempo?: number | null;
          margin?: number | null;
          offset_seconds?: number | null;
          parse_id?: string;
          reasons?: string[];
          score?: number | null;
          set_tempo?: number;
          tempo?: number | null;
          version?: string;
        };
        Relationships: [
          {
            foreignKeyName: "alignments_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      als_summaries: {
        Row: {
          als_filename: string;
          artist_id: string | null;
          created_at: string | null;
          export_path: string | null;
          id: string;
          length_bars: Json | null;
          overview: Json | null;
          parse_id: string;
          parse_timestamp: string;
          parser_version: string | null;
          project_name: string | null;
          scale: Json | null;
          source_key: string | null;
          summary: NonNullable<Json>;
        };
        ComputedFields: never;
        Insert: {
          als_filename: string;
          artist_id?: string | null;
          created_at?: string | null;
          export_path?: string | null;
          id?: string;
          length_bars?: never;
          overview?: never;
          parse_id: string;
          parse_timestamp?: string;
          parser_version?: string | null;
          project_name?: string | null;
          scale?: never;
          source_key?: string | null;
          summary: NonNullable<Json>;
        };
        Update: {
          als_filename?: string;
          artist_id?: string | null;
          created_at?: string | null;
          export_path?: string | null;
          id?: string;
          length_bars?: never;
          overview?: never;
          parse_id?: string;
          parse_timestamp?: string;
          parser_version?: string | null;
          project_name?: string | null;
          scale?: never;
          source_key?: string | null;
          summary?: NonNullable<Json>;
        };
        Relationships: [
          {
            foreignKeyName: "als_summaries_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      artist_deletions: {
        Row: {
          artist_id: string;
          asked_at: string;
          asked_by: string;
          finished_at: string | null;
          found: Json | null;
          id: string;
          late: Json | null;
          links: number;
          rows: Json | null;
          rows_gone_at: string | null;
          slug: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          asked_at?: string;
          asked_by: string;
          finished_at?: string | null;
          found?: Json | null;
          id?: string;
          late?: Json | null;
          links?: number;
          rows?: Json | null;
          rows_gone_at?: string | null;
          slug: string;
        };
        Update: {
          artist_id?: string;
          asked_at?: string;
          asked_by?: string;
          finished_at?: string | null;
          found?: Json | null;
          id?: string;
          late?: Json | null;
          links?: number;
          rows?: Json | null;
          rows_gone_at?: string | null;
          slug?: string;
        };
        Relationships: [];
      };
      artist_profiles: {
        Row: {
          artist_id: string;
          content_hash: string | null;
          created_at: string | null;
          master_schema: NonNullable<Json>;
          name: string | null;
          schema_version: string | null;
          updated_at: string | null;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          content_hash?: never;
          created_at?: string | null;
          master_schema?: NonNullable<Json>;
          name?: string | null;
          schema_version?: never;
          updated_at?: string | null;
        };
        Update: {
          artist_id?: string;
          content_hash?: never;
          created_at?: string | null;
          master_schema?: NonNullable<Json>;
          name?: string | null;
          schema_version?: never;
          updated_at?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "artist_profiles_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: true;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      artist_prompt_state: {
        Row: {
          artist_id: string;
          completed_at: string;
          model_name: string;
          profile_hash: string;
          schema_version: string;
          system_prompt_version: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          completed_at?: string;
          model_name: string;
          profile_hash: string;
          schema_version: string;
          system_prompt_version: string;
        };
        Update: {
          artist_id?: string;
          completed_at?: string;
          model_name?: string;
          profile_hash?: string;
          schema_version?: string;
          system_prompt_version?: string;
        };
        Relationships: [
          {
            foreignKeyName: "artist_prompt_state_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: true;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      artists: {
        Row: {
          created_at: string | null;
          id: string;
          name: string;
          number: number;
          slug: string;
        };
        ComputedFields: never;
        Insert: {
          created_at?: string | null;
          id?: string;
          name: string;
          number: number;
          slug: string;
        };
        Update: {
          created_at?: string | null;
          id?: string;
          name?: string;
          number?: number;
          slug?: string;
        };
        Relationships: [];
      };
      audio_matches: {
        Row: {
          artist_id: string;
          audio_hash: string;
          hits: number;
          other_artist_id: string;
          other_hash: string;
          other_start_seconds: number;
          pitch: number;
          seconds: number;
          speed: number;
          start_seconds: number;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          audio_hash: string;
          hits: number;
          other_artist_id: string;
          other_hash: string;
          other_start_seconds: number;
          pitch: number;
          seconds: number;
          speed: number;
          start_seconds: number;
        };
        Update: {
          artist_id?: string;
          audio_hash?: string;
          hits?: number;
          other_artist_id?: string;
          other_hash?: string;
          other_start_seconds?: number;
          pitch?: number;
          seconds?: number;
          speed?: number;
          start_seconds?: number;
        };
        Relationships: [
          {
            foreignKeyName: "audio_matches_artist_id_audio_hash_fkey";
            columns: ["artist_id", "audio_hash"];
            isOneToOne: false;
            referencedRelation: "audio_measurements";
            referencedColumns: ["artist_id", "audio_hash"];
          },
          {
            foreignKeyName: "audio_matches_other_artist_id_other_hash_fkey";
            columns: ["other_artist_id", "other_hash"];
            isOneToOne: false;
            referencedRelation: "audio_measurements";
            referencedColumns: ["artist_id", "audio_hash"];
          },
        ];
      };
      audio_measurements: {
        Row: {
          artist_id: string;
          audio_hash: string;
          compared_at: string | null;
          created_at: string;
          fingerprint: string;
          measured: NonNullable<Json>;
          version: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          audio_hash: string;
          compared_at?: string | null;
          created_at?: string;
          fingerprint: string;
          measured: NonNullable<Json>;
          version: string;
        };
        Update: {
          artist_id?: string;
          audio_hash?: string;
          compared_at?: string | null;
          created_at?: string;
          fingerprint?: string;
          measured?: NonNullable<Json>;
          version?: string;
        };
        Relationships: [
          {
            foreignKeyName: "audio_measurements_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      audio_segments: {
        Row: {
          audio_hash: string;
          gain_db: number;
          index: number;
          peak_dbfs: number | null;
          recipe: string;
          samples: number;
          segment_hash: string;
          silent: boolean;
          start_seconds: number;
        };
        ComputedFields: never;
        Insert: {
          audio_hash: string;
          gain_db: number;
          index: number;
          peak_dbfs?: number | null;
          recipe: string;
          samples: number;
          segment_hash: string;
          silent: boolean;
          start_seconds: number;
        };
        Update: {
          audio_hash?: string;
          gain_db?: number;
          index?: number;
          peak_dbfs?: number | null;
          recipe?: string;
          samples?: number;
          segment_hash?: string;
          silent?: boolean;
          start_seconds?: number;
        };
        Relationships: [];
      };
      dataset_items: {
        Row: {
          als_summary_id: string | null;
          audio_format: string;
          audio_hash: string;
          audio_path: string;
          dataset_id: string;
          item_key: string | null;
          parse_id: string | null;
          position: number;
          prompt_id: string | null;
          prompt_text: string;
          training_item_id: string | null;
        };
        ComputedFields: never;
        Insert: {
          als_summary_id?: string | null;
          audio_format: string;
          audio_hash: string;
          audio_path: string;
          dataset_id: string;
          item_key?: string | null;
          parse_id?: string | null;
          position: number;
          prompt_id?: string | null;
          prompt_text: string;
          training_item_id?: string | null;
        };
        Update: {
          als_summary_id?: string | null;
          audio_format?: string;
          audio_hash?: string;
          audio_path?: string;
          dataset_id?: string;
          item_key?: string | null;
          parse_id?: string | null;
          position?: number;
          prompt_id?: string | null;
          prompt_text?: string;
          training_item_id?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "dataset_items_als_summary_id_fkey";
            columns: ["als_summary_id"];
            isOneToOne: false;
            referencedRelation: "als_summaries";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "dataset_items_dataset_id_fkey";
            columns: ["dataset_id"];
            isOneToOne: false;
            referencedRelation: "datasets";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "dataset_items_prompt_id_fkey";
            columns: ["prompt_id"];
            isOneToOne: false;
            referencedRelation: "prompts";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "dataset_items_training_item_id_fkey";
            columns: ["training_item_id"];
            isOneToOne: false;
            referencedRelation: "training_items";
            referencedColumns: ["id"];
          },
        ];
      };
      datasets: {
        Row: {
          artist_id: string;
          created_at: string;
          fingerprint: string;
          finished_at: string | null;
          id: string;
          item_count: number;
          manifest_path: string;
          pruned_at: string | null;
          sha256: string | null;
          size_bytes: number | null;
          state: string;
          storage_path: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          created_at?: string;
          fingerprint: string;
          finished_at?: string | null;
          id?: string;
          item_count: number;
          manifest_path: string;
          pruned_at?: string | null;
          sha256?: string | null;
          size_bytes?: number | null;
          state: string;
          storage_path: string;
        };
        Update: {
          artist_id?: string;
          created_at?: string;
          fingerprint?: string;
          finished_at?: string | null;
          id?: string;
          item_count?: number;
          manifest_path?: string;
          pruned_at?: string | null;
          sha256?: string | null;
          size_bytes?: number | null;
          state?: string;
          storage_path?: string;
        };
        Relationships: [
          {
            foreignKeyName: "datasets_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      item_acceptances: {
        Row: {
          artist_id: string;
          at: string;
          audio_hash: string;
          author: string;
          id: string;
          kind: string;
          reason: string;
          training_item_id: string;
          withdrawn_at: string | null;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          at?: string;
          audio_hash: string;
          author: string;
          id?: string;
          kind: string;
          reason: string;
          training_item_id: string;
          withdrawn_at?: string | null;
        };
        Update: {
          artist_id?: string;
          at?: string;
          audio_hash?: string;
          author?: string;
          id?: string;
          kind?: string;
          reason?: string;
          training_item_id?: string;
          withdrawn_at?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "item_acceptances_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "item_acceptances_training_item_id_fkey";
            columns: ["training_item_id"];
            isOneToOne: false;
            referencedRelation: "training_items";
            referencedColumns: ["id"];
          },
        ];
      };
      item_exclusions: {
        Row: {
          artist_id: string;
          at: string;
          author: string;
          excluded: boolean;
          id: string;
          reason: string;
          training_item_id: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          at?: string;
          author: string;
          excluded: boolean;
          id?: string;
          reason?: string;
          training_item_id: string;
        };
        Update: {
          artist_id?: string;
          at?: string;
          author?: string;
          excluded?: boolean;
          id?: string;
          reason?: string;
          training_item_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: "item_exclusions_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "item_exclusions_training_item_id_fkey";
            columns: ["training_item_id"];
            isOneToOne: false;
            referencedRelation: "training_items";
            referencedColumns: ["id"];
          },
        ];
      };
      item_findings: {
        Row: {
          artist_id: string;
          audio_hash: string;
          found_at: string;
          kind: string;
          level: string;
          number: number | null;
          sentence: string;
          subject: string;
          training_item_id: string;
          version: string;
          way_out: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          audio_hash: string;
          found_at?: string;
          kind: string;
          level: string;
          number?: number | null;
          sentence: string;
          subject?: string;
          training_item_id: string;
          version: string;
          way_out: string;
        };
        Update: {
          artist_id?: string;
          audio_hash?: string;
          found_at?: string;
          kind?: string;
          level?: string;
          number?: number | null;
          sentence?: string;
          subject?: string;
          training_item_id?: string;
          version?: string;
          way_out?: string;
        };
        Relationships: [
          {
            foreignKeyName: "item_findings_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "item_findings_training_item_id_fkey";
            columns: ["training_item_id"];
            isOneToOne: false;
            referencedRelation: "training_items";
            referencedColumns: ["id"];
          },
        ];
      };
      leases: {
        Row: {
          artist_id: string;
          expires_at: string;
          fence: number;
          holder: string;
          progress: Json | null;
          started_at: string | null;
          step: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          expires_at: string;
          fence: number;
          holder: string;
          progress?: Json | null;
          started_at?: string | null;
          step: string;
        };
        Update: {
          artist_id?: string;
          expires_at?: string;
          fence?: number;
          holder?: string;
          progress?: Json | null;
          started_at?: string | null;
          step?: string;
        };
        Relationships: [
          {
            foreignKeyName: "leases_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      listens: {
        Row: {
          artist_id: string;
          at: string;
          blind: boolean;
          choice: string | null;
          first: string;
          id: string;
          rendering_id: string | null;
          run_id: string;
          score: number | null;
          second: string;
          who: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          at?: string;
          blind: boolean;
          choice?: string | null;
          first: string;
          id?: string;
          rendering_id?: string | null;
          run_id: string;
          score?: number | null;
          second: string;
          who: string;
        };
        Update: {
          artist_id?: string;
          at?: string;
          blind?: boolean;
          choice?: string | null;
          first?: string;
          id?: string;
          rendering_id?: string | null;
          run_id?: string;
          score?: number | null;
          second?: string;
          who?: string;
        };
        Relationships: [
          {
            foreignKeyName: "listens_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "listens_rendering_id_fkey";
            columns: ["rendering_id"];
            isOneToOne: false;
            referencedRelation: "renderings";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "listens_run_id_fkey";
            columns: ["run_id"];
            isOneToOne: false;
            referencedRelation: "training_runs";
            referencedColumns: ["id"];
          },
        ];
      };
      lora_evaluations: {
        Row: {
          adapter_sha256: string;
          artist_id: string;
          created_at: string;
          decided_at: string | null;
          decision: string | null;
          figures: NonNullable<Json>;
          files: NonNullable<Json>;
          prompt: string;
          reasons: string[];
          rival_id: string | null;
          rule: string;
          run_id: string;
          seed: number;
          verdict: string;
        };
        ComputedFields: never;
        Insert: {
          adapter_sha256: string;
          artist_id: string;
          created_at?: string;
          decided_at?: string | null;
          decision?: string | null;
          figures: NonNullable<Json>;
          files: NonNullable<Json>;
          prompt: string;
          reasons: string[];
          rival_id?: string | null;
          rule: string;
          run_id: string;
          seed: number;
          verdict: string;
        };
        Update: {
          adapter_sha256?: string;
          artist_id?: string;
          created_at?: string;
          decided_at?: string | null;
          decision?: string | null;
          figures?: NonNullable<Json>;
          files?: NonNullable<Json>;
          prompt?: string;
          reasons?: string[];
          rival_id?: string | null;
          rule?: string;
          run_id?: string;
          seed?: number;
          verdict?: string;
        };
        Relationships: [
          {
            foreignKeyName: "lora_evaluations_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "lora_evaluations_rival_id_fkey";
            columns: ["rival_id"];
            isOneToOne: false;
            referencedRelation: "training_runs";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "lora_evaluations_run_id_fkey";
            columns: ["run_id"];
            isOneToOne: true;
            referencedRelation: "training_runs";
            referencedColumns: ["id"];
          },
        ];
      };
      lora_promotions: {
        Row: {
          artist_id: string;
          asked_at: string;
          id: string;
          is_rollback: boolean;
          model_name: string;
          promoted_by: string;
          published_at: string | null;
          reason: string;
          run_id: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          asked_at?: string;
          id?: string;
          is_rollback?: boolean;
          model_name: string;
          promoted_by: string;
          published_at?: string | null;
          reason: string;
          run_id: string;
        };
        Update: {
          artist_id?: string;
          asked_at?: string;
          id?: string;
          is_rollback?: boolean;
          model_name?: string;
          promoted_by?: string;
          published_at?: string | null;
          reason?: string;
          run_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: "lora_promotions_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "lora_promotions_run_id_fkey";
            columns: ["run_id"];
            isOneToOne: false;
            referencedRelation: "training_runs";
            referencedColumns: ["id"];
          },
        ];
      };
      permission_revocations: {
        Row: {
          artist_id: string;
          permission_id: string;
          reason: string;
          revoked_at: string;
          revoked_by: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          permission_id: string;
          reason?: string;
          revoked_at?: string;
          revoked_by: string;
        };
        Update: {
          artist_id?: string;
          permission_id?: string;
          reason?: string;
          revoked_at?: string;
          revoked_by?: string;
        };
        Relationships: [
          {
            foreignKeyName: "permission_revocations_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "permission_revocations_permission_id_fkey";
            columns: ["permission_id"];
            isOneToOne: true;
            referencedRelation: "permissions";
            referencedColumns: ["id"];
          },
        ];
      };
      permissions: {
        Row: {
          artist_id: string;
          evidence: string;
          evidence_key: string | null;
          evidence_sha256: string | null;
          granted_by: string;
          id: string;
          purposes: string[];
          recorded_at: string;
          recorded_by: string;
          song: string | null;
          territory: string;
          training_item_id: string | null;
          valid_from: string;
          valid_until: string | null;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          evidence?: string;
          evidence_key?: string | null;
          evidence_sha256?: string | null;
          granted_by: string;
          id?: string;
          purposes: string[];
          recorded_at?: string;
          recorded_by: string;
          song?: string | null;
          territory?: string;
          training_item_id?: string | null;
          valid_from: string;
          valid_until?: string | null;
        };
        Update: {
          artist_id?: string;
          evidence?: string;
          evidence_key?: string | null;
          evidence_sha256?: string | null;
          granted_by?: string;
          id?: string;
          purposes?: string[];
          recorded_at?: string;
          recorded_by?: string;
          song?: string | null;
          territory?: string;
          training_item_id?: string | null;
          valid_from?: string;
          valid_until?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "permissions_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      prompts: {
        Row: {
          als_summary_id: string | null;
          artist_id: string;
          author: string | null;
          cost_usd: number;
          created_at: string;
          duration_ms: number;
          fingerprint: string;
          given_back_at: string | null;
          id: string;
          input_tokens: number;
          model_name: string | null;
          origin: string;
          output_tokens: number;
          profile_hash: string | null;
          provenance: NonNullable<Json>;
          schema_version: string | null;
          served_model: string | null;
          system_prompt_version: string | null;
          take: number;
          text: string;
        };
        ComputedFields: never;
        Insert: {
          als_summary_id?: string | null;
          artist_id: string;
          author?: string | null;
          cost_usd?: number;
          created_at?: string;
          duration_ms?: number;
          fingerprint: string;
          given_back_at?: string | null;
          id?: string;
          input_tokens?: number;
          model_name?: string | null;
          origin: string;
          output_tokens?: number;
          profile_hash?: string | null;
          provenance?: NonNullable<Json>;
          schema_version?: string | null;
          served_model?: string | null;
          system_prompt_version?: string | null;
          take?: number;
          text: string;
        };
        Update: {
          als_summary_id?: string | null;
          artist_id?: string;
          author?: string | null;
          cost_usd?: number;
          created_at?: string;
          duration_ms?: number;
          fingerprint?: string;
          given_back_at?: string | null;
          id?: string;
          input_tokens?: number;
          model_name?: string | null;
          origin?: string;
          output_tokens?: number;
          profile_hash?: string | null;
          provenance?: NonNullable<Json>;
          schema_version?: string | null;
          served_model?: string | null;
          system_prompt_version?: string | null;
          take?: number;
          text?: string;
        };
        Relationships: [
          {
            foreignKeyName: "prompts_als_summary_id_fkey";
            columns: ["als_summary_id"];
            isOneToOne: false;
            referencedRelation: "als_summaries";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "prompts_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      rendered_audio: {
        Row: {
          artist_id: string | null;
          audio_sha256: string;
          base: string;
          generator: string;
          id: string;
          landmarks: string | null;
          lora: string | null;
          made_at: string;
          origin: string;
          prompt: string;
          run: string | null;
          seconds: number;
          seed: number | null;
        };
        ComputedFields: never;
        Insert: {
          artist_id?: string | null;
          audio_sha256: string;
          base: string;
          generator: string;
          id: string;
          landmarks?: string | null;
          lora?: string | null;
          made_at?: string;
          origin: string;
          prompt: string;
          run?: string | null;
          seconds: number;
          seed?: number | null;
        };
        Update: {
          artist_id?: string | null;
          audio_sha256?: string;
          base?: string;
          generator?: string;
          id?: string;
          landmarks?: string | null;
          lora?: string | null;
          made_at?: string;
          origin?: string;
          prompt?: string;
          run?: string | null;
          seconds?: number;
          seed?: number | null;
        };
        Relationships: [
          {
            foreignKeyName: "rendered_audio_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      renderings: {
        Row: {
          artist_id: string;
          created_at: string;
          id: string;
          parts: NonNullable<Json>;
          prompt: string;
          scale: number;
          seconds: number;
          seed: number;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          created_at?: string;
          id: string;
          parts: NonNullable<Json>;
          prompt: string;
          scale?: number;
          seconds: number;
          seed: number;
        };
        Update: {
          artist_id?: string;
          created_at?: string;
          id?: string;
          parts?: NonNullable<Json>;
          prompt?: string;
          scale?: number;
          seconds?: number;
          seed?: number;
        };
        Relationships: [
          {
            foreignKeyName: "renderings_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      segment_facts: {
        Row: {
          artist_id: string;
          audio_hash: string;
          facts: NonNullable<Json>;
          index: number;
          parse_id: string;
          version: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          audio_hash: string;
          facts: NonNullable<Json>;
          index: number;
          parse_id: string;
          version: string;
        };
        Update: {
          artist_id?: string;
          audio_hash?: string;
          facts?: NonNullable<Json>;
          index?: number;
          parse_id?: string;
          version?: string;
        };
        Relationships: [
          {
            foreignKeyName: "segment_facts_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      segment_tags: {
        Row: {
          cost_usd: number;
          created_at: string;
          figures: NonNullable<Json>;
          hint: string;
          model: string;
          segment_hash: string;
          served_model: string | null;
          tag_prompt_version: string;
          tags: NonNullable<Json>;
          text: string;
        };
        ComputedFields: never;
        Insert: {
          cost_usd?: number;
          created_at?: string;
          figures: NonNullable<Json>;
          hint?: string;
          model: string;
          segment_hash: string;
          served_model?: string | null;
          tag_prompt_version: string;
          tags: NonNullable<Json>;
          text: string;
        };
        Update: {
          cost_usd?: number;
          created_at?: string;
          figures?: NonNullable<Json>;
          hint?: string;
          model?: string;
          segment_hash?: string;
          served_model?: string | null;
          tag_prompt_version?: string;
          tags?: NonNullable<Json>;
          text?: string;
        };
        Relationships: [];
      };
      song_timelines: {
        Row: {
          artist_id: string;
          created_at: string;
          parse_id: string;
          timeline: NonNullable<Json>;
          version: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          created_at?: string;
          parse_id: string;
          timeline: NonNullable<Json>;
          version: string;
        };
        Update: {
          artist_id?: string;
          created_at?: string;
          parse_id?: string;
          timeline?: NonNullable<Json>;
          version?: string;
        };
        Relationships: [
          {
            foreignKeyName: "song_timelines_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      spending: {
        Row: {
          artist_id: string;
          calls: number;
          cost_usd: number;
          day: string;
          input_tokens: number;
          model: string;
          output_tokens: number;
          service: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          calls?: number;
          cost_usd?: number;
          day: string;
          input_tokens?: number;
          model: string;
          output_tokens?: number;
          service: string;
        };
        Update: {
          artist_id?: string;
          calls?: number;
          cost_usd?: number;
          day?: string;
          input_tokens?: number;
          model?: string;
          output_tokens?: number;
          service?: string;
        };
        Relationships: [];
      };
      training_approvals: {
        Row: {
          approved_at: string | null;
          approved_by: string | null;
          artist_id: string;
          asked_at: string;
          dataset_id: string;
          expected_usd: number | null;
          fingerprint: string;
          model_name: string;
          plan: string;
        };
        ComputedFields: never;
        Insert: {
          approved_at?: string | null;
          approved_by?: string | null;
          artist_id: string;
          asked_at?: string;
          dataset_id: string;
          expected_usd?: number | null;
          fingerprint: string;
          model_name: string;
          plan: string;
        };
        Update: {
          approved_at?: string | null;
          approved_by?: string | null;
          artist_id?: string;
          asked_at?: string;
          dataset_id?: string;
          expected_usd?: number | null;
          fingerprint?: string;
          model_name?: string;
          plan?: string;
        };
        Relationships: [
          {
            foreignKeyName: "training_approvals_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "training_approvals_dataset_id_fkey";
            columns: ["dataset_id"];
            isOneToOne: false;
            referencedRelation: "datasets";
            referencedColumns: ["id"];
          },
        ];
      };
      training_items: {
        Row: {
          als_filename: string | null;
          als_summary_id: string | null;
          artist_id: string;
          audio_duration_seconds: number | null;
          audio_findings: string[];
          audio_format: string | null;
          audio_hash: string | null;
          audio_path: string | null;
          created_at: string | null;
          error: string | null;
          excluded_at: string | null;
          generated_at: string | null;
          id: string;
          item_key: string | null;
          model_name: string | null;
          parse_id: string;
          project_name: string | null;
          prompt_file_hash: string | null;
          prompt_id: string | null;
          prompt_path: string | null;
          prompt_summary_id: string | null;
          prompt_take: number;
          prompt_text: string | null;
          prompt_text_at: string | null;
          status: string;
          system_prompt_version: string | null;
          updated_at: string | null;
        };
        ComputedFields: never;
        Insert: {
          als_filename?: string | null;
          als_summary_id?: string | null;
          artist_id: string;
          audio_duration_seconds?: number | null;
          audio_findings?: string[];
          audio_format?: string | null;
          audio_hash?: string | null;
          audio_path?: string | null;
          created_at?: string | null;
          error?: string | null;
          excluded_at?: string | null;
          generated_at?: string | null;
          id?: string;
          item_key?: string | null;
          model_name?: string | null;
          parse_id: string;
          project_name?: string | null;
          prompt_file_hash?: string | null;
          prompt_id?: string | null;
          prompt_path?: string | null;
          prompt_summary_id?: string | null;
          prompt_take?: number;
          prompt_text?: string | null;
          prompt_text_at?: string | null;
          status?: string;
          system_prompt_version?: string | null;
          updated_at?: string | null;
        };
        Update: {
          als_filename?: string | null;
          als_summary_id?: string | null;
          artist_id?: string;
          audio_duration_seconds?: number | null;
          audio_findings?: string[];
          audio_format?: string | null;
          audio_hash?: string | null;
          audio_path?: string | null;
          created_at?: string | null;
          error?: string | null;
          excluded_at?: string | null;
          generated_at?: string | null;
          id?: string;
          item_key?: string | null;
          model_name?: string | null;
          parse_id?: string;
          project_name?: string | null;
          prompt_file_hash?: string | null;
          prompt_id?: string | null;
          prompt_path?: string | null;
          prompt_summary_id?: string | null;
          prompt_take?: number;
          prompt_text?: string | null;
          prompt_text_at?: string | null;
          status?: string;
          system_prompt_version?: string | null;
          updated_at?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "training_items_als_summary_id_fkey";
            columns: ["als_summary_id"];
            isOneToOne: false;
            referencedRelation: "als_summaries";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "training_items_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "training_items_prompt_id_fkey";
            columns: ["prompt_id"];
            isOneToOne: false;
            referencedRelation: "prompts";
            referencedColumns: ["id"];
          },
        ];
      };
      training_runs: {
        Row: {
          adapter_key: string | null;
          adapter_sha256: string | null;
          artist_id: string;
          backend: string;
          base: string;
          call_id: string | null;
          candidate_at: string | null;
          created_at: string;
          dataset_id: string | null;
          error: string | null;
          fingerprint: string;
          finished_at: string | null;
          id: string;
          metrics: NonNullable<Json>;
          model_name: string;
          parameters: NonNullable<Json>;
          promoted: boolean;
          state: string;
        };
        ComputedFields: never;
        Insert: {
          adapter_key?: string | null;
          adapter_sha256?: string | null;
          artist_id: string;
          backend: string;
          base: string;
          call_id?: string | null;
          candidate_at?: string | null;
          created_at?: string;
          dataset_id?: string | null;
          error?: string | null;
          fingerprint: string;
          finished_at?: string | null;
          id?: string;
          metrics?: NonNullable<Json>;
          model_name: string;
          parameters: NonNullable<Json>;
          promoted?: boolean;
          state: string;
        };
        Update: {
          adapter_key?: string | null;
          adapter_sha256?: string | null;
          artist_id?: string;
          backend?: string;
          base?: string;
          call_id?: string | null;
          candidate_at?: string | null;
          created_at?: string;
          dataset_id?: string | null;
          error?: string | null;
          fingerprint?: string;
          finished_at?: string | null;
          id?: string;
          metrics?: NonNullable<Json>;
          model_name?: string;
          parameters?: NonNullable<Json>;
          promoted?: boolean;
          state?: string;
        };
        Relationships: [
          {
            foreignKeyName: "training_runs_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "training_runs_dataset_id_fkey";
            columns: ["dataset_id"];
            isOneToOne: false;
            referencedRelation: "datasets";
            referencedColumns: ["id"];
          },
        ];
      };
      uploads: {
        Row: {
          als_summary_id: string | null;
          artist_id: string;
          created_at: string;
          final_key: string | null;
          folder: string;
          id: string;
          inbox_key: string;
          kind: string;
          name: string;
          reason: string | null;
          sha256: string;
          size_bytes: number;
          state: string;
          training_item_id: string | null;
          updated_at: string;
          upload_id: string;
        };
        ComputedFields: never;
        Insert: {
          als_summary_id?: string | null;
          artist_id: string;
          created_at?: string;
          final_key?: string | null;
          folder?: string;
          id?: string;
          inbox_key: string;
          kind: string;
          name: string;
          reason?: string | null;
          sha256: string;
          size_bytes: number;
          state: string;
          training_item_id?: string | null;
          updated_at?: string;
          upload_id: string;
        };
        Update: {
          als_summary_id?: string | null;
          artist_id?: string;
          created_at?: string;
          final_key?: string | null;
          folder?: string;
          id?: string;
          inbox_key?: string;
          kind?: string;
          name?: string;
          reason?: string | null;
          sha256?: string;
          size_bytes?: number;
          state?: string;
          training_item_id?: string | null;
          updated_at?: string;
          upload_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: "uploads_als_summary_id_fkey";
            columns: ["als_summary_id"];
            isOneToOne: false;
            referencedRelation: "als_summaries";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "uploads_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
          {
            foreignKeyName: "uploads_training_item_id_fkey";
            columns: ["training_item_id"];
            isOneToOne: false;
            referencedRelation: "training_items";
            referencedColumns: ["id"];
          },
        ];
      };
      user_artists: {
        Row: {
          artist_id: string;
          created_at: string | null;
          role: string;
          user_id: string;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          created_at?: string | null;
          role?: string;
          user_id: string;
        };
        Update: {
          artist_id?: string;
          created_at?: string | null;
          role?: string;
          user_id?: string;
        };
        Relationships: [
          {
            foreignKeyName: "user_artists_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: false;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
      verifications: {
        Row: {
          artist_id: string;
          bytes_at: string | null;
          findings: NonNullable<Json>;
          names_at: string | null;
        };
        ComputedFields: never;
        Insert: {
          artist_id: string;
          bytes_at?: string | null;
          findings?: NonNullable<Json>;
          names_at?: string | null;
        };
        Update: {
          artist_id?: string;
          bytes_at?: string | null;
          findings?: NonNullable<Json>;
          names_at?: string | null;
        };
        Relationships: [
          {
            foreignKeyName: "verifications_artist_id_fkey";
            columns: ["artist_id"];
            isOneToOne: true;
            referencedRelation: "artists";
            referencedColumns: ["id"];
          },
        ];
      };
    };
    Views: {
      [_ in never]: never;
    };
    Functions: {
      dawa_free_slug: { Args: { artist: string; wished: string }; Returns: string };
      dawa_is_under: { Args: { path: string; slug: string }; Returns: boolean };
      dawa_slugify: { Args: { name: string }; Returns: string };
    };
    Enums: {
      [_ in never]: never;
    };
    CompositeTypes: {
      [_ in never]: never;
    };
  };
};

type DatabaseWithoutInternals = Omit<Database, "__InternalSupabase">;

type DefaultSchema = DatabaseWithoutInternals[Extract<keyof Database, "public">];

export type Tables<
  DefaultSchemaTableNameOrOptions extends
    keyof (DefaultSchema["Tables"] & DefaultSchema["Views"]) | { schema: keyof DatabaseWithoutInternals },
  TableName extends (DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
        DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])
    : never) = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? (DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"] &
      DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Views"])[TableName] extends {
      Row: infer R;
    }
    ? R
    : never
  : DefaultSchemaTableNameOrOptions extends keyof (DefaultSchema["Tables"] & DefaultSchema["Views"])
    ? (DefaultSchema["Tables"] & DefaultSchema["Views"])[DefaultSchemaTableNameOrOptions] extends {
        Row: infer R;
      }
      ? R
      : never
    : never;

export type TablesInsert<
  DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"] | { schema: keyof DatabaseWithoutInternals },
  TableName extends (DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never) = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Insert: infer I;
    }
    ? I
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
        Insert: infer I;
      }
      ? I
      : never
    : never;

export type TablesUpdate<
  DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"] | { schema: keyof DatabaseWithoutInternals },
  TableName extends (DefaultSchemaTableNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"]
    : never) = never,
> = DefaultSchemaTableNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaTableNameOrOptions["schema"]]["Tables"][TableName] extends {
      Update: infer U;
    }
    ? U
    : never
  : DefaultSchemaTableNameOrOptions extends keyof DefaultSchema["Tables"]
    ? DefaultSchema["Tables"][DefaultSchemaTableNameOrOptions] extends {
        Update: infer U;
      }
      ? U
      : never
    : never;

export type Enums<
  DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"] | { schema: keyof DatabaseWithoutInternals },
  EnumName extends (DefaultSchemaEnumNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"]
    : never) = never,
> = DefaultSchemaEnumNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[DefaultSchemaEnumNameOrOptions["schema"]]["Enums"][EnumName]
  : DefaultSchemaEnumNameOrOptions extends keyof DefaultSchema["Enums"]
    ? DefaultSchema["Enums"][DefaultSchemaEnumNameOrOptions]
    : never;

export type CompositeTypes<
  PublicCompositeTypeNameOrOptions extends
    keyof DefaultSchema["CompositeTypes"] | { schema: keyof DatabaseWithoutInternals },
  CompositeTypeName extends (PublicCompositeTypeNameOrOptions extends {
    schema: keyof DatabaseWithoutInternals;
  }
    ? keyof DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"]
    : never) = never,
> = PublicCompositeTypeNameOrOptions extends { schema: keyof DatabaseWithoutInternals }
  ? DatabaseWithoutInternals[PublicCompositeTypeNameOrOptions["schema"]]["CompositeTypes"][CompositeTypeName]
  : PublicCompositeTypeNameOrOptions extends keyof DefaultSchema["CompositeTypes"]
    ? DefaultSchema["CompositeTypes"][PublicCompositeTypeNameOrOptions]
    : never;

export const Constants = {
  public: {
    Enums: {},
  },
} as const;
