"""The type `Database` of `docs/database.types.ts`, as `supabase gen types typescript` gives it (formatted by prettier).

`python -m tests.supabase.typescript` writes it anew from the migrations, without a Supabase project at hand.
"""

import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

FILE = Path(__file__).resolve().parents[2] / "docs" / "database.types.ts"
_BEGIN, _END = "export type Database = {\n", "\ntype DatabaseWithoutInternals"
_WIDTH = 120
_TYPES = {
    "bool": "boolean",
    **dict.fromkeys(("int2", "int4", "int8", "float4", "float8", "numeric"), "number"),
    **dict.fromkeys(("json", "jsonb"), "Json"),
    **dict.fromkeys(("text", "uuid", "varchar", "bytea", "date", "timestamptz", "timestamp"), "string"),
}

_COLUMNS = """
select c.relname as table_name, a.attname as name, t.typname as type, a.attnotnull as required,
  a.atthasdef as defaulted, a.attidentity as identity, a.attgenerated as generated
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_type t on t.oid = a.atttypid
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
order by c.relname collate "C", a.attname collate "C"
"""
_KEYS = """
select k.conname as name, c.relname as table_name, f.relname as target,
  array(select attname::text from unnest(k.conkey) with ordinality as n (number, position)
    join pg_attribute on attrelid = k.conrelid and attnum = n.number order by position) as columns,
  array(select attname::text from unnest(k.confkey) with ordinality as n (number, position)
    join pg_attribute on attrelid = k.confrelid and attnum = n.number order by position) as target_columns,
  exists (select from pg_constraint u where u.conrelid = k.conrelid and u.contype in ('p', 'u')
    and u.conkey @> k.conkey and u.conkey <@ k.conkey) as one_to_one
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class f on f.oid = k.confrelid
where k.contype = 'f' and c.relnamespace = 'public'::regnamespace and f.relnamespace = 'public'::regnamespace
order by k.conname collate "C"
"""
_FUNCTIONS = """
select proname as name, proargnames as arguments, t.typname as returns,
  array(select typname::text from unnest(proargtypes) with ordinality as n (number, position)
    join pg_type on pg_type.oid = n.number order by position) as types
from pg_proc p join pg_type t on t.oid = prorettype
where pronamespace = 'public'::regnamespace and t.typname not in ('trigger', 'event_trigger')
order by proname collate "C"
"""


def current_file(url: str, before: str) -> str:
    """What the file has to be for the database of this address; only the type `Database` is made anew."""
    head, _, rest = before.partition(_BEGIN)
    return head + _BEGIN + database_type(url) + _END + rest.partition(_END)[2]


def database_type(url: str) -> str:
    """The body of the type."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        columns = connection.execute(_COLUMNS).fetchall()
        keys = connection.execute(_KEYS).fetchall()
        functions = connection.execute(_FUNCTIONS).fetchall()
    lines = ["  public: {", "    Tables: {"]
    for table in sorted({column["table_name"] for column in columns}):
        lines += _table(
            table,
            [column for column in columns if column["table_name"] == table],
            [key for key in keys if key["table_name"] == table],
        )
    lines += ["    };", *_nothing("Views"), "    Functions: {"]
    lines += [_function(function) for function in functions]
    lines += ["    };", *_nothing("Enums"), *_nothing("CompositeTypes"), "  };", "};", ""]
    return "\n".join(lines)


def _table(name: str, columns: Sequence[dict[str, Any]], keys: Sequence[dict[str, Any]]) -> list[str]:
    rows = [f"          {column['name']}: {_type(column)};" for column in columns]
    inserts = [f"          {_written(column, new=True)};" for column in columns]
    updates = [f"          {_written(column, new=False)};" for column in columns]
    return [
        f"      {name}: {{",
        *("        Row: {", *rows, "        };", "        ComputedFields: never;"),
        *("        Insert: {", *inserts, "        };", "        Update: {", *updates, "        };"),
        *_relationships(keys),
        "      };",
    ]


def _type(column: dict[str, Any]) -> str:
    plain = column["type"]
    kind = f"{_TYPES[plain[1:]]}[]" if plain.startswith("_") else _TYPES[plain]
    if not column["required"]:
        return f"{kind} | null"
    return "NonNullable<Json>" if kind == "Json" else kind


def _written(column: dict[str, Any], *, new: bool) -> str:
    if column["generated"] or column["identity"] == "a":
        return f"{column['name']}?: never"
    needed = new and column["required"] and not column["defaulted"] and not column["identity"]
    return f"{column['name']}{'' if needed else '?'}: {_type(column)}"


def _relationships(keys: Sequence[dict[str, Any]]) -> list[str]:
    if not keys:
        return ["        Relationships: [];"]
    lines = ["        Relationships: ["]
    for key in keys:
        lines += [
            "          {",
            f"            foreignKeyName: {json.dumps(key['name'])};",
            f"            columns: {_listed(key['columns'])};",
            f"            isOneToOne: {json.dumps(key['one_to_one'])};",
            f"            referencedRelation: {json.dumps(key['target'])};",
            f"            referencedColumns: {_listed(key['target_columns'])};",
            "          },",
        ]
    return [*lines, "        ];"]


def _listed(names: Iterable[str]) -> str:
    return f"[{', '.join(json.dumps(name) for name in names)}]"


def _nothing(what: str) -> list[str]:
    return [f"    {what}: {{", "      [_ in never]: never;", "    };"]


def _function(function: dict[str, Any]) -> str:
    pairs = sorted(zip(function["arguments"], function["types"], strict=True))
    arguments = "; ".join(f"{name}: {_TYPES[kind]}" for name, kind in pairs)
    line = f"      {function['name']}: {{ Args: {{ {arguments} }}; Returns: {_TYPES[function['returns']]} }};"
    assert len(line) <= _WIDTH, f"{function['name']}: prettier would break its line"
    return line


def main() -> None:
    """Write the file for the migrations as they are."""
    from resources.database.embedded.embedded_database import EmbeddedDatabase

    with tempfile.TemporaryDirectory(prefix="dawa-types-") as folder:
        Path(folder).chmod(0o711)  # root's database server runs as another user
        database = EmbeddedDatabase(Path(folder) / "postgres")
        try:
            FILE.write_text(current_file(database.url(), FILE.read_text(encoding="utf-8")), encoding="utf-8")
        finally:
            database.stop()


if __name__ == "__main__":
    main()
