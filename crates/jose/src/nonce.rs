//! Nonces that a server hands out and takes back without keeping any (RFC 9449 §8, §9).
//!
//! A nonce is a tag over the span of time in which it is handed out. Who has the key, and every node
//! has, can tell a fresh one: that of this span, or of the one before. A nonce is no secret and may be
//! used by everybody; it only shows that a proof was not made long ago, or for later.

use std::fmt;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use zeroize::Zeroizing;

use crate::digest::hmac_sha256;

/// How long one nonce is handed out. It is taken for as long again.
const SPAN: TimeDelta = TimeDelta::seconds(60);

/// The nonces of one server: those of an authorization server are not those of a resource server
/// (DP-14).
pub struct Nonces {
    keys: Vec<Zeroizing<[u8; 32]>>,
    server: &'static str,
}

/// What a nonce is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// None came.
    Absent,
    /// Not ours, or no longer.
    Stale,
    /// Good, until then.
    FreshUntil(DateTime<Utc>),
}

impl Nonces {
    /// Nonces of `server`, tagged with the first key; those tagged with one of the others count too.
    pub const fn new(keys: Vec<Zeroizing<[u8; 32]>>, server: &'static str) -> Self {
        Self { keys, server }
    }

    /// The nonce that is handed out now.
    pub fn current(&self, now: DateTime<Utc>) -> String {
        self.keys.first().map(|key| self.tag(key, span(now))).unwrap_or_default()
    }

    /// What a nonce is worth now. Every one that may count is compared in constant time.
    pub fn judge(&self, nonce: Option<&str>, now: DateTime<Utc>) -> Freshness {
        let Some(nonce) = nonce else { return Freshness::Absent };
        let this = span(now);
        for begin in [this, this - SPAN] {
            if self.keys.iter().any(|key| same(&self.tag(key, begin), nonce)) {
                return Freshness::FreshUntil(begin + SPAN + SPAN);
            }
        }
        Freshness::Stale
    }

    fn tag(&self, key: &[u8; 32], begin: DateTime<Utc>) -> String {
        hmac_sha256(key, &[self.server.as_bytes(), &begin.timestamp().to_be_bytes()]).to_string()
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonces({}, redacted)", self.server)
    }
}

/// When the span of this moment began.
fn span(now: DateTime<Utc>) -> DateTime<Utc> {
    now.duration_trunc(SPAN).unwrap_or(now)
}

fn same(left: &str, right: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(left.as_bytes(), right.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn nonces(keys: &[u8], server: &'static str) -> Nonces {
        Nonces::new(keys.iter().map(|byte| Zeroizing::new([*byte; 32])).collect(), server)
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn dp_07_dp_16_a_nonce_is_fresh_for_its_span_and_the_next() {
        let ours = nonces(&[1], "as");
        let nonce = ours.current(at(5));
        assert_eq!(ours.current(at(59)), nonce);
        assert_ne!(ours.current(at(60)), nonce);
        assert_eq!(ours.judge(Some(&nonce), at(119)), Freshness::FreshUntil(at(120)));
        assert_eq!(ours.judge(Some(&nonce), at(120)), Freshness::Stale);
        assert_eq!(ours.judge(Some(&nonce), at(-1)), Freshness::Stale);
        assert_eq!(ours.judge(None, at(0)), Freshness::Absent);
        assert_eq!(ours.judge(Some(""), at(0)), Freshness::Stale);
    }

    #[test]
    fn dp_14_nonces_are_of_one_server_and_of_its_keys() {
        let nonce = nonces(&[1], "as").current(at(0));
        assert_eq!(nonces(&[1], "rs").judge(Some(&nonce), at(0)), Freshness::Stale);
        assert_eq!(nonces(&[2], "as").judge(Some(&nonce), at(0)), Freshness::Stale);
        // While the key-encryption key changes, the nodes have both keys in different order.
        assert!(matches!(nonces(&[2, 1], "as").judge(Some(&nonce), at(0)), Freshness::FreshUntil(_)));
        assert!(!format!("{:?}", nonces(&[1], "as")).contains('1'));
    }
}
