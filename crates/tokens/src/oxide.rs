//! oxide-auth's state machines, driven with values.
//!
//! The machines hold the order and the checks of RFC 6749. They ask (`Bind`, `Recover`, `Extend`,
//! `Negotiate`) and we answer from what was loaded before; nothing here waits for I/O. Client
//! authentication stands before them, OpenID Connect and lifetimes stand after them.
//!
//! Three habits of the library shape the adapters: it would take `client_id` in a token request as
//! a second credential, so credentials stay hidden from it; it compares redirect URIs as parsed
//! URLs, so the exact comparison is made before; it reads the wall clock for expiry, so it is shown
//! grants that can't expire and our own clock decides.

use std::{borrow::Cow, sync::LazyLock};

use chrono::{DateTime, Utc};
use oxide_auth::{
    code_grant::{
        accesstoken::{self, AccessToken},
        authorization::{self, Authorization},
        client_credentials::{self, ClientCredentials},
        extensions::Pkce,
        refresh::{self, Refresh},
    },
    primitives::{
        grant::{Extensions, Grant},
        issuer::{IssuedToken, RefreshedToken, TokenType},
        registrar::{BoundClient, PreGrant, RegisteredUrl},
        scope::Scope as OxideScope,
    },
};
use protocol::{
    Scope,
    authorization::AuthorizationRequest,
    client::{GrantType, ResponseType},
    pkce::CodeVerifier,
};
use url::Url;

use crate::{
    checks::AuthorizationFault, client::Client, code::CodeFault, grant::CodeRecord, refresh::RefreshFault,
};

/// The library's scope of ours; both follow the same grammar.
fn oxide_scope(scope: &Scope) -> Option<OxideScope> {
    scope.to_string().parse().ok()
}

fn says_the_same(theirs: &OxideScope, ours: &Scope) -> bool {
    theirs.iter().count() == ours.iter().count() && theirs.iter().all(|token| ours.contains(token))
}

fn our_scope(scope: &OxideScope) -> Scope {
    scope.iter().filter_map(|token| token.parse().ok()).collect()
}

fn pkce(required: bool) -> Pkce {
    if required { Pkce::required() } else { Pkce::optional() }
}

/// The challenge of a request as the library keeps it in a grant.
fn challenge_extension(required: bool, challenge: Option<&str>) -> Option<Extensions> {
    let pkce = pkce(required);
    let method = challenge.map(|_| Cow::Borrowed("S256"));
    let value = pkce.challenge(method, challenge.map(Cow::Borrowed)).ok()?;
    let mut extensions = Extensions::new();
    if let Some(value) = value {
        extensions.set(&pkce, value);
    }
    Some(extensions)
}

/// Runs the `Authorization` machine over a request that our own checks have passed. Answers the
/// scope that it would grant.
///
/// # Errors
/// [`AuthorizationFault::Core`] when the machine refuses.
pub(crate) fn authorize(
    request: &AuthorizationRequest,
    client: &Client,
    scope: &Scope,
) -> Result<Scope, AuthorizationFault> {
    use authorization::{Input, Output};
    let adapter = AuthorizationAdapter(request);
    let core = || AuthorizationFault::Core;
    let mut machine = Authorization::new(&adapter);
    let mut output = machine.advance(Input::None);
    loop {
        output = match output {
            Output::Bind { redirect_uri, .. } => {
                let uri = redirect_uri.ok_or_else(core)?;
                let bound_client = BoundClient {
                    client_id: Cow::Owned(client.id.to_string()),
                    redirect_uri: Cow::Owned(RegisteredUrl::Exact(uri)),
                };
                machine.advance(Input::Bound { request: &adapter, bound_client })
            }
            Output::Extend => {
                let challenge = request.code_challenge.as_ref().map(|challenge| challenge.as_str());
                let extensions =
                    challenge_extension(client.settings.require_pkce, challenge).ok_or_else(core)?;
                machine.advance(Input::Extended(extensions))
            }
            Output::Negotiate { bound_client, .. } => {
                let pre_grant = PreGrant {
                    client_id: bound_client.client_id.clone().into_owned(),
                    redirect_uri: bound_client.redirect_uri.clone().into_owned(),
                    scope: oxide_scope(scope).ok_or_else(core)?,
                };
                machine.advance(Input::Negotiated { pre_grant, state: request.state.clone() })
            }
            Output::Ok { pre_grant, .. } => return Ok(our_scope(&pre_grant.scope)),
            Output::Err(_) => return Err(core()),
        };
    }
}

/// An authorization request as the machine asks for it.
struct AuthorizationAdapter<'a>(&'a AuthorizationRequest);

impl authorization::Request for AuthorizationAdapter<'_> {
    fn valid(&self) -> bool {
        true
    }
    fn client_id(&self) -> Option<Cow<'_, str>> {
        Some(self.0.client_id.as_str().into())
    }
    fn scope(&self) -> Option<Cow<'_, str>> {
        self.0.scope.as_ref().map(|scope| scope.to_string().into())
    }
    fn redirect_uri(&self) -> Option<Cow<'_, str>> {
        self.0.redirect_uri.as_deref().map(Into::into)
    }
    fn state(&self) -> Option<Cow<'_, str>> {
        self.0.state.as_deref().map(Into::into)
    }
    fn response_type(&self) -> Option<Cow<'_, str>> {
        // What comes beside the code is none of the machine's business.
        Some(ResponseType::Code.as_str().into())
    }
    fn extension(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// Runs the `AccessToken` machine over a stored code: right client, right redirect URI, right
/// verifier (RFC 6749 §4.1.3, RFC 7636 §4.6).
///
/// # Errors
/// [`CodeFault`]; what the machine itself refuses is a mismatch of the grant.
pub(crate) fn redeem(
    client: &Client,
    code: &CodeRecord,
    scope: &Scope,
    verifier: Option<&CodeVerifier>,
) -> Result<(), CodeFault> {
    use accesstoken::{Input, Output};
    let adapter = TokenAdapter {
        client_id: client.id.as_str(),
        grant_type: GrantType::AuthorizationCode,
        code: Some("loaded"),
        redirect_uri: Some(&code.redirect_uri),
        refresh_token: None,
        scope: None,
    };
    let required = code.code_challenge.is_some();
    let challenge = code.code_challenge.as_ref().map(|challenge| challenge.as_str());
    let extensions = challenge_extension(required, challenge).ok_or(CodeFault::Core)?;
    let mut machine = AccessToken::new(&adapter);
    let mut output = machine.advance(Input::None);
    loop {
        output = match output {
            Output::Authenticate { .. } => machine.advance(Input::Authenticated),
            Output::Recover { .. } => {
                let stored = grant(code.client.as_str(), &code.redirect_uri, scope, extensions.clone());
                machine.advance(Input::Recovered(Some(Box::new(stored.ok_or(CodeFault::Core)?))))
            }
            Output::Extend { extensions } => {
                let pkce = pkce(required);
                let challenge = extensions.remove(&pkce);
                pkce.verify(challenge, verifier.map(|verifier| verifier.expose().into()))
                    .map_err(|()| CodeFault::VerifierWrong)?;
                let access_extensions = std::mem::take(extensions);
                machine.advance(Input::Extended { access_extensions })
            }
            Output::Issue { .. } => machine.advance(Input::Issued(placeholder())),
            Output::Ok(_) => return Ok(()),
            Output::Err(_) => return Err(CodeFault::Core),
        };
    }
}

/// Runs the `Refresh` machine: right client, and a scope that only narrows (RFC 6749 §6). Answers
/// the scope of the new access token.
///
/// # Errors
/// [`RefreshFault::ScopeWider`] or [`RefreshFault::Core`].
pub(crate) fn refresh(
    client: &Client,
    granted: &Scope,
    requested: Option<&Scope>,
) -> Result<Scope, RefreshFault> {
    use refresh::{Input, Output};
    let requested_text = requested.map(ToString::to_string);
    let adapter = TokenAdapter {
        client_id: client.id.as_str(),
        grant_type: GrantType::RefreshToken,
        code: None,
        redirect_uri: None,
        refresh_token: Some("loaded"),
        scope: requested_text.as_deref(),
    };
    let scope = || requested_text.as_deref().map(Cow::Borrowed);
    let mut machine = Refresh::new(&adapter);
    let mut output = machine.advance(Input::None);
    let mut narrowed = None;
    loop {
        output = match output {
            Output::Unauthenticated { .. } => machine.advance(Input::Authenticated { scope: scope() }),
            Output::RecoverRefresh { .. } => {
                let stored = grant(client.id.as_str(), "urn:refresh", granted, Extensions::new());
                let grant = Some(Box::new(stored.ok_or(RefreshFault::Core)?));
                machine.advance(Input::Recovered { scope: scope(), grant })
            }
            Output::Refresh { grant, .. } => {
                narrowed = Some(our_scope(&grant.scope));
                let issued = placeholder();
                machine.advance(Input::Refreshed(RefreshedToken {
                    token: issued.token,
                    refresh: issued.refresh,
                    until: issued.until,
                    token_type: issued.token_type,
                }))
            }
            Output::Ok(_) => return narrowed.ok_or(RefreshFault::Core),
            Output::Err(refresh::Error::Invalid(mut error)) => {
                use oxide_auth::code_grant::error::AccessTokenErrorType as Kind;
                return Err(match error.description().kind() {
                    Kind::InvalidScope => RefreshFault::ScopeWider,
                    _ => RefreshFault::Core,
                });
            }
            Output::Err(_) => return Err(RefreshFault::Core),
        };
    }
}

/// The machine of client credentials insists on a redirect URI; this one is never followed.
static NOWHERE: LazyLock<Option<RegisteredUrl>> =
    LazyLock::new(|| "urn:client-credentials".parse().ok().map(RegisteredUrl::Exact));

/// Runs the `ClientCredentials` machine (RFC 6749 §4.4). Answers whether it grants the scope.
pub(crate) fn client_credentials(client: &Client, scope: &Scope) -> bool {
    granted_to_client(client, scope).unwrap_or(false)
}

fn granted_to_client(client: &Client, scope: &Scope) -> Option<bool> {
    use client_credentials::{Input, Output};
    let text = scope.to_string();
    let adapter = TokenAdapter {
        client_id: client.id.as_str(),
        grant_type: GrantType::ClientCredentials,
        code: None,
        redirect_uri: None,
        refresh_token: None,
        scope: Some(&text),
    };
    let nowhere = NOWHERE.as_ref()?;
    let mut machine = ClientCredentials::new(&adapter);
    let mut output = machine.advance(Input::None);
    loop {
        output = match output {
            Output::Authenticate { .. } => machine.advance(Input::Authenticated),
            Output::Binding { .. } => {
                let client_id = Cow::Owned(client.id.to_string());
                let bound_client = BoundClient { client_id, redirect_uri: Cow::Borrowed(nowhere) };
                machine.advance(Input::Bound { bound_client })
            }
            Output::Extend => machine.advance(Input::Extended { extensions: Extensions::new() }),
            Output::Negotiate { bound_client, scope: asked } => {
                let pre_grant = PreGrant {
                    client_id: bound_client.client_id.clone().into_owned(),
                    redirect_uri: bound_client.redirect_uri.clone().into_owned(),
                    scope: asked?,
                };
                machine.advance(Input::Negotiated { pre_grant })
            }
            Output::Ok { pre_grant, .. } => return Some(says_the_same(&pre_grant.scope, scope)),
            Output::Err(_) => return None,
        };
    }
}

/// A token request whose client is already proven. Credentials stay hidden from the machine.
struct TokenAdapter<'a> {
    client_id: &'a str,
    grant_type: GrantType,
    code: Option<&'a str>,
    redirect_uri: Option<&'a str>,
    refresh_token: Option<&'a str>,
    scope: Option<&'a str>,
}

impl accesstoken::Request for TokenAdapter<'_> {
    fn valid(&self) -> bool {
        true
    }
    fn code(&self) -> Option<Cow<'_, str>> {
        self.code.map(Into::into)
    }
    fn authorization(&self) -> accesstoken::Authorization<'_> {
        accesstoken::Authorization::Username(self.client_id.into())
    }
    fn client_id(&self) -> Option<Cow<'_, str>> {
        None
    }
    fn redirect_uri(&self) -> Option<Cow<'_, str>> {
        self.redirect_uri.map(Into::into)
    }
    fn grant_type(&self) -> Option<Cow<'_, str>> {
        Some(self.grant_type.as_str().into())
    }
    fn extension(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

impl refresh::Request for TokenAdapter<'_> {
    fn valid(&self) -> bool {
        true
    }
    fn refresh_token(&self) -> Option<Cow<'_, str>> {
        self.refresh_token.map(Into::into)
    }
    fn scope(&self) -> Option<Cow<'_, str>> {
        self.scope.map(Into::into)
    }
    fn grant_type(&self) -> Option<Cow<'_, str>> {
        Some(self.grant_type.as_str().into())
    }
    fn authorization(&self) -> Option<(Cow<'_, str>, Cow<'_, [u8]>)> {
        Some((self.client_id.into(), Cow::Borrowed(&[])))
    }
    fn extension(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

impl client_credentials::Request for TokenAdapter<'_> {
    fn valid(&self) -> bool {
        true
    }
    fn authorization(&self) -> Option<(Cow<'_, str>, Cow<'_, [u8]>)> {
        Some((self.client_id.into(), Cow::Borrowed(&[])))
    }
    fn scope(&self) -> Option<Cow<'_, str>> {
        self.scope.map(Into::into)
    }
    fn grant_type(&self) -> Option<Cow<'_, str>> {
        Some(self.grant_type.as_str().into())
    }
    fn extension(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// A grant as the machines want it, which by their clock never expires.
fn grant(client: &str, redirect_uri: &str, scope: &Scope, extensions: Extensions) -> Option<Grant> {
    Some(Grant {
        owner_id: String::new(),
        client_id: client.to_owned(),
        redirect_uri: redirect_uri.parse::<Url>().ok()?,
        scope: oxide_scope(scope)?,
        until: DateTime::<Utc>::MAX_UTC,
        extensions,
    })
}

/// The machine wants to hear of a token; ours are made by the mint.
fn placeholder() -> IssuedToken {
    IssuedToken {
        token: String::new(),
        refresh: None,
        until: DateTime::<Utc>::MAX_UTC,
        token_type: TokenType::Bearer,
    }
}

#[cfg(test)]
pub(crate) mod tests;
