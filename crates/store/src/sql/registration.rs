//! Clients that registered themselves, and what let them.

macro_rules! token_columns {
    () => {
        "id, digest, policy, note, max_uses, uses, created_at, expires_at, revoked_at"
    };
}

macro_rules! registration_columns {
    () => {
        "client_id, origin, policy, initial_token, management_digest, software_statement, registered_at,
            fetched_at"
    };
}

statements! {
    INSERT_INITIAL_TOKEN = concat!("INSERT INTO initial_access_tokens (", token_columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    INITIAL_TOKENS = concat!("SELECT ", token_columns!(), " FROM initial_access_tokens ORDER BY id");
    INITIAL_TOKEN = concat!("SELECT ", token_columns!(), " FROM initial_access_tokens WHERE digest = $1");
    /// The row count is the answer: of many at once, as many get it as it has uses left.
    USE_INITIAL_TOKEN = "UPDATE initial_access_tokens SET uses = uses + 1
        WHERE digest = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
            AND (max_uses IS NULL OR uses < max_uses)";
    REVOKE_INITIAL_TOKEN = "UPDATE initial_access_tokens SET revoked_at = $2
        WHERE id = $1 AND revoked_at IS NULL";

    PUT_REGISTRATION = concat!("INSERT INTO registrations (", registration_columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (client_id) DO UPDATE SET management_digest = excluded.management_digest,
            software_statement = excluded.software_statement, fetched_at = excluded.fetched_at");
    REGISTRATIONS = concat!("SELECT ", registration_columns!(), " FROM registrations ORDER BY client_id");
    REGISTRATION = concat!("SELECT ", registration_columns!(), " FROM registrations WHERE client_id = $1");
    /// At most once in a while: `$3` is how long ago the last note must be.
    NOTE_USE = "UPDATE registrations SET used_at = $2
        WHERE client_id = $1 AND (used_at IS NULL OR used_at < $3)";
    /// Clients of a policy that nobody ever consented to and that nobody has used since `$2`. What else they
    /// have of their own ended long before; the registration goes with the row.
    FORGET_UNUSED = "DELETE FROM clients WHERE id IN (SELECT r.client_id FROM registrations r
        WHERE r.origin = 'registered' AND r.policy = $1 AND COALESCE(r.used_at, r.registered_at) < $2
            AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.client_id = r.client_id)
        ORDER BY r.client_id LIMIT $3) RETURNING id";
    END_MANAGEMENT = "UPDATE registrations SET management_digest = NULL
        WHERE client_id = $1 AND management_digest IS NOT NULL";
}
