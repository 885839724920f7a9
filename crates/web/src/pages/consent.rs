//! Consent: what an app asks for, in words a bank customer understands, and
//! two buttons of equal weight (F2-28).

use askama::Template;
use chrono::{DateTime, Utc};

use super::{
    details::DetailItem,
    frame::{ClientCard, Frame},
};

/// The consent page. Posts `decision` = `allow` or `deny`, and `csrf`.
#[derive(Clone, Template)]
#[template(path = "consent.html")]
pub struct Consent {
    /// The frame.
    pub frame: Frame,
    /// Token that ties the post to this interaction and session (BCP-16).
    pub csrf: String,
    /// Where both buttons post to.
    pub action_consent: String,
    /// Where "not you?" posts to; none when switching is not offered.
    pub action_switch: Option<String>,
    /// Who asks.
    pub client: ClientCard,
    /// Who is signed in: the customer's own name or user name.
    pub signed_in_as: String,
    /// What the app may do, by resource server.
    pub groups: Vec<ResourceGroup>,
    /// What exactly it may do (RFC 9396): each detail by itself.
    pub details: Vec<DetailItem>,
    /// Whether the page comes again because no account was chosen.
    pub unchosen: bool,
    /// What the app will know about the customer.
    pub personal: Vec<PersonalData>,
    /// How long it lasts.
    pub duration: Duration,
    /// Whether the app may act while the customer is away (`offline_access`, OC-15).
    pub offline: bool,
    /// Whether `offline` is new compared with what the customer allowed before.
    pub offline_new: bool,
    /// Since when the app has had access, when this request only widens it.
    pub widening_since: Option<DateTime<Utc>>,
    /// Host (and port) of the redirect URI: where the browser goes after the decision.
    pub return_host: String,
}

/// What one resource server would let the app do.
#[derive(Clone, Debug)]
pub struct ResourceGroup {
    /// The resource server's name for customers.
    pub name: String,
    /// The items, in the catalogue's order.
    pub items: Vec<ConsentItem>,
}

/// One scope (or authorization detail) in customer words, already in the page's language.
#[derive(Clone, Debug)]
pub struct ConsentItem {
    /// Short, starting with a verb: "See your balances".
    pub title: String,
    /// One or two sentences, may be empty.
    pub description: String,
    /// What exactly it covers: accounts, amounts. May be empty.
    pub details: Vec<String>,
    /// How much harm it could do.
    pub sensitivity: Sensitivity,
    /// Whether it was not part of an earlier consent.
    pub new: bool,
}

/// How much harm access could do; the page marks the upper two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sensitivity {
    /// Nothing to point out.
    #[default]
    Ordinary,
    /// Reveals private matters.
    Sensitive,
    /// Acts on the customer's behalf, such as moving money.
    Critical,
}

impl Sensitivity {
    fn label(&self, frame: &Frame) -> Option<String> {
        match self {
            Self::Ordinary => None,
            Self::Sensitive => Some(frame.text("consent-sensitive")),
            Self::Critical => Some(frame.text("consent-critical")),
        }
    }
}

/// A group of personal data, one per standard scope of OIDC Core §5.4.
#[derive(Clone, Debug)]
pub struct PersonalData {
    /// Which group.
    pub kind: PersonalKind,
    /// Claim name and the customer's own value, as the app would receive it.
    pub values: Vec<(String, String)>,
    /// Whether it was not part of an earlier consent.
    pub new: bool,
}

/// The groups of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PersonalKind {
    /// `openid`: a customer number that says "the same person again".
    Identifier,
    /// `profile`
    Profile,
    /// `email`
    Email,
    /// `phone`
    Phone,
    /// `address`
    Address,
    /// A single claim that the app asked for by name (OC-18).
    Claim(&'static str),
}

impl PersonalKind {
    pub(super) fn title(&self, frame: &Frame) -> String {
        frame.text(match self {
            Self::Claim(name) => return frame.claim(name),
            Self::Identifier => "personal-identifier",
            Self::Profile => "personal-profile",
            Self::Email => "personal-email",
            Self::Phone => "personal-phone",
            Self::Address => "personal-address",
        })
    }

    fn explanation(&self, frame: &Frame) -> Option<String> {
        (*self == Self::Identifier).then(|| frame.text("personal-identifier-note"))
    }
}

/// How long access lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duration {
    /// It ends by itself at that moment.
    Until(DateTime<Utc>),
    /// It lasts until the customer withdraws it.
    UntilWithdrawn,
}

impl Duration {
    fn title(&self, frame: &Frame) -> String {
        match self {
            Self::Until(end) => frame.with("consent-until", &[("date", &frame.moment(end))]),
            Self::UntilWithdrawn => frame.text("consent-until-withdrawn"),
        }
    }

    fn explanation(&self, frame: &Frame, client: &str) -> String {
        match self {
            Self::Until(_) => frame.with("consent-until-note", &[("client", client)]),
            Self::UntilWithdrawn => frame.text("consent-until-withdrawn-note"),
        }
    }
}

#[cfg(test)]
impl Consent {
    #[expect(clippy::too_many_lines, reason = "a list of samples")]
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        use super::tests::{HOSTILE, client, moment};

        let item = |title: &str, description: &str, details: &[&str], sensitivity, new| ConsentItem {
            title: title.to_owned(),
            description: description.to_owned(),
            details: details.iter().map(ToString::to_string).collect(),
            sensitivity,
            new,
        };
        let personal = |kind, values: &[(&str, &str)], new| PersonalData {
            kind,
            values: values.iter().map(|(claim, value)| ((*claim).to_owned(), (*value).to_owned())).collect(),
            new,
        };
        let accounts = item(
            "See your accounts",
            "The names, types and numbers of your accounts.",
            &[],
            Sensitivity::Ordinary,
            false,
        );
        let balances = item(
            "See your balances",
            "How much money is in each account, now and when the app asks again.",
            &["Everyday account ···· 4417", "Savings ···· 9025"],
            Sensitivity::Sensitive,
            true,
        );
        let payments = item(
            "Start payments",
            "Prepare a payment from your accounts. You confirm each one at the bank.",
            &[],
            Sensitivity::Critical,
            false,
        );
        let base = Self {
            frame: frame.clone(),
            csrf: "q3Vw8Jm1".to_owned(),
            action_consent: "/interaction/01J/consent".to_owned(),
            action_switch: Some("/interaction/01J/switch".to_owned()),
            client: client("Ledgerline"),
            signed_in_as: "Alice Moreau".to_owned(),
            groups: vec![ResourceGroup {
                name: "Accounts and payments".to_owned(),
                items: vec![accounts, balances, payments],
            }],
            details: vec![],
            unchosen: false,
            personal: vec![
                personal(
                    PersonalKind::Profile,
                    &[("name", "Alice Moreau"), ("birthdate", "3 March 1988")],
                    false,
                ),
                personal(PersonalKind::Email, &[("email", "alice.moreau@example.com")], false),
            ],
            duration: Duration::Until(moment("2027-02-21T10:30:00Z")),
            offline: true,
            offline_new: false,
            widening_since: None,
            return_host: "127.0.0.1:8402".to_owned(),
        };
        let unmarked = |mut consent: Self| {
            consent.groups.iter_mut().flat_map(|group| &mut group.items).for_each(|item| item.new = false);
            consent
        };
        let option = |name: &str| super::details::AccountOption {
            value: name.to_owned(),
            name: name.to_owned(),
            number: "GB33 BUKB 2020 1555 5555 55".to_owned(),
        };
        let choice = |position: usize, several: bool, names: &[&str]| super::details::AccountField {
            name: format!("accounts-{position}"),
            several,
            options: names.iter().map(|name| option(name)).collect(),
        };
        let detail = |title: &str, facts: &[(&str, &str)], choice, critical| DetailItem {
            title: title.to_owned(),
            description: String::new(),
            facts: facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            choice,
            critical,
            new: true,
        };
        let exact = Self {
            details: vec![
                detail(
                    "Make a payment",
                    &[("Amount", "EUR 1,234.50"), ("To", "Merchant A")],
                    Some(choice(0, false, &["Everyday account", "Savings"])),
                    true,
                ),
                detail(
                    "See your accounts",
                    &[("To do what", "See balances")],
                    Some(choice(1, true, &["Everyday account", "Savings"])),
                    false,
                ),
                detail(HOSTILE, &[(HOSTILE, HOSTILE)], Some(choice(2, true, &[HOSTILE])), true),
            ],
            unchosen: true,
            ..base.clone()
        };
        vec![
            unmarked(base.clone()),
            Self { widening_since: Some(moment("2026-08-02T09:00:00Z")), offline_new: true, ..base.clone() },
            Self {
                client: ClientCard {
                    homepage: None,
                    policy: None,
                    terms: None,
                    document_host: Some("pocketwise.example".to_owned()),
                    ..client("Pocketwise")
                },
                signed_in_as: "bob".to_owned(),
                action_switch: None,
                groups: vec![],
                personal: vec![personal(PersonalKind::Identifier, &[], false)],
                duration: Duration::UntilWithdrawn,
                offline: false,
                ..base.clone()
            },
            Self {
                client: client(HOSTILE),
                signed_in_as: HOSTILE.to_owned(),
                groups: vec![ResourceGroup {
                    name: HOSTILE.to_owned(),
                    items: vec![item(HOSTILE, HOSTILE, &[HOSTILE], Sensitivity::Critical, true)],
                }],
                personal: vec![personal(
                    PersonalKind::Address,
                    &[("address", "1 Quay Street\nMeridian"), (HOSTILE, HOSTILE)],
                    true,
                )],
                return_host: HOSTILE.to_owned(),
                ..base
            },
            exact,
        ]
    }
}
