//! `[outbound]`: which hosts, and how they become the one policy of requests that we send.

use std::{fmt, fs, str::FromStr};

use config::{Value, ValueKind};
use outbound::{AllowedHost, OutboundPolicy};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use url::{Host, Url};

use crate::config::{section::Unfit, settings::Outbound, value::Setting};

/// A host and port, as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As in a URL: a name in lower case, or an address; an IPv6 one without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A text that names no host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a host and a port, both as they stand in a URL")]
pub struct PlaceFault;

impl FromStr for Place {
    type Err = PlaceFault;

    fn from_str(text: &str) -> Result<Self, PlaceFault> {
        let (_, port) = text.rsplit_once(':').ok_or(PlaceFault)?;
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| PlaceFault)?;
        // The library writes the host as it will stand in the URLs of clients.
        let host = match url.host().ok_or(PlaceFault)? {
            // The library lets a wildcard through as a name; here it would look like one that works.
            Host::Domain(name) if name.contains('*') => return Err(PlaceFault),
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let place = Self { host, port: port.parse().map_err(|_| PlaceFault)? };
        // Nothing else may stand in it: no user, no path.
        if url.path() == "/" && place.to_string() == text { Ok(place) } else { Err(PlaceFault) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Setting for Place {
    const KIND: &'static str = "host and port";
    fn read(value: &Value) -> Result<Self, Unfit> {
        let remedy = "Write a host and a port, such as \"keys.intranet.example:443\" or \"[::1]:8443\".";
        match &value.kind {
            ValueKind::String(text) => text
                .parse()
                .map_err(|fault| Unfit { problem: format!("`{text}` {fault}"), remedy: remedy.into() }),
            _ => Err(Unfit { problem: "is not a text".into(), remedy: remedy.into() }),
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Outbound {
    /// The root certificates of the listed hosts, as PEM.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn roots(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.root_certificate else { return Ok(None) };
        let shown = path.display();
        let text =
            fs::read_to_string(path).map_err(|error| format!("the file {shown} cannot be read: {error}"))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(Some(text)),
            _ => Err(format!("the file {shown} has no certificate in PEM")),
        }
    }

    /// The one policy of outbound requests. A file of roots that can't be read trusts nobody beyond
    /// the system; loading finds it first.
    pub fn policy(&self) -> OutboundPolicy {
        let root_certificate = self.roots().unwrap_or_default();
        let allowed = |place: &Place| AllowedHost {
            host: place.host.clone(),
            port: place.port,
            root_certificate: root_certificate.clone(),
        };
        let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        OutboundPolicy {
            allow: self.allow.iter().map(allowed).collect(),
            timeout: self.timeout.to_duration(),
            max_body: number(self.max_answer_kib).saturating_mul(1024),
            per_host: number(self.per_host),
            retry_after: self.retry_after.to_duration(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn out_03_places_are_written_as_in_urls() {
        for text in ["localhost:8443", "keys.intranet.example:443", "127.0.0.1:1", "[::1]:8443"] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.to_string(), text);
        }
        for text in
            ["localhost", "LOCALHOST:1", "a b:1", "x:0x1", "x:99999", "u@x:1", "x:1/p", "::1:5", "", "*:1"]
        {
            assert_eq!(text.parse::<Place>(), Err(PlaceFault), "{text}");
        }
    }

    #[test]
    fn out_03_nobody_is_listed_by_default() {
        let policy = Outbound::default().policy();
        assert!(policy.allow.is_empty());
        assert_eq!(policy.timeout.as_secs(), 5);
    }

    #[test]
    fn out_03_listed_hosts_get_the_root() {
        let root = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, &root).unwrap();
        let settings = Outbound {
            allow: vec!["localhost:8443".parse().unwrap()],
            root_certificate: Some(file.path().to_owned()),
            ..Outbound::default()
        };
        let allowed = &settings.policy().allow[0];
        assert_eq!((allowed.host.as_str(), allowed.port), ("localhost", 8443));
        assert_eq!(allowed.root_certificate, Some(root));
        fs::write(&file, "nothing").unwrap();
        assert!(settings.roots().is_err());
    }
}
