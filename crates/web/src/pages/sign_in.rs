//! Sign-in: user name and password, for an app or for the account pages.

use askama::Template;

use super::frame::{AskingApp, Frame};

/// `GET /interaction/{id}` while nobody is signed in, and `GET /login`. Posts `username`, `password`, `csrf`.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub struct SignIn {
    /// The frame.
    pub frame: Frame,
    /// Token that ties the post to this interaction and browser (BCP-16).
    pub csrf: String,
    /// Where the form posts to.
    pub action_login: String,
    /// The app that asks; none when the customer opens the account pages.
    pub app: Option<AskingApp>,
    /// Prefilled user name (`login_hint`, or what was typed before), may be empty.
    pub username: String,
    /// Why the customer has to sign in although they might not expect it.
    pub notice: Option<SignInNotice>,
    /// Why the last attempt failed.
    pub error: Option<SignInProblem>,
    /// Banks and employers to sign in with.
    pub upstreams: Vec<UpstreamChoice>,
    /// Where an address posts to (`realm`) that tells the bank or employer; none without domains.
    pub action_realm: Option<String>,
}

/// A bank or an employer to sign in with.
#[derive(Clone, Debug)]
pub struct UpstreamChoice {
    /// Its id; the button is `upstream-<id>`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where its form posts to.
    pub action: String,
}

/// Why the customer has to sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInNotice {
    /// The app (or the bank's policy) asked for a fresh sign-in (`prompt=login`, `max_age`).
    Again,
    /// The session reached its idle or absolute end.
    SessionEnded,
}

impl SignInNotice {
    fn text(&self, frame: &Frame) -> String {
        frame.text(match self {
            Self::Again => "sign-in-notice-again",
            Self::SessionEnded => "sign-in-notice-session-ended",
        })
    }
}

/// Why signing in failed. Unknown user and wrong password are one case, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInProblem {
    /// No such user, or not their password.
    Rejected,
    /// Signing in with a bank or an employer did not work; the word for it.
    Upstream(&'static str),
    /// Too many attempts; the next one is heard after so many seconds.
    Wait {
        /// Seconds until then.
        seconds: u64,
    },
}

impl SignInProblem {
    fn text(&self, frame: &Frame) -> String {
        match self {
            Self::Rejected => frame.text("sign-in-error-rejected"),
            Self::Upstream(word) => frame.text(upstream_text(word)),
            Self::Wait { seconds } => frame.wait("error-wait", *seconds),
        }
    }
}

fn upstream_text(word: &str) -> &'static str {
    match word {
        "denied" => "sign-in-upstream-denied",
        "unavailable" => "sign-in-upstream-unavailable",
        "not-fresh" => "sign-in-upstream-not-fresh",
        "not-linked" => "sign-in-upstream-not-linked",
        "no-provider" => "sign-in-upstream-no-provider",
        _ => "sign-in-upstream-failed",
    }
}

#[cfg(test)]
impl SignIn {
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        let sample = |app, username: &str, notice, error| Self {
            frame: frame.clone(),
            csrf: "q3Vw8Jm1".to_owned(),
            action_login: "/interaction/01J/login".to_owned(),
            app,
            username: username.to_owned(),
            notice,
            error,
            upstreams: Vec::new(),
            action_realm: None,
        };
        let choice = |id: &str, name: &str| UpstreamChoice {
            id: id.to_owned(),
            name: name.to_owned(),
            action: format!("/interaction/01J/upstream/{id}"),
        };
        let upstreams = vec![choice("north-bank", "North Bank"), choice("acme", super::tests::HOSTILE)];
        let app = |name: &str| {
            Some(AskingApp { name: name.to_owned(), action_cancel: "/interaction/01J/cancel".to_owned() })
        };
        vec![
            sample(app("Ledgerline"), "", None, None),
            sample(app("Ledgerline"), "alice", None, Some(SignInProblem::Rejected)),
            sample(
                app(super::tests::HOSTILE),
                super::tests::HOSTILE,
                Some(SignInNotice::Again),
                Some(SignInProblem::Wait { seconds: 30 }),
            ),
            sample(None, "bob", Some(SignInNotice::SessionEnded), None),
            Self {
                upstreams,
                action_realm: Some("/interaction/01J/realm".to_owned()),
                ..sample(app("Ledgerline"), "", None, Some(SignInProblem::Upstream("denied")))
            },
        ]
    }
}
