//! Refresh tokens, opaque access tokens, denied JWTs and replay marks.

use super::grants::{line_columns, line_joins, line_left_joins};

statements! {
    REFRESH = concat!("SELECT t.digest, t.grant_id, t.client_id, t.kind, t.issued_at, t.idle_expires_at,
            t.expires_at, t.consumed_at, t.bound_to, ", line_columns!(), "
        FROM refresh_tokens t JOIN grants g ON g.id = t.grant_id", line_joins!(), "WHERE t.digest = $1");
    /// At most one caller, on any node, changes the row.
    ROTATE_REFRESH = "UPDATE refresh_tokens SET consumed_at = $2
        WHERE digest = $1 AND kind = 'rotating' AND consumed_at IS NULL
            AND expires_at > $2 AND idle_expires_at > $2";
    /// Lets a stable token that counts at `$2` end at `$3` if it would last longer (F2-13).
    RENEW_REFRESH = "UPDATE refresh_tokens
        SET expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END,
            idle_expires_at = CASE WHEN idle_expires_at < $3 THEN idle_expires_at ELSE $3 END
        WHERE digest = $1 AND kind = 'stable' AND consumed_at IS NULL
            AND expires_at > $2 AND idle_expires_at > $2";
    INSERT_ACCESS = "INSERT INTO access_tokens (digest, id, grant_id, client_id, claims, issued_at, expires_at,
            revoked_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    ACCESS = concat!("SELECT t.digest, t.id, t.grant_id, t.client_id, t.claims, t.issued_at, t.expires_at,
            t.revoked_at, COALESCE(NOT k.disabled AND k.created_at <= t.issued_at, FALSE) AS t_client_enabled,
            k.metadata -> 'grant_types' AS k_grant_types, ", line_columns!(), "
        FROM access_tokens t LEFT JOIN grants g ON g.id = t.grant_id", line_left_joins!("t.client_id"), "
        WHERE t.digest = $1");
    /// `$4` is after the token was issued: a client that was registered later under the same name is another
    /// one.
    ABOVE_JWT = concat!("SELECT EXISTS (SELECT 1 FROM denied_tokens WHERE id = $1) AS t_denied,
            COALESCE(NOT k.disabled AND k.created_at < $4, FALSE) AS t_client_enabled,
            k.metadata -> 'grant_types' AS k_grant_types, ", line_columns!(), "
        FROM (SELECT 1 AS one) AS t LEFT JOIN grants g ON g.id = $2", line_left_joins!("$3"));
    REVOKE_ACCESS = "UPDATE access_tokens SET revoked_at = $2 WHERE digest = $1 AND revoked_at IS NULL";

    DENY = "INSERT INTO denied_tokens (id, expires_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    IS_DENIED = "SELECT EXISTS (SELECT 1 FROM denied_tokens WHERE id = $1)";

    /// At most one caller, on any node, inserts the row.
    MARK = "INSERT INTO replay_marks (kind, digest, expires_at) VALUES ($1, $2, $3)
        ON CONFLICT (kind, digest) DO NOTHING";
    /// The same for two; gives the kinds of those that were inserted.
    MARK_BOTH = "INSERT INTO replay_marks (kind, digest, expires_at) VALUES ($1, $2, $3), ($4, $5, $6)
        ON CONFLICT (kind, digest) DO NOTHING RETURNING kind";
}
