//! Signing keys.

statements! {
    ALL_KEYS = "SELECT kid, algorithm, state, created_at, activates_at, retires_at, destroys_at,
            sealed_private, public_jwk
        FROM signing_keys ORDER BY created_at, kid";
    INSERT = "INSERT INTO signing_keys (kid, algorithm, state, created_at, activates_at, retires_at,
            destroys_at, sealed_private, public_jwk)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    TRANSITION = "UPDATE signing_keys SET state = $3, activates_at = $4, retires_at = $5, destroys_at = $6,
            sealed_private = $7
        WHERE kid = $1 AND state = $2";
}
