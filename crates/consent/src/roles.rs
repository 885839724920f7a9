//! From scope to token: which resource server a token is for, and which roles it may carry there.
//!
//! One access token serves one resource server: its scope is cut to what that server understands
//! and its roles are those that such scopes stand for (AT-03, BCP-10). A customer's other roles,
//! and other APIs' scopes, never reach a server that has no business with them.

use std::collections::BTreeSet;

use protocol::{Scope, authorization_details::AuthorizationDetails};

use crate::{
    catalogue::{Catalogue, Role},
    decide::is_held_to,
};

/// The roles that a token with `scope` carries for `audience`: what those scopes stand for, as far
/// as the customer (or the client that acts for itself) holds it.
pub fn roles_for(scope: &Scope, audience: &str, catalogue: &Catalogue, held: &[Role]) -> BTreeSet<Role> {
    catalogue
        .definitions(scope)
        .filter(|scope| scope.audience.as_deref() == Some(audience))
        .flat_map(|scope| &scope.roles)
        .filter(|role| held.contains(role))
        .cloned()
        .collect()
}

/// The part of `scope` that means something to `audience`: its own scopes and those about the
/// person. With `None`, only the latter.
pub fn scope_for(scope: &Scope, audience: Option<&str>, catalogue: &Catalogue) -> Scope {
    scope.filtered(|name| {
        catalogue
            .scope(name)
            .is_some_and(|scope| scope.audience.is_none() || scope.audience.as_deref() == audience)
    })
}

/// The part of `scope` that a customer with these roles may still give away: they hold every role
/// that it stands for. What the catalogue no longer knows is not among it (F2-17).
pub fn held_scope(scope: &Scope, held: &[Role], catalogue: &Catalogue) -> Scope {
    scope.filtered(|name| is_held_to(name, held, catalogue))
}

/// Of `resources`, those that `remaining` still reaches, and those that `scope` never reached
/// because they were named without any scope of theirs.
pub fn still_reached(
    resources: &[String],
    scope: &Scope,
    remaining: &Scope,
    catalogue: &Catalogue,
) -> Vec<String> {
    let reaches = |scope: &Scope, resource: &String| {
        catalogue.definitions(scope).any(|scope| scope.audience.as_ref() == Some(resource))
    };
    let kept = resources.iter().filter(|resource| !reaches(scope, resource) || reaches(remaining, resource));
    kept.cloned().collect()
}

/// Why scope and `resource` do not name the audience of a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudienceFault {
    /// No such resource server, or none that this consent covers. Answer `invalid_target`.
    #[error("the resource `{0}` is not one that this request can be for")]
    UnknownResource(String),
    /// The scope reaches several resource servers, and `resource` names none or several of them
    /// where one token needs one. Answer `invalid_target` (RFC 8707 §2, RFC 9068 §3).
    #[error("the scope reaches several resource servers; name one with `resource`: {}", .0.join(" "))]
    Ambiguous(Vec<String>),
    /// Scopes of a resource server that the named ones leave out. Answer `invalid_scope`.
    #[error("the scope `{0}` means nothing to the named resource servers")]
    ScopeOutsideResources(Scope),
    /// An authorization detail that means nothing to the named ones. Answer `invalid_target`.
    #[error("authorization detail {0} means nothing to the named resource servers")]
    DetailOutsideResources(usize),
}

/// The resource servers that an authorization is for, sorted (AT-03, RI-01, RFC 8707 §2.1).
///
/// What the client names with `resource` must exist, and must cover its scope. Where it names
/// nothing, the one resource server of its scopes is meant; scopes over several are refused. Empty
/// means that the token is for this issuer alone (its userinfo endpoint), if `openid` is there.
///
/// # Errors
/// [`AudienceFault`].
pub fn audience_of(
    scope: &Scope,
    requested: &[String],
    catalogue: &Catalogue,
) -> Result<Vec<String>, AudienceFault> {
    if let Some(unknown) = requested.iter().find(|resource| catalogue.resource_server(resource).is_none()) {
        return Err(AudienceFault::UnknownResource(unknown.clone()));
    }
    let implied: BTreeSet<&String> =
        catalogue.definitions(scope).filter_map(|scope| scope.audience.as_ref()).collect();
    if requested.is_empty() {
        return match implied.len() {
            0 | 1 => Ok(implied.into_iter().cloned().collect()),
            _ => Err(AudienceFault::Ambiguous(implied.into_iter().cloned().collect())),
        };
    }
    let named: BTreeSet<&String> = requested.iter().collect();
    let outside = scope.filtered(|name| {
        let audience = catalogue.scope(name).and_then(|scope| scope.audience.as_ref());
        audience.is_some_and(|audience| !named.contains(audience))
    });
    if !outside.is_empty() {
        return Err(AudienceFault::ScopeOutsideResources(outside));
    }
    Ok(named.into_iter().cloned().collect())
}

/// The same for a request with authorization details, which imply their own resource servers (RFC 9396 §2.2).
/// A detail that means something to the one resource server of the scope implies no other.
///
/// # Errors
/// [`AudienceFault`].
pub fn audience_with(
    scope: &Scope,
    details: &AuthorizationDetails,
    requested: &[String],
    catalogue: &Catalogue,
) -> Result<Vec<String>, AudienceFault> {
    let types = catalogue.detail_types();
    let mut audience = audience_of(scope, requested, catalogue)?;
    for (index, detail) in details.iter().enumerate() {
        if audience.iter().any(|resource| types.reaches(detail, resource)) {
            continue;
        }
        if !requested.is_empty() {
            return Err(AudienceFault::DetailOutsideResources(index));
        }
        let kind = types.get(detail.kind());
        audience.extend(kind.into_iter().flat_map(|kind| kind.locations(detail)).cloned());
    }
    audience.sort_unstable();
    audience.dedup();
    if requested.is_empty() && audience.len() > 1 {
        return Err(AudienceFault::Ambiguous(audience));
    }
    Ok(audience)
}

/// What one access token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenTarget {
    /// Its resource server; `None` if it is for this issuer's userinfo endpoint alone.
    pub audience: Option<String>,
    /// The part of the granted scope that it carries.
    pub scope: Scope,
}

/// Narrows a grant to the target of one access token, at the token endpoint (RFC 8707 §2.2).
///
/// `requested` may only narrow (RI-01). A grant over several resource servers must be narrowed to
/// one, because a token for several would let each use it at the others.
///
/// # Errors
/// [`AudienceFault::UnknownResource`] if `requested` names what was not granted,
/// [`AudienceFault::Ambiguous`] if one token can't tell which of several is meant.
pub fn narrow(
    granted: &Scope,
    granted_resources: &[String],
    requested: &[String],
    catalogue: &Catalogue,
) -> Result<TokenTarget, AudienceFault> {
    if let Some(foreign) = requested.iter().find(|resource| !granted_resources.contains(resource)) {
        return Err(AudienceFault::UnknownResource(foreign.clone()));
    }
    let candidates: BTreeSet<&String> =
        if requested.is_empty() { granted_resources } else { requested }.iter().collect();
    if candidates.len() > 1 {
        return Err(AudienceFault::Ambiguous(candidates.into_iter().cloned().collect()));
    }
    let audience = candidates.into_iter().next().cloned();
    let scope = scope_for(granted, audience.as_deref(), catalogue);
    Ok(TokenTarget { audience, scope })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;
    use crate::testing::{BANK, CARDS, catalogue, roles, scope};

    fn strings(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    #[rstest]
    #[case("openid profile", &[], &[])]
    #[case("openid accounts:read", &[], &[BANK])]
    #[case("accounts:read", &[BANK], &[BANK])]
    #[case("accounts:read cards:read", &[CARDS, BANK, CARDS], &[BANK, CARDS])]
    #[case("openid", &[CARDS], &[CARDS])]
    fn at_03_aud_follows_resource_or_default(
        #[case] text: &str,
        #[case] named: &[&str],
        #[case] expected: &[&str],
    ) {
        let found = audience_of(&scope(text), &strings(named), &catalogue()).unwrap();
        let mut expected = strings(expected);
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn at_03_ambiguous_scope_is_refused() {
        let fault = audience_of(&scope("accounts:read cards:read"), &[], &catalogue());
        let mut both = strings(&[BANK, CARDS]);
        both.sort();
        assert_eq!(fault, Err(AudienceFault::Ambiguous(both)));
    }

    #[test]
    fn ri_01_unknown_resource_and_foreign_scope() {
        let unknown = strings(&["https://elsewhere.example"]);
        let fault = audience_of(&scope("openid"), &unknown, &catalogue());
        assert_eq!(fault, Err(AudienceFault::UnknownResource(unknown[0].clone())));
        let near_miss = strings(&[&format!("{BANK}/")]);
        assert!(audience_of(&scope("openid"), &near_miss, &catalogue()).is_err(), "compared as text");
        let fault = audience_of(&scope("openid cards:read"), &strings(&[BANK]), &catalogue());
        assert_eq!(fault, Err(AudienceFault::ScopeOutsideResources(scope("cards:read"))));
    }

    #[test]
    fn ri_01_resource_at_the_token_endpoint_only_narrows() {
        let granted = scope("openid accounts:read cards:read");
        let both = strings(&[BANK, CARDS]);
        let narrowed = narrow(&granted, &both, &strings(&[CARDS]), &catalogue()).unwrap();
        assert_eq!(narrowed.audience.as_deref(), Some(CARDS));
        assert_eq!(narrowed.scope, scope("openid cards:read"));
        assert!(matches!(narrow(&granted, &both, &[], &catalogue()), Err(AudienceFault::Ambiguous(_))));
        assert!(matches!(narrow(&granted, &both, &both, &catalogue()), Err(AudienceFault::Ambiguous(_))));
        let wider = narrow(&granted, &strings(&[BANK]), &strings(&[CARDS]), &catalogue());
        assert_eq!(wider, Err(AudienceFault::UnknownResource(CARDS.to_owned())));
        let alone = narrow(&scope("openid email"), &[], &[], &catalogue()).unwrap();
        assert_eq!((alone.audience, alone.scope), (None, scope("openid email")));
    }

    #[test]
    fn oc_30_tokens_carry_roles_for_their_audience_only() {
        let all = scope("openid accounts:read payments:write cards:read");
        let held = roles(&["account-viewer", "card-viewer", "branch-manager"]);
        let found = |audience| roles_for(&all, audience, &catalogue(), &held).into_iter().collect::<Vec<_>>();
        assert_eq!(found(BANK), roles(&["account-viewer"]), "payment-initiator is not held");
        assert_eq!(found(CARDS), roles(&["card-viewer"]));
        assert_eq!(found("https://elsewhere.example"), []);
    }
}
