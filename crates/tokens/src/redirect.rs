//! Where an authorization response may go.
//!
//! The first question about any authorization request, because every later error depends on the
//! answer: without a [`VerifiedRedirect`] only a local page can be rendered (BCP-03, F2-11).

use protocol::{
    ClientId,
    authorization::{Addressee, AuthorizationRequest},
    response_mode::Delivery,
    uri::RedirectUri,
};
use url::Url;

use crate::{client::Client, pushed::ReferenceFault};

/// Proof that a redirect URI belongs to the client that asked, with what an answer there needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRedirect {
    client: ClientId,
    uri: String,
    state: Option<String>,
    delivery: Delivery,
    ui_locales: Vec<String>,
}

/// Why nobody may be redirected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectFault {
    /// `client_id` is missing or came twice.
    #[error("client_id_missing")]
    ClientIdMissing,
    /// No such client, or a disabled one.
    #[error("unknown_client")]
    UnknownClient,
    /// `redirect_uri` is missing or came twice; it is always required, even where only one is
    /// registered (OC-32).
    #[error("redirect_uri_missing")]
    RedirectUriMissing,
    /// `redirect_uri` is not registered (BCP-01).
    #[error("redirect_uri_not_registered")]
    NotRegistered,
    /// The reference of a pushed request leads nowhere (PAR-03, PAR-04).
    #[error("{0}")]
    Reference(ReferenceFault),
}

impl VerifiedRedirect {
    /// Holds the requested URI against the registered ones.
    ///
    /// # Errors
    /// [`RedirectFault`].
    pub fn verify(addressee: &Addressee<'_>, client: &Client) -> Result<Self, RedirectFault> {
        let requested = addressee.redirect_uri.ok_or(RedirectFault::RedirectUriMissing)?;
        let mut registered = client.redirect_uris.iter();
        if !registered.any(|uri| uri.admits(requested, client.application_type)) {
            return Err(RedirectFault::NotRegistered);
        }
        Ok(Self::to(requested, addressee, client))
    }

    /// The same for a request that the client itself brought to us, authenticated: it may name other https
    /// URIs on hosts that an operator allowed it, and on none by itself (PAR-08, RFC 9126 §2.4).
    ///
    /// # Errors
    /// [`RedirectFault`].
    pub fn verify_pushed(addressee: &Addressee<'_>, client: &Client) -> Result<Self, RedirectFault> {
        let verified = Self::verify(addressee, client);
        match addressee.redirect_uri {
            Some(requested) if verified.is_err() && may_push(requested, client) => {
                Ok(Self::to(requested, addressee, client))
            }
            _ => verified,
        }
    }

    fn to(requested: &str, addressee: &Addressee<'_>, client: &Client) -> Self {
        Self {
            client: client.id.clone(),
            uri: requested.to_owned(),
            state: addressee.state.map(str::to_owned),
            delivery: client.responses.delivery(addressee.response_mode, addressee.front_channel),
            ui_locales: addressee
                .ui_locales
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The same for a request that was read and stored, pushed or not.
    ///
    /// # Errors
    /// [`RedirectFault`].
    pub fn of_stored(request: &AuthorizationRequest, client: &Client) -> Result<Self, RedirectFault> {
        let ui_locales = request.ui_locales.join(" ");
        let addressee = Addressee {
            client_id: Some(&request.client_id),
            redirect_uri: request.redirect_uri.as_deref(),
            state: request.state.as_deref(),
            response_mode: request.response_mode,
            front_channel: request.response_type.has_id_token(),
            ui_locales: Some(&ui_locales),
        };
        match request.pushed {
            Some(_) => Self::verify_pushed(&addressee, client),
            None => Self::verify(&addressee, client),
        }
    }

    /// Nowhere: a device is not redirected to, it polls (RFC 8628 §3.3).
    pub(crate) fn of_device(client: &Client) -> Self {
        Self {
            client: client.id.clone(),
            uri: String::new(),
            state: None,
            delivery: client.responses.delivery(None, false),
            ui_locales: Vec::new(),
        }
    }

    /// Whether there is nobody to redirect to, because a device polls for the answer.
    pub const fn is_device(&self) -> bool {
        self.uri.is_empty()
    }

    /// Whether it was verified for this request of this client. Anything else is a mistake of the
    /// caller, who would send one client's answer to another.
    pub(crate) fn belongs_to(&self, request: &AuthorizationRequest, client: &Client) -> bool {
        self.client == client.id
            && request.client_id == client.id.as_str()
            && request.redirect_uri.as_ref() == Some(&self.uri)
            && request.state == self.state
            && client.responses.delivery(request.response_mode, request.response_type.has_id_token())
                == self.delivery
    }

    /// The client whose URI it is.
    pub const fn client(&self) -> &ClientId {
        &self.client
    }

    /// The URI, exactly as it was requested.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The client's `state`, to be returned unmodified.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// How the response travels, errors included.
    pub const fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// In which languages the person would read a page on the way, the best first.
    pub fn ui_locales(&self) -> &[String] {
        &self.ui_locales
    }

    /// What `form-action` must admit so that Chromium follows the redirect after a post (BCP-22).
    pub fn csp_source(&self) -> Option<String> {
        RedirectUri::csp_source(&self.uri)
    }
}

/// Whether a URI that is not registered is one of those that the client may push.
fn may_push(requested: &str, client: &Client) -> bool {
    if client.is_public() || client.pushed_redirects.is_empty() {
        return false;
    }
    // What could not be registered can't be pushed.
    let sound = RedirectUri::register(requested, client.application_type).is_ok();
    let url = Url::parse(requested).ok().filter(|url| sound && url.scheme() == "https");
    let host = url.as_ref().and_then(Url::host_str);
    host.is_some_and(|host| client.pushed_redirects.iter().any(|rule| rule.admits(host)))
}

#[cfg(test)]
mod tests {
    use protocol::client::AuthMethod;

    use super::*;
    use crate::{
        client::tests::{client, confidential},
        registration::HostRule,
    };

    #[test]
    fn bcp_03_only_a_registered_uri_is_verified() {
        let verify = |redirect_uri| {
            let addressee = Addressee { redirect_uri, ..Addressee::default() };
            VerifiedRedirect::verify(&addressee, &client()).map(|redirect| redirect.uri().to_owned())
        };
        assert_eq!(verify(Some("https://app.example/cb")).as_deref(), Ok("https://app.example/cb"));
        assert_eq!(verify(Some("https://app.example/cb/")), Err(RedirectFault::NotRegistered));
        assert_eq!(verify(Some("https://evil.example/cb")), Err(RedirectFault::NotRegistered));
        assert_eq!(verify(None), Err(RedirectFault::RedirectUriMissing));
    }

    #[test]
    fn par_08_f2_11_other_uris_count_only_pushed_and_only_on_allowed_hosts() {
        let mut app = confidential(AuthMethod::ClientSecretBasic);
        let (one, below) = ("https://app.example/new", "https://a.apps.example/cb?x=1");
        let addressed = |uri| Addressee { redirect_uri: Some(uri), ..Addressee::default() };
        let pushed = |uri, client: &Client| VerifiedRedirect::verify_pushed(&addressed(uri), client).is_ok();
        assert!(!pushed(one, &app), "off unless an operator says so");
        app.pushed_redirects =
            ["app.example", "*.apps.example"].map(|host| HostRule::parse(host).unwrap()).into();
        assert!(pushed(one, &app) && pushed(below, &app));
        assert!(VerifiedRedirect::verify(&addressed(one), &app).is_err(), "not from a browser");
        for uri in [
            "https://evil.example/cb",
            "https://apps.example/cb",
            "https://app.example.evil.example/cb",
            "https://app.example@evil.example/cb",
            "http://app.example/cb",
            "https://app.example/cb#fragment",
            "javascript:alert(1)",
            "com.example.app:/cb",
        ] {
            assert!(!pushed(uri, &app), "{uri}");
        }
        let public = Client { pushed_redirects: app.pushed_redirects, ..client() };
        assert!(!pushed(one, &public), "nobody knows who pushed it");
    }
}
