//! What operators read and take away.

use super::{consents::columns as consent_columns, people::columns as user_columns};

statements! {
    /// Only one that nobody ever consented to; the others stay, disabled, because evidence names them.
    REMOVE_CLIENT = "DELETE FROM clients
        WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM consents WHERE client_id = $1)";
    REMOVE_SCOPE = "DELETE FROM scopes WHERE name = $1";
    REMOVE_RESOURCE_SERVER = "DELETE FROM resource_servers WHERE audience = $1";

    WITHDRAW_OF_CLIENT = "UPDATE consents SET withdrawn_at = $2
        WHERE client_id = $1 AND withdrawn_at IS NULL AND (expires_at IS NULL OR expires_at > $2)";
    REVOKE_GRANTS_OF_CLIENT = "UPDATE grants SET revoked_at = $2
        WHERE client_id = $1 AND revoked_at IS NULL AND expires_at > $2";
    /// Those of the client's own; what a person gave ends with the grant.
    REVOKE_ACCESS_OF_CLIENT = "UPDATE access_tokens SET revoked_at = $2
        WHERE client_id = $1 AND grant_id IS NULL AND revoked_at IS NULL AND expires_at > $2";

    /// No row if the name is taken.
    INSERT_USER = concat!("INSERT INTO users (", user_columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (username) DO NOTHING");
    ENABLE_USER = "UPDATE users SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL";
    /// By name; a page begins after the last name of the one before.
    USERS = concat!("SELECT ", user_columns!(), " FROM users
        WHERE (username > $1 OR $1 IS NULL) AND (username LIKE $2 ESCAPE '!' OR $2 IS NULL)
        ORDER BY username LIMIT $3");

    /// Newest first; `$3` leaves out what had ended at that time.
    CONSENTS = concat!("SELECT ", consent_columns!(), " FROM consents
        WHERE (user_id = $1 OR $1 IS NULL) AND (client_id = $2 OR $2 IS NULL)
            AND ((withdrawn_at IS NULL AND (expires_at > $3 OR expires_at IS NULL)) OR $3 IS NULL)
            AND (id < $4 OR $4 IS NULL)
        ORDER BY id DESC LIMIT $5");
}
