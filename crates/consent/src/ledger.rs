//! The ledger: one record per consent, the parent of every grant below it.
//!
//! A record is live until it expires or is withdrawn; a dead one never comes back to life, because
//! the tokens below it would too. A new answer after that makes a new record.

use chrono::{DateTime, Utc};
use protocol::{ClientId, ConsentId, Scope, UserId, authorization_details::AuthorizationDetails};
use serde::{Deserialize, Serialize};

/// A consent as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsentRecord {
    /// Its id.
    pub id: ConsentId,
    /// Who consented.
    pub user: UserId,
    /// To which app.
    pub client: ClientId,
    /// To what.
    pub scope: Scope,
    /// At which resource servers: their identifiers, sorted, without repetition.
    pub resources: Vec<String>,
    /// What exactly, beside the scope, the latest last (RFC 9396).
    #[serde(default, skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub details: AuthorizationDetails,
    /// When the record was made.
    pub granted_at: DateTime<Utc>,
    /// When the customer last answered.
    pub updated_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was ended before that.
    pub withdrawn_at: Option<DateTime<Utc>>,
    /// Counts the answers, from 1; the store widens a record only at the version that was read.
    pub version: i64,
}

impl ConsentRecord {
    /// Whether anything below it may still be used.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.withdrawn_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Proof that a customer's consent stands: the authority of a grant for a person.
///
/// Minted from a live record ([`from_live`](Self::from_live)), or by
/// [`evaluate`](crate::decide::evaluate) and [`grant`](crate::decide::grant); there is no other way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedConsent {
    id: ConsentId,
    user: UserId,
    client: ClientId,
    scope: Scope,
    resources: Vec<String>,
    details: AuthorizationDetails,
    expires_at: Option<DateTime<Utc>>,
}

impl GrantedConsent {
    /// The whole of a record that was loaded again, if it is live.
    pub fn from_live(record: &ConsentRecord, now: DateTime<Utc>) -> Option<Self> {
        let all = || (record.scope.clone(), record.resources.clone(), record.details.clone());
        record.is_live(now).then(|| Self::limited(record, all()))
    }

    /// That part of a record which one request needs. The caller has checked that the record is
    /// live and covers the part.
    pub(crate) fn limited(
        record: &ConsentRecord,
        (scope, resources, details): (Scope, Vec<String>, AuthorizationDetails),
    ) -> Self {
        debug_assert!(scope.is_subset(&record.scope));
        Self {
            id: record.id,
            user: record.user,
            client: record.client.clone(),
            scope,
            resources,
            details,
            expires_at: record.expires_at,
        }
    }

    /// The consent's id.
    pub const fn id(&self) -> ConsentId {
        self.id
    }

    /// Who consented.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// To which app.
    pub const fn client(&self) -> &ClientId {
        &self.client
    }

    /// The scope that tokens of this authorization may have: requested, allowed and consented to.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The resource servers that its tokens may be for, sorted.
    pub fn resources(&self) -> &[String] {
        &self.resources
    }

    /// What exactly tokens of this authorization may say beside the scope, the person's choices in it
    /// (RAR-03). No token has details from anywhere else.
    pub const fn details(&self) -> &AuthorizationDetails {
        &self.details
    }

    /// When it ends; no token may outlive it.
    pub const fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.expires_at
    }
}

/// Effect: end a consent and, because everything looks up to it, all tokens below. The store ends
/// it only where it is not ended yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentWithdrawal {
    /// Which.
    pub id: ConsentId,
    /// Its owner; the statement names both, so that nobody ends another's consent.
    pub user: UserId,
    /// When.
    pub at: DateTime<Utc>,
}

/// A customer withdraws a consent. `None` if it is not theirs or has already ended.
pub fn withdraw(record: &ConsentRecord, user: UserId, now: DateTime<Utc>) -> Option<ConsentWithdrawal> {
    (record.user == user && record.is_live(now)).then_some(ConsentWithdrawal { id: record.id, user, at: now })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::TimeDelta;
    use rstest::rstest;
    use uuid::Uuid;

    use super::*;

    fn record(expires: Option<i64>, withdrawn: Option<i64>) -> ConsentRecord {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        ConsentRecord {
            id: ConsentId(Uuid::from_u128(1)),
            user: UserId(Uuid::from_u128(2)),
            client: "ledgerline".parse().unwrap(),
            scope: "openid accounts:read".parse().unwrap(),
            resources: vec!["https://api.example".to_owned()],
            details: AuthorizationDetails::default(),
            granted_at: at(0),
            updated_at: at(0),
            expires_at: expires.map(at),
            withdrawn_at: withdrawn.map(at),
            version: 1,
        }
    }

    #[rstest]
    #[case(None, None, true)]
    #[case(Some(101), None, true)]
    #[case(Some(100), None, false)]
    #[case(Some(101), Some(50), false)]
    #[case(None, Some(100), false)]
    fn only_a_live_record_is_a_proof(
        #[case] expires: Option<i64>,
        #[case] withdrawn: Option<i64>,
        #[case] live: bool,
    ) {
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(100);
        let record = record(expires, withdrawn);
        assert_eq!(record.is_live(now), live);
        let proof = GrantedConsent::from_live(&record, now);
        assert_eq!(proof.is_some(), live);
        assert!(proof.is_none_or(|proof| proof.scope() == &record.scope && proof.expires_at() == record.expires_at));
        assert_eq!(withdraw(&record, record.user, now).is_some(), live);
        assert_eq!(withdraw(&record, UserId(Uuid::from_u128(9)), now), None, "another's consent");
    }
}
