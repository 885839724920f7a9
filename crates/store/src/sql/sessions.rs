//! Sessions.

macro_rules! columns {
    () => {
        "id, digest, user_id, auth_time, acr, amr, created_at, last_seen_at, expires_at, ended_at,
        user_agent, address"
    };
}

statements! {
    BY_DIGEST = concat!("SELECT ", columns!(), " FROM sessions WHERE digest = $1");
    BY_ID = concat!("SELECT ", columns!(), " FROM sessions WHERE id = $1");
    /// If it has neither ended nor been begun anew since it was read.
    IS_LIVE = "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = $1 AND auth_time = $2 AND ended_at IS NULL)";
    OF_USER = concat!("SELECT ", columns!(), " FROM sessions
        WHERE user_id = $1 AND ended_at IS NULL AND expires_at > $2 ORDER BY last_seen_at DESC");
    INSERT = concat!("INSERT INTO sessions (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
    /// Only where the cookie is still the one that was read.
    RENEW = "UPDATE sessions SET digest = $3, auth_time = $4, acr = $5, amr = $6, last_seen_at = $7,
            expires_at = $8
        WHERE id = $1 AND digest = $2 AND ended_at IS NULL";
    TOUCH = "UPDATE sessions SET last_seen_at = $2 WHERE id = $1 AND ended_at IS NULL AND last_seen_at < $2";
    END = "UPDATE sessions SET ended_at = $3 WHERE id = $1 AND user_id = $2 AND ended_at IS NULL";
    END_OF_USER = "UPDATE sessions SET ended_at = $3
        WHERE user_id = $1 AND (id <> $2 OR $2 IS NULL) AND ended_at IS NULL";
}
