//! Binding whole records, in the order in which the statements of `sql::hot` number their columns. What
//! is absent is bound as nulls.

macro_rules! bind_event {
    ($query:expr, $event:expr) => {{
        let event: Option<&audit::Event> = $event;
        $query
            .bind(event.map(|event| event.id))
            .bind(event.map(|event| event.at.us()))
            .bind(event.map(|event| event.kind.as_str()))
            .bind(event.map(|event| event.outcome.as_str()))
            .bind(event.map(|event| event.actor.as_str()))
            .bind(event.and_then(|event| event.user).map(|user| user.0))
            .bind(event.and_then(|event| event.client.as_ref()).map(protocol::ClientId::as_str))
            .bind(event.and_then(|event| event.session).map(|session| session.0))
            .bind(event.and_then(|event| event.grant).map(|grant| grant.0))
            .bind(event.and_then(|event| event.consent).map(|consent| consent.0))
            .bind(event.and_then(|event| event.interaction).map(|interaction| interaction.0))
            .bind(event.and_then(|event| event.address).map(|address| address.to_string()))
            .bind(event.and_then(|event| event.correlation).map(|correlation| correlation.0))
            .bind(event.and_then(|event| event.reason.as_deref()))
            .bind(event.map(|event| sqlx::types::Json(&event.detail)))
    }};
}

macro_rules! bind_access {
    ($query:expr, $token:expr) => {{
        let token: Option<&tokens::grant::AccessTokenRecord> = $token;
        $query
            .bind(token.map(|token| &token.digest.as_bytes()[..]))
            .bind(token.map(|token| token.id.0))
            .bind(token.and_then(|token| token.grant).map(|grant| grant.0))
            .bind(token.map(|token| token.client.as_str()))
            .bind(token.map(|token| sqlx::types::Json(&token.claims)))
            .bind(token.map(|token| token.issued_at.us()))
            .bind(token.map(|token| token.expires_at.us()))
            .bind(token.and_then(|token| token.revoked_at).us())
    }};
}

macro_rules! bind_refresh {
    ($query:expr, $token:expr) => {{
        let token: Option<&tokens::grant::RefreshRecord> = $token;
        $query
            .bind(token.map(|token| &token.digest.as_bytes()[..]))
            .bind(token.map(|token| token.grant.0))
            .bind(token.map(|token| token.client.as_str()))
            .bind(token.map(|token| token.kind.as_str()))
            .bind(token.map(|token| token.issued_at.us()))
            .bind(token.map(|token| token.idle_expires_at.us()))
            .bind(token.map(|token| token.expires_at.us()))
            .bind(token.and_then(|token| token.consumed_at).us())
            .bind(token.and_then(|token| token.bound_to.as_ref()).map(|bound| &bound.as_bytes()[..]))
    }};
}

macro_rules! bind_grant {
    ($query:expr, $grant:expr) => {{
        let grant: &tokens::grant::GrantRecord = $grant;
        $query
            .bind(grant.id.0)
            .bind(grant.consent.0)
            .bind(grant.client.as_str())
            .bind(grant.user.0)
            .bind(grant.session.0)
            .bind(grant.session_bound)
            .bind(grant.claims.beside(&grant.scope).to_string())
            .bind(sqlx::types::Json(&grant.audience))
            .bind(grant.auth_time.us())
            .bind(grant.acr.as_str())
            .bind(sqlx::types::Json(&grant.amr))
            .bind(grant.created_at.us())
            .bind(grant.revoked_at.us())
            .bind(grant.expires_at.us())
            .bind($crate::row::some_details(&grant.details))
    }};
}

macro_rules! bind_code {
    ($query:expr, $code:expr) => {{
        let code: &tokens::grant::CodeRecord = $code;
        $query
            .bind(&code.digest.as_bytes()[..])
            .bind(code.grant.0)
            .bind(code.client.as_str())
            .bind(&code.redirect_uri)
            .bind(code.code_challenge.as_ref().map(protocol::pkce::CodeChallenge::as_str))
            .bind(code.nonce.as_deref())
            .bind(code.issued_at.us())
            .bind(code.expires_at.us())
            .bind(code.keep_until.us())
            .bind(code.consumed_at.us())
            .bind(code.dpop_jkt.as_ref().map(|jkt| &jkt.as_bytes()[..]))
    }};
}

macro_rules! bind_consent {
    ($query:expr, $consent:expr) => {{
        let consent: &consent::ConsentRecord = $consent;
        $query
            .bind(consent.id.0)
            .bind(consent.user.0)
            .bind(consent.client.as_str())
            .bind(consent.scope.to_string())
            .bind(sqlx::types::Json(&consent.resources))
            .bind(consent.granted_at.us())
            .bind(consent.updated_at.us())
            .bind(consent.expires_at.us())
            .bind(consent.withdrawn_at.us())
            .bind(consent.version)
            .bind($crate::row::some_details(&consent.details))
    }};
}

macro_rules! bind_session {
    ($query:expr, $session:expr) => {{
        let session: &mfa::Session = $session;
        $query
            .bind(session.id.0)
            .bind(&session.digest.as_bytes()[..])
            .bind(session.user.0)
            .bind(session.auth_time.us())
            .bind(session.acr.as_str())
            .bind(sqlx::types::Json(&session.amr))
            .bind(session.created_at.us())
            .bind(session.last_seen_at.us())
            .bind(session.expires_at.us())
            .bind(session.ended_at.us())
            .bind(session.user_agent.as_deref())
            .bind(session.address.map(|address| address.to_string()))
    }};
}

macro_rules! bind_interaction {
    ($query:expr, $interaction:expr) => {{
        let interaction: &tokens::interaction::InteractionRecord = $interaction;
        $query
            .bind(interaction.id.0)
            .bind(interaction.client.as_ref().map(protocol::ClientId::as_str))
            .bind(sqlx::types::Json(&interaction.purpose))
            .bind(&interaction.browser.as_bytes()[..])
            .bind(interaction.version)
            .bind(interaction.created_at.us())
            .bind(interaction.expires_at.us())
            .bind(interaction.completed_at.us())
    }};
}

pub(crate) use {
    bind_access, bind_code, bind_consent, bind_event, bind_grant, bind_interaction, bind_refresh,
    bind_session,
};
