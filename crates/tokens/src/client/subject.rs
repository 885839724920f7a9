//! How a client's users are called towards it: publicly, or by names of its sector alone (OpenID Connect
//! Core §8.1).
//!
//! The sector is a host: that of `sector_identifier_uri`, or the one that all redirect URIs share. Hosts
//! that anybody can have (loopback) and schemes without a host name no sector, because every native app
//! would be in it; such a client needs a `sector_identifier_uri`.

use protocol::{client::ClientMetadata, json, uri::is_https_url};
use url::{Host, Url};

use super::ClientFault;

/// The longest sector document that is read, in bytes.
pub const MAX_SECTOR_BYTES: usize = 64 * 1024;

/// How a client's users are called towards it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SubjectType {
    /// The same for every client.
    #[default]
    Public,
    /// Only for clients of the same sector.
    Pairwise {
        /// A host in lower case.
        sector: String,
    },
}

impl SubjectType {
    /// The values of `subject_type`, as metadata lists them.
    pub const NAMES: [&'static str; 2] = ["public", "pairwise"];

    /// How the users of a client with this metadata are called, if it is fit for anything.
    pub fn of(metadata: &ClientMetadata) -> Self {
        Self::parse(metadata, &mut Vec::new())
    }

    /// Applies the rules of registration. What the document at `sector_identifier_uri` says is not looked
    /// at here; see [`lists_redirect_uris`].
    pub(super) fn parse(metadata: &ClientMetadata, faults: &mut Vec<ClientFault>) -> Self {
        let uri = metadata.sector_identifier_uri.as_deref();
        if uri.is_some_and(|uri| !is_https_url(uri)) {
            faults.push(ClientFault::Link("sector_identifier_uri"));
            return Self::Public;
        }
        match metadata.subject_type.as_deref() {
            None | Some("public") => Self::Public,
            Some("pairwise") => {
                let sector = match uri {
                    // Its document vouches for it, wherever it is.
                    Some(uri) => Url::parse(uri).ok().and_then(|url| url.host_str().map(str::to_owned)),
                    None => common_host(&metadata.redirect_uris),
                };
                sector.map_or_else(
                    || {
                        faults.push(ClientFault::NoSector);
                        Self::Public
                    },
                    |sector| Self::Pairwise { sector },
                )
            }
            Some(other) => {
                faults.push(ClientFault::SubjectType(other.chars().take(32).collect()));
                Self::Public
            }
        }
    }
}

/// The host that all of the URIs are on.
fn common_host(uris: &[String]) -> Option<String> {
    let mut hosts = uris.iter().map(|uri| named_host(uri));
    let first = hosts.next()??;
    hosts.all(|host| host.as_ref() == Some(&first)).then_some(first)
}

/// The host of a web URL, unless every machine has it.
fn named_host(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    let own = match url.host()? {
        Host::Domain(name) => name != "localhost" && !name.ends_with(".localhost"),
        Host::Ipv4(address) => !address.is_loopback(),
        Host::Ipv6(address) => !address.is_loopback(),
    };
    (own && matches!(url.scheme(), "https" | "http")).then(|| url.host_str().map(str::to_owned))?
}

/// Why a sector document does not vouch for a client (OC-21).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectorFault {
    /// No JSON array of strings, or too large.
    #[error("sector_identifier_uri: the document is not a JSON array of URIs")]
    NotAList,
    /// A redirect URI is not in it.
    #[error("sector_identifier_uri: the document does not list {0}")]
    NotListed(String),
}

/// Whether the document at `sector_identifier_uri` lists every redirect URI (Core §8.1, Registration §5),
/// compared as text.
///
/// # Errors
/// [`SectorFault`].
pub fn lists_redirect_uris(document: &[u8], redirect_uris: &[String]) -> Result<(), SectorFault> {
    if document.len() > MAX_SECTOR_BYTES {
        return Err(SectorFault::NotAList);
    }
    let listed: Vec<String> = json::from_slice(document).map_err(|_| SectorFault::NotAList)?;
    match redirect_uris.iter().find(|uri| !listed.contains(uri)) {
        None => Ok(()),
        Some(missing) => Err(SectorFault::NotListed(missing.clone())),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(uris: &[&str], sector: Option<&str>) -> Result<SubjectType, Vec<ClientFault>> {
        let metadata = ClientMetadata {
            subject_type: Some("pairwise".to_owned()),
            sector_identifier_uri: sector.map(str::to_owned),
            redirect_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            ..ClientMetadata::default()
        };
        let mut faults = Vec::new();
        let parsed = SubjectType::parse(&metadata, &mut faults);
        if faults.is_empty() { Ok(parsed) } else { Err(faults) }
    }

    #[rstest]
    #[case(&["https://app.example/cb"], None, "app.example")]
    #[case(&["https://App.Example/cb", "https://app.example:8443/other"], None, "app.example")]
    #[case(&["https://a.example/cb", "https://b.example/cb"], Some("https://sector.example/uris"), "sector.example")]
    #[case(&["com.example.app:/cb"], Some("https://sector.example/uris"), "sector.example")]
    fn oc_21_the_sector_is_a_host(
        #[case] uris: &[&str],
        #[case] document: Option<&str>,
        #[case] sector: &str,
    ) {
        assert_eq!(parse(uris, document), Ok(SubjectType::Pairwise { sector: sector.to_owned() }));
    }

    #[rstest]
    #[case(&["https://a.example/cb", "https://b.example/cb"], None, ClientFault::NoSector)]
    #[case(&["com.example.app:/cb"], None, ClientFault::NoSector)]
    #[case(&["http://127.0.0.1/cb"], None, ClientFault::NoSector)]
    #[case(&["http://[::1]/cb"], None, ClientFault::NoSector)]
    #[case(&[], None, ClientFault::NoSector)]
    #[case(&["https://a.example/cb"], Some("http://a.example/uris"), ClientFault::Link("sector_identifier_uri"))]
    fn oc_21_without_a_sector_there_is_no_pairwise_subject(
        #[case] uris: &[&str],
        #[case] document: Option<&str>,
        #[case] fault: ClientFault,
    ) {
        assert_eq!(parse(uris, document), Err(vec![fault]));
    }

    #[test]
    fn oc_21_the_sector_document_lists_every_redirect_uri() {
        let uris = ["https://a.example/cb".to_owned(), "https://b.example/cb".to_owned()];
        let lists = |document: &str| lists_redirect_uris(document.as_bytes(), &uris);
        assert_eq!(lists(r#"["https://b.example/cb","https://a.example/cb","https://c.example/"]"#), Ok(()));
        assert_eq!(lists(r#"["https://a.example/cb"]"#), Err(SectorFault::NotListed(uris[1].clone())));
        let other_case = r#"["https://a.example/cb","https://b.example/CB"]"#;
        assert_eq!(lists(other_case), Err(SectorFault::NotListed(uris[1].clone())));
        for document in ["", "{}", r#"{"a":["https://a.example/cb"]}"#, "[1]", "<html>"] {
            assert_eq!(lists(document), Err(SectorFault::NotAList), "{document}");
        }
        let long = format!("[\"{}\"]", "x".repeat(MAX_SECTOR_BYTES));
        assert_eq!(lists(&long), Err(SectorFault::NotAList));
    }
}
