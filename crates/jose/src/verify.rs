//! Verifying compact JWS tokens (RFC 7515 §5.2) under the rules of RFC 8725.
//!
//! The caller says which keys and which algorithms; the header only selects among them, so a token
//! cannot choose how it is checked (JO-01). Keys embedded in or linked from the header (`jwk`,
//! `jku`, `x5c`, `x5u`) are ignored. The payload is not even parsed before the signature holds.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use protocol::json::{self, JsonFault};
use serde_json::{Map, Value};

use crate::{Algorithm, ClaimFault, Claims, KeySet};

/// The longest token that is looked at, in bytes (JO-01).
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum JoseFault {
    /// Over [`MAX_TOKEN_BYTES`].
    #[error("the token is longer than 16 KiB")]
    TooLong,
    /// Not three parts separated by dots (RFC 7515 §7.1). Encrypted tokens have five.
    #[error("the token is not a compact JWS")]
    NotCompact,
    /// A part is not base64url without padding.
    #[error("the {0} of the token is not base64url")]
    Encoding(&'static str),
    /// Header or payload is no JSON object, or repeats a member (JO-02).
    #[error("the {part} of the token is not an acceptable JSON object: {fault}")]
    Json {
        /// `header` or `payload`.
        part: &'static str,
        /// What the strict reader said.
        fault: JsonFault,
    },
    /// A header parameter is missing or has the wrong type.
    #[error("the header parameter {0:?} is missing or has the wrong type")]
    Header(&'static str),
    /// `alg` is not one of our four, or not one of those allowed here.
    #[error("the algorithm {0:?} is not allowed")]
    Algorithm(String),
    /// `crit` names extensions; we understand none (RFC 7515 §4.1.11).
    #[error("the token requires extensions that are not understood")]
    Critical,
    /// `b64` is false (RFC 7797).
    #[error("unencoded payloads are not accepted")]
    UnencodedPayload,
    /// No key of the set has this `kid` and is fit for the algorithm.
    #[error("no key is fit to verify the token (kid {kid:?})")]
    NoKey {
        /// The `kid` of the header.
        kid: Option<String>,
    },
    /// No key that could have made the signature did.
    #[error("the signature does not match")]
    Signature,
    /// A standard claim is malformed.
    #[error(transparent)]
    Claim(#[from] ClaimFault),
}

/// A token whose signature holds. Its claims still have to be checked for the use at hand.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// `typ` of the header; compare with [`Verified::typ_is`].
    pub typ: Option<String>,
    /// `kid` of the header.
    pub kid: Option<String>,
    /// The algorithm that verified it.
    pub algorithm: Algorithm,
    /// What it says.
    pub claims: Claims,
}

impl Verified {
    /// Compares `typ` as a media type: letter case does not matter, and `application/` in front
    /// may be left out (JO-03, RFC 7515 §4.1.9).
    pub fn typ_is(&self, expected: &str) -> bool {
        self.typ.as_deref().is_some_and(|typ| same_type(typ, expected))
    }
}

/// Verifies a compact JWS whose payload is a claims set.
///
/// # Errors
/// [`JoseFault`] says which rule the token broke.
pub fn verify(token: &str, keys: &KeySet, allowed: &[Algorithm]) -> Result<Verified, JoseFault> {
    let compact = Compact::parse(token)?;
    let algorithm = compact.algorithm(allowed)?;
    let kid = text(&compact.header, "kid")?;
    let typ = text(&compact.header, "typ")?;
    let signature = decode(compact.signature, "signature")?;

    let mut tried = false;
    let mut candidates = keys.candidates(algorithm, kid);
    let holds = candidates.any(|key| {
        tried = true;
        key.verifier(algorithm)
            .is_some_and(|verifier| verifier.verify(compact.signed.as_bytes(), &signature).is_ok())
    });
    if !tried {
        return Err(JoseFault::NoKey { kid: kid.map(|kid| kid.chars().take(64).collect()) });
    }
    if !holds {
        return Err(JoseFault::Signature);
    }
    Ok(Verified {
        typ: typ.map(str::to_owned),
        kid: kid.map(str::to_owned),
        algorithm,
        claims: compact.claims()?,
    })
}

/// A compact JWS taken apart, with its header read and nothing verified.
pub(crate) struct Compact<'a> {
    header: Map<String, Value>,
    payload: &'a str,
    signature: &'a str,
    signed: &'a str,
}

impl<'a> Compact<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, JoseFault> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JoseFault::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JoseFault::NotCompact)?;
        let (header, payload) = signed.split_once('.').ok_or(JoseFault::NotCompact)?;
        if payload.contains('.') {
            return Err(JoseFault::NotCompact);
        }
        let header = object(header, "header")?;
        if header.contains_key("crit") {
            return Err(JoseFault::Critical);
        }
        if header.get("b64").is_some_and(|b64| *b64 != Value::Bool(true)) {
            return Err(JoseFault::UnencodedPayload);
        }
        Ok(Self { header, payload, signature, signed })
    }

    /// The header, which nothing vouches for until the signature is verified.
    pub(crate) const fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// What the signature is over.
    pub(crate) const fn signed(&self) -> &str {
        self.signed
    }

    /// The signature.
    pub(crate) fn signature(&self) -> Result<Vec<u8>, JoseFault> {
        decode(self.signature, "signature")
    }

    /// Whether `typ` names this type (JO-03).
    pub(crate) fn typ_is(&self, expected: &str) -> Result<bool, JoseFault> {
        Ok(text(&self.header, "typ")?.is_some_and(|typ| same_type(typ, expected)))
    }

    pub(crate) fn algorithm(&self, allowed: &[Algorithm]) -> Result<Algorithm, JoseFault> {
        let name = text(&self.header, "alg")?.ok_or(JoseFault::Header("alg"))?;
        let algorithm = name.parse::<Algorithm>().map_err(|fault| JoseFault::Algorithm(fault.0))?;
        if allowed.contains(&algorithm) { Ok(algorithm) } else { Err(JoseFault::Algorithm(name.to_owned())) }
    }

    /// The claims, which nothing vouches for until the signature is verified.
    pub(crate) fn claims(&self) -> Result<Claims, JoseFault> {
        object(self.payload, "payload").map(Claims::new)
    }
}

fn object(encoded: &str, part: &'static str) -> Result<Map<String, Value>, JoseFault> {
    let bytes = decode(encoded, part)?;
    json::from_slice(&bytes).map_err(|fault| JoseFault::Json { part, fault })
}

fn decode(encoded: &str, part: &'static str) -> Result<Vec<u8>, JoseFault> {
    // This engine refuses padding, white space and stray trailing bits, so every token has exactly
    // one spelling.
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JoseFault::Encoding(part))
}

fn text<'a>(header: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, JoseFault> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JoseFault::Header(name)),
    }
}

/// Are two `typ` values the same media type (JO-03)?
fn same_type(left: &str, right: &str) -> bool {
    subtype(left).eq_ignore_ascii_case(subtype(right))
}

fn subtype(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.get(..PREFIX.len()) {
        // Only when no other slash follows may the prefix be left out.
        Some(start) if start.eq_ignore_ascii_case(PREFIX) && !typ[PREFIX.len()..].contains('/') => {
            &typ[PREFIX.len()..]
        }
        _ => typ,
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
