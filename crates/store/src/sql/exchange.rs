//! Grants without a code: those that an assertion stands for.

statements! {
    INSERT_GRANT = "INSERT INTO grants (id, consent_id, client_id, user_id, session_id, session_bound, scope,
            audience, auth_time, acr, amr, created_at, revoked_at, expires_at, details)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
}
