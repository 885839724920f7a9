//! Refresh tokens, opaque access tokens, denied JWTs and replay marks.

use super::grants::{line_columns, line_joins};

statements! {
    INSERT_REFRESH = "INSERT INTO refresh_tokens (digest, grant_id, client_id, kind, issued_at,
            idle_expires_at, expires_at, consumed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    REFRESH = concat!("SELECT t.digest, t.grant_id, t.client_id, t.kind, t.issued_at, t.idle_expires_at,
            t.expires_at, t.consumed_at, ", line_columns!(), "
        FROM refresh_tokens t JOIN grants g ON g.id = t.grant_id", line_joins!(), "WHERE t.digest = $1");
    /// At most one caller, on any node, changes the row.
    ROTATE_REFRESH = "UPDATE refresh_tokens SET consumed_at = $2
        WHERE digest = $1 AND kind = 'rotating' AND consumed_at IS NULL
            AND expires_at > $2 AND idle_expires_at > $2";
    /// Only ever forward, and never beyond the absolute end.
    TOUCH_REFRESH = "UPDATE refresh_tokens SET idle_expires_at = $2
        WHERE digest = $1 AND consumed_at IS NULL AND idle_expires_at < $2 AND expires_at >= $2";

    INSERT_ACCESS = "INSERT INTO access_tokens (digest, id, grant_id, client_id, claims, issued_at, expires_at,
            revoked_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    ACCESS_LINE = concat!("SELECT t.digest, t.id, t.grant_id, t.client_id, t.claims, t.issued_at, t.expires_at,
            t.revoked_at, ", line_columns!(), "
        FROM access_tokens t JOIN grants g ON g.id = t.grant_id", line_joins!(), "WHERE t.digest = $1");
    GRANTLESS_ACCESS = "SELECT digest, id, grant_id, client_id, claims, issued_at, expires_at, revoked_at
        FROM access_tokens WHERE digest = $1 AND grant_id IS NULL";
    CLIENT_IS_ENABLED = "SELECT EXISTS (SELECT 1 FROM clients WHERE id = $1 AND NOT disabled)";
    REVOKE_ACCESS = "UPDATE access_tokens SET revoked_at = $2 WHERE digest = $1 AND revoked_at IS NULL";

    DENY = "INSERT INTO denied_tokens (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    IS_DENIED = "SELECT EXISTS (SELECT 1 FROM denied_tokens WHERE id = $1)";

    /// At most one caller, on any node, inserts the row.
    MARK = "INSERT INTO replay_marks (kind, digest, expires_at) VALUES ($1, $2, $3)
        ON CONFLICT (kind, digest) DO NOTHING";
}
