//! Audit events: written and read, never changed.

macro_rules! columns {
    () => {
        "id, at, kind, outcome, actor, user_id, client_id, session_id, grant_id, consent_id,
        interaction_id, address, correlation_id, reason, detail"
    };
}

pub(crate) use columns;

/// What [`AuditFilter`](crate::AuditFilter) says; an absent condition is null.
macro_rules! conditions {
    () => {
        "(user_id = $1 OR $1 IS NULL) AND (client_id = $2 OR $2 IS NULL)
            AND (kind = $3 OR $3 IS NULL) AND (at >= $4 OR $4 IS NULL) AND (at < $5 OR $5 IS NULL)
            AND (outcome = $6 OR $6 IS NULL) AND (correlation_id = $7 OR $7 IS NULL)"
    };
}

statements! {
    INSERT = concat!("INSERT INTO audit_events (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)");
    /// Newest first.
    SELECT = concat!("SELECT ", columns!(), " FROM audit_events WHERE ", conditions!(), "
            AND (id < $8 OR $8 IS NULL)
        ORDER BY id DESC LIMIT $9");
    /// Oldest first.
    FORWARD = concat!("SELECT ", columns!(), " FROM audit_events WHERE ", conditions!(), "
            AND (id > $8 OR $8 IS NULL)
        ORDER BY id LIMIT $9");
    COUNT = concat!("SELECT count(*) FROM audit_events WHERE ", conditions!());
}

/// Many events in one statement, each column an array: only PostgreSQL has those. What is there stays.
pub(crate) const POSTGRES_INSERT_MANY: &str = concat!(
    "INSERT INTO audit_events (",
    columns!(),
    ") SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::uuid[],
        $7::text[], $8::uuid[], $9::uuid[], $10::uuid[], $11::uuid[], $12::text[], $13::uuid[], $14::text[],
        $15::jsonb[])
    ON CONFLICT (id) DO NOTHING"
);
/// The same on SQLite: rows of values follow the first part.
pub(crate) const SQLITE_INSERT_MANY: &str = concat!("INSERT INTO audit_events (", columns!(), ") ");
pub(crate) const SQLITE_KEEP_OLD: &str = " ON CONFLICT (id) DO NOTHING";
