//! The proofs of who somebody is. Their constructors are private to the checks.

use chrono::{DateTime, Utc};
use protocol::{
    SessionId, UserId,
    acr::{Acr, Amr},
};

use crate::{
    session::{Session, SessionPolicy},
    user::User,
};

/// Proof that somebody typed the password of an enabled account just now.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a verified password should start or renew a session"]
pub struct VerifiedPassword {
    user: UserId,
    changed_at: Option<DateTime<Utc>>,
    needs_rehash: bool,
}

impl VerifiedPassword {
    pub(crate) const fn new(user: UserId, changed_at: Option<DateTime<Utc>>, needs_rehash: bool) -> Self {
        Self { user, changed_at, needs_rehash }
    }

    /// Whose.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// Whether the stored hash has weaker parameters than new ones get (SE-02).
    pub const fn needs_rehash(&self) -> bool {
        self.needs_rehash
    }
}

/// Proof that a provider whom the bank trusts vouched just now for whoever is there, and that this is the
/// person of an enabled account. Unlike a password it says itself when and how strongly they were
/// authenticated.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a provider's word should start or renew a session"]
pub struct VerifiedUpstream {
    user: UserId,
    auth_time: DateTime<Utc>,
    acr: Acr,
    amr: Vec<Amr>,
}

/// The account is disabled; the provider's word does not open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account is disabled")]
pub struct Disabled;

impl VerifiedUpstream {
    /// A provider's word for the person of an account, if the account is enabled. `auth_time` is what the
    /// provider says, which is never later than now; `acr` is what its word is worth here.
    ///
    /// # Errors
    /// [`Disabled`].
    pub fn vouched(
        user: &User,
        auth_time: DateTime<Utc>,
        acr: Acr,
        amr: Vec<Amr>,
        now: DateTime<Utc>,
    ) -> Result<Self, Disabled> {
        if !user.is_enabled() {
            return Err(Disabled);
        }
        Ok(Self { user: user.id, auth_time: auth_time.min(now), acr, amr })
    }

    /// Whose.
    pub const fn user(&self) -> UserId {
        self.user
    }
}

/// A first factor that was shown just now, of either kind: what a session begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a first factor should start or renew a session"]
pub struct FirstFactor {
    pub(crate) user: UserId,
    /// When it was shown; a password just now.
    pub(crate) auth_time: Option<DateTime<Utc>>,
    pub(crate) acr: Acr,
    pub(crate) amr: Vec<Amr>,
    pub(crate) basis: SignInBasis,
}

impl FirstFactor {
    /// Whose.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// What must still hold when something is written because of it.
    pub const fn basis(&self) -> SignInBasis {
        self.basis
    }
}

impl From<&VerifiedPassword> for FirstFactor {
    fn from(password: &VerifiedPassword) -> Self {
        Self {
            user: password.user,
            auth_time: None,
            acr: Acr::CustomerAuthentication,
            amr: vec![Amr::Pwd],
            basis: SignInBasis::Password { user: password.user, changed_at: password.changed_at },
        }
    }
}

impl From<&VerifiedUpstream> for FirstFactor {
    fn from(upstream: &VerifiedUpstream) -> Self {
        Self {
            user: upstream.user,
            auth_time: Some(upstream.auth_time),
            acr: upstream.acr,
            amr: upstream.amr.clone(),
            basis: SignInBasis::Upstream { user: upstream.user },
        }
    }
}

/// The condition of whatever a sign-in writes. Checking a password takes a while, and meanwhile the bank may
/// disable the account or the person change the password: what was shown is worth nothing then (BCP-09).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInBasis {
    /// The account is enabled, and its password is still the one that was verified, however it is hashed
    /// by now.
    Password {
        /// Whose.
        user: UserId,
        /// When the password was last changed, as it was read.
        changed_at: Option<DateTime<Utc>>,
    },
    /// The account is enabled.
    Upstream {
        /// Whose.
        user: UserId,
    },
}

/// Proof that somebody showed the second factor of an account just now, for the first time.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a verified second factor should step a session up"]
pub struct VerifiedSecondFactor {
    user: UserId,
}

impl VerifiedSecondFactor {
    pub(crate) const fn new(user: UserId) -> Self {
        Self { user }
    }

    /// Whose.
    pub const fn user(&self) -> UserId {
        self.user
    }
}

/// Proof of who is there, since when, and how strongly that was shown. Minted from a live
/// [`Session`] only; what codes and ID tokens say about a person comes from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    user: UserId,
    session: SessionId,
    auth_time: DateTime<Utc>,
    acr: Acr,
    amr: Vec<Amr>,
}

impl Authentication {
    /// The person of a session, if it is live.
    pub fn from_session(session: &Session, policy: &SessionPolicy, now: DateTime<Utc>) -> Option<Self> {
        session.is_live(policy, now).then(|| Self {
            user: session.user,
            session: session.id,
            auth_time: session.auth_time,
            acr: session.acr,
            amr: session.amr.clone(),
        })
    }

    /// Who.
    pub const fn user(&self) -> UserId {
        self.user
    }

    /// In which session (OC-35).
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Since when: the time of the password (OC-04).
    pub const fn auth_time(&self) -> DateTime<Utc> {
        self.auth_time
    }

    /// How strongly (OC-29).
    pub const fn acr(&self) -> Acr {
        self.acr
    }

    /// By which methods (RFC 8176).
    pub fn amr(&self) -> &[Amr] {
        &self.amr
    }
}
