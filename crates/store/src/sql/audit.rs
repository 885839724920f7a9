//! Audit events: written and read, never changed.

macro_rules! columns {
    () => {
        "id, at, kind, outcome, actor, user_id, client_id, session_id, grant_id, consent_id,
        interaction_id, address, correlation_id, reason, detail"
    };
}

statements! {
    INSERT = concat!("INSERT INTO audit_events (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)");
    /// Newest first; an absent condition is null.
    SELECT = concat!("SELECT ", columns!(), " FROM audit_events
        WHERE (user_id = $1 OR $1 IS NULL) AND (client_id = $2 OR $2 IS NULL)
            AND (kind = $3 OR $3 IS NULL) AND (at >= $4 OR $4 IS NULL) AND (at < $5 OR $5 IS NULL)
            AND (id < $6 OR $6 IS NULL)
        ORDER BY id DESC LIMIT $7");
}
