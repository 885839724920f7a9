//! What backup and restore ask: everything, page by page, and the end of what was issued.

macro_rules! tables {
    ($($table:literal),* $(,)?) => {
        /// Every table, with the statement that counts its rows; a test compares it with the schema.
        pub(crate) const TABLES: &[(&str, &str)] =
            &[$(($table, concat!("SELECT count(*) FROM ", $table))),*];
    };
}

tables! {
    "changes", "clients", "scopes", "resource_servers", "detail_types", "roles", "users", "totp_credentials",
    "recovery_codes", "attempts", "sessions", "session_clients", "logout_notices", "device_codes", "interactions", "consents", "grants", "codes",
    "refresh_tokens", "access_tokens", "denied_tokens", "replay_marks", "signing_keys", "deployment_secrets", "audit_events",
    "pushed_requests",
    "initial_access_tokens", "registrations",
    "upstream_attempts", "upstream_links", "upstream_sessions",
}

/// The keys of a table, a page at a time: `$1` is the last of the page before, `$2` the size.
macro_rules! keys {
    ($table:literal, $key:literal) => {
        concat!(
            "SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $key,
            " > $1 OR $1 IS NULL ORDER BY ",
            $key,
            " LIMIT $2"
        )
    };
}

statements! {
    SESSION_KEYS = keys!("sessions", "id");
    INTERACTION_KEYS = keys!("interactions", "id");
    GRANT_KEYS = keys!("grants", "id");
    CODE_KEYS = keys!("codes", "digest");
    REFRESH_KEYS = keys!("refresh_tokens", "digest");
    ACCESS_KEYS = keys!("access_tokens", "digest");
    DENIED_KEYS = keys!("denied_tokens", "id");
    ATTEMPT_KEYS = keys!("attempts", "account");
    TOTP_KEYS = keys!("totp_credentials", "user_id");

    END_SESSIONS = "UPDATE sessions SET ended_at = $1 WHERE ended_at IS NULL AND expires_at > $1";
    /// With them every code, refresh token and access token below.
    END_GRANTS = "UPDATE grants SET revoked_at = $1 WHERE revoked_at IS NULL AND expires_at > $1";
    END_CLIENT_TOKENS = "UPDATE access_tokens SET revoked_at = $1
        WHERE grant_id IS NULL AND revoked_at IS NULL AND expires_at > $1";
    END_INTERACTIONS = "UPDATE interactions SET completed_at = $1, version = version + 1
        WHERE completed_at IS NULL";
    END_UPSTREAM_ATTEMPTS = "UPDATE upstream_attempts SET used_at = $1
        WHERE used_at IS NULL AND expires_at > $1";
    END_PUSHED_REQUESTS = "UPDATE pushed_requests SET consumed_at = $1
        WHERE consumed_at IS NULL AND keep_until > $1";
    END_DEVICE_CODES = "UPDATE device_codes SET state = 'denied' WHERE state <> 'denied' AND expires_at > $1";
    PASS_TOTP_STEPS = "UPDATE totp_credentials SET last_step = $1 WHERE last_step < $1";
    END_CONSENTS = "UPDATE consents SET withdrawn_at = $1 WHERE withdrawn_at IS NULL";
}

// Statements of one engine: snapshots, checks of the file, and the catalogue of tables.

/// A compact copy, as of one moment; readers and the writer go on meanwhile.
pub(crate) const SQLITE_COPY: &str = "VACUUM INTO $1";
pub(crate) const SQLITE_SIZE: &str = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
pub(crate) const SQLITE_INTEGRITY: &str = "SELECT integrity_check FROM pragma_integrity_check";
pub(crate) const SQLITE_ORPHANS: &str = "SELECT count(*) FROM pragma_foreign_key_check";
pub(crate) const SQLITE_TABLES: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name";
/// Fails while anybody else has the file open.
pub(crate) const SQLITE_ALONE: &str = "PRAGMA journal_mode = DELETE";

pub(crate) const POSTGRES_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
pub(crate) const POSTGRES_EXPORT: &str = "SELECT pg_export_snapshot(), current_schema()::text";
pub(crate) const POSTGRES_SCHEMA: &str = "SELECT current_schema()::text";
pub(crate) const POSTGRES_TABLES: &str =
    "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename";
/// Other connections of servers: those of this command have another name.
pub(crate) const POSTGRES_SERVERS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'chancery'";
