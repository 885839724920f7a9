//! Where a client wants to hear that a session ended.
//!
//! The back channel is called by this server, the front channel is framed in the person's browser.
//! A frame whose origin belongs to somebody else would hand that one the session's id, so its origin
//! must be that of a redirect URI (FL-01).

use protocol::{client::ClientMetadata, uri::RedirectUri};
use url::Url;

use super::ClientFault;

/// Where a client wants to hear that a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogoutUris {
    /// Where logout tokens go (Back-Channel Logout §2.2).
    pub back_channel: Option<String>,
    /// What is framed after a logout (Front-Channel Logout §2).
    pub front_channel: Option<String>,
}

impl LogoutUris {
    /// Applies the rules of registration. Logout tokens and frames always name the session, so both
    /// `…_session_required` members are kept without being asked for.
    pub(super) fn parse(metadata: &ClientMetadata, faults: &mut Vec<ClientFault>) -> Self {
        if let Some(uri) = &metadata.backchannel_logout_uri
            && let Err(fault) = registered(uri, metadata)
        {
            let member = "backchannel_logout_uri";
            faults.push(ClientFault::SessionLogoutUri { member, fault });
        }
        if let Some(uri) = &metadata.frontchannel_logout_uri
            && let Err(fault) = registered(uri, metadata).and_then(|()| of_redirect(uri, metadata))
        {
            let member = "frontchannel_logout_uri";
            faults.push(ClientFault::SessionLogoutUri { member, fault });
        }
        Self {
            back_channel: metadata.backchannel_logout_uri.clone(),
            front_channel: metadata.frontchannel_logout_uri.clone(),
        }
    }

    /// Whether the client wants to hear of the end of sessions at all.
    pub const fn any(&self) -> bool {
        self.back_channel.is_some() || self.front_channel.is_some()
    }
}

/// What holds for both: the rules of a redirect URI, on http or https. Plain http is left to the frames
/// of native clients on loopback; the back channel is called by https alone.
fn registered(uri: &str, metadata: &ClientMetadata) -> Result<(), &'static str> {
    let application = metadata.application_type;
    RedirectUri::register(uri, application).map_err(|_| "breaks the rules of a redirect URI")?;
    let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let back = metadata.backchannel_logout_uri.as_deref() == Some(uri);
    match scheme.as_str() {
        "https" => Ok(()),
        "http" if !back => Ok(()),
        _ => Err("must be an https URL"),
    }
}

fn of_redirect(uri: &str, metadata: &ClientMetadata) -> Result<(), &'static str> {
    let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin()).filter(url::Origin::is_tuple);
    let own = origin(uri);
    let known = metadata.redirect_uris.iter().any(|redirect| own.is_some() && origin(redirect) == own);
    if known { Ok(()) } else { Err("must have the origin of one of redirect_uris") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(back: Option<&str>, front: Option<&str>) -> Vec<String> {
        let metadata = ClientMetadata {
            redirect_uris: vec!["https://app.example/cb".into(), "https://other.example:8443/cb".into()],
            backchannel_logout_uri: back.map(Into::into),
            frontchannel_logout_uri: front.map(Into::into),
            ..ClientMetadata::default()
        };
        let mut faults = Vec::new();
        LogoutUris::parse(&metadata, &mut faults);
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn fl_01_a_frame_has_the_origin_of_a_redirect_uri() {
        for fine in
            ["https://app.example/logout?x=1", "https://other.example:8443/", "https://app.example:443/x"]
        {
            assert!(faults(None, Some(fine)).is_empty(), "{fine}");
        }
        for wrong in [
            "https://evil.example/logout",
            "https://other.example/logout",
            "https://app.example.evil.example/",
            "http://app.example/logout",
            "https://app.example/logout#f",
            "https://user@app.example/logout",
            "javascript:alert(1)",
            "/logout",
        ] {
            assert_eq!(faults(None, Some(wrong)).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn bl_01_the_back_channel_is_https_without_fragment() {
        assert!(faults(Some("https://anywhere.example/logout?x=1"), None).is_empty());
        for wrong in
            ["http://app.example/l", "https://app.example/l#f", "https://u:p@app.example/l", "ftp://a/"]
        {
            assert_eq!(faults(Some(wrong), None).len(), 1, "{wrong}");
        }
    }
}
