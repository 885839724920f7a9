//! Encrypted JSON: compact JWE (RFC 7516) to a key of a client, and from a client to a key of ours.
//!
//! Key management is RSA-OAEP-256 or the ECDH-ES family, content encryption is AES-GCM; nothing else
//! can be named. As with signatures, key and use fix the algorithm and the header only selects within
//! them (JO-01). Before josekit sees a token from outside, everything is checked that it does not
//! check itself: the header is read strictly, `zip` and `crit` are refused, the parts have their exact
//! lengths (josekit would take a truncated authentication tag, and panics on a short wrapped key), and
//! the ephemeral key is a point of our curve.
//!
//! A failed decryption has one fault whatever failed, so that nobody can ask us where it failed.

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use josekit::{
    JoseError,
    jwe::{self, JweContext, JweDecrypter, JweEncrypter, JweHeader},
    jwk::{Jwk, alg::ec::EcCurve},
};
use protocol::json::{self, JsonFault};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    JwkFault, KeyFault, KeySet, PublicKey, aws,
    private::{RSA_BITS, Secret},
    public::{Curve, bytes, text},
};

/// The longest encrypted token that is looked at, in bytes (JO-01): room for a signed token of
/// [`MAX_TOKEN_BYTES`](crate::verify::MAX_TOKEN_BYTES) in its encrypted envelope.
pub const MAX_ENCRYPTED_BYTES: usize = 24 * 1024;
/// AES-GCM takes a 96-bit nonce (RFC 7518 §5.3).
const NONCE_BYTES: usize = 12;
/// AES-GCM's tag has 128 bits (RFC 7518 §5.3); OpenSSL would accept a shorter one.
const TAG_BYTES: usize = 16;

/// How the content key reaches its reader: the `alg` of a JWE (RFC 7518 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyManagement {
    /// RSAES OAEP with SHA-256.
    RsaOaep256,
    /// Key agreement; the agreed key encrypts the content.
    EcdhEs,
    /// Key agreement; the agreed key wraps a content key with AES-128.
    EcdhEsA128Kw,
    /// Key agreement; the agreed key wraps a content key with AES-256.
    EcdhEsA256Kw,
}

/// How the content is encrypted: the `enc` of a JWE (RFC 7518 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContentEncryption {
    /// AES-GCM with a 256-bit key.
    A256Gcm,
    /// AES-GCM with a 128-bit key.
    A128Gcm,
}

/// The pair that client metadata names: `…_encryption_alg` with `…_encryption_enc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encryption {
    /// The `alg`.
    pub key_management: KeyManagement,
    /// The `enc`.
    pub content: ContentEncryption,
}

/// A name that is none of our encryption algorithms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encryption algorithm {0:?} is not supported")]
pub struct UnknownEncryption(pub String);

impl KeyManagement {
    /// Every one, in the order in which metadata lists them.
    pub const ALL: [Self; 4] = [Self::RsaOaep256, Self::EcdhEs, Self::EcdhEsA128Kw, Self::EcdhEsA256Kw];

    /// The JWA name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::EcdhEs => "ECDH-ES",
            Self::EcdhEsA128Kw => "ECDH-ES+A128KW",
            Self::EcdhEsA256Kw => "ECDH-ES+A256KW",
        }
    }

    /// Does it agree on a key with an elliptic-curve key?
    const fn is_agreement(self) -> bool {
        !matches!(self, Self::RsaOaep256)
    }

    pub(crate) fn encrypter(self, key: &Jwk) -> Result<Box<dyn JweEncrypter>, JoseError> {
        Ok(match self {
            Self::RsaOaep256 => Box::new(jwe::RSA_OAEP_256.encrypter_from_jwk(key)?),
            Self::EcdhEs => Box::new(jwe::ECDH_ES.encrypter_from_jwk(key)?),
            Self::EcdhEsA128Kw => Box::new(jwe::ECDH_ES_A128KW.encrypter_from_jwk(key)?),
            Self::EcdhEsA256Kw => Box::new(jwe::ECDH_ES_A256KW.encrypter_from_jwk(key)?),
        })
    }

    fn decrypter(self, key: &Jwk) -> Result<Box<dyn JweDecrypter>, JoseError> {
        Ok(match self {
            Self::RsaOaep256 => Box::new(jwe::RSA_OAEP_256.decrypter_from_jwk(key)?),
            Self::EcdhEs => Box::new(jwe::ECDH_ES.decrypter_from_jwk(key)?),
            Self::EcdhEsA128Kw => Box::new(jwe::ECDH_ES_A128KW.decrypter_from_jwk(key)?),
            Self::EcdhEsA256Kw => Box::new(jwe::ECDH_ES_A256KW.decrypter_from_jwk(key)?),
        })
    }

    /// Has the encrypted-key part the length that this algorithm gives it? RFC 3394 adds eight bytes.
    fn wraps_into(self, length: usize, content: ContentEncryption) -> bool {
        match self {
            // OpenSSL compares with the modulus; this only bounds it.
            Self::RsaOaep256 => (256..=1024).contains(&length),
            Self::EcdhEs => length == 0,
            Self::EcdhEsA128Kw | Self::EcdhEsA256Kw => length == content.key_bytes() + 8,
        }
    }
}

impl ContentEncryption {
    /// Every one, in the order in which metadata lists them.
    pub const ALL: [Self; 2] = [Self::A256Gcm, Self::A128Gcm];

    /// The JWA name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A256Gcm => "A256GCM",
            Self::A128Gcm => "A128GCM",
        }
    }

    const fn key_bytes(self) -> usize {
        match self {
            Self::A256Gcm => 32,
            Self::A128Gcm => 16,
        }
    }
}

macro_rules! named {
    ($($name:ident),*) => {$(
        impl FromStr for $name {
            type Err = UnknownEncryption;

            fn from_str(name: &str) -> Result<Self, UnknownEncryption> {
                let known = Self::ALL.into_iter().find(|own| own.as_str() == name);
                // The name is echoed into logs, so a hostile one is cut.
                known.ok_or_else(|| UnknownEncryption(name.chars().take(32).collect()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}
named!(KeyManagement, ContentEncryption);

/// Why nothing was encrypted. The caller must send nothing then, least of all the plain text.
#[derive(Debug, thiserror::Error)]
pub enum EncryptFault {
    /// No key of the set may be used with the algorithm.
    #[error("no key of the set is fit to encrypt with {0}")]
    NoKey(KeyManagement),
    /// The cryptographic library failed.
    #[error("encryption failed")]
    Library(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Encrypts `plain` to the key set of its reader as a compact JWE without `zip`.
///
/// `content_type` becomes `cty`: `JWT` where the content is a signed token (RFC 7519 §5.2), none where it
/// is JSON. Among the fit keys those that say `use: enc` come first, then the order of the set counts.
///
/// # Errors
/// [`EncryptFault`].
pub fn encrypt(
    plain: &[u8],
    readers: &KeySet,
    with: Encryption,
    content_type: Option<&str>,
) -> Result<String, EncryptFault> {
    let span = tracing::debug_span!(target: "traced", "encrypt", alg = %with.key_management);
    let _entered = span.entered();
    sealed(plain, readers, with, content_type)
}

fn sealed(
    plain: &[u8],
    readers: &KeySet,
    with: Encryption,
    content_type: Option<&str>,
) -> Result<String, EncryptFault> {
    let alg = with.key_management;
    let key = readers.encrypting(alg).ok_or(EncryptFault::NoKey(alg))?;
    let library = |fault: JoseError| EncryptFault::Library(Box::new(fault));
    let encrypter = key.encrypter(alg).map_err(library)?;
    let mut header = JweHeader::new();
    header.set_content_encryption(with.content.as_str());
    if let Some(kid) = key.kid() {
        header.set_key_id(kid);
    }
    if let Some(cty) = content_type {
        header.set_content_type(cty);
    }
    CONTEXT.serialize_compact(plain, &header, encrypter).map_err(library)
}

/// What a key of ours for decryption is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EncryptionKeyType {
    /// RSA with 2048 bits, for RSA-OAEP-256.
    Rsa,
    /// P-256, for the ECDH-ES family.
    P256,
}

impl EncryptionKeyType {
    /// Both, RSA first.
    pub const ALL: [Self; 2] = [Self::Rsa, Self::P256];

    /// The algorithms that such a key decrypts.
    pub const fn algorithms(self) -> &'static [KeyManagement] {
        match self {
            Self::Rsa => &[KeyManagement::RsaOaep256],
            Self::P256 => &[KeyManagement::EcdhEs, KeyManagement::EcdhEsA128Kw, KeyManagement::EcdhEsA256Kw],
        }
    }
}

/// A private key for decryption at rest in memory: a private JWK (`use` `enc`) as text that is wiped when
/// dropped.
pub struct PrivateDecryptionKey {
    key_type: EncryptionKeyType,
    public: PublicKey,
    json: Zeroizing<Vec<u8>>,
}

impl PrivateDecryptionKey {
    /// Makes a new key, `kid` is its RFC 7638 thumbprint. Randomness is the library's own. An RSA key
    /// names its one algorithm; an elliptic-curve key serves the three of its family and names none.
    ///
    /// # Errors
    /// [`KeyFault::Library`] if the generator fails.
    pub fn generate(key_type: EncryptionKeyType) -> Result<Self, KeyFault> {
        let jwk = match key_type {
            EncryptionKeyType::Rsa => Jwk::generate_rsa_key(RSA_BITS)?,
            EncryptionKeyType::P256 => Jwk::generate_ec_key(EcCurve::P256)?,
        };
        let mut secret = Secret::from(jwk);
        let thumbprint = PublicKey::from_public_members(secret.members())?.thumbprint().to_string();
        secret.describe("use", "enc");
        if let [only] = key_type.algorithms() {
            secret.describe("alg", only.as_str());
        }
        secret.describe("kid", &thumbprint);
        let public = PublicKey::from_public_members(secret.members())?;
        Ok(Self { key_type, public, json: secret.to_json()? })
    }

    /// Reads what [`PrivateDecryptionKey::as_json`] gave.
    ///
    /// # Errors
    /// [`KeyFault`] if it is not such a key.
    pub fn from_json(json: Zeroizing<Vec<u8>>) -> Result<Self, KeyFault> {
        let secret = Secret::parse(&json)?;
        if text(secret.members(), "use")? != "enc" {
            return Err(KeyFault::Malformed);
        }
        let key_type = match text(secret.members(), "kty")? {
            "RSA" => EncryptionKeyType::Rsa,
            "EC" if text(secret.members(), "crv")? == "P-256" => EncryptionKeyType::P256,
            _ => return Err(KeyFault::Malformed),
        };
        let public = PublicKey::from_public_members(secret.members())?;
        if public.kid() != Some(public.thumbprint().to_string().as_str()) {
            return Err(KeyFault::Inconsistent);
        }
        if !key_type.algorithms().iter().all(|alg| public.encrypts(*alg)) {
            return Err(KeyFault::Malformed);
        }
        Ok(Self { key_type, public, json })
    }

    /// The private JWK, to be sealed and stored.
    pub fn as_json(&self) -> &[u8] {
        &self.json
    }

    /// What it is made of.
    pub fn key_type(&self) -> EncryptionKeyType {
        self.key_type
    }

    /// Its `kid`: the RFC 7638 thumbprint.
    pub fn kid(&self) -> String {
        self.public.thumbprint().to_string()
    }

    /// The public half, with `kid`, `use` and, for RSA, `alg`.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }
}

impl fmt::Debug for PrivateDecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateDecryptionKey({:?}, {}, redacted)", self.key_type, self.public.thumbprint())
    }
}

/// A key that decrypts: parsed once, cheap to clone, shared between tasks.
#[derive(Clone)]
pub struct DecryptionKey(Arc<Inner>);

struct Inner {
    kid: String,
    public: PublicKey,
    decrypters: Vec<(KeyManagement, Box<dyn JweDecrypter>)>,
}

impl DecryptionKey {
    /// Parses a private key, and proves by one decryption that its halves belong together.
    ///
    /// # Errors
    /// [`KeyFault`] if they do not, or the library refuses the key.
    pub fn new(private: &PrivateDecryptionKey) -> Result<Self, KeyFault> {
        let secret = Secret::parse(&private.json)?;
        let algorithms = private.key_type.algorithms().iter().copied();
        let decrypters = algorithms
            .map(|alg| Ok((alg, secret.with_jwk(|jwk| alg.decrypter(jwk))?)))
            .collect::<Result<Vec<_>, KeyFault>>()?;
        let key = Self(Arc::new(Inner { kid: private.kid(), public: private.public.clone(), decrypters }));
        let probe = b"Do both halves of this key belong together?";
        let with = Encryption { key_management: key.0.decrypters[0].0, content: ContentEncryption::A256Gcm };
        // Not traced: it is nobody's request.
        let sealed = sealed(probe, &KeySet::new(vec![key.0.public.clone()]), with, None)
            .map_err(|fault| KeyFault::Library(Box::new(fault)))?;
        let opened = decrypt(&sealed, std::slice::from_ref(&key), &Accepted::ALL);
        if !opened.is_ok_and(|opened| **opened.plain == probe[..]) {
            return Err(KeyFault::Inconsistent);
        }
        Ok(key)
    }

    /// The `kid` that senders name it by.
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.0.public
    }

    fn decrypter(&self, alg: KeyManagement) -> Option<&dyn JweDecrypter> {
        let (_, decrypter) = self.0.decrypters.iter().find(|(own, _)| *own == alg)?;
        Some(&**decrypter)
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecryptionKey({}, redacted)", self.0.kid)
    }
}

/// What a use of encryption accepts: everything, or the one pair that a client registered.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// The `alg` values.
    pub key_management: &'a [KeyManagement],
    /// The `enc` values.
    pub content: &'a [ContentEncryption],
}

impl Accepted<'static> {
    /// All that we know.
    pub const ALL: Self = Self { key_management: &KeyManagement::ALL, content: &ContentEncryption::ALL };
}

/// Why an encrypted token was not opened.
#[derive(Debug, thiserror::Error)]
pub enum JweFault {
    /// Over [`MAX_ENCRYPTED_BYTES`].
    #[error("the encrypted token is longer than 24 KiB")]
    TooLong,
    /// Not five parts separated by dots (RFC 7516 §7.1).
    #[error("the token is not a compact JWE")]
    NotCompact,
    /// A part is not base64url without padding.
    #[error("the {0} of the encrypted token is not base64url")]
    Encoding(&'static str),
    /// A part has a length that its algorithm does not give it.
    #[error("the {0} of the encrypted token has the wrong length")]
    Length(&'static str),
    /// The header is no JSON object, or repeats a member (JO-02).
    #[error("the header of the encrypted token is not an acceptable JSON object: {0}")]
    Json(JsonFault),
    /// A header parameter is missing or has the wrong type.
    #[error("the header parameter {0:?} is missing or malformed")]
    Header(&'static str),
    /// `alg` or `enc` is unknown, or not accepted here.
    #[error("the algorithm {0:?} is not accepted")]
    Algorithm(String),
    /// `zip`: a small token could become a very large one (RFC 8725 §3.6, JO-01).
    #[error("compressed content is not accepted")]
    Compressed,
    /// `crit` names extensions; we understand none (RFC 7516 §4.1.13).
    #[error("the token requires extensions that are not understood")]
    Critical,
    /// No key of ours has this `kid` and is fit for the algorithm.
    #[error("no key is fit to decrypt the token (kid {kid:?})")]
    NoKey {
        /// The `kid` of the header.
        kid: Option<String>,
    },
    /// The ephemeral public key is no point of our key's curve (RFC 7518 §4.6.1.1).
    #[error("the ephemeral key is not acceptable: {0}")]
    EphemeralKey(JwkFault),
    /// It does not open. Which step failed is nobody's business (RFC 7516 §11.5).
    #[error("the token cannot be decrypted")]
    Decryption,
}

/// An opened token. Encryption says nothing about who sent it: a token of worth inside is signed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decrypted {
    /// `cty` of the header; `JWT` for a nested token.
    pub content_type: Option<String>,
    /// `kid` of the header.
    pub kid: Option<String>,
    /// The pair that it was encrypted with.
    pub encryption: Encryption,
    /// The content.
    pub plain: Zeroizing<Vec<u8>>,
}

/// Is it shaped like a compact JWE, five parts? A cheap look before deciding how to read a token.
pub fn looks_encrypted(token: &str) -> bool {
    token.bytes().filter(|byte| *byte == b'.').count() == 4
}

/// Opens a compact JWE with whichever of `keys` its header names.
///
/// # Errors
/// [`JweFault`] says which rule the token broke.
pub fn decrypt(token: &str, keys: &[DecryptionKey], accepted: &Accepted<'_>) -> Result<Decrypted, JweFault> {
    if token.len() > MAX_ENCRYPTED_BYTES {
        return Err(JweFault::TooLong);
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, wrapped, nonce, content, tag] = parts[..] else {
        return Err(JweFault::NotCompact);
    };
    let header: Map<String, Value> = json::from_slice(&decode(header, "header")?).map_err(JweFault::Json)?;
    if header.contains_key("crit") {
        return Err(JweFault::Critical);
    }
    if header.contains_key("zip") {
        return Err(JweFault::Compressed);
    }
    let encryption = accepted.read(&header)?;
    let alg = encryption.key_management;
    if !alg.wraps_into(decode(wrapped, "encrypted key")?.len(), encryption.content) {
        return Err(JweFault::Length("encrypted key"));
    }
    for (name, part, length) in [("nonce", nonce, NONCE_BYTES), ("tag", tag, TAG_BYTES)] {
        if decode(part, name)?.len() != length {
            return Err(JweFault::Length(name));
        }
    }
    if content.is_empty() {
        return Err(JweFault::Length("content"));
    }
    if alg.is_agreement() {
        ephemeral_key(&header)?;
    }
    let kid = member(&header, "kid")?;
    let content_type = member(&header, "cty")?.map(str::to_owned);
    let fit = keys.iter().filter(|key| kid.is_none_or(|kid| kid == key.kid()));
    let mut decrypters = fit.filter_map(|key| key.decrypter(alg)).peekable();
    if decrypters.peek().is_none() {
        return Err(JweFault::NoKey { kid: kid.map(|kid| kid.chars().take(64).collect()) });
    }
    let plain = decrypters
        .find_map(|decrypter| CONTEXT.deserialize_compact(token, decrypter).ok())
        .map(|(plain, _)| Zeroizing::new(plain))
        .ok_or(JweFault::Decryption)?;
    Ok(Decrypted { content_type, kid: kid.map(str::to_owned), encryption, plain })
}

impl Accepted<'_> {
    fn read(&self, header: &Map<String, Value>) -> Result<Encryption, JweFault> {
        let alg = member(header, "alg")?.ok_or(JweFault::Header("alg"))?;
        let enc = member(header, "enc")?.ok_or(JweFault::Header("enc"))?;
        let key_management: KeyManagement = alg.parse().map_err(refused)?;
        let content: ContentEncryption = enc.parse().map_err(refused)?;
        if !self.key_management.contains(&key_management) {
            return Err(JweFault::Algorithm(alg.to_owned()));
        }
        if !self.content.contains(&content) {
            return Err(JweFault::Algorithm(enc.to_owned()));
        }
        Ok(Encryption { key_management, content })
    }
}

fn refused(UnknownEncryption(name): UnknownEncryption) -> JweFault {
    JweFault::Algorithm(name)
}

/// Our agreement keys are on P-256, so the sender's must be too: a point elsewhere could make us tell
/// our private key bit by bit (an invalid-curve attack).
fn ephemeral_key(header: &Map<String, Value>) -> Result<(), JweFault> {
    let epk = header.get("epk").and_then(Value::as_object).ok_or(JweFault::Header("epk"))?;
    let checked = || -> Result<(), JwkFault> {
        if text(epk, "kty")? != "EC" || text(epk, "crv")? != "P-256" {
            return Err(JwkFault::Point);
        }
        let (x, y) = (bytes(epk, "x")?, bytes(epk, "y")?);
        if x.len() != 32 || y.len() != 32 {
            return Err(JwkFault::Point);
        }
        aws::point_on(Curve::P256, &x, &y).map(|_| ()).map_err(|_| JwkFault::Point)
    };
    checked().map_err(JweFault::EphemeralKey)
}

fn decode(encoded: &str, part: &'static str) -> Result<Vec<u8>, JweFault> {
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JweFault::Encoding(part))
}

fn member<'a>(header: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, JweFault> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JweFault::Header(name)),
    }
}

/// josekit's registry, without everything that must not be negotiated.
static CONTEXT: std::sync::LazyLock<JweContext> = std::sync::LazyLock::new(|| {
    let mut context = JweContext::new();
    context.remove_compression("DEF");
    for name in ["A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A192GCM"] {
        context.remove_content_encryption(name);
    }
    context
});

#[cfg(test)]
#[path = "jwe_tests.rs"]
mod tests;
