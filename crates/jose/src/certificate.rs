//! Client certificates (RFC 8705): what a client showed in the TLS handshake.
//!
//! TLS has proved that the client holds the private key. What the certificate is worth is decided here: for
//! `tls_client_auth` its chain must lead to a certificate authority that the operator trusts, and exactly
//! one registered subject must match (§2.1); for `self_signed_tls_client_auth` only its key counts (§2.2).
//! A token is bound to the certificate by its thumbprint (§3.1).

use std::{fmt, net::IpAddr, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use openssl::{
    bn::{BigNum, BigNumContext},
    ec::EcGroupRef,
    nid::Nid,
    pkey::{Id, PKeyRef, Public},
    stack::Stack,
    x509::{
        X509, X509PurposeId, X509StoreContext,
        store::X509StoreBuilder,
        verify::{X509VerifyFlags, X509VerifyParam},
    },
};
use serde_json::{Map, Value};
use x509_cert::{
    der::{
        Decode, Encode,
        asn1::{Ia5StringRef, PrintableStringRef, Utf8StringRef},
    },
    name::{Name, RelativeDistinguishedName},
};

use crate::{Digest, KeySet, PublicKey, digest::sha256};

/// The longest certificate that is read, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 16 * 1024;
/// The longest chain.
pub const MAX_CHAIN: usize = 8;
/// OpenSSL's security level for chains: 112 bits, so RSA of 2048 bits, EC of 224.
const AUTH_LEVEL: i32 = 2;

/// What a client showed: its own certificate first, then those that vouch for it.
#[derive(Clone)]
pub struct ClientCertificate {
    chain: Vec<X509>,
    thumbprint: Digest,
}

/// The certificate authorities that may vouch for clients.
#[derive(Clone, Default)]
pub struct Authorities(Vec<X509>);

/// Who a certificate must be for: exactly one of these is registered (RFC 8705 §2.1.2, MT-02).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSubject {
    /// `tls_client_auth_subject_dn`, compared attribute by attribute.
    Dn(DistinguishedName),
    /// `tls_client_auth_san_dns`.
    Dns(String),
    /// `tls_client_auth_san_uri`.
    Uri(String),
    /// `tls_client_auth_san_ip`.
    Ip(IpAddr),
    /// `tls_client_auth_san_email`.
    Email(String),
}

/// A distinguished name, in the form in which two spellings of one name are equal (RFC 4517 §4.2.15): letter
/// case and runs of spaces do not matter, nor the order within one relative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DistinguishedName(Vec<Vec<(String, Vec<u8>)>>);

/// Why a certificate does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not a certificate, too long, or too many.
    #[error("the client certificate can't be read")]
    Unreadable,
    /// An RSA key under 2048 bits, a curve that is not accepted, and so on (F2-35).
    #[error("the key of the client certificate is not acceptable")]
    Key,
    /// Not yet, or no longer (MT-08).
    #[error("the client certificate has expired, or is not valid yet")]
    Time,
    /// No authority vouches for it (MT-01).
    #[error("no configured certificate authority vouches for the client certificate: {0}")]
    Chain(String),
    /// It is somebody else's.
    #[error("the client certificate is not the one that is registered")]
    Subject,
    /// Its key is none of the client's (MT-03).
    #[error("the key of the client certificate is not among the client's keys")]
    Unregistered,
}

/// A certificate that may bind tokens: whoever showed it holds its key, which is strong enough, and it is
/// valid at the time of asking. Nobody need vouch for it (RFC 8705 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldCertificate(Digest);

impl HeldCertificate {
    /// `x5t#S256` (RFC 8705 §3.1).
    pub const fn thumbprint(&self) -> Digest {
        self.0
    }
}

impl ClientCertificate {
    /// Reads a chain in DER, the client's own certificate first.
    ///
    /// # Errors
    /// [`CertificateFault::Unreadable`].
    pub fn from_der<B: AsRef<[u8]>>(chain: &[B]) -> Result<Self, CertificateFault> {
        let (Some(own), true) = (chain.first(), chain.len() <= MAX_CHAIN) else {
            return Err(CertificateFault::Unreadable);
        };
        let parsed = chain.iter().map(|der| {
            let der = der.as_ref();
            if der.len() > MAX_CERTIFICATE_BYTES {
                return Err(CertificateFault::Unreadable);
            }
            X509::from_der(der).map_err(|_| CertificateFault::Unreadable)
        });
        Ok(Self { chain: parsed.collect::<Result<_, _>>()?, thumbprint: sha256(own.as_ref()) })
    }

    /// Reads PEM: the client's own certificate, and any that vouch for it after it.
    ///
    /// # Errors
    /// [`CertificateFault::Unreadable`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateFault> {
        if pem.len() > 2 * MAX_CERTIFICATE_BYTES {
            return Err(CertificateFault::Unreadable);
        }
        let chain = X509::stack_from_pem(pem).map_err(|_| CertificateFault::Unreadable)?;
        let ders = chain.iter().map(|one| one.to_der().map_err(|_| CertificateFault::Unreadable));
        Self::from_der(&ders.collect::<Result<Vec<_>, _>>()?)
    }

    /// `x5t#S256`: the SHA-256 of the client's own certificate (RFC 8705 §3.1).
    pub const fn thumbprint(&self) -> Digest {
        self.thumbprint
    }

    /// `tls_client_auth` (RFC 8705 §2.1): an authority vouches for it now, for TLS clients, and it is for
    /// this subject (MT-01).
    ///
    /// # Errors
    /// [`CertificateFault`].
    pub fn vouched(
        &self,
        authorities: &Authorities,
        subject: &CertificateSubject,
        now: DateTime<Utc>,
    ) -> Result<(), CertificateFault> {
        self.key()?;
        authorities.verify(&self.chain, now)?;
        if self.is_for(subject) { Ok(()) } else { Err(CertificateFault::Subject) }
    }

    /// `self_signed_tls_client_auth` (RFC 8705 §2.2): its key is one of the client's, and it is valid now.
    /// Nobody vouches for it (MT-03).
    ///
    /// # Errors
    /// [`CertificateFault`].
    pub fn registered(&self, keys: &KeySet, now: DateTime<Utc>) -> Result<(), CertificateFault> {
        self.in_time(now)?;
        let own = self.key()?.thumbprint();
        let known = keys.keys().iter().any(|key| key.thumbprint() == own);
        if known { Ok(()) } else { Err(CertificateFault::Unregistered) }
    }

    /// Whether tokens may be bound to it now (MT-08, F2-35): nothing more is asked of a certificate that
    /// authenticates nobody.
    ///
    /// # Errors
    /// [`CertificateFault::Time`], [`CertificateFault::Key`].
    pub fn held(&self, now: DateTime<Utc>) -> Result<HeldCertificate, CertificateFault> {
        self.in_time(now)?;
        self.key()?;
        Ok(HeldCertificate(self.thumbprint))
    }

    /// Whether it is valid now (MT-08).
    ///
    /// # Errors
    /// [`CertificateFault::Time`].
    pub fn in_time(&self, now: DateTime<Utc>) -> Result<(), CertificateFault> {
        let own = self.own();
        let now = openssl::asn1::Asn1Time::from_unix(now.timestamp()).map_err(|_| CertificateFault::Time)?;
        if *own.not_before() <= *now && *now <= *own.not_after() {
            Ok(())
        } else {
            Err(CertificateFault::Time)
        }
    }

    fn own(&self) -> &X509 {
        // There is always one: `from_der` refuses an empty chain.
        &self.chain[0]
    }

    /// Its key as a JWK, which refuses weak ones (F2-35).
    fn key(&self) -> Result<PublicKey, CertificateFault> {
        let key = self.own().public_key().map_err(|_| CertificateFault::Key)?;
        let members = members(&key).map_err(|_| CertificateFault::Key)?.ok_or(CertificateFault::Key)?;
        PublicKey::from_public_members(&members).map_err(|_| CertificateFault::Key)
    }

    fn is_for(&self, subject: &CertificateSubject) -> bool {
        let names = self.own().subject_alt_names();
        let mut names = names.iter().flatten();
        match subject {
            CertificateSubject::Dn(expected) => {
                let subject = self.own().subject_name().to_der().ok();
                subject.and_then(|der| DistinguishedName::from_der(&der)).as_ref() == Some(expected)
            }
            CertificateSubject::Dns(expected) => {
                names.any(|name| name.dnsname().is_some_and(|dns| dns.eq_ignore_ascii_case(expected)))
            }
            CertificateSubject::Uri(expected) => names.any(|name| name.uri() == Some(expected)),
            CertificateSubject::Ip(expected) => {
                let octets = match expected {
                    IpAddr::V4(v4) => v4.octets().to_vec(),
                    IpAddr::V6(v6) => v6.octets().to_vec(),
                };
                names.any(|name| name.ipaddress() == Some(&octets))
            }
            CertificateSubject::Email(expected) => {
                names.any(|name| name.email().is_some_and(|email| same_mailbox(email, expected)))
            }
        }
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientCertificate({})", self.thumbprint)
    }
}

/// RFC 5321 §2.4: the domain has no letter case, the part before it may have one.
fn same_mailbox(left: &str, right: &str) -> bool {
    match (left.rsplit_once('@'), right.rsplit_once('@')) {
        (Some((left, at)), Some((right, domain))) => left == right && at.eq_ignore_ascii_case(domain),
        _ => false,
    }
}

impl Authorities {
    /// Reads the certificates of authorities from PEM.
    ///
    /// # Errors
    /// [`CertificateFault::Unreadable`], also if there is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateFault> {
        let found = X509::stack_from_pem(pem).map_err(|_| CertificateFault::Unreadable)?;
        if found.is_empty() { Err(CertificateFault::Unreadable) } else { Ok(Self(found)) }
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn verify(&self, chain: &[X509], now: DateTime<Utc>) -> Result<(), CertificateFault> {
        let broken = |_| CertificateFault::Unreadable;
        let mut store = X509StoreBuilder::new().map_err(broken)?;
        for authority in &self.0 {
            store.add_cert(authority.clone()).map_err(broken)?;
        }
        let mut rules = X509VerifyParam::new().map_err(broken)?;
        rules.set_time(now.timestamp());
        // Who names an issuing authority trusts that one, and not all that its root has vouched for.
        rules.set_flags(X509VerifyFlags::PARTIAL_CHAIN).map_err(broken)?;
        // No weak key and no SHA-1 anywhere in the chain (F2-35).
        rules.set_auth_level(AUTH_LEVEL);
        store.set_param(&rules).map_err(broken)?;
        store.set_purpose(X509PurposeId::SSL_CLIENT).map_err(broken)?;
        let mut between = Stack::new().map_err(broken)?;
        for certificate in &chain[1..] {
            between.push(certificate.clone()).map_err(broken)?;
        }
        let mut context = X509StoreContext::new().map_err(broken)?;
        let verdict = context
            .init(&store.build(), &chain[0], &between, |context| {
                Ok((context.verify_cert()?, context.error()))
            })
            .map_err(broken)?;
        match verdict {
            (true, _) => Ok(()),
            // X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL's x509_vfy.h.
            (false, error) if matches!(error.as_raw(), 9 | 10) => Err(CertificateFault::Time),
            (false, error) => Err(CertificateFault::Chain(error.error_string().to_owned())),
        }
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}

impl DistinguishedName {
    fn from_der(der: &[u8]) -> Option<Self> {
        Self::from_name(&Name::from_der(der).ok()?)
    }

    fn from_name(name: &Name) -> Option<Self> {
        name.iter_rdn().map(relative).collect::<Option<_>>().map(Self)
    }
}

impl FromStr for DistinguishedName {
    type Err = CertificateFault;

    /// Reads the text form of RFC 4514, as `tls_client_auth_subject_dn` has it.
    fn from_str(text: &str) -> Result<Self, CertificateFault> {
        let name = Name::from_str(text).ok().filter(|name| !name.is_empty());
        name.as_ref().and_then(Self::from_name).ok_or(CertificateFault::Unreadable)
    }
}

fn relative(name: &RelativeDistinguishedName) -> Option<Vec<(String, Vec<u8>)>> {
    let attribute = |attribute: &x509_cert::attr::AttributeTypeAndValue| {
        let value = &attribute.value;
        let text = PrintableStringRef::try_from(value)
            .map(|text| text.to_string())
            .or_else(|_| Utf8StringRef::try_from(value).map(|text| text.to_string()))
            .or_else(|_| Ia5StringRef::try_from(value).map(|text| text.to_string()));
        let value = match text {
            Ok(text) => text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase().into_bytes(),
            Err(_) => value.to_der().ok()?,
        };
        Some((attribute.oid.to_string(), value))
    };
    let mut attributes = name.iter().map(attribute).collect::<Option<Vec<_>>>()?;
    attributes.sort_unstable();
    Some(attributes)
}

/// A public key as the members of a JWK; `None` for kinds that no JWK of ours has.
fn members(key: &PKeyRef<Public>) -> Result<Option<Map<String, Value>>, openssl::error::ErrorStack> {
    let encoded = |bytes: Vec<u8>| Value::String(URL_SAFE_NO_PAD.encode(bytes));
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    match key.id() {
        Id::RSA => {
            let rsa = key.rsa()?;
            put("kty", "RSA".into());
            put("n", encoded(rsa.n().to_vec()));
            put("e", encoded(rsa.e().to_vec()));
        }
        Id::EC => {
            let ec = key.ec_key()?;
            let Some((name, length)) = curve(ec.group()) else { return Ok(None) };
            let (mut x, mut y, mut context) = (BigNum::new()?, BigNum::new()?, BigNumContext::new()?);
            ec.public_key().affine_coordinates(ec.group(), &mut x, &mut y, &mut context)?;
            put("kty", "EC".into());
            put("crv", name.into());
            put("x", encoded(x.to_vec_padded(length)?));
            put("y", encoded(y.to_vec_padded(length)?));
        }
        Id::ED25519 => {
            put("kty", "OKP".into());
            put("crv", "Ed25519".into());
            put("x", encoded(key.raw_public_key()?));
        }
        _ => return Ok(None),
    }
    Ok(Some(members))
}

fn curve(group: &EcGroupRef) -> Option<(&'static str, i32)> {
    match group.curve_name()? {
        Nid::X9_62_PRIME256V1 => Some(("P-256", 32)),
        Nid::SECP384R1 => Some(("P-384", 48)),
        Nid::SECP521R1 => Some(("P-521", 66)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
