//! Everything a bank customer sees.
//!
//! A page is a typed context (plain strings, lists and moments; nothing of the
//! flows behind it) and an askama template of the same name in `templates/`.
//! `Page` renders one into a response. All words come from Fluent
//! (`locales/`), all looks from one stylesheet (`assets/`), and nothing in a
//! page is inline, so that a policy of `default-src 'none'; style-src 'self';
//! img-src 'self' data:; script-src 'self'` holds (BCP-13). Every page works
//! without JavaScript. Field names and button ids are stable, because people
//! automate them.
//!
//! Escaping is askama's, on by default for `.html`; no template turns it off.
//! The response headers (`Cache-Control: no-store`, CSP, `Referrer-Policy`)
//! belong to the layers around the routes.

mod account;
pub mod assets;
mod consent;
mod details;
mod device;
mod form_post;
mod frame;
mod language;
mod problem;
mod second_factor;
mod select_account;
mod sign_in;
mod sign_out;
#[cfg(test)]
mod tests;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;

pub use account::{
    Account, AccountNotice, AccountProblem, ConnectedApp, SecondFactorState, SessionEntry, UpstreamEntry,
};
pub use consent::{Consent, ConsentItem, Duration, PersonalData, PersonalKind, ResourceGroup, Sensitivity};
pub use details::{AccountField, AccountOption, DetailItem};
pub use device::{CodeEntryProblem, ConfirmCode, DeviceDone, EnterCode};
pub use form_post::FormPost;
pub use frame::{AskingApp, ClientCard, Field, Frame, WebLink};
pub use language::Language;
pub use problem::{Problem, ProblemKind};
pub use second_factor::{CodeProblem, Enrol, EnrolProblem, RecoveryCodes, SecondFactor};
pub use select_account::{AccountChoice, SelectAccount};
pub use sign_in::{SignIn, SignInNotice, SignInProblem, UpstreamChoice};
pub use sign_out::{CheckSession, SignOut, SignedOut, SigningOut};

/// A context on its way to the browser.
#[derive(Debug)]
pub struct Page<T> {
    status: StatusCode,
    context: T,
}

impl<T: Template> Page<T> {
    /// A page answered with 200.
    pub const fn new(context: T) -> Self {
        Self { status: StatusCode::OK, context }
    }

    /// A page answered with another status.
    pub const fn with_status(status: StatusCode, context: T) -> Self {
        Self { status, context }
    }

    /// The page as HTML.
    ///
    /// # Errors
    /// A template that cannot be rendered; none of ours has a fallible expression.
    pub fn html(&self) -> Result<String, askama::Error> {
        self.context.render()
    }
}

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.html() {
            Ok(html) => (self.status, Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
