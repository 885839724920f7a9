//! The pages of the device flow (RFC 8628 §3.3): type the code, compare it, and what came of it.

use askama::Template;

use super::frame::{ClientCard, Frame};

/// Asks for the code that the device shows. Posts `user_code`.
#[derive(Template)]
#[template(path = "device_code.html")]
pub struct EnterCode {
    /// The frame.
    pub frame: Frame,
    /// What was typed, or came with the address; may be empty.
    pub typed: String,
    /// Why the last code was not taken.
    pub error: Option<CodeEntryProblem>,
}

/// Why a code was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeEntryProblem {
    /// No device waits under it.
    Wrong,
    /// Too many wrong codes; the next one is heard after so many seconds.
    Wait {
        /// Seconds until then.
        seconds: u64,
    },
}

impl CodeEntryProblem {
    fn text(&self, frame: &Frame) -> String {
        match self {
            Self::Wrong => frame.text("device-code-wrong"),
            Self::Wait { seconds } => frame.wait("error-wait", *seconds),
        }
    }
}

/// Shows who asks and the code again, and warns of codes that somebody else sent (RFC 8628 §5.4). Posts
/// `csrf` and `user_code`.
#[derive(Template)]
#[template(path = "device_confirm.html")]
pub struct ConfirmCode {
    /// The frame.
    pub frame: Frame,
    /// Token that ties the post to this browser and code.
    pub csrf: String,
    /// The app that asks.
    pub client: ClientCard,
    /// The code as the device shows it.
    pub code: String,
}

/// Says that the person may go back to the device.
#[derive(Template)]
#[template(path = "device_done.html")]
pub struct DeviceDone {
    /// The frame.
    pub frame: Frame,
    /// The app that asked.
    pub client: String,
    /// Whether the person allowed it.
    pub allowed: bool,
}

#[cfg(test)]
impl EnterCode {
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        let sample = |typed: &str, error| Self { frame: frame.clone(), typed: typed.to_owned(), error };
        vec![
            sample("", None),
            sample("WDJB-MJHT", Some(CodeEntryProblem::Wrong)),
            sample(super::tests::HOSTILE, Some(CodeEntryProblem::Wait { seconds: 60 })),
        ]
    }
}

#[cfg(test)]
impl ConfirmCode {
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        let sample = |name: &str| Self {
            frame: frame.clone(),
            csrf: "q3Vw8Jm1".to_owned(),
            client: super::tests::client(name),
            code: "WDJB-MJHT".to_owned(),
        };
        vec![sample("Ledgerline TV"), sample(super::tests::HOSTILE)]
    }
}

#[cfg(test)]
impl DeviceDone {
    pub(super) fn samples(frame: &Frame) -> Vec<Self> {
        let sample =
            |client: &str, allowed| Self { frame: frame.clone(), client: client.to_owned(), allowed };
        vec![sample("Ledgerline TV", true), sample(super::tests::HOSTILE, false)]
    }
}
