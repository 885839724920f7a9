//! The consent ledger.

macro_rules! columns {
    () => {
        "id, user_id, client_id, scope, resources, granted_at, updated_at, expires_at, withdrawn_at, version,
        details"
    };
}

pub(crate) use columns;

statements! {
    BY_ID = concat!("SELECT ", columns!(), " FROM consents WHERE id = $1");
    /// The open one, else the last that was.
    LATEST = concat!("SELECT ", columns!(), " FROM consents WHERE user_id = $1 AND client_id = $2
        ORDER BY (withdrawn_at IS NULL) DESC, updated_at DESC LIMIT 1");
    OF_USER = concat!("SELECT ", columns!(), " FROM consents WHERE user_id = $1 ORDER BY updated_at DESC");
    /// No row if the customer opened another one for the client meanwhile.
    CREATE = concat!("INSERT INTO consents (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (user_id, client_id) WHERE withdrawn_at IS NULL DO NOTHING");
    /// Closes a consent that only expired, so that another may be opened.
    SUPERSEDE = "UPDATE consents SET withdrawn_at = $4
        WHERE id = $1 AND user_id = $2 AND client_id = $3 AND withdrawn_at IS NULL AND expires_at <= $4";
    REPLACE = "UPDATE consents SET scope = $4, resources = $5, updated_at = $6, expires_at = $7, version = $8,
            details = $9
        WHERE id = $1 AND user_id = $2 AND version = $3 AND withdrawn_at IS NULL";
    WITHDRAW = "UPDATE consents SET withdrawn_at = $3 WHERE id = $1 AND user_id = $2 AND withdrawn_at IS NULL";
}
