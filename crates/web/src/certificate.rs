//! The client's certificate, as a proxy that ends TLS forwards it.
//!
//! Such a header is a claim that anybody could make. It counts only if the connection comes from a configured
//! proxy, and only in the one form that the operator named; the proxy must drop what clients send under that
//! name (MT-09, RFC 8705 §6.5).

use std::sync::Arc;

use flows::context::PresentedCertificate;
use http::{HeaderMap, HeaderName};
use jose::certificate::{CertificateFault, ClientCertificate};
use percent_encoding::percent_decode_str;
use sfv::{BareItem, Item, List, ListEntry, Parser};

/// How a proxy says which certificate a client showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateHeader {
    /// `Client-Cert` and `Client-Cert-Chain` of RFC 9440.
    Rfc9440,
    /// `X-SSL-Client-Cert` with PEM in percent-encoding: nginx's `$ssl_client_escaped_cert`.
    Nginx,
    /// `X-Forwarded-Client-Cert` of Envoy, with its `Cert` or `Chain`, in the mode `SANITIZE_SET`.
    Envoy,
}

static CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
static CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
static X_SSL_CLIENT_CERT: HeaderName = HeaderName::from_static("x-ssl-client-cert");
static X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

impl CertificateHeader {
    /// Reads the certificate. The caller has seen to it that the proxy is one of ours.
    pub fn read(self, headers: &HeaderMap) -> PresentedCertificate {
        let read = match self {
            Self::Rfc9440 => rfc9440(headers),
            Self::Nginx => one(headers, &X_SSL_CLIENT_CERT).map(|value| value.map(decoded)),
            Self::Envoy => one(headers, &X_FORWARDED_CLIENT_CERT).map(|value| value.map(envoy)),
        };
        match read {
            Ok(None) => PresentedCertificate::Absent,
            Ok(Some(Ok(certificate))) => PresentedCertificate::One(Arc::new(certificate)),
            Ok(Some(Err(_))) | Err(_) => PresentedCertificate::Unreadable,
        }
    }
}

type Read = Result<Option<Result<ClientCertificate, CertificateFault>>, CertificateFault>;

/// The value of a header that may be there once. Proxies send an empty one when there is no certificate.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, CertificateFault> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(CertificateFault::Unreadable);
    }
    let value = value.to_str().map_err(|_| CertificateFault::Unreadable)?.trim();
    Ok((!value.is_empty()).then_some(value))
}

fn decoded(text: &str) -> Result<ClientCertificate, CertificateFault> {
    ClientCertificate::from_pem(&percent_decode_str(text).collect::<Vec<_>>())
}

fn rfc9440(headers: &HeaderMap) -> Read {
    let unreadable = |_| CertificateFault::Unreadable;
    let bytes = |item: Item| match item.bare_item {
        BareItem::ByteSequence(bytes) => Ok(bytes),
        _ => Err(CertificateFault::Unreadable),
    };
    let Some(own) = one(headers, &CLIENT_CERT)? else { return Ok(None) };
    let mut chain = vec![bytes(Parser::new(own).parse::<Item>().map_err(unreadable)?)?];
    if let Some(rest) = one(headers, &CLIENT_CERT_CHAIN)? {
        for entry in Parser::new(rest).parse::<List>().map_err(unreadable)? {
            let ListEntry::Item(item) = entry else { return Err(CertificateFault::Unreadable) };
            chain.push(bytes(item)?);
        }
    }
    Ok(Some(ClientCertificate::from_der(&chain)))
}

/// One element, `Key=Value;Key="Value"`. Several would mean that somebody before the proxy had a say.
fn envoy(value: &str) -> Result<ClientCertificate, CertificateFault> {
    let (mut own, mut chain) = (None, None);
    for pair in split(value).ok_or(CertificateFault::Unreadable)? {
        let (key, value) = pair.split_once('=').ok_or(CertificateFault::Unreadable)?;
        let slot = match key {
            "Cert" => &mut own,
            "Chain" => &mut chain,
            _ => continue,
        };
        if slot.replace(value.trim_matches('"')).is_some() {
            return Err(CertificateFault::Unreadable);
        }
    }
    decoded(chain.or(own).ok_or(CertificateFault::Unreadable)?)
}

/// The pairs of one element; semicolons, commas and escapes within quotes are part of the value. `None` for
/// several elements and for a quote that does not end.
fn split(value: &str) -> Option<Vec<&str>> {
    let (mut pairs, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, character) in value.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => return None,
            ';' if !quoted => {
                pairs.push(&value[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    pairs.push(&value[begin..]);
    (!quoted).then_some(pairs)
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
