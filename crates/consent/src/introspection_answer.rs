//! How a resource server wants the answers of introspection as JWTs (RFC 9701 §6).

use jose::{Algorithm, Encryption, KeySet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The `introspection_…_response_…` metadata of a resource server (RFC 9701 §6). It asks for a JWT with
/// each request; this says only how one is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IntrospectionAnswer {
    /// What signs; RS256, where it does not say (RFC 9701 §6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_response_alg: Option<String>,
    /// The key management, where answers are encrypted to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted_response_alg: Option<String>,
    /// The content encryption.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted_response_enc: Option<String>,
    /// Its public keys, a JWK Set, to encrypt to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
}

/// Why answers can't be made like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerMetadataFault {
    /// An algorithm that this server does not have.
    #[error("{0} is not a supported algorithm")]
    Algorithm(String),
    /// One of the two encryption members without the other, or without keys.
    #[error("encrypted_response_alg, encrypted_response_enc and jwks go together")]
    Incomplete,
    /// The keys are no key set.
    #[error("jwks: {0}")]
    Keys(String),
    /// No key is fit for the algorithm.
    #[error("jwks: no key is fit for {0}")]
    NoKey(String),
}

impl IntrospectionAnswer {
    /// Whether nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What signs, if it says.
    ///
    /// # Errors
    /// [`AnswerMetadataFault::Algorithm`].
    pub fn algorithm(&self) -> Result<Option<Algorithm>, AnswerMetadataFault> {
        let parse = |name: &String| name.parse().map_err(|_| AnswerMetadataFault::Algorithm(name.clone()));
        self.signed_response_alg.as_ref().map(parse).transpose()
    }

    /// How answers are encrypted, and to which keys; `None` where they are only signed. The content
    /// encryption is A256GCM unless it says another.
    ///
    /// # Errors
    /// [`AnswerMetadataFault`].
    pub fn encryption(&self) -> Result<Option<(Encryption, KeySet)>, AnswerMetadataFault> {
        let (Some(alg), Some(jwks)) = (&self.encrypted_response_alg, &self.jwks) else {
            let none = self.encrypted_response_alg.is_none()
                && self.encrypted_response_enc.is_none()
                && self.jwks.is_none();
            return if none { Ok(None) } else { Err(AnswerMetadataFault::Incomplete) };
        };
        let key_management = alg.parse().map_err(|_| AnswerMetadataFault::Algorithm(alg.clone()))?;
        let enc = self.encrypted_response_enc.as_deref().unwrap_or("A256GCM");
        let content = enc.parse().map_err(|_| AnswerMetadataFault::Algorithm(enc.to_owned()))?;
        let keys = KeySet::from_value(jwks).map_err(|fault| AnswerMetadataFault::Keys(fault.to_string()))?;
        let with = Encryption { key_management, content };
        // Found out when it is declared, not when somebody needs an answer.
        jose::jwe::encrypt(b"{}", &keys, with, None).map_err(|_| AnswerMetadataFault::NoKey(alg.clone()))?;
        Ok(Some((with, keys)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jose::{PrivateDecryptionKey, jwe::EncryptionKeyType};
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn answer(members: Value) -> IntrospectionAnswer {
        let mut answer: IntrospectionAnswer = serde_json::from_value(members).unwrap();
        if answer.jwks == Some(json!("fit")) {
            let key = PrivateDecryptionKey::generate(EncryptionKeyType::P256).unwrap();
            answer.jwks = Some(json!({ "keys": [key.public().to_value()] }));
        }
        answer
    }

    #[test]
    fn in_07_what_is_registered_is_understood() {
        assert!(answer(json!({})).is_default());
        assert_eq!(answer(json!({})).encryption(), Ok(None));
        assert_eq!(answer(json!({"signed_response_alg": "PS256"})).algorithm(), Ok(Some(Algorithm::Ps256)));
        let (with, _) = answer(json!({"encrypted_response_alg": "ECDH-ES", "jwks": "fit"}))
            .encryption()
            .unwrap()
            .unwrap();
        assert_eq!((with.key_management.as_str(), with.content.as_str()), ("ECDH-ES", "A256GCM"));
    }

    #[rstest]
    #[case(json!({"encrypted_response_alg": "ECDH-ES"}))]
    #[case(json!({"encrypted_response_enc": "A256GCM"}))]
    #[case(json!({"jwks": "fit"}))]
    #[case(json!({"encrypted_response_alg": "RSA1_5", "jwks": "fit"}))]
    #[case(json!({"encrypted_response_alg": "RSA-OAEP-256", "jwks": "fit"}))]
    #[case(json!({"encrypted_response_alg": "ECDH-ES", "encrypted_response_enc": "none", "jwks": "fit"}))]
    #[case(json!({"encrypted_response_alg": "ECDH-ES", "jwks": {"keys": []}}))]
    fn in_07_half_a_registration_is_refused(#[case] members: Value) {
        assert!(answer(members).encryption().is_err());
    }

    #[test]
    fn in_07_unsigned_answers_do_not_exist() {
        for name in ["none", "HS256", ""] {
            assert!(answer(json!({ "signed_response_alg": name })).algorithm().is_err(), "{name}");
        }
    }
}
