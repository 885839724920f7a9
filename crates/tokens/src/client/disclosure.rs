//! How a client is told about people: what signs userinfo, and how ID tokens and userinfo are encrypted
//! to it (OpenID Connect Registration §2).

use jose::{Algorithm, Encryption};
use protocol::client::ClientMetadata;

use super::{ClientFault, ClientKeys, algorithm};

/// What a client registered about what it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disclosure {
    /// How ID tokens are encrypted to it; they are signed first.
    pub id_token: Option<Encryption>,
    /// What signs userinfo; without it, userinfo is JSON (OC-20).
    pub userinfo_signing: Option<Algorithm>,
    /// How userinfo is encrypted to it.
    pub userinfo: Option<Encryption>,
}

impl Disclosure {
    /// Applies the rules of registration. Whoever wants something encrypted registers a key that it can be
    /// encrypted to, or a place where one can be fetched.
    pub(super) fn parse(metadata: &ClientMetadata, keys: &ClientKeys, faults: &mut Vec<ClientFault>) -> Self {
        let id_token = encryption(
            ("id_token_encrypted_response_alg", &metadata.id_token_encrypted_response_alg),
            ("id_token_encrypted_response_enc", &metadata.id_token_encrypted_response_enc),
        );
        let userinfo = encryption(
            ("userinfo_encrypted_response_alg", &metadata.userinfo_encrypted_response_alg),
            ("userinfo_encrypted_response_enc", &metadata.userinfo_encrypted_response_enc),
        );
        let signing = metadata.userinfo_signed_response_alg.as_deref();
        let signing = signing.map(|name| algorithm(name, "userinfo_signed_response_alg")).transpose();
        let [id_token, userinfo] = [id_token, userinfo].map(|read| {
            read.unwrap_or_else(|fault| {
                faults.push(fault);
                None
            })
        });
        let userinfo_signing = signing.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        for wanted in [id_token, userinfo].into_iter().flatten() {
            let fault = ClientFault::NoEncryptionKey(wanted.key_management);
            if !encrypts(keys, wanted) && !faults.contains(&fault) {
                faults.push(fault);
            }
        }
        Self { id_token, userinfo_signing, userinfo }
    }
}

/// Whether there is a key for this, as far as can be known without fetching.
pub(super) fn encrypts(keys: &ClientKeys, with: Encryption) -> bool {
    match keys {
        ClientKeys::None => false,
        ClientKeys::Registered(keys) => keys.encrypting(with.key_management).is_some(),
        ClientKeys::At(_) => true,
    }
}

/// Both members name how something is encrypted. The content encryption must be said, because its default
/// (A128CBC-HS256) is not among ours.
pub(super) fn encryption(
    (alg_member, alg): (&'static str, &Option<String>),
    (enc_member, enc): (&'static str, &Option<String>),
) -> Result<Option<Encryption>, ClientFault> {
    let unknown = |member, value: &str| ClientFault::Algorithm { member, value: value.to_owned() };
    let (alg, enc) = match (alg, enc) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(ClientFault::EncryptionIncomplete { member: alg_member }),
        (Some(_), None) => return Err(ClientFault::EncryptionIncomplete { member: enc_member }),
        (Some(alg), Some(enc)) => (alg, enc),
    };
    Ok(Some(Encryption {
        key_management: alg.parse().map_err(|_| unknown(alg_member, alg))?,
        content: enc.parse().map_err(|_| unknown(enc_member, enc))?,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jose::{ContentEncryption, KeyManagement};
    use serde_json::json;

    use super::*;

    fn metadata() -> ClientMetadata {
        ClientMetadata {
            id_token_encrypted_response_alg: Some("ECDH-ES".into()),
            id_token_encrypted_response_enc: Some("A256GCM".into()),
            userinfo_signed_response_alg: Some("ES256".into()),
            jwks: Some(json!({"keys": [{
                "kty": "EC", "crv": "P-256", "use": "enc",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
            }]})),
            ..ClientMetadata::default()
        }
    }

    fn parse(metadata: &ClientMetadata, faults: &mut Vec<ClientFault>) -> Disclosure {
        let keys = ClientKeys::parse(metadata, faults);
        Disclosure::parse(metadata, &keys, faults)
    }

    fn faults(change: impl FnOnce(&mut ClientMetadata)) -> Vec<ClientFault> {
        let (mut metadata, mut faults) = (metadata(), Vec::new());
        change(&mut metadata);
        parse(&metadata, &mut faults);
        faults
    }

    #[test]
    fn oc_20_what_is_registered_is_read() {
        let mut faults = Vec::new();
        let parsed = parse(&metadata(), &mut faults);
        let pair = Encryption { key_management: KeyManagement::EcdhEs, content: ContentEncryption::A256Gcm };
        assert_eq!(faults, []);
        assert_eq!((parsed.id_token, parsed.userinfo), (Some(pair), None));
        assert_eq!(parsed.userinfo_signing, Some(Algorithm::Es256));
    }

    #[test]
    fn an_unusable_key_is_refused_at_registration() {
        let no_key = ClientFault::NoEncryptionKey(KeyManagement::EcdhEs);
        assert_eq!(faults(|metadata| metadata.jwks = None), std::slice::from_ref(&no_key));
        let signing = |metadata: &mut ClientMetadata| {
            metadata.jwks.as_mut().unwrap()["keys"][0]["use"] = json!("sig");
        };
        assert_eq!(faults(signing), [no_key]);
        let rsa = |metadata: &mut ClientMetadata| {
            metadata.id_token_encrypted_response_alg = Some("RSA-OAEP-256".into());
        };
        assert_eq!(faults(rsa), [ClientFault::NoEncryptionKey(KeyManagement::RsaOaep256)]);
        let elsewhere = |metadata: &mut ClientMetadata| {
            metadata.jwks = None;
            metadata.jwks_uri = Some("https://app.example/jwks".into());
        };
        assert_eq!(faults(elsewhere), []);
    }

    #[test]
    fn jo_01_algorithms_that_we_do_not_have_are_refused_at_registration() {
        let algorithm = |member, value: &str| ClientFault::Algorithm { member, value: value.to_owned() };
        for weak in ["RSA1_5", "RSA-OAEP", "dir", "A256KW", "PBES2-HS256+A128KW"] {
            let found = faults(|metadata| metadata.id_token_encrypted_response_alg = Some(weak.into()));
            assert_eq!(found, [algorithm("id_token_encrypted_response_alg", weak)]);
        }
        let cbc = faults(|metadata| metadata.id_token_encrypted_response_enc = Some("A128CBC-HS256".into()));
        assert_eq!(cbc, [algorithm("id_token_encrypted_response_enc", "A128CBC-HS256")]);
        let default = faults(|metadata| metadata.id_token_encrypted_response_enc = None);
        let member = "id_token_encrypted_response_enc";
        assert_eq!(default, [ClientFault::EncryptionIncomplete { member }]);
        let none = faults(|metadata| metadata.userinfo_signed_response_alg = Some("none".into()));
        assert_eq!(none, [algorithm("userinfo_signed_response_alg", "none")]);
    }
}
