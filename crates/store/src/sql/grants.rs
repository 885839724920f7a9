//! Grants, the line above them, and codes.

/// The grant and everything above it, under names that clash with no other table's.
macro_rules! line_columns {
    () => {
        "g.id AS g_id, g.consent_id AS g_consent_id, g.client_id AS g_client_id, g.user_id AS g_user_id,
        g.session_id AS g_session_id, g.session_bound AS g_session_bound, g.scope AS g_scope,
        g.audience AS g_audience, g.auth_time AS g_auth_time, g.acr AS g_acr, g.amr AS g_amr,
        g.created_at AS g_created_at, g.revoked_at AS g_revoked_at, g.expires_at AS g_expires_at,
        g.details AS g_details, c.details AS c_details,
        k.metadata -> 'authorization_details_types' AS k_detail_types,
        k.disabled AS k_disabled, k.metadata ->> 'scope' AS k_scope, c.scope AS c_scope, c.resources AS c_resources,
        c.withdrawn_at AS c_withdrawn_at, c.expires_at AS c_expires_at,
        s.ended_at AS s_ended_at, s.expires_at AS s_expires_at,
        u.disabled_at AS u_disabled_at, u.roles AS u_roles"
    };
}

/// Upwards from the grant. A session that is gone leaves nulls.
macro_rules! line_joins {
    () => {
        " JOIN consents c ON c.id = g.consent_id JOIN users u ON u.id = g.user_id
        JOIN clients k ON k.id = g.client_id
        LEFT JOIN sessions s ON s.id = g.session_id "
    };
}

/// The same where the grant itself may be missing; `$client` is the client then.
macro_rules! line_left_joins {
    ($client:literal) => {
        concat!(
            " LEFT JOIN consents c ON c.id = g.consent_id LEFT JOIN users u ON u.id = g.user_id
            LEFT JOIN clients k ON k.id = COALESCE(g.client_id, ",
            $client,
            ") LEFT JOIN sessions s ON s.id = g.session_id "
        )
    };
}

pub(crate) use {line_columns, line_joins, line_left_joins};

statements! {
    LINE = concat!("SELECT ", line_columns!(), " FROM grants g", line_joins!(), "WHERE g.id = $1");
    REVOKE = "UPDATE grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
    REVOKE_OF_USER = "UPDATE grants SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";

    CODE = concat!("SELECT t.digest, t.grant_id, t.client_id, t.redirect_uri, t.code_challenge, t.nonce,
            t.issued_at, t.expires_at, t.keep_until, t.consumed_at, t.dpop_jkt, ", line_columns!(), "
        FROM codes t JOIN grants g ON g.id = t.grant_id", line_joins!(), "WHERE t.digest = $1");
    /// At most one caller, on any node, changes the row.
    REDEEM_CODE = "UPDATE codes SET consumed_at = $3
        WHERE digest = $1 AND client_id = $2 AND consumed_at IS NULL AND expires_at > $3";
}
