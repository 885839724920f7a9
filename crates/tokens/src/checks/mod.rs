//! The checks of an authorization request, in their order.
//!
//! [`CHECKS`] is the whole list: what is examined, in which order, and where it is written that it
//! must be. Each check is a small file. The order matters, because the first that fails decides
//! what the client is told. Before them stands [`VerifiedRedirect`], after them nothing: what comes
//! out is a [`ValidatedAuthorization`], and only that can become a code.

mod audience;
mod core;
mod grant_type;
mod hint;
mod pkce;
mod scope;

use std::sync::Arc;

use chrono::Duration;
use consent::{AudienceFault, Catalogue};
use protocol::{
    Scope, UserId,
    authorization::{AuthorizationRequest, AuthorizationRequestFault},
};

use crate::{client::Client, redirect::VerifiedRedirect};

/// One check: its name, where it comes from, and what it does.
pub struct Check {
    /// Names the check in logs and in documentation.
    pub name: &'static str,
    /// Requirement ids and sections.
    pub cites: &'static str,
    run: fn(&mut Draft<'_>) -> Result<(), AuthorizationFault>,
}

/// Every check, in order.
pub const CHECKS: &[Check] = &[
    Check { name: "grant type", cites: "RFC 6749 §4.1.2.1", run: grant_type::check },
    Check { name: "pkce", cites: "BCP-04, O21-01, RFC 7636 §4.4.1", run: pkce::check },
    Check { name: "scope", cites: "RFC 6749 §3.3, OC-15, F2-17", run: scope::check },
    Check { name: "audience", cites: "AT-03, RFC 8707 §2, RFC 9068 §3", run: audience::check },
    Check { name: "id_token_hint", cites: "OC-09", run: hint::check },
    Check { name: "rfc 6749 core", cites: "RFC 6749 §4.1.1", run: core::check },
];

/// What a request may not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationFault {
    /// The bytes alone decide it.
    #[error(transparent)]
    Form(#[from] AuthorizationRequestFault),
    /// The client is not registered for the code flow.
    #[error("the client may not use the authorization code flow")]
    CodeFlowNotAllowed,
    /// No challenge where one is required (BCP-04).
    #[error("code_challenge is required")]
    ChallengeMissing,
    /// No scope that this server understands.
    #[error("scope is missing or not understood")]
    ScopeMissing,
    /// A scope that the client is not registered for.
    #[error("the client may not ask for scope {0}")]
    ScopeNotAllowed(Scope),
    /// The scope and the resources don't fit (AT-03).
    #[error(transparent)]
    Audience(#[from] AudienceFault),
    /// `id_token_hint` is no ID token of ours for this client.
    #[error("id_token_hint is not an ID token for this client")]
    HintNotOurs,
    /// The RFC 6749 core found something that our own checks should have found before.
    #[error("the request is not an OAuth 2.0 authorization request")]
    Core,
    /// Request, client and verified redirect are of different requests: a mistake of this program.
    #[error("request, client and redirect do not belong together")]
    Contradiction,
}

/// What `flows` found out about an `id_token_hint`, which takes our keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hint {
    /// None came.
    #[default]
    Absent,
    /// Not one of ours, or for another client.
    Invalid,
    /// Ours, possibly expired, about this person.
    Subject(UserId),
}

/// A request on its way through the list.
pub struct Draft<'a> {
    request: &'a AuthorizationRequest,
    client: &'a Client,
    catalogue: &'a Catalogue,
    hint: Hint,
    scope: Scope,
    audience: Vec<String>,
}

/// Proof that a request passed every check.
#[derive(Clone, Debug)]
pub struct ValidatedAuthorization {
    request: AuthorizationRequest,
    client: Arc<Client>,
    redirect: VerifiedRedirect,
    scope: Scope,
    audience: Vec<String>,
    own_token_lifetime: Option<Duration>,
    hinted: Option<UserId>,
}

impl ValidatedAuthorization {
    /// Runs the list over a request whose redirect was verified.
    ///
    /// # Errors
    /// The first [`AuthorizationFault`]; [`AuthorizationFault::Contradiction`] when request, client
    /// and redirect don't belong together.
    pub fn validate(
        request: AuthorizationRequest,
        client: Arc<Client>,
        redirect: VerifiedRedirect,
        hint: Hint,
        catalogue: &Catalogue,
    ) -> Result<Self, AuthorizationFault> {
        if !redirect.belongs_to(&request, &client) {
            return Err(AuthorizationFault::Contradiction);
        }
        let mut draft = Draft {
            request: &request,
            client: &client,
            catalogue,
            hint,
            scope: Scope::empty(),
            audience: Vec::new(),
        };
        for check in CHECKS {
            (check.run)(&mut draft)?;
        }
        let Draft { scope, audience, .. } = draft;
        let hinted = if let Hint::Subject(user) = hint { Some(user) } else { None };
        let servers = audience.iter().filter_map(|resource| catalogue.resource_server(resource));
        let lifetimes = servers.filter_map(|server| server.access_token_lifetime);
        let own_token_lifetime = lifetimes.max().and_then(Duration::try_seconds);
        Ok(Self { request, client, redirect, scope, audience, own_token_lifetime, hinted })
    }

    /// The request.
    pub const fn request(&self) -> &AuthorizationRequest {
        &self.request
    }

    /// The client that asks.
    pub const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Where the answer goes.
    pub const fn redirect(&self) -> &VerifiedRedirect {
        &self.redirect
    }

    /// The scope that may be consented to.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The resource servers that it concerns.
    pub fn audience(&self) -> &[String] {
        &self.audience
    }

    /// The longest that an access token of this authorization may live: `default`, or longer where
    /// one of its resource servers wants it so.
    pub fn longest_token_lifetime(&self, default: Duration) -> Duration {
        self.own_token_lifetime.map_or(default, |own| own.max(default))
    }

    /// Whom the client believes to be there (OC-09).
    pub const fn hinted(&self) -> Option<UserId> {
        self.hinted
    }
}

#[cfg(test)]
pub(crate) mod tests;
