//! Devices that wait for a person.

macro_rules! columns {
    () => {
        "digest, user_code, client_id, request, state, poll_after, poll_every, created_at, expires_at"
    };
}

statements! {
    /// No row if one of the codes is taken.
    INSERT = concat!("INSERT INTO device_codes (", columns!(), ")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING");
    BY_DIGEST = concat!("SELECT ", columns!(), " FROM device_codes WHERE digest = $1");
    BY_USER_CODE = concat!("SELECT ", columns!(), " FROM device_codes WHERE user_code = $1");
    POLLED = "UPDATE device_codes SET poll_after = $2, poll_every = $3 WHERE digest = $1 AND poll_every <= $3";
    /// Of the people who confirm one code, one changes the row.
    CLAIM = "UPDATE device_codes SET state = 'claimed'
        WHERE digest = $1 AND state = 'pending' AND expires_at > $2";
    DENY = "UPDATE device_codes SET state = 'denied' WHERE digest = $1 AND state <> 'denied'";
}
