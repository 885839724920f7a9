//! Secrets of the whole deployment.

statements! {
    SECRET = "SELECT sealed FROM deployment_secrets WHERE name = $1";
    /// Of several nodes that start together, one keeps its secret.
    KEEP = "INSERT INTO deployment_secrets (name, sealed, created_at) VALUES ($1, $2, $3)
        ON CONFLICT (name) DO NOTHING";
    FORGET = "DELETE FROM deployment_secrets WHERE name = $1";
}
