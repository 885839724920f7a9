//! The device authorization request and its response (RFC 8628 §3.1, §3.2), and the code that a person
//! types.

use std::fmt;

use serde::Serialize;

use crate::{Scope, params::Params, secret::DeviceCode, uri::is_resource_indicator};

/// Letters that are not taken for one another, and spell no words: consonants without Y (RFC 8628 §6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// Letters of a code: 34 bits.
const LENGTH: usize = 8;

/// The parameters of a device authorization request. Client credentials are not in it.
#[derive(Clone, Debug)]
pub struct DeviceAuthorizationRequest {
    /// `scope`.
    pub scope: Option<Scope>,
    /// `resource` indicators (RFC 8707 §2).
    pub resources: Vec<String>,
}

/// What is wrong with the form of a device authorization request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceRequestFault {
    /// A parameter came more than once (O21-04).
    #[error("parameter {0} is repeated")]
    Repeated(String),
    /// `scope` has characters that no scope has.
    #[error("scope is malformed")]
    ScopeMalformed,
    /// `resource` is no absolute URI without fragment (RI-01).
    #[error("resource is not an absolute URI without fragment")]
    ResourceMalformed,
    /// `authorization_details` came. What somebody else's screen asks for must not be a payment.
    #[error("devices may not ask for authorization_details")]
    Details,
}

impl DeviceAuthorizationRequest {
    /// Reads the parameters.
    ///
    /// # Errors
    /// The first [`DeviceRequestFault`].
    pub fn parse(params: &Params) -> Result<Self, DeviceRequestFault> {
        if let Some(name) = params.repeated() {
            return Err(DeviceRequestFault::Repeated(name.to_owned()));
        }
        let scope = params.get("scope").map(str::parse).transpose();
        let resources: Vec<String> = params.all("resource").map(str::to_owned).collect();
        if !resources.iter().all(|resource| is_resource_indicator(resource)) {
            return Err(DeviceRequestFault::ResourceMalformed);
        }
        if params.get("authorization_details").is_some() {
            return Err(DeviceRequestFault::Details);
        }
        Ok(Self { scope: scope.map_err(|_| DeviceRequestFault::ScopeMalformed)?, resources })
    }
}

/// The answer to a device authorization request (RFC 8628 §3.2, DV-01). Sent with `no-store`.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceAuthorizationResponse {
    /// What the device polls with.
    pub device_code: DeviceCode,
    /// What the person types.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it, for a QR code.
    pub verification_uri_complete: String,
    /// How long both codes live, in seconds.
    pub expires_in: i64,
    /// How many seconds the device waits between polls.
    pub interval: i64,
}

/// The code that a person types. A secret of 34 bits, for minutes.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// A new code. The remainder prefers no letter noticeably: 2⁶⁴ is much more than 20⁸.
    pub fn from_entropy(entropy: [u8; 8]) -> Self {
        let mut number = u64::from_be_bytes(entropy);
        let mut text = String::with_capacity(LENGTH);
        for _ in 0..LENGTH {
            let letter = usize::try_from(number % 20).unwrap_or_default();
            text.push(char::from(ALPHABET[letter]));
            number /= 20;
        }
        Self(text)
    }

    /// What a person typed: in any case, with any separators (RFC 8628 §6.1). `None` for what is no code.
    pub fn parse(typed: &str) -> Option<Self> {
        if typed.len() > 64 {
            return None;
        }
        let letters: String =
            typed.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect();
        let fits = letters.len() == LENGTH && letters.bytes().all(|letter| ALPHABET.contains(&letter));
        fits.then_some(Self(letters))
    }

    /// The letters alone, which is what is compared.
    pub fn letters(&self) -> &str {
        &self.0
    }

    /// As it is shown: two groups of four.
    pub fn shown(&self) -> String {
        let (first, second) = self.0.split_at(LENGTH / 2);
        format!("{first}-{second}")
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dv_01_codes_are_typed_as_people_type() {
        let code = UserCode::parse("WDJB-MJHT").unwrap();
        for typed in ["wdjbmjht", "WDJB MJHT", " wdjb-mjht ", "W.D.J.B_M/J/H/T", "wdjb\u{2013}mjht"] {
            assert_eq!(UserCode::parse(typed), Some(code.clone()), "{typed}");
        }
        assert_eq!(code.shown(), "WDJB-MJHT");
        for typed in
            ["", "WDJB-MJH", "WDJB-MJHTT", "WDJB-MJHA", "WDJB-MJH0", "ＷＤＪＢＭＪＨＴ", &"-".repeat(99)]
        {
            assert_eq!(UserCode::parse(typed), None, "{typed}");
        }
        assert_eq!(format!("{code:?}"), "UserCode(redacted)");
    }

    proptest! {
        #[test]
        fn dv_01_every_new_code_can_be_typed(entropy: [u8; 8]) {
            let code = UserCode::from_entropy(entropy);
            prop_assert_eq!(UserCode::parse(&code.shown()), Some(code));
        }
    }
}
