//! Signing out: the question, because a link anywhere could lead to
//! `/end-session` (RP-Initiated Logout §2), and the page afterwards.

use askama::Template;

use super::{
    assets::asset_url,
    frame::{Field, Frame, WebLink},
};

/// Asks whether to sign out. Posts `csrf` and the fields given.
#[derive(Template)]
#[template(path = "sign_out.html")]
pub struct SignOut {
    /// The frame.
    pub frame: Frame,
    /// Token that ties the post to this session.
    pub csrf: String,
    /// Where "sign out" posts to.
    pub action_sign_out: String,
    /// Parameters to carry through the post.
    pub fields: Vec<Field>,
    /// The app that asks, when it is known.
    pub client: Option<String>,
    /// Who is signed in.
    pub username: String,
    /// Where "stay signed in" leads.
    pub stay: String,
}

/// Lets the browser tell apps that the session is over, then goes on (Front-Channel Logout §2). Its layer
/// must send a CSP whose `frame-src` admits exactly these frames.
#[derive(Template)]
#[template(path = "signing_out.html")]
pub struct SigningOut {
    /// The frame around the page.
    pub frame: Frame,
    /// The apps' addresses, with `iss` and `sid`.
    pub frames: Vec<String>,
    /// Where to go on to: a registered address of the app, or a page of ours.
    pub onward: String,
}

/// The frame that clients embed to learn whether the session changed (Session Management §3.2).
#[derive(Template)]
#[template(path = "check_session.html")]
pub struct CheckSession {
    /// The name of the cookie that holds the browser state.
    pub cookie: &'static str,
}

impl CheckSession {
    fn script() -> String {
        asset_url("check-session.js")
    }
}

/// Says that the session is over.
#[derive(Template)]
#[template(path = "signed_out.html")]
pub struct SignedOut {
    /// The frame.
    pub frame: Frame,
    /// The app that asked and the way back to it.
    pub back: Option<(String, WebLink)>,
    /// Where to sign in again.
    pub sign_in: Option<String>,
}

#[cfg(test)]
impl SignOut {
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        use super::tests::HOSTILE;

        let sample = |client: Option<&str>, username: &str, fields| Self {
            frame: frame.clone(),
            csrf: "q3Vw8Jm1".to_owned(),
            action_sign_out: "/end-session".to_owned(),
            fields,
            client: client.map(ToOwned::to_owned),
            username: username.to_owned(),
            stay: "/account".to_owned(),
        };
        vec![
            sample(None, "alice", vec![]),
            sample(Some("Ledgerline"), "alice", vec![Field::new("state", "af0ifjsldkj")]),
            sample(Some(HOSTILE), HOSTILE, vec![Field::new(HOSTILE, HOSTILE)]),
        ]
    }
}

#[cfg(test)]
impl SigningOut {
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        let sample = |onward: &str| Self {
            frame: frame.clone(),
            frames: vec![
                "https://ledgerline.example/out?iss=https%3A%2F%2Fid.example&sid=1".to_owned(),
                "https://other.example/out?a=1&b=2".to_owned(),
            ],
            onward: onward.to_owned(),
        };
        vec![sample("/signed-out"), sample("https://ledgerline.example/bye?state=1&x=y")]
    }
}

#[cfg(test)]
impl SignedOut {
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        let sample = |name: Option<&str>, sign_in: Option<&str>| Self {
            frame: frame.clone(),
            back: name.map(ToOwned::to_owned).zip(WebLink::parse("https://ledgerline.example/goodbye")),
            sign_in: sign_in.map(ToOwned::to_owned),
        };
        vec![
            sample(None, Some("/login")),
            sample(Some("Ledgerline"), None),
            sample(Some(super::tests::HOSTILE), Some("/login")),
        ]
    }
}
