//! What goes when its time is over, a batch at a time: `$1` is now, `$2` the size of the batch. Rows
//! are taken in the order of their keys, so that two sweepers wait instead of deadlocking.

macro_rules! sweep {
    ($table:literal, $key:literal, $end:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE (",
            $key,
            ") IN (SELECT ",
            $key,
            " FROM ",
            $table,
            " WHERE ",
            $end,
            " < $1 ORDER BY ",
            $key,
            " LIMIT $2)"
        )
    };
}

statements! {
    INTERACTIONS = sweep!("interactions", "id", "expires_at");
    PUSHED_REQUESTS = sweep!("pushed_requests", "digest", "keep_until");
    CODES = sweep!("codes", "digest", "keep_until");
    REFRESH_TOKENS = sweep!("refresh_tokens", "digest", "expires_at");
    ACCESS_TOKENS = sweep!("access_tokens", "digest", "expires_at");
    GRANTS = sweep!("grants", "id", "expires_at");
    /// Sessions that nobody ended end by themselves first, so that their clients are told (BL-02).
    END_SESSIONS = "UPDATE sessions SET ended_at = $1 WHERE ended_at IS NULL AND id IN
        (SELECT id FROM sessions WHERE expires_at < $1 AND ended_at IS NULL ORDER BY id LIMIT $2)";
    SESSIONS = "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions
        WHERE expires_at < $1 AND ended_at IS NOT NULL ORDER BY id LIMIT $2)";
    DENIED_TOKENS = sweep!("denied_tokens", "id", "expires_at");
    ATTEMPTS = sweep!("attempts", "account", "last_failure_at");
    /// Used up or ended by hand; `$1` is how old they may become, so that operators find them for a while.
    SPENT_INITIAL_TOKENS = "DELETE FROM initial_access_tokens WHERE id IN (SELECT id FROM initial_access_tokens
        WHERE created_at < $1 AND (revoked_at < $1 OR uses >= max_uses) ORDER BY id LIMIT $2)";
    INITIAL_TOKENS = sweep!("initial_access_tokens", "id", "expires_at");
    DEVICE_CODES = sweep!("device_codes", "digest", "expires_at");
    LOGOUT_NOTICES = sweep!("logout_notices", "session_id, client_id", "expires_at");
    REPLAY_MARKS = sweep!("replay_marks", "kind, digest", "expires_at");
    UPSTREAM_ATTEMPTS = sweep!("upstream_attempts", "digest", "expires_at");
}
