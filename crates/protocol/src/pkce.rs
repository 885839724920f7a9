//! Proof Key for Code Exchange (RFC 7636): the forms of challenge and verifier. The comparison is
//! done at the token endpoint by `tokens`.

use serde::{Deserialize, Serialize};

use crate::secret::CodeVerifierText;

/// A `code_challenge` of method S256: the base64url SHA-256 of a verifier, always 43 characters
/// (RFC 7636 §4.2). `plain` does not exist here (BCP-06, F2-21).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CodeChallenge(String);

/// The challenge is not the base64url form of a SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an S256 code_challenge has 43 base64url characters")]
pub struct MalformedChallenge;

impl CodeChallenge {
    /// The challenge as it came.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for CodeChallenge {
    type Error = MalformedChallenge;
    fn try_from(text: String) -> Result<Self, MalformedChallenge> {
        let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if text.len() == 43 && text.bytes().all(base64url) { Ok(Self(text)) } else { Err(MalformedChallenge) }
    }
}

impl From<CodeChallenge> for String {
    fn from(challenge: CodeChallenge) -> Self {
        challenge.0
    }
}

/// A `code_verifier` of the right length and alphabet: 43 to 128 unreserved characters
/// (RFC 7636 §4.1).
#[derive(Clone, Debug)]
pub struct CodeVerifier(CodeVerifierText);

impl CodeVerifier {
    /// Takes the text of the parameter; `None` when no verifier can look like that.
    pub fn parse(text: &str) -> Option<Self> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        ((43..=128).contains(&text.len()) && text.bytes().all(unreserved))
            .then(|| Self(CodeVerifierText::new(text)))
    }

    /// The verifier itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7636_4_1_length_and_alphabet() {
        assert!(CodeVerifier::parse(&"a".repeat(43)).is_some());
        assert!(CodeVerifier::parse(&"~".repeat(128)).is_some());
        for bad in ["a".repeat(42), "a".repeat(129), format!("{}+", "a".repeat(43)), String::new()] {
            assert!(CodeVerifier::parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn rfc7636_4_2_challenge_form() {
        let vector = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(CodeChallenge::try_from(vector.to_owned()).is_ok());
        assert!(CodeChallenge::try_from(format!("{vector}=")).is_err());
        assert!(CodeChallenge::try_from("short".to_owned()).is_err());
    }
}
