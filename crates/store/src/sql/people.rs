//! Users, their factors, and the attempts on them.

macro_rules! columns {
    () => {
        "id, username, password, claims, roles, second_factor, created_at, password_changed_at, disabled_at"
    };
}

pub(crate) use columns;

statements! {
    BY_ID = concat!("SELECT ", columns!(), " FROM users WHERE id = $1");
    BY_NAME = concat!("SELECT ", columns!(), " FROM users WHERE username = $1");
    ALL_USERS = concat!("SELECT ", columns!(), " FROM users ORDER BY username");
    /// What is declared is written again; the password is the person's own.
    PUT = concat!("INSERT INTO users (", columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (id) DO UPDATE SET username = excluded.username, claims = excluded.claims,
            roles = excluded.roles, second_factor = excluded.second_factor,
            disabled_at = excluded.disabled_at");
    ACCOUNTS = "SELECT accounts FROM users WHERE id = $1";
    EVERYBODYS_ACCOUNTS = "SELECT id, accounts FROM users WHERE accounts IS NOT NULL";
    PUT_ACCOUNTS = "UPDATE users SET accounts = $2 WHERE id = $1";
    SET_PASSWORD = "UPDATE users SET password = $2, password_changed_at = $3 WHERE id = $1";
    REHASH = "UPDATE users SET password = $3 WHERE id = $1 AND password = $2";
    /// Locks the row, and gives it as it is then.
    HOLD = concat!("UPDATE users SET disabled_at = disabled_at WHERE id = $1 AND disabled_at IS NULL
        RETURNING ", columns!());
    /// The same for a sign-in, where the password, unless `$3`, is still the one of `$2`.
    HOLD_SIGNING_IN = "UPDATE users SET disabled_at = disabled_at
        WHERE id = $1 AND disabled_at IS NULL AND (password_changed_at IS NOT DISTINCT FROM $2 OR $3)";
    DISABLE = "UPDATE users SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL";

    TOTP = "SELECT user_id, sealed_seed, last_step, confirmed_at FROM totp_credentials WHERE user_id = $1";
    /// Inserts, or replaces exactly the one that was read: of parallel enrolments one gets the row.
    ENROL_TOTP = "INSERT INTO totp_credentials (user_id, sealed_seed, last_step, confirmed_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id) DO UPDATE SET sealed_seed = excluded.sealed_seed,
            last_step = excluded.last_step, confirmed_at = excluded.confirmed_at
        WHERE totp_credentials.confirmed_at = $5";
    /// Of parallel uses of one code, one moves the step forward.
    ACCEPT_TOTP = "UPDATE totp_credentials SET last_step = $2
        WHERE user_id = $1 AND last_step < $2";
    REMOVE_TOTP = "DELETE FROM totp_credentials WHERE user_id = $1";

    REMOVE_RECOVERY_CODES = "DELETE FROM recovery_codes WHERE user_id = $1";
    INSERT_RECOVERY_CODE = "INSERT INTO recovery_codes (user_id, digest, created_at) VALUES ($1, $2, $3)";
    USE_RECOVERY_CODE = "UPDATE recovery_codes SET used_at = $3
        WHERE user_id = $1 AND digest = $2 AND used_at IS NULL";
    RECOVERY_CODES_LEFT = "SELECT count(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL";

    ATTEMPTS = "SELECT failures, last_failure_at FROM attempts WHERE account = $1";
    FIRST_ATTEMPT = "INSERT INTO attempts (account, failures, last_failure_at) VALUES ($1, $2, $3)
        ON CONFLICT (account) DO NOTHING";
    /// Of attempts that read the same count, one changes the row.
    NEXT_ATTEMPT = "UPDATE attempts SET failures = $4, last_failure_at = $5
        WHERE account = $1 AND failures = $2 AND last_failure_at = $3";
    FORGIVE = "DELETE FROM attempts WHERE account = $1";
}
