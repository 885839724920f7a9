//! DPoP proofs (RFC 9449 §4): a signature by which the sender of a request shows that it holds a key.
//!
//! The key travels in the header of the proof, so nothing about a proof is trusted: what it gains is a
//! thumbprint, and the token says whose thumbprint that must be. A proof comes with every request, so
//! its key is parsed once, by aws-lc, and verifying costs little more than the bare signature check.
//!
//! That a proof is seen for the first time is for the store to say, through [`Unreplayed::confirm`]. A
//! proof without a nonce is refused before that, so it uses nothing up (DP-15).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use protocol::target::same_target;
use serde_json::{Map, Value};

use crate::{
    Algorithm, ClaimFault, Claims, Digest, JoseFault, JwkFault, Mark, Unreplayed,
    aws::Proof,
    digest::{sha256, sha256_framed},
    nonce::{Freshness, Nonces},
    public::embedded,
    verify::Compact,
};

/// The algorithms of proofs (DP-10): asymmetric, and without RS256, which no profile of a client that
/// has reason to use DPoP allows (F2-34).
pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];

/// The longest proof that is looked at, in bytes. One with the largest RSA key that is accepted and
/// every claim takes less than half (JO-01).
pub const MAX_PROOF_BYTES: usize = 8 * 1024;
/// The longest `jti`, in bytes; a UUID takes 36 (RFC 9449 §11.1).
const MAX_JTI_BYTES: usize = 256;
/// The `typ` of proofs (RFC 9449 §4.2).
const TYPE: &str = "dpop+jwt";

/// What a proof has to fit.
#[derive(Clone, Copy, Debug)]
pub struct DpopPolicy<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The URL of the request as its sender knows it, without query.
    pub url: &'a str,
    /// The access token that comes with it, at a protected resource (DP-11).
    pub access_token: Option<&'a str>,
    /// Where proofs must carry a nonce: those that count (DP-07). A fresh one stands in for a skewed
    /// `iat` (F2-16).
    pub nonces: Option<&'a Nonces>,
}

impl DpopPolicy<'_> {
    /// How old a proof may be by its own clock.
    pub const MAX_AGE: TimeDelta = TimeDelta::seconds(60);

    /// `iat` up to 10 seconds ahead must be accepted, more than 60 refused (F2-16).
    pub const LEEWAY: TimeDelta = TimeDelta::seconds(10);
}

/// Why a proof proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum DpopFault {
    /// Longer than [`MAX_PROOF_BYTES`].
    #[error("the proof is longer than 8 KiB")]
    TooLong,
    /// Malformed, with an algorithm that is not allowed, or not signed with the key that it shows.
    #[error(transparent)]
    Jose(#[from] JoseFault),
    /// `typ` is not `dpop+jwt`.
    #[error("the proof is a token of another type")]
    Type,
    /// `jwk` is missing, private, symmetric, weak, or not for the algorithm.
    #[error("the key of the proof is not acceptable: {0}")]
    Key(JwkFault),
    /// A claim is missing or malformed.
    #[error(transparent)]
    Claim(#[from] ClaimFault),
    /// `jti` is longer than 256 bytes.
    #[error("the jti of the proof is too long")]
    JtiTooLong,
    /// `htm` is another method.
    #[error("the proof is for another method")]
    Method,
    /// `htu` is another URL, or none.
    #[error("the proof is for another URL")]
    Url,
    /// No nonce where one is required: `use_dpop_nonce` (DP-07).
    #[error("the proof has no nonce")]
    NonceMissing,
    /// A nonce that is too old or not ours: `use_dpop_nonce` (DP-16).
    #[error("the nonce of the proof is not fresh")]
    NonceStale,
    /// `iat` lies too far back.
    #[error("the proof is too old")]
    Expired,
    /// `iat` lies too far ahead (F2-16).
    #[error("the proof is not valid yet")]
    NotYetValid,
    /// `ath` is missing or the hash of another token (DP-11).
    #[error("the proof is for another access token")]
    AccessToken,
}

impl DpopFault {
    /// Whether the sender only needs a nonce, which comes with the refusal (RFC 9449 §8).
    pub const fn wants_nonce(&self) -> bool {
        matches!(self, Self::NonceMissing | Self::NonceStale)
    }
}

/// Proof that the sender of a request holds a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDpop {
    thumbprint: Digest,
}

impl VerifiedDpop {
    /// The SHA-256 thumbprint of the key (RFC 7638): `jkt`.
    pub const fn thumbprint(&self) -> Digest {
        self.thumbprint
    }
}

/// Verifies a proof (RFC 9449 §4.3). There was exactly one header; the caller has seen to that.
///
/// # Errors
/// [`DpopFault`] says which rule it broke.
pub fn verify_dpop(
    proof: &str,
    policy: &DpopPolicy<'_>,
    now: DateTime<Utc>,
) -> Result<Unreplayed<VerifiedDpop>, DpopFault> {
    if proof.len() > MAX_PROOF_BYTES {
        return Err(DpopFault::TooLong);
    }
    let compact = Compact::parse(proof)?;
    if !compact.typ_is(TYPE)? {
        return Err(DpopFault::Type);
    }
    let algorithm = compact.algorithm(&ALGORITHMS)?;
    let (key, thumbprint) = key(&compact, algorithm).map_err(DpopFault::Key)?;
    if !key.holds(compact.signed().as_bytes(), &compact.signature()?) {
        return Err(JoseFault::Signature.into());
    }
    let claims = compact.claims()?;
    let jti = required(claims.jti()?, "jti")?;
    let issued_at = required(claims.iat()?, "iat")?;
    about(&claims, policy)?;
    let until = match policy.nonces {
        None => in_time(issued_at, now)?,
        Some(nonces) => match nonces.judge(claims.text("nonce")?, now) {
            Freshness::Absent => return Err(DpopFault::NonceMissing),
            Freshness::Stale => return Err(DpopFault::NonceStale),
            Freshness::FreshUntil(end) => end,
        },
    };
    if let Some(token) = policy.access_token {
        check_hash(&claims, token)?;
    }
    if jti.len() > MAX_JTI_BYTES {
        return Err(DpopFault::JtiTooLong);
    }
    // A key's `jti`s are its own: two senders may choose the same.
    let digest = sha256_framed(&[b"dpop", thumbprint.as_bytes(), jti.as_bytes()]);
    Ok(Unreplayed::new(VerifiedDpop { thumbprint }, Mark { kind: "dpop", digest, expires_at: until }))
}

fn required<T>(claim: Option<T>, name: &'static str) -> Result<T, ClaimFault> {
    claim.ok_or(ClaimFault::Missing(name))
}

fn key(compact: &Compact<'_>, algorithm: Algorithm) -> Result<(Proof, Digest), JwkFault> {
    let jwk: &Map<String, Value> =
        compact.header().get("jwk").and_then(Value::as_object).ok_or(JwkFault::NotAnObject)?;
    embedded(jwk, algorithm)
}

/// Is the proof for this request (DP-02)?
fn about(claims: &Claims, policy: &DpopPolicy<'_>) -> Result<(), DpopFault> {
    let method = required(claims.text("htm")?, "htm")?;
    let url = required(claims.text("htu")?, "htu")?;
    if method != policy.method {
        return Err(DpopFault::Method);
    }
    if same_target(url, policy.url) { Ok(()) } else { Err(DpopFault::Url) }
}

/// By the sender's clock (DP-03). Answers when the proof is over.
fn in_time(issued_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, DpopFault> {
    let end = issued_at + DpopPolicy::MAX_AGE;
    if now >= end {
        return Err(DpopFault::Expired);
    }
    if issued_at > now + DpopPolicy::LEEWAY {
        return Err(DpopFault::NotYetValid);
    }
    Ok(end)
}

fn check_hash(claims: &Claims, token: &str) -> Result<(), DpopFault> {
    let expected = URL_SAFE_NO_PAD.encode(sha256(token).as_bytes());
    if claims.text("ath")? == Some(&expected) { Ok(()) } else { Err(DpopFault::AccessToken) }
}

#[cfg(test)]
#[path = "dpop_tests.rs"]
mod tests;
