//! Upstream providers: attempts to sign in there, links, sessions that rest on them.

macro_rules! link {
    () => {
        "issuer, subject, user_id, brought, label, linked_at"
    };
}

statements! {
    INSERT_ATTEMPT = "INSERT INTO upstream_attempts
        (digest, provider, browser, purpose, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)";
    /// Of parallel uses of one state, one gets the row; and only with the right provider and browser.
    USE_ATTEMPT = "UPDATE upstream_attempts SET used_at = $4
        WHERE digest = $1 AND provider = $2 AND browser = $3 AND used_at IS NULL AND expires_at > $4
        RETURNING purpose, created_at";

    LINK = concat!("SELECT ", link!(), " FROM upstream_links WHERE issuer = $1 AND subject = $2");
    LINKS_OF = concat!("SELECT ", link!(), " FROM upstream_links WHERE user_id = $1 ORDER BY issuer");
    /// Neither the subject nor the user may have a link already.
    INSERT_LINK = concat!("INSERT INTO upstream_links (", link!(), ") VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT DO NOTHING");
    REMOVE_LINK = "DELETE FROM upstream_links WHERE user_id = $1 AND issuer = $2";

    PUT_SESSION = "INSERT INTO upstream_sessions
            (session_id, issuer, subject, sid, sealed_id_token, since) VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (session_id) DO UPDATE SET issuer = excluded.issuer, subject = excluded.subject,
            sid = excluded.sid, sealed_id_token = excluded.sealed_id_token, since = excluded.since";
    SESSION = "SELECT u.session_id, u.issuer, u.sealed_id_token FROM upstream_sessions u
        JOIN sessions s ON s.id = u.session_id WHERE s.digest = $1 AND s.ended_at IS NULL";
    /// `$2` is the subject or absent, `$3` the session there or absent.
    SESSIONS_AT = "SELECT u.session_id FROM upstream_sessions u JOIN sessions s ON s.id = u.session_id
        WHERE u.issuer = $1 AND (u.subject = $2 OR $2 IS NULL) AND (u.sid = $3 OR $3 IS NULL)
            AND s.ended_at IS NULL ORDER BY u.session_id";
    /// What a provider says of a user whom it brought. Nothing else is touched, and nobody is enabled.
    FOLLOW = "UPDATE users SET claims = $2, roles = $3 WHERE id = $1 AND disabled_at IS NULL";
}
