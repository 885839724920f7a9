//! Who took part in a session, and the logout tokens that are still to be delivered.

/// Notices for the clients of sessions that just ended; `$2` is now, `$3` when nobody tries any more.
macro_rules! enqueue {
    ($which:literal) => {
        concat!(
            "INSERT INTO logout_notices (session_id, client_id, user_id, created_at, due_at, attempts, done_at,
                expires_at)
            SELECT p.session_id, p.client_id, s.user_id, $2, $2, 0, NULL, $3
            FROM session_clients p JOIN sessions s ON s.id = p.session_id JOIN clients k ON k.id = p.client_id
            WHERE ",
            $which,
            " AND s.ended_at = $2 AND k.metadata ->> 'backchannel_logout_uri' IS NOT NULL AND NOT k.disabled
            ON CONFLICT (session_id, client_id) DO NOTHING"
        )
    };
}

statements! {
    /// Locks a session that has not ended: whoever ends it waits, and finds the client among those that
    /// are told.
    HOLD_SESSION = "UPDATE sessions SET last_seen_at = last_seen_at WHERE id = $1 AND ended_at IS NULL";
    /// Of a session that is there.
    TAKE_PART = "INSERT INTO session_clients (session_id, client_id, since)
        SELECT s.id, $2, $3 FROM sessions s WHERE s.id = $1
        ON CONFLICT (session_id, client_id) DO NOTHING";
    PARTICIPANTS = "SELECT client_id FROM session_clients WHERE session_id = $1 ORDER BY client_id";

    ENQUEUE_OF_SESSION = enqueue!("s.id = $1");
    ENQUEUE_OF_USER = enqueue!("s.user_id = $1");
    /// Of every session that ended at that moment, `$1`.
    ENQUEUE_OF_ALL = enqueue!("s.ended_at = $1");
    /// Of those that ended by themselves.
    ENQUEUE_OF_EXPIRED = enqueue!("s.expires_at < $1");

    /// What is due, oldest first, but of each client only the first `$2`, so that a thousand notices for
    /// one client do not hide another's.
    DUE = "SELECT session_id, client_id, user_id, created_at, attempts, expires_at
        FROM (SELECT session_id, client_id, user_id, created_at, due_at, attempts, expires_at,
                ROW_NUMBER() OVER (PARTITION BY client_id ORDER BY due_at, session_id) AS place
            FROM logout_notices WHERE done_at IS NULL AND due_at <= $1) AS due
        WHERE place <= $2 ORDER BY due_at, session_id LIMIT $3";
    /// Of the nodes that read the same number of attempts, one changes the row.
    CLAIM = "UPDATE logout_notices SET attempts = attempts + 1, due_at = $4
        WHERE session_id = $1 AND client_id = $2 AND attempts = $3 AND done_at IS NULL";
    POSTPONE = "UPDATE logout_notices SET due_at = $4
        WHERE session_id = $1 AND client_id = $2 AND attempts = $3 AND done_at IS NULL";
    FINISH = "UPDATE logout_notices SET done_at = $4
        WHERE session_id = $1 AND client_id = $2 AND attempts = $3 AND done_at IS NULL";
}
