//! The account page: where the customer is signed in, which apps have access,
//! password and second factor.

use askama::Template;
use chrono::{DateTime, Utc};

use super::consent::PersonalKind;
use super::details::DetailItem;
use super::frame::{Frame, WebLink};

/// `GET /account`. Every form posts `csrf`; the password form `current_password` and `new_password`; the
/// second-factor form `change` = `enrol`, `replace` or `recovery-codes`.
#[derive(Template)]
#[template(path = "account.html")]
pub struct Account {
    /// The frame.
    pub frame: Frame,
    /// Token that ties the posts to this session.
    pub csrf: String,
    /// Who is signed in: the customer's own name or user name.
    pub name: String,
    /// The user name, so that a password manager files the new password under it.
    pub username: String,
    /// What just happened.
    pub notice: Option<AccountNotice>,
    /// Why the password was not changed.
    pub error: Option<AccountProblem>,
    /// Apps with access.
    pub apps: Vec<ConnectedApp>,
    /// Where the customer is signed in, this session first.
    pub sessions: Vec<SessionEntry>,
    /// The second factor.
    pub second_factor: SecondFactorState,
    /// Banks and employers that the customer signs in with, or may.
    pub upstreams: Vec<UpstreamEntry>,
    /// Where the password form posts to.
    pub action_password: String,
    /// Where the second-factor form posts to.
    pub action_totp: String,
    /// Where signing out posts to.
    pub action_sign_out: String,
}

/// A consent in force, with everything a customer needs to judge it.
#[derive(Clone, Debug)]
pub struct ConnectedApp {
    /// The consent's id; the button is `withdraw-<id>`.
    pub consent_id: String,
    /// The app's name.
    pub name: String,
    /// The app's own page.
    pub homepage: Option<WebLink>,
    /// What it may do: the titles of the consented items.
    pub items: Vec<String>,
    /// What exactly it may do (RFC 9396), payments of the past among it.
    pub details: Vec<DetailItem>,
    /// What it knows about the customer.
    pub personal: Vec<PersonalKind>,
    /// Whether it may act while the customer is away.
    pub offline: bool,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Until when; none means until withdrawn.
    pub until: Option<DateTime<Utc>>,
    /// Where withdrawing posts to.
    pub action_withdraw: String,
}

/// A session.
#[derive(Clone, Debug)]
pub struct SessionEntry {
    /// The session's id; the button that ends it is `end-session-<id>`.
    pub session_id: String,
    /// Browser and system, as far as it is known.
    pub device: String,
    /// The address it was last seen from.
    pub address: String,
    /// When it began.
    pub signed_in_at: DateTime<Utc>,
    /// When it was last used.
    pub last_seen: DateTime<Utc>,
    /// Whether it is the one that shows this page.
    pub current: bool,
    /// Where ending it posts to.
    pub action_end: String,
}

/// A bank or an employer to sign in with.
#[derive(Clone, Debug)]
pub struct UpstreamEntry {
    /// Its id; the buttons are `link-<id>` and `unlink-<id>`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Since when it is connected; none if it is not.
    pub since: Option<DateTime<Utc>>,
    /// What the customer is called there.
    pub label: Option<String>,
    /// Where connecting or disconnecting posts to.
    pub action: String,
}

/// The state of the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactorState {
    /// Password only.
    Off,
    /// An authenticator app is set up.
    On {
        /// Since when.
        since: DateTime<Utc>,
        /// Unused recovery codes.
        codes_left: usize,
    },
}

/// What just happened on the account page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountNotice {
    /// The password was changed; other sessions ended.
    PasswordChanged,
    /// The authenticator app was set up.
    SecondFactorOn,
    /// New recovery codes replaced the old ones.
    CodesReplaced,
    /// A session was ended.
    SessionEnded,
    /// An app's access was withdrawn.
    AccessWithdrawn,
    /// An account at a bank or an employer was connected.
    Linked,
    /// It was disconnected.
    Unlinked,
    /// It was not connected: it, or another one there, is connected already.
    LinkTaken,
    /// It was not connected.
    LinkFailed,
    /// It was not disconnected: without a password it is the only way in.
    OnlyWay,
}

impl Account {
    /// What the error says is wrong: the new password, or the current one.
    fn invalid(&self, new: bool) -> bool {
        self.error.is_some_and(|error| error.is_about_new_password() == new)
    }
}

impl AccountNotice {
    fn text(&self, frame: &Frame) -> String {
        frame.text(match self {
            Self::PasswordChanged => "account-notice-password",
            Self::SecondFactorOn => "account-notice-second-factor",
            Self::CodesReplaced => "account-notice-codes",
            Self::SessionEnded => "account-notice-session",
            Self::AccessWithdrawn => "account-notice-withdrawn",
            Self::Linked => "account-notice-linked",
            Self::Unlinked => "account-notice-unlinked",
            Self::LinkTaken => "account-notice-link-taken",
            Self::LinkFailed => "account-notice-link-failed",
            Self::OnlyWay => "account-notice-only-way",
        })
    }
}

/// Why the password was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountProblem {
    /// The current password is not right.
    WrongPassword,
    /// The new one is too easy to guess.
    WeakPassword,
    /// The new one is shorter or longer than allowed.
    PasswordLength {
        /// Fewest characters allowed.
        min: usize,
        /// Most characters allowed.
        max: usize,
    },
    /// Too many attempts; the next one is heard after so many seconds.
    Wait {
        /// Seconds until then.
        seconds: u64,
    },
}

impl AccountProblem {
    fn is_about_new_password(&self) -> bool {
        matches!(self, Self::WeakPassword | Self::PasswordLength { .. })
    }

    fn text(&self, frame: &Frame) -> String {
        match self {
            Self::WrongPassword => frame.text("account-error-password-wrong"),
            Self::WeakPassword => frame.text("account-error-password-weak"),
            Self::PasswordLength { min, max } => frame.with(
                "account-error-password-length",
                &[("min", min.to_string().as_str()), ("max", max.to_string().as_str())],
            ),
            Self::Wait { seconds } => frame.wait("error-wait", *seconds),
        }
    }
}

#[cfg(test)]
impl Account {
    #[expect(clippy::too_many_lines, reason = "samples are long")]
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        use super::tests::{HOSTILE, moment};

        let since = moment("2026-08-02T09:00:00Z");
        let session = |device: &str, address: &str, current| SessionEntry {
            session_id: format!("{current}-{}", address.replace([':', '.'], "-")),
            device: device.to_owned(),
            address: address.to_owned(),
            signed_in_at: moment("2026-11-20T07:15:00Z"),
            last_seen: moment("2026-11-23T13:40:00Z"),
            current,
            action_end: "/account/sessions/01J/end".to_owned(),
        };
        let app = |id: &str, name: &str, items: &[&str], personal: &[PersonalKind], until| ConnectedApp {
            consent_id: id.to_owned(),
            name: name.to_owned(),
            homepage: WebLink::parse(&format!("https://{}.example/", name.to_lowercase())),
            items: items.iter().map(ToString::to_string).collect(),
            details: vec![DetailItem {
                title: name.to_owned(),
                description: String::new(),
                facts: vec![(name.to_owned(), "EUR 1,234.50".to_owned())],
                choice: None,
                critical: true,
                new: false,
            }],
            personal: personal.to_vec(),
            offline: !items.is_empty(),
            since,
            until,
            action_withdraw: format!("/account/apps/{id}/withdraw"),
        };
        let sample = |name: &str, notice, error, apps, sessions, second_factor| Self {
            frame: frame.clone(),
            csrf: "q3Vw8Jm1".to_owned(),
            name: name.to_owned(),
            username: "alice".to_owned(),
            notice,
            error,
            apps,
            sessions,
            second_factor,
            upstreams: vec![
                UpstreamEntry {
                    id: "north-bank".to_owned(),
                    name: "North Bank".to_owned(),
                    since: Some(since),
                    label: Some(name.to_owned()),
                    action: "/account/upstream/north-bank/unlink".to_owned(),
                },
                UpstreamEntry {
                    id: "acme".to_owned(),
                    name: name.to_owned(),
                    since: None,
                    label: None,
                    action: "/account/upstream/acme/link".to_owned(),
                },
            ],
            action_password: "/account/password".to_owned(),
            action_totp: "/account/totp".to_owned(),
            action_sign_out: "/account/sign-out".to_owned(),
        };
        let here = || session("Firefox on Linux", "203.0.113.24", true);
        vec![
            sample(
                "Alice Moreau",
                Some(AccountNotice::SecondFactorOn),
                None,
                vec![
                    app(
                        "c1",
                        "Ledgerline",
                        &["See your accounts", "See your balances"],
                        &[PersonalKind::Profile, PersonalKind::Email],
                        Some(moment("2027-02-21T10:30:00Z")),
                    ),
                    app("c2", "Pocketwise", &[], &[PersonalKind::Identifier], None),
                ],
                vec![here(), session("Safari on iPhone", "2001:db8:85a3::8a2e:370:7334", false)],
                SecondFactorState::On { since, codes_left: 8 },
            ),
            sample(
                "bob",
                None,
                Some(AccountProblem::PasswordLength { min: 12, max: 128 }),
                vec![],
                vec![here()],
                SecondFactorState::Off,
            ),
            sample(
                HOSTILE,
                Some(AccountNotice::AccessWithdrawn),
                Some(AccountProblem::WrongPassword),
                vec![app("c3", HOSTILE, &[HOSTILE], &[], None)],
                vec![session(HOSTILE, HOSTILE, true)],
                SecondFactorState::On { since, codes_left: 0 },
            ),
        ]
    }
}
