#!/usr/bin/env python3
"""Writes the rows of an SQLite database as a fixture for the migration tests.

    scripts/schema_fixture.py chancery.db > crates/store/fixtures/schema-000N.sql

Run it on a database at schema version N, after a bank has lived in it for a while: customers who connected apps,
enrolled and withdrew, keys in every state, a row in every table. The tests say which table has none.
"""

import sqlite3
import sys

# Parents before children.
TABLES = """changes clients scopes resource_servers roles users totp_credentials recovery_codes attempts sessions
interactions consents grants codes refresh_tokens access_tokens denied_tokens replay_marks signing_keys
audit_events""".split()


def literal(value, kind):
    if value is None:
        return "NULL"
    if kind == "UUID":
        return f"uuid '{value.hex()}'"
    if kind == "BYTEA":
        return f"bytea '\\x{value.hex()}'"
    if kind == "BOOLEAN":
        return "TRUE" if value else "FALSE"
    if kind == "BIGINT":
        return str(value)
    text = str(value).replace("'", "''")
    return f"'{text}'"


def main(path):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    kept = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    present = {name for (name,) in database.execute(kept)} - {"_sqlx_migrations"}
    if unknown := present - set(TABLES):
        sys.exit(f"put {', '.join(sorted(unknown))} into TABLES, after what they refer to")
    version = database.execute("SELECT max(version) FROM _sqlx_migrations").fetchone()[0]
    print(f"-- Rows of every table at schema version {version}, as a server of that time wrote them.")
    print("-- PostgreSQL's dialect; for SQLite the typed constants of blobs are rewritten. It never changes.")
    for table in (table for table in TABLES if table in present):
        columns = [(row[1], row[2]) for row in database.execute(f"PRAGMA table_info({table})")]
        names = ", ".join(name for name, _ in columns)
        rows = database.execute(f"SELECT {names} FROM {table}").fetchall()
        lines = [
            "    (" + ", ".join(literal(value, kind) for value, (_, kind) in zip(row, columns)) + ")"
            for row in rows
        ]
        print(f"\nINSERT INTO {table} ({names}) VALUES\n" + ",\n".join(lines) + ";")


main(sys.argv[1])
