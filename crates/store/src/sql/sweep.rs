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
    SESSIONS = sweep!("sessions", "id", "expires_at");
    DENIED_TOKENS = sweep!("denied_tokens", "id", "expires_at");
    ATTEMPTS = sweep!("attempts", "account", "last_failure_at");
    INITIAL_TOKENS = sweep!("initial_access_tokens", "id", "expires_at");
    DEVICE_CODES = sweep!("device_codes", "digest", "expires_at");
    LOGOUT_NOTICES = sweep!("logout_notices", "session_id, client_id", "expires_at");
    REPLAY_MARKS = sweep!("replay_marks", "kind, digest", "expires_at");
    UPSTREAM_ATTEMPTS = sweep!("upstream_attempts", "digest", "expires_at");
}
