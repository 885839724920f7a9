//! The second factor: asking for a code, setting up an authenticator app, and
//! showing the recovery codes once.
//!
//! These contexts hold secrets, so none of them has `Debug`.

use askama::Template;

use super::frame::{AskingApp, Frame};

/// The TOTP challenge, with recovery codes as the other way. Posts `otp` or `recovery_code`, and `csrf`.
#[derive(Template)]
#[template(path = "second_factor.html")]
pub struct SecondFactor {
    /// The frame.
    pub frame: Frame,
    /// Token that ties the posts to this interaction and browser.
    pub csrf: String,
    /// Where the form with `otp` posts to.
    pub action_otp: String,
    /// Where the form with `recovery_code` posts to.
    pub action_recovery: String,
    /// The app that asks, if any.
    pub app: Option<AskingApp>,
    /// Who is signing in.
    pub username: String,
    /// Why the last attempt failed.
    pub error: Option<CodeProblem>,
}

/// Why a code was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeProblem {
    /// Not the code of this moment.
    Wrong,
    /// The right code, but it was used before (RFC 6238 §5.2).
    AlreadyUsed,
    /// Not one of the recovery codes, or a used one.
    WrongRecoveryCode,
    /// Too many attempts; the next one is heard after so many seconds.
    Wait {
        /// Seconds until then.
        seconds: u64,
    },
}

impl CodeProblem {
    fn text(&self, frame: &Frame) -> String {
        match self {
            Self::Wrong => frame.text("factor-error-wrong"),
            Self::AlreadyUsed => frame.text("factor-error-used"),
            Self::WrongRecoveryCode => frame.text("factor-error-recovery"),
            Self::Wait { seconds } => frame.wait("error-wait", *seconds),
        }
    }
}

impl SecondFactor {
    fn recovery_open(&self) -> bool {
        self.error == Some(CodeProblem::WrongRecoveryCode)
    }
}

/// Setting up an authenticator app. Posts `otp` (the first code, as proof) and `csrf`.
#[derive(Template)]
#[template(path = "enrol.html")]
pub struct Enrol {
    /// The frame.
    pub frame: Frame,
    /// Token that ties the post to this interaction or session.
    pub csrf: String,
    /// Where the form posts to.
    pub action_enrol: String,
    /// The app that asks, if any.
    pub app: Option<AskingApp>,
    /// Where "not now" leads when no app asks (the account page).
    pub back: Option<String>,
    /// Whose account it is, as the authenticator app will list it.
    pub account_name: String,
    /// The shared secret in base32, ungrouped.
    pub secret: String,
    /// The QR code as a PNG in base64 (without `data:` prefix).
    pub qr_png_base64: String,
    /// The same as an `otpauth://` address, for a customer who reads this on the phone with the app.
    pub otpauth_uri: String,
    /// Whether an authenticator is replaced by this one.
    pub replacing: bool,
    /// Why the last attempt failed.
    pub error: Option<EnrolProblem>,
}

/// Why an authenticator app was not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolProblem {
    /// The code does not fit the secret; often a clock that is off.
    Wrong,
}

impl EnrolProblem {
    fn text(&self, frame: &Frame) -> String {
        frame.text(match self {
            Self::Wrong => "enrol-error-wrong",
        })
    }
}

impl Enrol {
    /// The secret in groups of four, as people type it.
    fn grouped_secret(&self) -> String {
        let characters: Vec<char> = self.secret.chars().filter(|c| *c != '=').collect();
        characters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
    }

    fn app_link(&self) -> Option<&str> {
        Some(self.otpauth_uri.as_str()).filter(|uri| uri.starts_with("otpauth://totp/"))
    }
}

/// The recovery codes, shown this once. Posts `csrf` when the customer has saved them.
#[derive(Template)]
#[template(path = "recovery_codes.html")]
pub struct RecoveryCodes {
    /// The frame.
    pub frame: Frame,
    /// Token that ties the post to this interaction or session.
    pub csrf: String,
    /// Where "I have saved them" posts to.
    pub action_saved: String,
    /// Whose codes they are.
    pub username: String,
    /// The codes, as they are to be typed.
    pub codes: Vec<String>,
    /// Since when they are valid, printed with them.
    pub created_at: chrono::DateTime<chrono::Utc>,
}

#[cfg(test)]
mod samples {
    use super::*;
    use crate::pages::tests::{HOSTILE, moment, qr};

    fn app(name: &str) -> Option<AskingApp> {
        Some(AskingApp { name: name.to_owned(), action_cancel: "/interaction/01J/cancel".to_owned() })
    }

    impl SecondFactor {
        pub(in crate::pages) fn samples(frame: &Frame) -> Vec<Self> {
            let sample = |app, username: &str, error| Self {
                frame: frame.clone(),
                csrf: "q3Vw8Jm1".to_owned(),
                action_otp: "/interaction/01J/otp".to_owned(),
                action_recovery: "/interaction/01J/recovery-code".to_owned(),
                app,
                username: username.to_owned(),
                error,
            };
            vec![
                sample(app("Ledgerline"), "alice", None),
                sample(app("Ledgerline"), "alice", Some(CodeProblem::Wrong)),
                sample(None, "alice", Some(CodeProblem::WrongRecoveryCode)),
                sample(app(HOSTILE), HOSTILE, Some(CodeProblem::AlreadyUsed)),
                sample(None, "alice", Some(CodeProblem::Wait { seconds: 300 })),
            ]
        }
    }

    impl Enrol {
        pub(in crate::pages) fn samples(frame: &Frame) -> Vec<Self> {
            let sample = |app: Option<AskingApp>, account: &str, replacing, error| {
                Self {
                frame: frame.clone(),
                csrf: "q3Vw8Jm1".to_owned(),
                action_enrol: "/interaction/01J/enrol".to_owned(),
                back: app.is_none().then(|| "/account".to_owned()),
                app,
                account_name: account.to_owned(),
                secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned(),
                qr_png_base64: qr(),
                otpauth_uri: "otpauth://totp/Meridian%20Bank:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Meridian%20Bank".to_owned(),
                replacing,
                error,
            }
            };
            vec![
                sample(app("Ledgerline"), "alice", false, None),
                sample(app(HOSTILE), HOSTILE, false, Some(EnrolProblem::Wrong)),
                sample(None, "alice", true, None),
            ]
        }
    }

    impl RecoveryCodes {
        pub(in crate::pages) fn samples(frame: &Frame) -> Vec<Self> {
            let sample = |username: &str, codes: &[&str]| Self {
                frame: frame.clone(),
                csrf: "q3Vw8Jm1".to_owned(),
                action_saved: "/interaction/01J/recovery-codes".to_owned(),
                username: username.to_owned(),
                codes: codes.iter().map(ToString::to_string).collect(),
                created_at: moment("2026-11-23T13:43:00Z"),
            };
            let codes = [
                "8f3k-2m9q-x7td",
                "p4wz-h6cn-3vbr",
                "t9js-5gyd-k2mf",
                "c7xr-w3hq-9npz",
                "m2vb-8tfk-d6js",
                "z5gn-q9pc-4wxh",
                "h3td-7rvm-j8ky",
                "y6kf-c2sz-p5gq",
                "d8nw-4xjb-r3tv",
                "k9hm-z6qy-7cfs",
            ];
            vec![sample("alice", &codes), sample(HOSTILE, &[HOSTILE])]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_is_shown_in_groups_of_four() {
        let frame = crate::pages::tests::frame(crate::pages::Language::English);
        let enrol = Enrol::samples(&frame)
            .into_iter()
            .next()
            .map(|enrol| Enrol { secret: "ABCDEFGHIJ======".to_owned(), ..enrol });
        assert_eq!(enrol.map(|enrol| enrol.grouped_secret()), Some("ABCD EFGH IJ".to_owned()));
    }
}
