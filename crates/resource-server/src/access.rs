//! What a route demands of a token, and whether a token has it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::token::AccessToken;

/// What a route demands. Everything that is named must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    scopes: Vec<String>,
    roles: Vec<String>,
    details: Vec<String>,
    acr_values: Vec<String>,
    max_age: Option<TimeDelta>,
    client_alone: bool,
}

/// Why a token that counts does not allow this call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    /// These scopes are demanded (RFC 6750 §3.1).
    #[error("the access token lacks a scope")]
    Scope(Vec<String>),
    /// The person does not hold the role, so another token would not help them.
    #[error("the access token lacks the role {0}")]
    Role(String),
    /// No authorization detail of this type (RFC 9396 §9).
    #[error("the access token has no authorization details of the type {0}")]
    Detail(String),
    /// A client's own token, where a person's is demanded.
    #[error("the access token speaks for no person")]
    Person,
    /// The person must sign in more strongly, or again (RFC 9470 §3).
    #[error("the person has to be authenticated more strongly, or more recently")]
    Authentication {
        /// Any of these would do; empty for any.
        acr_values: Vec<String>,
        /// No longer ago than so many seconds.
        max_age: Option<i64>,
    },
}

impl Access {
    /// Any token that counts here and speaks for a person.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// A token with this scope.
    #[must_use]
    pub fn scope(scope: &str) -> Self {
        Self::any().and_scope(scope)
    }

    /// And this scope too.
    #[must_use]
    pub fn and_scope(mut self, scope: &str) -> Self {
        self.scopes.push(scope.to_owned());
        self
    }

    /// And this role.
    #[must_use]
    pub fn role(mut self, role: &str) -> Self {
        self.roles.push(role.to_owned());
        self
    }

    /// And authorization details of this type (RFC 9396 §2). What they allow is for the route to judge,
    /// which knows what is asked: [`AccessToken::details`].
    #[must_use]
    pub fn detail(mut self, kind: &str) -> Self {
        self.details.push(kind.to_owned());
        self
    }

    /// And a person who was authenticated in one of these ways; else a step-up is asked (SU-01).
    #[must_use]
    pub fn acr(mut self, any_of: &[&str]) -> Self {
        self.acr_values.extend(any_of.iter().map(|value| (*value).to_owned()));
        self
    }

    /// And a person who was authenticated no longer ago than this; else a step-up is asked (SU-01).
    #[must_use]
    pub fn max_age(mut self, age: TimeDelta) -> Self {
        self.max_age = Some(age);
        self
    }

    /// A client's own token (client_credentials) will do as well.
    #[must_use]
    pub fn or_client_alone(mut self) -> Self {
        self.client_alone = true;
        self
    }

    /// Judges a token.
    ///
    /// # Errors
    /// The first thing that is [`Lacking`]. A step-up comes last, so that nobody signs in again for a call
    /// that is refused anyway.
    pub fn judge(&self, token: &AccessToken, now: DateTime<Utc>) -> Result<(), Lacking> {
        if !self.client_alone && !token.is_for_a_person() {
            return Err(Lacking::Person);
        }
        if !self.scopes.iter().all(|scope| token.scope.contains(scope)) {
            return Err(Lacking::Scope(self.scopes.clone()));
        }
        if let Some(role) = self.roles.iter().find(|role| !token.roles.contains(*role)) {
            return Err(Lacking::Role(role.clone()));
        }
        if let Some(kind) = self.details.iter().find(|kind| token.details(kind).next().is_none()) {
            return Err(Lacking::Detail(kind.clone()));
        }
        let strong =
            self.acr_values.is_empty() || token.acr.as_ref().is_some_and(|acr| self.acr_values.contains(acr));
        let recent = self
            .max_age
            .is_none_or(|age| token.auth_time.is_some_and(|at| now.signed_duration_since(at) <= age));
        if strong && recent {
            return Ok(());
        }
        Err(Lacking::Authentication {
            acr_values: self.acr_values.clone(),
            max_age: self.max_age.map(|age| age.num_seconds()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::token::tests::{now, token};

    #[test]
    fn f2_38_scope_role_and_details_must_all_be_there() {
        let token = token(&json!({})).unwrap();
        let judge = |access: Access| access.judge(&token, now());
        assert_eq!(
            judge(Access::scope("accounts:read").and_scope("balances:read").role("account-viewer")),
            Ok(())
        );
        assert_eq!(judge(Access::any().detail("account_information")), Ok(()));
        assert!(matches!(judge(Access::scope("payments:write")), Err(Lacking::Scope(_))));
        assert!(matches!(judge(Access::any().role("payment-initiator")), Err(Lacking::Role(_))));
        assert!(matches!(judge(Access::any().detail("payment_initiation")), Err(Lacking::Detail(_))));
    }

    #[test]
    fn a_clients_own_token_speaks_for_nobody() {
        let token = token(&json!({"sub": "app"})).unwrap();
        assert_eq!(Access::any().judge(&token, now()), Err(Lacking::Person));
        assert_eq!(Access::any().or_client_alone().judge(&token, now()), Ok(()));
    }

    #[test]
    fn su_01_strength_and_age_of_the_sign_in_are_challenged() {
        let strong = Access::any().acr(&["urn:openbanking:psd2:sca"]);
        let recent = Access::any().max_age(TimeDelta::seconds(60));
        assert_eq!(strong.judge(&token(&json!({})).unwrap(), now()), Ok(()));
        assert_eq!(recent.judge(&token(&json!({})).unwrap(), now()), Ok(()));
        let weak = token(&json!({"acr": "urn:openbanking:psd2:ca"})).unwrap();
        let none = token(&json!({"acr": null, "auth_time": null})).unwrap();
        for token in [&weak, &none] {
            let acr_values = vec!["urn:openbanking:psd2:sca".to_owned()];
            let lacking = Lacking::Authentication { acr_values, max_age: None };
            assert_eq!(strong.judge(token, now()), Err(lacking));
        }
        let old = token(&json!({"auth_time": now().timestamp() - 61})).unwrap();
        for token in [&old, &none] {
            let lacking = Lacking::Authentication { acr_values: vec![], max_age: Some(60) };
            assert_eq!(recent.judge(token, now()), Err(lacking));
        }
    }
}
