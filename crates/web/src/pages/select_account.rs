//! Who goes on: the customer who is signed in, or somebody else.

use askama::Template;
use chrono::{DateTime, Utc};

use super::frame::{AskingApp, Frame};

/// `GET /interaction/{id}` where the app asked for a choice. Posts `csrf` to one of two places.
#[derive(Template)]
#[template(path = "select_account.html")]
pub struct SelectAccount {
    /// The frame.
    pub frame: Frame,
    /// Token that ties the post to this interaction, browser and account (BCP-16).
    pub csrf: String,
    /// Where "continue as" posts to.
    pub action_continue: String,
    /// Where "use another account" posts to.
    pub action_another: String,
    /// The app that asks.
    pub app: Option<AskingApp>,
    /// The account of this browser.
    pub account: AccountChoice,
}

/// An account that one can go on with.
#[derive(Clone, Debug)]
pub struct AccountChoice {
    /// The customer's name.
    pub name: String,
    /// Their user name.
    pub username: String,
    /// When they signed in.
    pub since: DateTime<Utc>,
}

#[cfg(test)]
impl SelectAccount {
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        let sample = |app: &str, name: &str, username: &str| Self {
            frame: frame.clone(),
            csrf: "q3Vw8Jm1".to_owned(),
            action_continue: "/interaction/01J/account".to_owned(),
            action_another: "/interaction/01J/switch".to_owned(),
            app: Some(AskingApp {
                name: app.to_owned(),
                action_cancel: "/interaction/01J/cancel".to_owned(),
            }),
            account: AccountChoice {
                name: name.to_owned(),
                username: username.to_owned(),
                since: super::tests::moment("2027-02-01T09:05:00Z"),
            },
        };
        let hostile = super::tests::HOSTILE;
        vec![sample("Ledgerline", "Alice Example", "alice"), sample(hostile, hostile, hostile)]
    }
}
