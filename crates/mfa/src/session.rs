//! The memory of a browser in which somebody proved who they are.
//!
//! A session starts with a verified password, at one factor, or with an upstream provider's word, at what
//! that is worth. A verified second factor steps it up;
//! typing the password again renews it, at one factor, because only what was shown since counts for
//! `prompt=login` (OC-06). Each of these gives the cookie a new value (SE-01),
//! while the id, the `sid` of ID tokens, stays (OC-35). Sessions end when idle, when old, or by
//! hand.

use std::net::IpAddr;

use audit::detail::one_line;
use chrono::{DateTime, TimeDelta, Utc};
use jose::digest::Digest;
use protocol::{
    SessionId, UserId,
    acr::{Acr, Amr},
};

use crate::authentication::{FirstFactor, VerifiedSecondFactor};

/// A session as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id, public as `sid`.
    pub id: SessionId,
    /// The digest of its cookie.
    pub digest: Digest,
    /// Whose.
    pub user: UserId,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When the password was last typed (OC-04).
    pub auth_time: DateTime<Utc>,
    /// When it was last used, exact to a minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends, however much it is used.
    pub expires_at: DateTime<Utc>,
    /// How strongly the person was authenticated.
    pub acr: Acr,
    /// By which methods.
    pub amr: Vec<Amr>,
    /// When it was ended before that.
    pub ended_at: Option<DateTime<Utc>>,
    /// Where it was started from.
    pub address: Option<IpAddr>,
    /// The browser, as it calls itself; on one line and cut.
    pub user_agent: Option<String>,
}

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// Without use.
    pub idle: TimeDelta,
    /// At most, from the last password on.
    pub absolute: TimeDelta,
}

impl Default for SessionPolicy {
    /// 15 minutes without use, 12 hours at most.
    fn default() -> Self {
        Self { idle: TimeDelta::minutes(15), absolute: TimeDelta::hours(12) }
    }
}

/// Last-seen times are written at most this often.
const TOUCH_EVERY: TimeDelta = TimeDelta::minutes(1);

impl Session {
    /// Whether it may be used.
    pub fn is_live(&self, policy: &SessionPolicy, now: DateTime<Utc>) -> bool {
        self.ended_at.is_none() && now < self.expires_at && now - self.last_seen_at < policy.idle
    }

    /// Whether the time of last use is worth writing again: at most once a minute.
    pub fn needs_touch(&self, now: DateTime<Utc>) -> bool {
        now - self.last_seen_at >= TOUCH_EVERY
    }

    /// The effect that writes the time of last use, if it is worth writing.
    pub fn touch(&self, now: DateTime<Utc>) -> Option<SessionTouch> {
        self.needs_touch(now).then_some(SessionTouch { id: self.id, at: now })
    }
}

/// Effect: insert a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// The session.
    pub session: Session,
}

/// Effect: renew a session under a new cookie.
/// `UPDATE … WHERE id AND digest = before AND ended_at IS NULL`; no row means that another request
/// renewed or ended it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRenewal {
    /// The digest of the cookie that it had.
    pub before: Digest,
    /// The session as it will be: digest, `auth_time`, `acr`, `amr`, `last_seen_at` and
    /// `expires_at` may differ.
    pub session: Session,
}

/// Effect: write the time of last use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTouch {
    /// Which.
    pub id: SessionId,
    /// When.
    pub at: DateTime<Utc>,
}

/// Effect: end a session, if it has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Which.
    pub id: SessionId,
    /// Its owner; the statement names both, so that nobody ends another's session.
    pub user: UserId,
    /// When.
    pub at: DateTime<Utc>,
}

/// Why a session cannot be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionFault {
    /// It has ended; sign in again.
    #[error("the session has ended")]
    NotLive,
    /// The factor belongs to somebody else; end this session and start another.
    #[error("the session belongs to another user")]
    AnotherUser,
}

/// What a new session is called, and where it comes from.
#[derive(Clone, Debug)]
pub struct SessionOrigin {
    /// Its id.
    pub id: SessionId,
    /// The digest of its cookie.
    pub digest: Digest,
    /// The address of the browser.
    pub address: Option<IpAddr>,
    /// Its `User-Agent`.
    pub user_agent: Option<String>,
}

/// Starts a session with a first factor; one on an upstream provider's word is as old and as strong as that
/// says. Where the browser had one of another user, end that in the same transaction.
pub fn start(
    first: impl Into<FirstFactor>,
    origin: SessionOrigin,
    policy: &SessionPolicy,
    now: DateTime<Utc>,
) -> NewSession {
    let first = first.into();
    let user_agent = origin.user_agent.map(|text| one_line(&text).trim().to_owned());
    NewSession {
        session: Session {
            id: origin.id,
            digest: origin.digest,
            user: first.user,
            created_at: now,
            auth_time: first.auth_time.unwrap_or(now),
            last_seen_at: now,
            expires_at: now + policy.absolute,
            acr: first.acr,
            amr: first.amr,
            ended_at: None,
            address: origin.address,
            user_agent: user_agent.filter(|text| !text.is_empty()),
        },
    }
}

/// Renews a session whose owner showed a first factor again: it is worth that again, and no more.
///
/// # Errors
/// [`SessionFault`].
pub fn reauthenticate(
    session: &Session,
    first: impl Into<FirstFactor>,
    digest: Digest,
    policy: &SessionPolicy,
    now: DateTime<Utc>,
) -> Result<SessionRenewal, SessionFault> {
    let first = first.into();
    renewable(session, first.user, policy, now)?;
    let renewed = Session {
        digest,
        auth_time: first.auth_time.unwrap_or(now),
        last_seen_at: now,
        expires_at: now + policy.absolute,
        acr: first.acr,
        amr: first.amr,
        ..session.clone()
    };
    Ok(SessionRenewal { before: session.digest, session: renewed })
}

/// Steps a session up to two factors. The time of the password stays what it was.
///
/// # Errors
/// [`SessionFault`].
pub fn step_up(
    session: &Session,
    factor: &VerifiedSecondFactor,
    digest: Digest,
    policy: &SessionPolicy,
    now: DateTime<Utc>,
) -> Result<SessionRenewal, SessionFault> {
    renewable(session, factor.user(), policy, now)?;
    let mut amr: Vec<Amr> = session.amr.iter().copied().filter(|method| *method == Amr::Pwd).collect();
    amr.extend([Amr::Otp, Amr::Mfa]);
    let renewed =
        Session { digest, last_seen_at: now, acr: Acr::StrongCustomerAuthentication, amr, ..session.clone() };
    Ok(SessionRenewal { before: session.digest, session: renewed })
}

/// Ends a session of `user`'s. `None` if it is not theirs or has ended.
pub fn end(session: &Session, user: UserId, now: DateTime<Utc>) -> Option<SessionEnd> {
    (session.user == user && session.ended_at.is_none()).then_some(SessionEnd {
        id: session.id,
        user,
        at: now,
    })
}

fn renewable(
    session: &Session,
    user: UserId,
    policy: &SessionPolicy,
    now: DateTime<Utc>,
) -> Result<(), SessionFault> {
    if session.user != user {
        return Err(SessionFault::AnotherUser);
    }
    if session.is_live(policy, now) { Ok(()) } else { Err(SessionFault::NotLive) }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
