//! `[mtls]`: who may vouch for clients, and rules that it must obey.

use std::fs;

use jose::certificate::Authorities;
use url::Url;

use crate::config::{
    check::{Finding, find},
    settings::{Mtls, Settings},
};

impl Mtls {
    /// The certificate authorities of the file; none without one.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn authorities(&self) -> Result<Authorities, String> {
        let Some(path) = &self.authorities_file else { return Ok(Authorities::default()) };
        let shown = path.display();
        let text = fs::read(path).map_err(|error| format!("the file {shown} cannot be read: {error}"))?;
        Authorities::from_pem(&text).map_err(|_| format!("there is no certificate in PEM in {shown}"))
    }
}

/// MT-01, MT-07, MT-09: mutual TLS needs somewhere to happen, and somebody to believe.
pub(super) fn mutual_tls_has_a_place(settings: &Settings, findings: &mut Vec<Finding>) {
    let (mtls, header) = (&settings.mtls, settings.proxy.certificate_header);
    if let Some(url) = &mtls.url
        && !Url::parse(url).is_ok_and(|url| url.scheme() == "https" && url.path() == "/")
    {
        let problem = format!("`{url}` is no https URL without a path");
        let remedy = "Write what clients connect to, such as \"https://mtls.id.bank.example\".";
        find(findings, "mtls.url", problem, remedy);
    }
    if mtls.listen.is_some() && !settings.has_tls() {
        let remedy = "Set both; or leave TLS to a proxy, with proxy.certificate_header.";
        find(findings, "mtls.listen", "is set, but tls.certificate and tls.key are not", remedy);
    }
    let nobody_asks = mtls.listen.is_none() && header.is_none();
    if nobody_asks {
        let remedy = "Set mtls.listen, or proxy.certificate_header.";
        for (key, given) in
            [("mtls.url", mtls.url.is_some()), ("mtls.authorities_file", mtls.authorities_file.is_some())]
        {
            if given {
                find(findings, key, "is set, but nothing asks for certificates", remedy);
            }
        }
    }
    if mtls.listen.is_some() && mtls.url.is_none() {
        find(findings, "mtls.url", "is missing", "Write the https URL at which clients reach mtls.listen.");
    }
    if let Err(fault) = mtls.authorities() {
        let remedy = "Name a PEM file with certificates that the server may read.";
        find(findings, "mtls.authorities_file", fault, remedy);
    }
    if header.is_some() && settings.proxy.trusted.is_empty() {
        let problem = "is set, but proxy.trusted names nobody to believe";
        find(findings, "proxy.certificate_header", problem, "Name the proxies in proxy.trusted.");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use protocol::client::AuthMethod;
    use rstest::rstest;

    use super::*;

    const PROXIED: &str = "[proxy]\ntrusted = [\"10.0.0.1\"]\ncertificate_header = \"rfc9440\"\n[mtls]\n";

    fn load(text: &str) -> Result<Settings, Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let pem = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem();
        fs::write(directory.path().join("ca.pem"), pem).unwrap();
        fs::write(directory.path().join("empty.pem"), "nothing").unwrap();
        let path = directory.path().join("chancery.toml");
        let base = "issuer = \"http://localhost:8400\"\ndatabase.url = \"sqlite:chancery.db\"\n";
        fs::write(&path, format!("{base}{text}\n")).unwrap();
        let loaded = Settings::load(Some(&path), []);
        // The file is read once more where policies are made.
        loaded.inspect(|settings| drop(settings.policies())).map_err(|mistakes| {
            mistakes.into_iter().map(|mistake| format!("{}: {}", mistake.key, mistake.problem)).collect()
        })
    }

    #[rstest]
    #[case("[mtls]\nlisten = \"127.0.0.1:8402\"", &["mtls.listen: is set, but tls", "mtls.url: is missing"])]
    #[case("[mtls]\nurl = \"https://mtls.bank.example\"", &["mtls.url: is set, but nothing"])]
    #[case("[mtls]\nauthorities_file = \"ca.pem\"", &["mtls.authorities_file: is set, but nothing"])]
    #[case("[proxy]\ncertificate_header = \"nginx\"", &["proxy.certificate_header: is set, but"])]
    #[case(&format!("{PROXIED}authorities_file = \"absent.pem\""), &["mtls.authorities_file: the file"])]
    #[case(&format!("{PROXIED}authorities_file = \"empty.pem\""), &["mtls.authorities_file: there is no"])]
    #[case(&format!("{PROXIED}url = \"http://mtls.bank.example\""), &["mtls.url: `http"])]
    #[case(&format!("{PROXIED}url = \"https://mtls.bank.example/x\""), &["mtls.url: `https"])]
    fn mt_01_mt_07_mt_09_what_does_not_fit_is_a_mistake(#[case] text: &str, #[case] expected: &[&str]) {
        let found = load(text).unwrap_err();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found} is not {expected}");
        }
    }

    #[test]
    fn mt_06_mt_07_settings_say_who_can_authenticate_how() {
        let nobody = load("").unwrap().mutual_tls();
        assert!(!nobody.enabled && !nobody.allows(AuthMethod::SelfSignedTlsClientAuth));
        assert!(nobody.allows(AuthMethod::PrivateKeyJwt));
        let alone = load(PROXIED).unwrap().mutual_tls();
        assert!(
            alone.allows(AuthMethod::SelfSignedTlsClientAuth) && !alone.allows(AuthMethod::TlsClientAuth)
        );
        assert_eq!(alone.alias, None);
        let text = format!("{PROXIED}authorities_file = \"ca.pem\"\nurl = \"https://mtls.bank.example/\"");
        let settings = load(&text).unwrap();
        assert_eq!(settings.mutual_tls().alias.as_deref(), Some("https://mtls.bank.example"));
        assert!(settings.mtls.authorities_file.unwrap().is_absolute(), "it stands beside the settings");
    }
}
