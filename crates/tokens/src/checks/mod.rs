//! The checks of an authorization request, in their order.
//!
//! [`CHECKS`] is the whole list: what is examined, in which order, and where it is written that it
//! must be. Each check is a small file. The order matters, because the first that fails decides
//! what the client is told. Before them stands [`VerifiedRedirect`], after them nothing: what comes
//! out is a [`ValidatedAuthorization`], and only that can become a code.

mod audience;
mod claims;
mod core;
mod details;
mod grant_type;
mod hint;
mod nonce;
mod pkce;
mod pushed;
mod response;
mod scope;

use std::sync::Arc;

use chrono::Duration;
use consent::{AudienceFault, Catalogue, DetailFault};
use jose::Digest;
use protocol::{
    Scope, UserId,
    acr::Acr,
    authorization::{AuthorizationRequest, AuthorizationRequestFault, Prompt},
};

use crate::{
    client::{Client, ModeFault},
    redirect::VerifiedRedirect,
    request_object::RequestObjectRefusal,
};

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
    Check { name: "pushed", cites: "F2-19, PAR-07, RFC 9126 §5", run: pushed::check },
    Check { name: "response", cites: "RFC 6749 §3.1.1, MS-09, JARM §2.3", run: response::check },
    Check { name: "nonce", cites: "OC-03, OpenID Connect Core §3.3.2.11", run: nonce::check },
    Check { name: "pkce", cites: "BCP-04, O21-01, RFC 7636 §4.4.1", run: pkce::check },
    Check { name: "scope", cites: "RFC 6749 §3.3, OC-15, F2-17", run: scope::check },
    Check { name: "authorization_details", cites: "RAR-01, RAR-02, RFC 9396 §5", run: details::check },
    Check { name: "audience", cites: "AT-03, RFC 8707 §2, RFC 9068 §3", run: audience::check },
    Check { name: "id_token_hint", cites: "OC-09", run: hint::check },
    Check { name: "rfc 6749 core", cites: "RFC 6749 §4.1.1", run: core::check },
    Check { name: "claims", cites: "OC-18, OC-19, Core §5.5", run: claims::check },
];

/// Every check of what a device asks for, in order.
pub const DEVICE_CHECKS: &[Check] = &[
    Check { name: "device grant", cites: "DV-06, RFC 8628 §3.1", run: grant_type::check_device },
    Check { name: "scope", cites: "RFC 6749 §3.3, OC-15, F2-17", run: scope::check },
    Check { name: "audience", cites: "AT-03, RFC 8707 §2, RFC 9068 §3", run: audience::check },
];

/// What a request may not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationFault {
    /// The bytes alone decide it.
    #[error(transparent)]
    Form(#[from] AuthorizationRequestFault),
    /// The request object, or what came instead of one, is refused.
    #[error(transparent)]
    RequestObject(#[from] RequestObjectRefusal),
    /// The client is not registered for the code flow.
    #[error("the client may not use the authorization code flow")]
    CodeFlowNotAllowed,
    /// The client's requests must be pushed, and this was not (F2-19, PAR-07).
    #[error("authorization requests of this client must be pushed")]
    NotPushed,
    /// The client did not register the response type (RFC 6749 §4.1.2.1).
    #[error("the client may not use this response_type")]
    ResponseTypeNotAllowed,
    /// The client may not be answered like that (MS-09).
    #[error(transparent)]
    Mode(#[from] ModeFault),
    /// An ID token was asked for, and no nonce given that would tie it to the request (OC-03).
    #[error("nonce is required where an ID token comes from the authorization endpoint")]
    NonceMissing,
    /// An ID token was asked for by a request without `openid` (OC-10).
    #[error("this response_type needs the openid scope")]
    IdTokenWithoutOpenid,
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
    /// An authorization detail that is not known, not the client's, or not as its type demands (RAR-01).
    #[error(transparent)]
    Details(#[from] DetailFault),
    /// `id_token_hint` is no ID token of ours for this client.
    #[error("id_token_hint is not an ID token for this client")]
    HintNotOurs,
    /// An essential `acr` of which this server reaches none: an authentication that failed (OC-19).
    #[error("none of the essential acr values can be reached")]
    AcrUnreachable,
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
    /// The same, where the client knows the person by a pairwise subject (OC-21).
    Pairwise(Digest),
}

/// A request on its way through the list.
pub struct Draft<'a> {
    request: &'a AuthorizationRequest,
    client: &'a Client,
    catalogue: &'a Catalogue,
    hint: Hint,
    scope: Scope,
    audience: Vec<String>,
    claims: Scope,
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
    hint: Hint,
    claims: Scope,
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
        Self::checked(CHECKS, (request, client, redirect), hint, catalogue)
    }

    /// Runs the shorter list over what a device asks for: it has neither redirect nor PKCE, and the person
    /// is always asked (RFC 8628 §3.1, DV-05).
    ///
    /// # Errors
    /// The first [`AuthorizationFault`].
    pub fn of_device(
        request: AuthorizationRequest,
        client: Arc<Client>,
        catalogue: &Catalogue,
    ) -> Result<Self, AuthorizationFault> {
        if !request.prompt.contains(&Prompt::Consent) || request.client_id != client.id.as_str() {
            return Err(AuthorizationFault::Contradiction);
        }
        let redirect = VerifiedRedirect::of_device(&client);
        Self::checked(DEVICE_CHECKS, (request, client, redirect), Hint::Absent, catalogue)
    }

    fn checked(
        checks: &[Check],
        (request, client, redirect): (AuthorizationRequest, Arc<Client>, VerifiedRedirect),
        hint: Hint,
        catalogue: &Catalogue,
    ) -> Result<Self, AuthorizationFault> {
        let mut draft = Draft {
            request: &request,
            client: &client,
            catalogue,
            hint,
            scope: Scope::empty(),
            audience: Vec::new(),
            claims: Scope::empty(),
        };
        for check in checks {
            (check.run)(&mut draft)?;
        }
        let Draft { scope, audience, claims, .. } = draft;
        let servers = audience.iter().filter_map(|resource| catalogue.resource_server(resource));
        let lifetimes = servers.filter_map(|server| server.access_token_lifetime);
        let own_token_lifetime = lifetimes.max().and_then(Duration::try_seconds);
        Ok(Self { request, client, redirect, scope, audience, own_token_lifetime, hint, claims })
    }

    /// The request.
    pub const fn request(&self) -> &AuthorizationRequest {
        &self.request
    }

    /// The digest of the reference under which it was pushed, if it was.
    pub fn pushed(&self) -> Option<Digest> {
        self.request.pushed.as_deref().and_then(|text| text.parse().ok())
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

    /// What the person is asked: the scope, and beside it the single claims, as `claim:<name>` (OC-18).
    pub fn consentable(&self) -> Scope {
        self.scope.union(&self.claims)
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

    /// Whether the request may be answered for this person, whom the client knows as `subject`: the hint
    /// (OC-09) and the `sub` that `claims` demands (OC-18) both have to agree.
    pub fn is_meant_for(&self, user: UserId, subject: &str) -> bool {
        let hinted = match self.hint {
            Hint::Absent | Hint::Invalid => true,
            Hint::Subject(hinted) => hinted == user,
            Hint::Pairwise(hinted) => hinted.to_string() == subject,
        };
        hinted && self.request.claims.subjects().is_none_or(|demanded| demanded.contains(&subject))
    }

    /// The authentication context classes that the client wants, preferred first, in its own words: an
    /// essential `acr` of `claims`, `acr_values`, a voluntary `acr`, or what it registered (OC-19, OC-34).
    pub fn acr_values(&self) -> Vec<&str> {
        let asked = self.request.claims.acr().filter(|acr| !acr.values.is_empty());
        match asked {
            Some(acr) if acr.essential => acr.texts().collect(),
            _ if !self.request.acr_values.is_empty() => {
                self.request.acr_values.iter().map(String::as_str).collect()
            }
            Some(acr) => acr.texts().collect(),
            None => self.client.default_acr_values.iter().map(String::as_str).collect(),
        }
    }

    /// The class that the answer names for a person who reached `reached`: that one, unless an essential
    /// `acr` lists only weaker ones, which the stronger authentication satisfies as well (OC-19).
    pub fn answered_acr(&self, reached: Acr) -> Acr {
        let Some(acr) = self.request.claims.acr().filter(|acr| acr.essential) else { return reached };
        let listed: Vec<Acr> = acr.texts().filter_map(|text| text.parse().ok()).collect();
        let satisfied = listed.iter().copied().filter(|listed| *listed <= reached).max();
        satisfied.unwrap_or(reached)
    }
}

#[cfg(test)]
mod details_tests;
#[cfg(test)]
pub(crate) mod tests;
