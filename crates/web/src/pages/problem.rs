//! The error page: what happened and what to do now, for people; what deviated
//! and the correlation id, for those who help them. It never redirects (BCP-03).

use askama::Template;

use super::frame::{Frame, WebLink};

/// A local error page.
#[derive(Template)]
#[template(path = "problem.html")]
pub struct Problem {
    /// The frame.
    pub frame: Frame,
    /// What happened.
    pub kind: ProblemKind,
    /// Public error description for the app's developers, from the error table; never a secret (BCP-17).
    pub detail: Option<String>,
    /// The app and its own page, where to start again.
    pub back: Option<(String, Option<WebLink>)>,
    /// The id under which the log knows this request.
    pub correlation_id: String,
}

/// What happened, seen by the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The app sent a request that the bank cannot accept.
    BadRequest,
    /// The page is too old, was finished in another tab, or does not belong to this browser.
    Expired,
    /// The customer (or their address) tried too often.
    TooManyAttempts {
        /// Seconds until the next attempt is heard.
        wait_seconds: u64,
    },
    /// The customer may not do this, such as use an app that asks for more than their own rights.
    NotAllowed,
    /// There is no such page.
    NotFound,
    /// The bank's own fault.
    Internal,
    /// The bank is busy or in maintenance.
    Unavailable,
}

impl ProblemKind {
    fn title(&self, frame: &Frame) -> String {
        frame.text(match self {
            Self::BadRequest => "problem-request-title",
            Self::Expired => "problem-expired-title",
            Self::TooManyAttempts { .. } => "problem-attempts-title",
            Self::NotAllowed => "problem-not-allowed-title",
            Self::NotFound => "problem-not-found-title",
            Self::Internal => "problem-internal-title",
            Self::Unavailable => "problem-unavailable-title",
        })
    }

    fn message(&self, frame: &Frame) -> String {
        match self {
            Self::BadRequest => frame.text("problem-request-message"),
            Self::Expired => frame.text("problem-expired-message"),
            Self::TooManyAttempts { wait_seconds } => frame.wait("problem-attempts-message", *wait_seconds),
            Self::NotAllowed => frame.text("problem-not-allowed-message"),
            Self::NotFound => frame.text("problem-not-found-message"),
            Self::Internal => frame.text("problem-internal-message"),
            Self::Unavailable => frame.text("problem-unavailable-message"),
        }
    }
}

#[cfg(test)]
impl Problem {
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        use super::tests::HOSTILE;

        let sample = |kind, detail: Option<&str>, back| Self {
            frame: frame.clone(),
            kind,
            detail: detail.map(ToOwned::to_owned),
            back,
            correlation_id: "01935a7e-41c2-7b60-9f0e-5d2c8a1b7f33".to_owned(),
        };
        let ledgerline = || Some(("Ledgerline".to_owned(), WebLink::parse("https://ledgerline.example/")));
        vec![
            sample(
                ProblemKind::BadRequest,
                Some("invalid_request: redirect_uri is not registered for this client"),
                None,
            ),
            sample(ProblemKind::Expired, None, ledgerline()),
            sample(ProblemKind::TooManyAttempts { wait_seconds: 300 }, None, None),
            sample(ProblemKind::NotAllowed, None, Some((HOSTILE.to_owned(), None))),
            sample(ProblemKind::NotFound, None, None),
            sample(ProblemKind::Internal, Some(HOSTILE), ledgerline()),
            sample(ProblemKind::Unavailable, None, None),
        ]
    }
}
