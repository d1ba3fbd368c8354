"""The questions that Supabase's linter asks of a database's security, on the migrated one: none finds anything.

They are asked anew here, by the rules' names (supabase.com/docs/guides/database/database-linter). Not asked: of
extensions that can't be here (pgmq), and whether pg_graphql shows signed-in users the tables that are meant for them.
"""

import pytest

from resources.database.base import Database

_READ_BY_CLIENTS = (
    "(has_table_privilege('anon', c.oid, 'SELECT') or has_table_privilege('authenticated', c.oid, 'SELECT'))"
)
_RELATIONS = "pg_class c where c.relnamespace = 'public'::regnamespace and"
_POLICY_TEXT = "coalesce(qual, '') || ' ' || coalesce(with_check, '')"
_ALWAYS = r"'^\(*(true|1\s*=\s*1)\)*$'"

QUESTIONS = {
    "auth_users_exposed": f"""
        select c.relname from pg_class c
        join pg_rewrite r on r.ev_class = c.oid join pg_depend d on d.objid = r.oid
        where c.relnamespace = 'public'::regnamespace and d.refobjid = 'auth.users'::regclass and {_READ_BY_CLIENTS}""",
    "policy_exists_rls_disabled": f"""
        select c.relname from {_RELATIONS} not c.relrowsecurity
        and exists (select from pg_policy where polrelid = c.oid)""",
    "rls_enabled_no_policy": f"""
        select c.relname from {_RELATIONS} c.relrowsecurity
        and not exists (select from pg_policy where polrelid = c.oid)""",
    "security_definer_view": f"""
        select c.relname from {_RELATIONS} c.relkind = 'v' and {_READ_BY_CLIENTS}
        and not coalesce(c.reloptions, '{{}}') && array['security_invoker=true', 'security_invoker=on',
        'security_invoker=yes', 'security_invoker=1']""",
    "function_search_path_mutable": """
        select proname from pg_proc where pronamespace = 'public'::regnamespace
        and not coalesce(array_to_string(proconfig, ','), '') ~ '(^|,)search_path='""",
    "rls_disabled_in_public": f"select c.relname from {_RELATIONS} c.relkind in ('r', 'p') and not c.relrowsecurity",
    "extension_in_public": "select extname from pg_extension where extnamespace = 'public'::regnamespace",
    "rls_references_user_metadata": f"""
        select tablename from pg_policies where {_POLICY_TEXT} like '%user_metadata%'""",
    "materialized_view_in_api": f"select c.relname from {_RELATIONS} c.relkind = 'm' and {_READ_BY_CLIENTS}",
    "foreign_table_in_api": f"select c.relname from {_RELATIONS} c.relkind = 'f' and {_READ_BY_CLIENTS}",
    "unsupported_reg_types": """
        select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and a.atttypid in (
          'regcollation'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype, 'regnamespace'::regtype,
          'regoper'::regtype, 'regoperator'::regtype, 'regproc'::regtype, 'regprocedure'::regtype)""",
    "sensitive_columns_exposed": f"""
        select c.relname from {_RELATIONS} not c.relrowsecurity and {_READ_BY_CLIENTS} and exists (
          select from pg_attribute where attrelid = c.oid and attnum > 0
          and attname ~ '(password|passphrase|secret|token|api_?key|private_key|jwt|otp|credit_card|iban|ssn)')""",
    "rls_policy_always_true": f"""
        select policyname from pg_policies where schemaname = 'public' and permissive = 'PERMISSIVE' and cmd <> 'SELECT'
        and (coalesce(qual, 'true') ~ {_ALWAYS} and cmd <> 'INSERT'
          or coalesce(with_check, qual, 'true') ~ {_ALWAYS} and cmd <> 'DELETE')""",
    "public_bucket_allows_listing": f"""
        select b.id from storage.buckets b join pg_policies p on p.schemaname = 'storage' and p.tablename = 'objects'
        and p.cmd in ('SELECT', 'ALL') and p.permissive = 'PERMISSIVE'
        where b.public and (coalesce(p.qual, 'true') ~ {_ALWAYS} or p.qual = format('(bucket_id = %L::text)', b.id))""",
    "pg_graphql_anon_table_exposed": f"""
        select c.relname from {_RELATIONS} c.relkind in ('r', 'v', 'm', 'f')
        and has_any_column_privilege('anon', c.oid, 'SELECT')""",
    "anon_security_definer_function_executable": """
        select proname from pg_proc where pronamespace = 'public'::regnamespace and prosecdef
        and has_function_privilege('anon', oid, 'execute')""",
    "authenticated_security_definer_function_executable": """
        select proname from pg_proc where pronamespace = 'public'::regnamespace and prosecdef
        and has_function_privilege('authenticated', oid, 'execute')""",
}

_MADE = "create table made (id int, api_key text)"
CAUSES = {
    "auth_users_exposed": "create view made as select * from auth.users; grant select on made to anon",
    "policy_exists_rls_disabled": "alter table training_items disable row level security",
    "rls_enabled_no_policy": f"{_MADE}; alter table made enable row level security",
    "security_definer_view": "create view made as select * from artists; grant select on made to authenticated",
    "function_search_path_mutable": "create function made() returns int language sql as 'select 1'",
    "rls_disabled_in_public": _MADE,
    "extension_in_public": "update pg_extension set extnamespace = 'public'::regnamespace",
    "rls_references_user_metadata": "create policy made on artists for select "
    "using (id::text = auth.jwt() -> 'user_metadata' ->> 'artist')",
    "materialized_view_in_api": "create materialized view made as select * from artists; grant select on made to anon",
    "foreign_table_in_api": "create foreign data wrapper made; create server made foreign data wrapper made; "
    "create foreign table made (id int) server made; grant select on made to anon",
    "unsupported_reg_types": "create table made (id regproc)",
    "sensitive_columns_exposed": f"{_MADE}; grant select on made to anon",
    "rls_policy_always_true": "create policy made on artists for delete using (true)",
    "public_bucket_allows_listing": "update storage.buckets set public = true; "
    "create policy made on storage.objects for select using (bucket_id = 'dawa-exports')",
    "pg_graphql_anon_table_exposed": "grant select (name) on artists to anon",
    "anon_security_definer_function_executable": "grant execute on function dawa_guard_paths() to anon",
    "authenticated_security_definer_function_executable": "grant execute on function dawa_guard_paths() "
    "to authenticated",
}


def _found(database: Database, question: str, cause: str = "") -> list[str]:
    with database.transaction() as connection:
        connection.execute(cause.encode() or b"select 1")
        rows = connection.execute(QUESTIONS[question].encode()).fetchall()
        connection.rollback()
    return sorted({str(value) for row in rows for value in row.values()})


def test_no_question_finds_anything(database: Database) -> None:
    found = {question: _found(database, question) for question in QUESTIONS}
    assert {question: names for question, names in found.items() if names} == {}


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_finds_what_it_is_about(database: Database, question: str) -> None:
    assert _found(database, question, CAUSES[question]) != []
