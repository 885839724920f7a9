//! What every assertion has to satisfy, whoever signs it and whatever it is for (RFC 7523 §3): its type, that
//! it is meant for us alone, that it is of now, and that it can be told from all others of its issuer.
//!
//! [Client assertions](crate::client_assertion) and [assertions as grants](crate::assertion_grant) add who
//! signs and about whom, and say each in its own words what deviated.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{Audience, ClaimFault, Claims, Mark, Verified, digest::sha256_framed};

/// The rules for one kind of assertion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// Our names.
    pub(crate) accepted_audiences: &'a [&'a str],
    /// How far ahead `exp` may lie, so that replay memory is bounded.
    pub(crate) max_lifetime: TimeDelta,
    /// `iat` and `nbf` may lie so far ahead, and an assertion counts so long after its end.
    pub(crate) leeway: TimeDelta,
}

/// Which rule is broken.
#[derive(Debug)]
pub(crate) enum Broken {
    /// A claim is missing or malformed.
    Claim(ClaimFault),
    /// `aud` has a value that is not ours.
    Audience,
    /// `exp` has passed.
    Expired,
    /// `exp` is too far ahead.
    LivesTooLong,
    /// `iat` or `nbf` is too far ahead.
    NotYetValid,
}

impl From<ClaimFault> for Broken {
    fn from(fault: ClaimFault) -> Self {
        Self::Claim(fault)
    }
}

/// Gives a fault enum of an assertion the rules that all assertions share.
macro_rules! says_what_is_broken {
    ($fault:ident) => {
        impl From<$crate::assertion::Broken> for $fault {
            fn from(broken: $crate::assertion::Broken) -> Self {
                use $crate::assertion::Broken;
                match broken {
                    Broken::Claim(fault) => Self::Claim(fault),
                    Broken::Audience => Self::Audience,
                    Broken::Expired => Self::Expired,
                    Broken::LivesTooLong => Self::LivesTooLong,
                    Broken::NotYetValid => Self::NotYetValid,
                }
            }
        }
    };
}
pub(crate) use says_what_is_broken;

/// Whether `typ` is absent, `JWT`, or the one that `own` names. Others belong to other kinds of token
/// (RFC 8725 §3.11).
pub(crate) fn is_of_type(verified: &Verified, own: &str) -> bool {
    verified.typ.is_none() || verified.typ_is("JWT") || verified.typ_is(own)
}

/// The audience, which must be there.
pub(crate) fn audience(claims: &Claims) -> Result<Audience, ClaimFault> {
    claims.aud()?.ok_or(ClaimFault::Missing("aud"))
}

impl Rules<'_> {
    /// Holds audience and times against the rules, and gives the end that the assertion has.
    pub(crate) fn check(
        &self,
        claims: &Claims,
        audience: &Audience,
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, Broken> {
        // An assertion that somebody else may take too could be replayed here by them.
        if !audience.values.iter().all(|value| self.accepted_audiences.contains(&value.as_str())) {
            return Err(Broken::Audience);
        }
        let expires_at = claims.exp()?.ok_or(ClaimFault::Missing("exp"))?;
        if now >= expires_at + self.leeway {
            return Err(Broken::Expired);
        }
        if expires_at > now + self.max_lifetime + self.leeway {
            return Err(Broken::LivesTooLong);
        }
        let ahead = |time: DateTime<Utc>| time > now + self.leeway;
        if claims.iat()?.is_some_and(ahead) || claims.nbf()?.is_some_and(ahead) {
            return Err(Broken::NotYetValid);
        }
        Ok(expires_at)
    }

    /// What the replay table keeps of it, for as long as the leeway would still admit it. An issuer's `jti`s
    /// are its own: two issuers may choose the same.
    pub(crate) fn mark(
        &self,
        (kind, frame): (&'static str, &[u8]),
        issuer: &str,
        claims: &Claims,
        expires_at: DateTime<Utc>,
    ) -> Result<Mark, ClaimFault> {
        let jti = claims.jti()?.ok_or(ClaimFault::Missing("jti"))?;
        let digest = sha256_framed(&[frame, issuer.as_bytes(), jti.as_bytes()]);
        Ok(Mark { kind, digest, expires_at: expires_at + self.leeway })
    }
}
