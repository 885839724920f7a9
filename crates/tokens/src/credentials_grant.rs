//! A client on its own behalf (RFC 6749 §4.4).

use consent::{AudienceFault, Catalogue, DetailFault, TokenTarget};
use protocol::{
    Scope, authorization_details::AuthorizationDetails, client::GrantType, token::ClientCredentialsRequest,
};

use crate::{client::Client, client_auth::AuthenticatedClient, oxide};

/// Proof that a client may act for itself with a scope: the mint's authority where there is no
/// person and no consent.
#[derive(Debug)]
pub struct ClientGrant {
    target: TokenTarget,
    details: AuthorizationDetails,
}

impl ClientGrant {
    /// What the token is for.
    pub const fn target(&self) -> &TokenTarget {
        &self.target
    }

    /// What exactly it may say beside the scope.
    pub const fn details(&self) -> &AuthorizationDetails {
        &self.details
    }
}

/// Why a client may not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientGrantFault {
    /// Not registered for this grant, or public (CC-01): `unauthorized_client`.
    #[error("grant_type_not_allowed")]
    GrantNotAllowed,
    /// Nothing left that a client can have for itself: `invalid_scope`.
    #[error("no_scope")]
    NoScope,
    /// A scope that it is not registered for, or one about a person: `invalid_scope`.
    #[error("scope_not_allowed")]
    ScopeNotAllowed,
    /// Authorization details that a client can't have for itself, or not there:
    /// `invalid_authorization_details`.
    #[error(transparent)]
    Details(#[from] DetailFault),
    /// Scope and resources don't fit: `invalid_target` or `invalid_scope`.
    #[error("{0}")]
    Audience(AudienceFault),
}

/// Decides about a client credentials request. Without `scope`, everything that the client is
/// registered for and that is about no person.
///
/// # Errors
/// [`ClientGrantFault`].
pub fn client_credentials(
    client: &AuthenticatedClient,
    request: &ClientCredentialsRequest,
    catalogue: &Catalogue,
) -> Result<ClientGrant, ClientGrantFault> {
    let client = client.client();
    if client.is_public() || !client.may_use(GrantType::ClientCredentials) {
        return Err(ClientGrantFault::GrantNotAllowed);
    }
    let about_no_person =
        |name: &str| catalogue.scope(name).is_some_and(|definition| definition.audience.is_some());
    let possible = client.scope.filtered(about_no_person);
    let named = consent::audience_of(&Scope::empty(), &request.resources, catalogue)
        .map_err(ClientGrantFault::Audience)?;
    // RFC 8707 §2: without `scope`, what the client names narrows what it gets.
    let for_named = |name: &str| {
        let audience = catalogue.scope(name).and_then(|definition| definition.audience.as_ref());
        named.is_empty() || audience.is_some_and(|audience| named.contains(audience))
    };
    let scope: Scope = match &request.scope {
        None => possible.filtered(for_named),
        Some(requested) if requested.is_subset(&possible) => requested.clone(),
        Some(_) => return Err(ClientGrantFault::ScopeNotAllowed),
    };
    if scope.is_empty() {
        // A named resource for which the client has no scope is no target (RFC 8707 §2).
        return Err(named.into_iter().next().map_or(ClientGrantFault::NoScope, |resource| {
            ClientGrantFault::Audience(AudienceFault::UnknownResource(resource))
        }));
    }
    if !oxide::client_credentials(client, &scope) {
        return Err(ClientGrantFault::ScopeNotAllowed);
    }
    let audience =
        consent::audience_of(&scope, &request.resources, catalogue).map_err(ClientGrantFault::Audience)?;
    let target = consent::narrow(&scope, &audience, &request.resources, catalogue)
        .map_err(ClientGrantFault::Audience)?;
    let details = match &request.details {
        None => AuthorizationDetails::default(),
        Some(asked) => own_details(client, asked, &target, catalogue)?,
    };
    Ok(ClientGrant { target, details })
}

/// The details that a client may have for itself: of types that need no person, at the token's audience.
fn own_details(
    client: &Client,
    asked: &AuthorizationDetails,
    target: &TokenTarget,
    catalogue: &Catalogue,
) -> Result<AuthorizationDetails, DetailFault> {
    let types = catalogue.detail_types();
    types.check(asked, &client.detail_types)?;
    let audience = target.audience.as_deref().unwrap_or_default();
    let may_have = |kind: &str| types.get(kind).is_some_and(|kind| kind.definition().client_credentials);
    let refused =
        asked.iter().position(|detail| !may_have(detail.kind()) || !types.reaches(detail, audience));
    refused.map_or_else(|| Ok(asked.clone()), |index| Err(DetailFault::Type { index }))
}

#[cfg(test)]
mod tests;
