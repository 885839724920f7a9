//! What people do to their own factors, as effects of one transaction each.

use chrono::{DateTime, Utc};
use protocol::{SessionId, UserId};

use crate::{authentication::VerifiedPassword, password::PasswordHash, user::User};

/// Effect: change a password. In one transaction the store writes the hash, ends the person's other
/// sessions, and revokes every refresh token that was issued for them (BCP-09).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordChange {
    /// Whose.
    pub user: UserId,
    /// The new password.
    pub hash: PasswordHash,
    /// When.
    pub at: DateTime<Utc>,
    /// The session in which it was changed; it alone goes on.
    pub keep_session: Option<SessionId>,
}

impl PasswordChange {
    /// A change by the person, who has just typed the current password. `hash` is of an
    /// [`acceptable`](crate::password::acceptable) one. `keep_session` should get a new cookie.
    pub fn new(
        current: &VerifiedPassword,
        hash: PasswordHash,
        keep_session: Option<SessionId>,
        now: DateTime<Utc>,
    ) -> Self {
        Self { user: current.user(), hash, at: now, keep_session }
    }
}

/// Effect: store the same password under stronger parameters, only where the hash is still `before`.
/// Nothing ends by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehash {
    /// Whose.
    pub user: UserId,
    /// The hash that was verified.
    pub before: PasswordHash,
    /// The stronger one.
    pub hash: PasswordHash,
}

impl Rehash {
    /// A rehash, if the verified hash is weaker than new ones and belongs to `user`.
    pub fn new(verified: &VerifiedPassword, user: &User, hash: PasswordHash) -> Option<Self> {
        let before =
            user.password.clone().filter(|_| verified.needs_rehash() && verified.user() == user.id)?;
        Some(Self { user: user.id, before, hash })
    }
}

/// Effect: remove the authenticator and all recovery codes, and end the person's other sessions,
/// whose strength rested on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpReset {
    /// Whose.
    pub user: UserId,
    /// When.
    pub at: DateTime<Utc>,
    /// The session in which it was done.
    pub keep_session: Option<SessionId>,
}
