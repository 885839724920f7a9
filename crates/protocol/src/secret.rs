//! What must never be printed: bearer values and passwords.
//!
//! Each secret is a type of its own whose `Debug` says only its name, whose memory is wiped when
//! it is dropped, and whose text leaves only through [`expose`](AccessToken::expose), a word that
//! is easy to search for. Stores keep digests of these values, never the values.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Deserialize)]
        #[serde(from = "String")]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Takes a value that came from outside.
            pub fn new(value: impl Into<String>) -> Self {
                Self(Zeroizing::new(value.into()))
            }

            /// A new random value: 256 bits, written in base64url without padding (F2-36).
            pub fn from_entropy(entropy: [u8; 32]) -> Self {
                Self::new(URL_SAFE_NO_PAD.encode(entropy))
            }

            /// The value itself, for the one place that must send or check it.
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self::new(value)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    )*};
}

secrets! {
    /// What a browser keeps of the accounts that signed in to it.
    DeviceCookie,
    /// An authorization code (RFC 6749 §4.1.2).
    AuthorizationCode,
    /// The random part of the `request_uri` of a pushed request (RFC 9126 §2.2).
    RequestReference,
    /// An access token as the client sends it (RFC 6749 §1.4).
    AccessToken,
    /// A refresh token (RFC 6749 §1.5).
    RefreshToken,
    /// A token of unknown kind that somebody presents for introspection or revocation.
    PresentedToken,
    /// A client's or a resource server's secret (RFC 6749 §2.3.1).
    ClientSecret,
    /// A signed client assertion (RFC 7523 §2.2): a bearer value while it is fresh.
    ClientAssertion,
    /// A PKCE code verifier as it came (RFC 7636 §4.1).
    CodeVerifierText,
    /// The value of the session cookie.
    SessionCookie,
    /// The value of the cookie that binds a browser to its interactions before login.
    BrowserCookie,
    /// A token that ties a form post to its page (BCP-16).
    CsrfToken,
    /// What a device polls with (RFC 8628 §3.2).
    DeviceCode,
    /// A person's password.
    Password,
    /// A one-time password as typed (RFC 6238).
    OneTimePassword,
    /// A recovery code as typed.
    RecoveryCode,
}

/// Token responses are the one place where these may be serialized.
macro_rules! serialize_in_responses {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.expose())
            }
        }
    )*};
}
serialize_in_responses!(AccessToken, RefreshToken, DeviceCode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bcp_17_debug_is_redacted() {
        let shown = format!("{:?} {:?}", AccessToken::new("s3cret"), Some(Password::new("s3cret")));
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("AccessToken(redacted)"));
    }

    #[test]
    fn f2_36_values_carry_256_bits() {
        assert_eq!(RefreshToken::from_entropy([7; 32]).expose().len(), 43);
    }
}
