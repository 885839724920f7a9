//! Interactions.

statements! {
    INSERT = "INSERT INTO interactions (id, client_id, purpose, browser, version, created_at, expires_at, completed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    GET = "SELECT id, client_id, purpose, browser, version, created_at, expires_at, completed_at,
        chosen_session FROM interactions WHERE id = $1";
    /// Of answers that read the same version, one changes a row.
    COMPLETE = "UPDATE interactions SET completed_at = $3, version = version + 1
        WHERE id = $1 AND version = $2 AND completed_at IS NULL";
    CHOOSE = "UPDATE interactions SET chosen_session = $3, version = version + 1
        WHERE id = $1 AND version = $2 AND completed_at IS NULL";
}
