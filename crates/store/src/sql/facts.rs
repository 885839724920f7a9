//! Everything that a request must know about the person at the browser, in one read each.

macro_rules! person_columns {
    () => {
        "u.id AS u_id, u.username AS u_username, u.password AS u_password, u.claims AS u_claims,
        u.roles AS u_roles, u.second_factor AS u_second_factor, u.created_at AS u_created_at,
        u.password_changed_at AS u_password_changed_at, u.disabled_at AS u_disabled_at, t.user_id AS
        t_user_id, t.sealed_seed AS t_sealed_seed, t.last_step AS t_last_step, t.confirmed_at AS
        t_confirmed_at"
    };
}

macro_rules! session_columns {
    () => {
        "s.id AS s_id, s.digest AS s_digest, s.user_id AS s_user_id, s.auth_time AS s_auth_time,
        s.acr AS s_acr, s.amr AS s_amr, s.created_at AS s_created_at, s.last_seen_at AS
        s_last_seen_at, s.expires_at AS s_expires_at, s.ended_at AS s_ended_at, s.user_agent AS
        s_user_agent, s.address AS s_address"
    };
}

macro_rules! consent_columns {
    () => {
        "c.id AS c_id, c.user_id AS c_user_id, c.client_id AS c_client_id, c.scope AS c_scope,
        c.resources AS c_resources, c.granted_at AS c_granted_at, c.updated_at AS c_updated_at,
        c.expires_at AS c_expires_at, c.withdrawn_at AS c_withdrawn_at, c.version AS c_version,
        c.details AS c_details"
    };
}

/// The open consent of `s.user_id` for a client, else the last that was.
macro_rules! consent_join {
    ($client:literal) => {
        concat!(
            " LEFT JOIN consents c ON c.id = (SELECT latest.id FROM consents latest
                WHERE latest.user_id = s.user_id AND latest.client_id = ",
            $client,
            " ORDER BY (latest.withdrawn_at IS NULL) DESC, latest.updated_at DESC LIMIT 1) "
        )
    };
}

statements! {
    VISIT = concat!("SELECT ", session_columns!(), ", ", person_columns!(), ", ", consent_columns!(), "
        FROM sessions s JOIN users u ON u.id = s.user_id
        LEFT JOIN totp_credentials t ON t.user_id = s.user_id", consent_join!("$2"), "WHERE s.digest = $1");
    /// With the visit of the session `$2`, if there is one.
    INTERACTION = concat!("SELECT i.id AS i_id, i.client_id AS i_client_id, i.purpose AS i_purpose, i.browser AS i_browser,
        i.version AS i_version, i.created_at AS i_created_at, i.expires_at AS i_expires_at,
        i.completed_at AS i_completed_at, i.chosen_session AS i_chosen_session, ",
        session_columns!(), ", ", person_columns!(), ", ", consent_columns!(), "
        FROM interactions i LEFT JOIN sessions s ON s.digest = $2 LEFT JOIN users u ON u.id = s.user_id
        LEFT JOIN totp_credentials t ON t.user_id = s.user_id", consent_join!("i.client_id"), "WHERE i.id = $1");
    /// A pushed request, with the visit of the session `$2`, if there is one.
    PUSHED = concat!("SELECT p.digest, p.client_id, p.request, p.created_at, p.expires_at, p.keep_until,
        p.consumed_at, ", session_columns!(), ", ", person_columns!(), ", ", consent_columns!(), "
        FROM pushed_requests p LEFT JOIN sessions s ON s.digest = $2 LEFT JOIN users u ON u.id = s.user_id
        LEFT JOIN totp_credentials t ON t.user_id = s.user_id", consent_join!("p.client_id"), "WHERE p.digest = $1");
    ACCOUNT = concat!("SELECT ", person_columns!(), "
        FROM users u LEFT JOIN totp_credentials t ON t.user_id = u.id WHERE u.username = $1");
}
