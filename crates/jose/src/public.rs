//! Public keys, read strictly (RFC 7517, RFC 7518 §6, RFC 8037 §2).
//!
//! A JWK from outside is taken apart and only its public members are kept. Anything private or
//! symmetric refuses the whole key: whoever sends us his private key has made a mistake that we
//! must not store (DR-04). `jku`, `x5u` and `x5c` are never followed or believed (F2-37). Keys are
//! parsed into verifiers once, here; a weak key does not become one (F2-35).

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use josekit::{
    JoseError,
    jwe::JweEncrypter,
    jwk::Jwk,
    jws::{self, JwsVerifier},
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::{Algorithm, Digest, aws, digest::sha256, jwe::KeyManagement};

/// RSA keys must have at least this many bits (F2-35, RFC 7518 §3.3).
const RSA_MIN_BITS: usize = 2048;
/// Larger RSA keys cost more to verify than a client may make us pay (JO-01).
const RSA_MAX_BITS: usize = 8192;

/// Members that only a private or symmetric key has (RFC 7518 §6, RFC 9964 `priv`).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// The elliptic curves of ECDSA keys that we read (RFC 7518 §6.2.1.1). Signatures are made and
/// verified on P-256 only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    const fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// Why a JWK was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkFault {
    /// The value is not a JSON object.
    #[error("a key must be a JSON object")]
    NotAnObject,
    /// The key has a member that only private keys have.
    #[error("the key contains the private member {0:?}; send only the public key")]
    PrivateMember(&'static str),
    /// A shared secret (`kty` `oct`).
    #[error("symmetric keys are not accepted")]
    Symmetric,
    /// A member is missing, has the wrong JSON type, or is not canonical base64url.
    #[error("the member {0:?} is missing or malformed")]
    Member(&'static str),
    /// A `kty` that we do not know. In a set such keys are passed over (RFC 7517 §5).
    #[error("key type {0:?} is not supported")]
    KeyType(String),
    /// A `crv` other than P-256, P-384, P-521 or Ed25519.
    #[error("curve {0:?} is not supported")]
    Curve(String),
    /// The coordinates have the wrong length or are no point of the curve.
    #[error("the coordinates are not a point on the curve")]
    Point,
    /// An RSA modulus outside 2048 to 8192 bits (F2-35).
    #[error("RSA keys must have 2048 to 8192 bits, this one has {0}")]
    RsaBits(usize),
    /// An RSA exponent that is even, below 65537, or over 32 bits (FIPS 186-5 §A.1.1).
    #[error("the RSA public exponent must be odd and from 65537 to 4294967295")]
    RsaExponent,
}

/// A public key, parsed, with a verifier for each algorithm that it may be used with. An encrypter is
/// parsed at its first use, because most keys (those of DPoP proofs, say) never encrypt.
#[derive(Clone)]
pub struct PublicKey {
    kid: Option<String>,
    thumbprint: Digest,
    members: Map<String, Value>,
    verifiers: Vec<(Algorithm, Arc<dyn JwsVerifier>)>,
    encrypts: Vec<KeyManagement>,
    encrypters: Arc<[Encrypter; KeyManagement::ALL.len()]>,
}

type Encrypter = OnceLock<Box<dyn JweEncrypter>>;

impl PublicKey {
    /// Reads a public JWK that is already JSON.
    ///
    /// # Errors
    /// [`JwkFault`] says what is wrong with the key.
    pub fn from_value(value: &Value) -> Result<Self, JwkFault> {
        let jwk = value.as_object().ok_or(JwkFault::NotAnObject)?;
        if let Some(name) = PRIVATE_MEMBERS.into_iter().find(|name| jwk.contains_key(*name)) {
            return Err(JwkFault::PrivateMember(name));
        }
        Self::from_public_members(jwk)
    }

    /// Reads the public half of a JWK, looking at nothing else.
    pub(crate) fn from_public_members(jwk: &Map<String, Value>) -> Result<Self, JwkFault> {
        let kid = optional_text(jwk, "kid")?.map(str::to_owned);
        let purpose = Purpose::read(jwk)?;
        let kty = text(jwk, "kty")?;
        let (required, verifiers) = match kty {
            "RSA" => rsa(jwk, &purpose)?,
            "EC" => elliptic(jwk, &purpose)?,
            "OKP" => ed25519(jwk, &purpose)?,
            "oct" => return Err(JwkFault::Symmetric),
            other => return Err(JwkFault::KeyType(other.chars().take(32).collect())),
        };
        let encrypts = KeyManagement::ALL.into_iter().filter(|alg| purpose.encrypts(*alg, kty)).collect();
        Ok(Self {
            thumbprint: thumbprint(&required),
            members: published(&required, jwk),
            verifiers,
            kid,
            encrypts,
            encrypters: Arc::default(),
        })
    }

    /// The `kid` that its owner gave it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The SHA-256 thumbprint (RFC 7638); its `Display` is the usual base64url form.
    pub fn thumbprint(&self) -> Digest {
        self.thumbprint
    }

    /// The algorithms whose signatures it may verify: what `kty`, `crv`, `alg`, `use` and
    /// `key_ops` leave (JO-01). None for an encryption key.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> + '_ {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm)
    }

    /// May it be used to encrypt with this algorithm: do `kty`, `alg`, `use` and `key_ops` admit it
    /// (JO-01)?
    pub fn encrypts(&self, algorithm: KeyManagement) -> bool {
        self.encrypts.contains(&algorithm)
    }

    /// Does its owner say that it is for encryption?
    pub(crate) fn is_for_encryption_only(&self) -> bool {
        self.members.get("use").is_some_and(|purpose| purpose == "enc")
    }

    /// The encrypter of an algorithm that it [encrypts](Self::encrypts) with, parsed once.
    pub(crate) fn encrypter(&self, algorithm: KeyManagement) -> Result<&dyn JweEncrypter, JoseError> {
        let slot = &self.encrypters[algorithm as usize];
        if let Some(parsed) = slot.get() {
            return Ok(&**parsed);
        }
        // josekit gets only the numbers; what the key is for was decided when it was read.
        let mut bare = self.members.clone();
        bare.retain(|name, _| ["kty", "crv", "x", "y", "n", "e"].contains(&name.as_str()));
        let parsed = algorithm.encrypter(&Jwk::from_map(bare)?)?;
        Ok(&**slot.get_or_init(|| parsed))
    }

    /// The key as a public JWK.
    pub fn to_value(&self) -> Value {
        Value::Object(self.members.clone())
    }

    pub(crate) fn verifier(&self, algorithm: Algorithm) -> Option<&dyn JwsVerifier> {
        let (_, verifier) = self.verifiers.iter().find(|(own, _)| *own == algorithm)?;
        Some(&**verifier)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey")
            .field("kid", &self.kid)
            .field("algorithms", &self.algorithms().collect::<Vec<_>>())
            .field("thumbprint", &self.thumbprint)
            .finish()
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.members == other.members
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members.serialize(serializer)
    }
}

/// What the key's owner says it is for.
struct Purpose<'a> {
    signatures: bool,
    encryption: bool,
    algorithm: Option<&'a str>,
}

impl<'a> Purpose<'a> {
    fn read(jwk: &'a Map<String, Value>) -> Result<Self, JwkFault> {
        let purpose = optional_text(jwk, "use")?;
        let operations = match jwk.get("key_ops") {
            None => None,
            Some(Value::Array(names)) => Some(names),
            Some(_) => return Err(JwkFault::Member("key_ops")),
        };
        let serves = |name: &str, wanted: &[&str]| {
            let listed = |operation: &Value| operation.as_str().is_some_and(|own| wanted.contains(&own));
            purpose.is_none_or(|own| own == name)
                && operations.is_none_or(|operations| operations.iter().any(listed))
        };
        Ok(Self {
            signatures: serves("sig", &["verify"]),
            encryption: serves("enc", &["encrypt", "wrapKey", "deriveKey", "deriveBits"]),
            algorithm: optional_text(jwk, "alg")?,
        })
    }

    /// May a key of this `kty` be used to encrypt with `candidate`?
    fn encrypts(&self, candidate: KeyManagement, kty: &str) -> bool {
        let suitable = if candidate == KeyManagement::RsaOaep256 { "RSA" } else { "EC" };
        self.encryption
            && kty == suitable
            && self.algorithm.is_none_or(|name| name.parse::<KeyManagement>() == Ok(candidate))
    }

    /// May a key of a suitable type be used with `candidate`?
    fn admits(&self, candidate: Algorithm) -> bool {
        self.signatures && self.algorithm.is_none_or(|name| name.parse::<Algorithm>() == Ok(candidate))
    }
}

/// The members that define a key, as canonical text: the input of its thumbprint.
type Required = BTreeMap<&'static str, String>;
type Parsed = (Required, Vec<(Algorithm, Arc<dyn JwsVerifier>)>);

fn rsa(jwk: &Map<String, Value>, purpose: &Purpose<'_>) -> Result<Parsed, JwkFault> {
    let (modulus, exponent) = rsa_numbers(jwk)?;
    let required = rsa_required(&modulus, &exponent);
    // josekit gets only the numbers: a verifier made from a JWK with a `kid` would demand it again.
    let mut bare = Jwk::new("RSA");
    for name in ["n", "e"] {
        let value = required.get(name).cloned().map(Value::String);
        bare.set_parameter(name, value).map_err(|_| JwkFault::Member(name))?;
    }
    let mut verifiers: Vec<(Algorithm, Arc<dyn JwsVerifier>)> = Vec::new();
    if purpose.admits(Algorithm::Rs256) {
        let verifier = jws::RS256.verifier_from_jwk(&bare).map_err(|_| JwkFault::Member("n"))?;
        verifiers.push((Algorithm::Rs256, Arc::new(verifier)));
    }
    if purpose.admits(Algorithm::Ps256) {
        let verifier = jws::PS256.verifier_from_jwk(&bare).map_err(|_| JwkFault::Member("n"))?;
        verifiers.push((Algorithm::Ps256, Arc::new(verifier)));
    }
    Ok((required, verifiers))
}

/// Modulus and exponent of an RSA key of acceptable strength (F2-35).
fn rsa_numbers(jwk: &Map<String, Value>) -> Result<(Vec<u8>, Vec<u8>), JwkFault> {
    let modulus = unsigned(jwk, "n")?;
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) {
        return Err(JwkFault::RsaBits(bits));
    }
    let exponent = unsigned(jwk, "e")?;
    let number = exponent
        .iter()
        .try_fold(0_u32, |number, byte| number.checked_mul(256).map(|shifted| shifted + u32::from(*byte)));
    if !number.is_some_and(|number| number >= 65537 && number % 2 == 1) {
        return Err(JwkFault::RsaExponent);
    }
    Ok((modulus, exponent))
}

fn rsa_required(modulus: &[u8], exponent: &[u8]) -> Required {
    BTreeMap::from([
        ("e", URL_SAFE_NO_PAD.encode(exponent)),
        ("kty", "RSA".to_owned()),
        ("n", URL_SAFE_NO_PAD.encode(modulus)),
    ])
}

/// A public key that comes with what it signed with `algorithm` (RFC 9449 §4.2), and its thumbprint.
/// The rules are those of [`PublicKey`], but the key is parsed for one signature only.
pub(crate) fn embedded(
    jwk: &Map<String, Value>,
    algorithm: Algorithm,
) -> Result<(aws::Proof, Digest), JwkFault> {
    if let Some(name) = PRIVATE_MEMBERS.into_iter().find(|name| jwk.contains_key(*name)) {
        return Err(JwkFault::PrivateMember(name));
    }
    if !Purpose::read(jwk)?.admits(algorithm) {
        return Err(JwkFault::Member("alg"));
    }
    let kind = text(jwk, "kty")?;
    let unfit = || JwkFault::KeyType(kind.chars().take(32).collect());
    let (key, required) = match algorithm {
        Algorithm::Es256 if kind == "EC" => {
            let name = text(jwk, "crv")?;
            if name != "P-256" {
                return Err(JwkFault::Curve(name.chars().take(32).collect()));
            }
            let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
            if x.len() != Curve::P256.coordinate_len() || y.len() != Curve::P256.coordinate_len() {
                return Err(JwkFault::Point);
            }
            (aws::Proof::p256(&x, &y).map_err(|_| JwkFault::Point)?, elliptic_required(name, &x, &y))
        }
        Algorithm::EdDsa if kind == "OKP" => {
            let name = text(jwk, "crv")?;
            if name != "Ed25519" {
                return Err(JwkFault::Curve(name.chars().take(32).collect()));
            }
            let x = bytes(jwk, "x")?;
            (aws::Proof::ed25519(&x).map_err(|_| JwkFault::Point)?, ed25519_required(&x))
        }
        Algorithm::Ps256 if kind == "RSA" => {
            let (n, e) = rsa_numbers(jwk)?;
            let required = rsa_required(&n, &e);
            (aws::Proof::Rsa { n, e }, required)
        }
        _ if kind == "oct" => return Err(JwkFault::Symmetric),
        _ => return Err(unfit()),
    };
    Ok((key, thumbprint(&required)))
}

fn elliptic_required(curve: &str, x: &[u8], y: &[u8]) -> Required {
    BTreeMap::from([
        ("crv", curve.to_owned()),
        ("kty", "EC".to_owned()),
        ("x", URL_SAFE_NO_PAD.encode(x)),
        ("y", URL_SAFE_NO_PAD.encode(y)),
    ])
}

fn ed25519_required(x: &[u8]) -> Required {
    BTreeMap::from([
        ("crv", "Ed25519".to_owned()),
        ("kty", "OKP".to_owned()),
        ("x", URL_SAFE_NO_PAD.encode(x)),
    ])
}

fn elliptic(jwk: &Map<String, Value>, purpose: &Purpose<'_>) -> Result<Parsed, JwkFault> {
    let name = text(jwk, "crv")?;
    let curve = Curve::parse(name).ok_or_else(|| JwkFault::Curve(name.chars().take(32).collect()))?;
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    // Each coordinate by itself: josekit would accept 31 and 33 bytes as one point (RFC 7518
    // §6.2.1.2).
    if x.len() != curve.coordinate_len() || y.len() != curve.coordinate_len() {
        return Err(JwkFault::Point);
    }
    aws::point_on(curve, &x, &y).map_err(|_| JwkFault::Point)?;
    let required = elliptic_required(name, &x, &y);
    let mut verifiers: Vec<(Algorithm, Arc<dyn JwsVerifier>)> = Vec::new();
    if curve == Curve::P256 && purpose.admits(Algorithm::Es256) {
        let verifier = aws::Verifier::p256(&x, &y).map_err(|_| JwkFault::Point)?;
        verifiers.push((Algorithm::Es256, Arc::new(verifier)));
    }
    Ok((required, verifiers))
}

fn ed25519(jwk: &Map<String, Value>, purpose: &Purpose<'_>) -> Result<Parsed, JwkFault> {
    let name = text(jwk, "crv")?;
    if name != "Ed25519" {
        return Err(JwkFault::Curve(name.chars().take(32).collect()));
    }
    let x = bytes(jwk, "x")?;
    let verifier = aws::Verifier::ed25519(&x).map_err(|_| JwkFault::Point)?;
    let required = ed25519_required(&x);
    let mut verifiers: Vec<(Algorithm, Arc<dyn JwsVerifier>)> = Vec::new();
    if purpose.admits(Algorithm::EdDsa) {
        verifiers.push((Algorithm::EdDsa, Arc::new(verifier)));
    }
    Ok((required, verifiers))
}

/// RFC 7638 §3: the required members in lexical order, without white space. A `BTreeMap`, because
/// a `serde_json::Map` keeps insertion order in this build.
fn thumbprint(required: &Required) -> Digest {
    sha256(serde_json::to_vec(required).expect("a map of strings is always JSON"))
}

fn published(required: &Required, jwk: &Map<String, Value>) -> Map<String, Value> {
    let defining = required.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into()));
    let describing = ["kid", "use", "key_ops", "alg"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), jwk.get(name)?.clone())));
    defining.chain(describing).collect()
}

pub(crate) fn text<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, JwkFault> {
    optional_text(jwk, name)?.ok_or(JwkFault::Member(name))
}

fn optional_text<'a>(jwk: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, JwkFault> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkFault::Member(name)),
    }
}

pub(crate) fn bytes(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkFault> {
    URL_SAFE_NO_PAD.decode(text(jwk, name)?).map_err(|_| JwkFault::Member(name))
}

/// A Base64urlUInt (RFC 7518 §2). Some writers put a sign byte in front; without it the thumbprint
/// is the one that everybody else computes.
fn unsigned(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkFault> {
    Ok(bytes(jwk, name)?.into_iter().skip_while(|byte| *byte == 0).collect())
}

#[cfg(test)]
#[path = "public_tests.rs"]
mod tests;
