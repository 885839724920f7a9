//! Pushed authorization requests (RFC 9126).

statements! {
    PUSH = "INSERT INTO pushed_requests (digest, client_id, request, created_at, expires_at, keep_until)
        VALUES ($1, $2, $3, $4, $5, $6)";
    /// At most one caller, on any node, changes the row.
    CONSUME = "UPDATE pushed_requests SET consumed_at = $2 WHERE digest = $1 AND consumed_at IS NULL";
}
