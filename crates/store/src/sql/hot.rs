//! The writes of every request, each all or nothing, in two forms: on PostgreSQL one statement, whose
//! parts hang on the one that may happen only once; on SQLite, inside a transaction, the statement that
//! may happen only once and then everything else as one text. This is the one place where the engines
//! have different statements for the same verb.
//!
//! A verb binds the same parameters for both. Every verb's first are those of its audit event, `$1` to
//! `$15`. In PostgreSQL's form the last part's number of rows is the answer of the verb.

use super::{audit::columns as event_columns, consents::columns as consent_columns};

/// The event in `$1` to `$15`.
macro_rules! event {
    ($from:literal) => {
        concat!(
            "INSERT INTO audit_events (",
            event_columns!(),
            ") SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15",
            $from
        )
    };
}

/// The opaque access token in `$16` to `$23`, if there is one.
macro_rules! access {
    ($from:literal) => {
        concat!(
            "INSERT INTO access_tokens (digest, id, grant_id, client_id, claims, issued_at, expires_at, revoked_at)
            SELECT $16, $17, $18, $19, $20, $21, $22, $23",
            $from
        )
    };
}

/// The refresh token in `$24` to `$32`, if there is one.
macro_rules! refresh {
    ($from:literal) => {
        concat!(
            "INSERT INTO refresh_tokens (digest, grant_id, client_id, kind, issued_at, idle_expires_at, expires_at,
                consumed_at, bound_to)
            SELECT $24, $25, $26, $27, $28, $29, $30, $31, $32",
            $from
        )
    };
}

/// The grant in `$16` to `$30`.
macro_rules! grant {
    ($from:literal) => {
        concat!(
            "INSERT INTO grants (id, consent_id, client_id, user_id, session_id, session_bound, scope, audience,
                auth_time, acr, amr, created_at, revoked_at, expires_at, details)
            SELECT $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30",
            $from
        )
    };
}

/// The code in `$31` to `$41`.
macro_rules! code {
    ($from:literal) => {
        concat!(
            "INSERT INTO codes (digest, grant_id, client_id, redirect_uri, code_challenge, nonce, issued_at,
                expires_at, keep_until, consumed_at, dpop_jkt)
            SELECT $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41",
            $from
        )
    };
}

/// The event of a consent, in `$57` to `$71`.
macro_rules! consent_event {
    ($from:literal) => {
        concat!(
            "INSERT INTO audit_events (",
            event_columns!(),
            ") SELECT $57, $58, $59, $60, $61, $62, $63, $64, $65, $66, $67, $68, $69, $70, $71",
            $from
        )
    };
}

/// The session in `$31` to `$42`.
macro_rules! session {
    ($from:literal) => {
        concat!(
            "INSERT INTO sessions (id, digest, user_id, auth_time, acr, amr, created_at, last_seen_at, expires_at,
                ended_at, user_agent, address)
            SELECT $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42",
            $from
        )
    };
}

/// The event in `$16` to `$30`.
macro_rules! second_event {
    ($from:literal) => {
        concat!(
            "INSERT INTO audit_events (",
            event_columns!(),
            ") SELECT $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30",
            $from
        )
    };
}

/// The session of the grant, if it has neither ended nor been begun anew since it was read. It stays so until
/// the end of the statement: whoever ends it meanwhile waits, and finds the grant to be revoked.
macro_rules! live_session {
    () => {
        "SELECT 1 FROM sessions WHERE id = $20 AND auth_time = $24 AND ended_at IS NULL FOR SHARE"
    };
}

/// PostgreSQL's forms.
pub(crate) mod postgres {
    use super::*;

    statements! {
        /// Spends the code `$33` of client `$35` at `$34`. At most one caller, on any node, changes a row.
        REDEEM_CODE = concat!("WITH spent AS (UPDATE codes SET consumed_at = $34
            WHERE digest = $33 AND client_id = $35 AND consumed_at IS NULL AND expires_at > $34 RETURNING 1),
        access AS (", access!(" FROM spent WHERE $16::bytea IS NOT NULL"), "),
        refresh AS (", refresh!(" FROM spent WHERE $24::bytea IS NOT NULL"), ")
        ", event!(" FROM spent"));

        /// Spends the refresh token `$33` at `$34`. At most one caller, on any node, changes a row.
        ROTATE_REFRESH = concat!("WITH spent AS (UPDATE refresh_tokens SET consumed_at = $34
            WHERE digest = $33 AND kind = 'rotating' AND consumed_at IS NULL AND expires_at > $34
                AND idle_expires_at > $34 RETURNING 1),
        access AS (", access!(" FROM spent WHERE $16::bytea IS NOT NULL"), "),
        refresh AS (", refresh!(" FROM spent"), ")
        ", event!(" FROM spent"));

        /// Lets the refresh token `$33`, which counts at `$34`, end at `$35` if it would last longer.
        RENEW_REFRESH = concat!("WITH replaced AS (UPDATE refresh_tokens
            SET expires_at = CASE WHEN expires_at < $35 THEN expires_at ELSE $35 END,
                idle_expires_at = CASE WHEN idle_expires_at < $35 THEN idle_expires_at ELSE $35 END
            WHERE digest = $33 AND kind = 'stable' AND consumed_at IS NULL AND expires_at > $34
                AND idle_expires_at > $34 RETURNING 1),
        access AS (", access!(" FROM replaced WHERE $16::bytea IS NOT NULL"), "),
        refresh AS (", refresh!(" FROM replaced"), ")
        ", event!(" FROM replaced"));

        /// Moves the idle end of the refresh token `$24` on to `$25`, unless that is null.
        USE_REFRESH = concat!("WITH touched AS (UPDATE refresh_tokens SET idle_expires_at = $25
            WHERE digest = $24 AND consumed_at IS NULL AND idle_expires_at < $25 AND expires_at >= $25),
        access AS (", access!(" WHERE $16::bytea IS NOT NULL"), ")
        ", event!(""));

        /// An opaque access token of no grant.
        ISSUE_ACCESS = concat!("WITH access AS (", access!(""), ")
        ", event!(""));

        /// Under a consent that stands, where no page was shown, in a session that is live. The pushed
        /// request `$42`, unless that is null, is spent at `$43` (PAR-03).
        ISSUE_CODE = concat!("WITH live AS (", live_session!(), "),
        spent AS (UPDATE pushed_requests SET consumed_at = $43
            FROM live WHERE digest = $42 AND consumed_at IS NULL RETURNING 1),
        asked AS (SELECT 1 FROM spent UNION ALL SELECT 1 FROM live WHERE $42::bytea IS NULL),
        granted AS (", grant!(" FROM asked"), "), coded AS (", code!(" FROM asked"), ")
        ", event!(" FROM asked"));

        /// The same at the end of the interaction `$44` in version `$45`, which is locked before the
        /// pushed request is spent and ended after it, so that neither changes without the other.
        ISSUE_CODE_ENDING = concat!("WITH live AS (", live_session!(), "),
        open AS (SELECT 1 FROM interactions
            WHERE id = $44 AND version = $45 AND completed_at IS NULL AND EXISTS (SELECT 1 FROM live) FOR UPDATE),
        spent AS (UPDATE pushed_requests SET consumed_at = $43
            FROM open WHERE digest = $42 AND consumed_at IS NULL RETURNING 1),
        asked AS (SELECT 1 FROM spent UNION ALL SELECT 1 FROM open WHERE $42::bytea IS NULL),
        done AS (UPDATE interactions SET completed_at = $43, version = version + 1
            FROM asked WHERE id = $44),
        granted AS (", grant!(" FROM asked"), "), coded AS (", code!(" FROM asked"), ")
        ", event!(" FROM asked"));

        /// The same with the consent in `$46` to `$56`, which is new if `$72` is null, else written at
        /// version `$72`. The interaction, if there is one, is locked first, then the pushed request, if
        /// there is one; both are spent after the consent was written.
        ISSUE_CODE_CONSENTING = concat!("WITH live AS (", live_session!(), "),
        open AS (SELECT 1 FROM interactions
            WHERE id = $44 AND version = $45 AND completed_at IS NULL AND EXISTS (SELECT 1 FROM live) FOR UPDATE),
        gate AS (SELECT 1 FROM open UNION ALL SELECT 1 FROM live WHERE $44::uuid IS NULL),
        pushed AS (SELECT 1 FROM pushed_requests
            WHERE digest = $42 AND consumed_at IS NULL AND EXISTS (SELECT 1 FROM gate) FOR UPDATE),
        asked AS (SELECT 1 FROM pushed UNION ALL SELECT 1 FROM gate WHERE $42::bytea IS NULL),
        created AS (INSERT INTO consents (", consent_columns!(), ")
            SELECT $46, $47, $48, $49, $50, $51, $52, $53, $54, $55, $56 FROM asked WHERE $72::bigint IS NULL
            ON CONFLICT (user_id, client_id) WHERE withdrawn_at IS NULL DO NOTHING RETURNING 1),
        replaced AS (UPDATE consents SET scope = $49, resources = $50, updated_at = $52, expires_at = $53,
                version = $55, details = $56
            FROM asked WHERE id = $46 AND user_id = $47 AND version = $72 AND withdrawn_at IS NULL RETURNING 1),
        answered AS (SELECT 1 FROM created UNION ALL SELECT 1 FROM replaced),
        spent AS (UPDATE pushed_requests SET consumed_at = $43 FROM answered WHERE digest = $42),
        done AS (UPDATE interactions SET completed_at = $43, version = version + 1
            FROM answered WHERE id = $44),
        told AS (", consent_event!(" FROM answered"), "),
        granted AS (", grant!(" FROM answered"), "), coded AS (", code!(" FROM answered"), ")
        ", event!(" FROM answered"));

        /// A pushed request of a client that showed an assertion, whose mark is in `$7` to `$9`: both or
        /// none. Nothing is told of it.
        PUSH = "WITH marked AS (INSERT INTO replay_marks (kind, digest, expires_at) VALUES ($7, $8, $9)
            ON CONFLICT (kind, digest) DO NOTHING RETURNING 1)
        INSERT INTO pushed_requests (digest, client_id, request, created_at, expires_at, keep_until)
        SELECT $1, $2, $3, $4, $5, $6 FROM marked";

        /// A sign-in: the session and both events, if the password is still the one of `$43`. It stays so
        /// until the end of the statement: whoever changes it meanwhile waits, and finds the session to end.
        START_SESSION = concat!("WITH still AS (SELECT 1 FROM users WHERE id = $33 AND disabled_at IS NULL
            AND password_changed_at IS NOT DISTINCT FROM $43 FOR SHARE),
        started AS (", session!(" FROM still"), "), told AS (", event!(" FROM still"), ")
        ", second_event!(" FROM still"));
    }
}

/// SQLite's forms: what follows the statement that may happen only once.
pub(crate) mod sqlite {
    use super::*;

    statements! {
        AFTER_SPENDING = concat!(access!(" WHERE $16 IS NOT NULL"), "; ",
            refresh!(" WHERE $24 IS NOT NULL"), "; ", event!(""));
        USE_REFRESH = concat!("UPDATE refresh_tokens SET idle_expires_at = $25
            WHERE digest = $24 AND consumed_at IS NULL AND idle_expires_at < $25 AND expires_at >= $25; ",
            access!(" WHERE $16 IS NOT NULL"), "; ", event!(""));
        ISSUE_ACCESS = concat!(access!(""), "; ", event!(""));
        ISSUE_CODE = concat!(grant!(""), "; ", code!(""), "; ", event!(""));
        START_SESSION = concat!(session!(""), "; ", event!(""), "; ", second_event!(""));
    }
}
