//! Single claims that a grant lets out (OpenID Connect Core §5.5), beside those of its scope.
//!
//! In the row of a grant they stand beside its scope, as `claim@userinfo:email`, because they are part of
//! what was granted; in memory they are kept apart, because access tokens and answers name scopes alone.

use std::collections::BTreeSet;

use protocol::{
    Scope,
    claims::{StandardClaims, claim_names, is_allowed, scope_of_claim},
    claims_request::ClaimsRequest,
};
use serde_json::{Map, Value};

const AT_USERINFO: &str = "claim@userinfo:";
const IN_ID_TOKEN: &str = "claim@id_token:";

/// Which claims go where, beside those of the scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantedClaims {
    userinfo: BTreeSet<&'static str>,
    id_token: BTreeSet<&'static str>,
}

impl GrantedClaims {
    /// Of what a request asks for by name, what the person consented to and the client may have.
    pub fn granted(request: &ClaimsRequest, client: &Scope, consented: &Scope) -> Self {
        let of = |target: &std::collections::BTreeMap<String, _>| {
            claim_names().filter(|name| target.contains_key(*name)).collect()
        };
        let asked = Self { userinfo: of(&request.userinfo), id_token: of(&request.id_token) };
        asked.narrowed(client, consented)
    }

    /// What is left of them when client and consent have changed.
    #[must_use]
    pub fn narrowed(mut self, client: &Scope, consented: &Scope) -> Self {
        let stands = |claim: &&'static str| {
            scope_of_claim(claim).is_some_and(|scope| client.contains(scope)) && is_allowed(claim, consented)
        };
        self.userinfo.retain(stands);
        self.id_token.retain(stands);
        self
    }

    /// Whether the ID token has none of them, so that nothing need be known about the person.
    pub fn leave_id_token_alone(&self) -> bool {
        self.id_token.is_empty()
    }

    /// The members for the ID token.
    pub fn for_id_token(&self, claims: &StandardClaims) -> Map<String, Value> {
        claims.named(|name| self.id_token.contains(name))
    }

    /// The members for userinfo, beside those of the scope.
    pub fn for_userinfo(&self, claims: &StandardClaims) -> Map<String, Value> {
        claims.named(|name| self.userinfo.contains(name))
    }

    /// How scope and claims stand in the row.
    pub fn beside(&self, scope: &Scope) -> Scope {
        let entries = |prefix: &'static str, claims: &BTreeSet<&'static str>| {
            claims.iter().filter_map(|claim| format!("{prefix}{claim}").parse().ok()).collect::<Scope>()
        };
        let claims = entries(AT_USERINFO, &self.userinfo).union(&entries(IN_ID_TOKEN, &self.id_token));
        scope.union(&claims)
    }

    /// Takes apart what stands in the row.
    pub fn split(row: &Scope) -> (Scope, Self) {
        let named = |prefix: &str| {
            let rest = row.iter().filter_map(|token| token.as_str().strip_prefix(prefix));
            let known = rest.filter_map(|name| claim_names().find(|known| *known == name));
            known.collect()
        };
        let claims = Self { userinfo: named(AT_USERINFO), id_token: named(IN_ID_TOKEN) };
        let scope = row.filtered(|name| !name.starts_with(AT_USERINFO) && !name.starts_with(IN_ID_TOKEN));
        (scope, claims)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    fn request() -> ClaimsRequest {
        ClaimsRequest::parse(
            r#"{"userinfo":{"email":{"essential":true},"name":null,"sub":null},"id_token":{"email":null,"acr":null}}"#,
        )
        .unwrap()
    }

    fn alice() -> StandardClaims {
        StandardClaims {
            name: Some("Alice".into()),
            email: Some("alice@example.com".into()),
            nickname: Some("Al".into()),
            ..StandardClaims::default()
        }
    }

    #[test]
    fn oc_18_each_place_gets_what_was_asked_for_there() {
        let all = scope("openid email profile");
        let granted = GrantedClaims::granted(&request(), &all, &scope("openid claim:email claim:name"));
        assert_eq!(granted.for_userinfo(&alice()).keys().collect::<Vec<_>>(), ["name", "email"]);
        assert_eq!(granted.for_id_token(&alice()).keys().collect::<Vec<_>>(), ["email"]);
        // Consent to the scope is consent to its claims.
        assert_eq!(GrantedClaims::granted(&request(), &all, &scope("openid email profile")), granted);
    }

    #[test]
    fn oc_18_oc_30_nothing_goes_out_without_consent_and_registration() {
        let all = scope("openid email profile");
        let nothing = GrantedClaims::granted(&request(), &all, &scope("openid"));
        assert_eq!(nothing, GrantedClaims::default());
        let unregistered = GrantedClaims::granted(&request(), &scope("openid"), &scope("openid claim:email"));
        assert_eq!(unregistered, GrantedClaims::default());
        let granted = GrantedClaims::granted(&request(), &all, &scope("openid claim:email claim:name"));
        let narrowed = granted.narrowed(&all, &scope("openid claim:name"));
        assert!(narrowed.leave_id_token_alone());
        assert_eq!(narrowed.for_userinfo(&alice()).keys().collect::<Vec<_>>(), ["name"]);
    }

    #[test]
    fn the_row_of_a_grant_holds_both() {
        let granted = GrantedClaims::granted(&request(), &scope("email profile"), &scope("email profile"));
        let row = granted.beside(&scope("openid accounts:read"));
        let read: Scope = row.to_string().parse().unwrap();
        assert_eq!(GrantedClaims::split(&read), (scope("openid accounts:read"), granted));
    }
}
