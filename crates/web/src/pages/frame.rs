//! What all pages share: the bank's name, where the reader is, the language,
//! and the small values that several contexts carry.

use chrono::{DateTime, Utc};
use url::Url;

use super::assets;
use super::language::Language;

/// The frame around every page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The bank's name as customers know it.
    pub bank: String,
    /// Host (and port) of the issuer, shown so that a customer can compare it with the address bar.
    pub host: String,
    /// The language of this page.
    pub language: Language,
}

/// The short names templates use.
impl Frame {
    pub(super) fn text(&self, id: &str) -> String {
        self.language.text(id)
    }

    pub(super) fn with(&self, id: &str, variables: &[(&'static str, &str)]) -> String {
        self.language.with(id, variables)
    }

    pub(super) fn count(&self, id: &str, count: &usize) -> String {
        self.language.count(id, *count as u64)
    }

    pub(super) fn wait(&self, id: &str, seconds: u64) -> String {
        self.language.with(id, &[("wait", &self.language.wait(seconds))])
    }

    pub(super) fn date(&self, at: &DateTime<Utc>) -> String {
        self.language.date(at)
    }

    pub(super) fn moment(&self, at: &DateTime<Utc>) -> String {
        self.language.moment(at)
    }

    /// A claim's name for people; unknown claims keep their technical name.
    pub(super) fn claim(&self, name: &str) -> String {
        self.language.try_text(&format!("claim-{name}")).unwrap_or_else(|| name.replace('_', " "))
    }

    pub(super) fn asset(&self, name: &str) -> String {
        assets::asset_url(name)
    }
}

/// The app that sent the customer here, and the way back to it: cancelling tells the app
/// `access_denied` (F2-32).
#[derive(Clone, Debug)]
pub struct AskingApp {
    /// The app's name (`client_name`).
    pub name: String,
    /// Where the cancel form posts to.
    pub action_cancel: String,
}

/// An app as the bank's register describes it.
#[derive(Clone, Debug)]
pub struct ClientCard {
    /// `client_name`
    pub name: String,
    /// `client_uri`
    pub homepage: Option<WebLink>,
    /// `policy_uri`
    pub policy: Option<WebLink>,
    /// `tos_uri`
    pub terms: Option<WebLink>,
    /// Where the client's document is, for one that is nothing but a document on the web and that nobody
    /// at the bank has looked at.
    pub document_host: Option<String>,
}

/// An address that may stand in a link: absolute, `https` or `http`. Anything else (`javascript:`,
/// `data:`) cannot be constructed, whatever a client was registered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebLink(Url);

impl WebLink {
    /// The link, if the text is one that a page may carry.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
            .map(Self)
    }

    pub(super) fn href(&self) -> &str {
        self.0.as_str()
    }

    /// Host and port, for people.
    pub(super) fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// A hidden form field.
#[derive(Clone)]
pub struct Field {
    /// Field name.
    pub name: String,
    /// Field value; may be a code or a token, so this type has no `Debug`.
    pub value: String,
}

impl Field {
    /// A field from its two parts.
    #[must_use]
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_become_links() {
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "/relative",
            "//host",
            "mailto:a@b.example",
            "",
            "https:///",
        ] {
            assert_eq!(WebLink::parse(bad), None, "{bad}");
        }
        assert_eq!(
            WebLink::parse("http://127.0.0.1:8402/a").map(|link| link.host()),
            Some("127.0.0.1:8402".to_owned())
        );
        assert_eq!(
            WebLink::parse("https://ledgerline.example").map(|link| link.host()),
            Some("ledgerline.example".to_owned())
        );
    }
}
