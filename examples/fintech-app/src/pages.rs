//! The pages and what each shows. Every page is a typed context, rendered on the server, and needs no script.

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use tracing::error;

use crate::{Brand, bank::AccountView, claims::Claim, session::Notice};

/// The style sheet, served by the app itself.
pub(crate) const STYLE: &str = include_str!("../assets/app.css");

/// The first page: which app?
#[derive(Template)]
#[template(path = "home.html")]
pub(crate) struct Home<'a> {
    pub(crate) brands: &'a [Brand],
    pub(crate) bank: &'a str,
}

/// An app without a connection: what it would do, and the button.
#[derive(Template)]
#[template(path = "connect.html")]
pub(crate) struct Connect<'a> {
    pub(crate) brand: &'a Brand,
    pub(crate) bank: &'a str,
    pub(crate) notice: Option<Notice>,
}

/// An app with a connection: accounts, claims, buttons.
#[derive(Template)]
#[template(path = "dashboard.html")]
pub(crate) struct Dashboard<'a> {
    pub(crate) brand: &'a Brand,
    pub(crate) bank: &'a str,
    pub(crate) bank_account_url: Option<&'a str>,
    pub(crate) notice: Option<Notice>,
    /// Whose bank it is, if the bank told.
    pub(crate) person: Option<String>,
    pub(crate) accounts: Vec<AccountView>,
    /// In words, why there are no accounts.
    pub(crate) accounts_problem: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) can_pay: bool,
    /// Whether single payments can be approved at the bank.
    pub(crate) can_ask: bool,
    pub(crate) can_refresh: bool,
    pub(crate) expires: String,
    pub(crate) refreshed: u32,
    pub(crate) tables: Vec<ClaimTable>,
}

/// One token or answer, laid open.
pub(crate) struct ClaimTable {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) about: &'static str,
    pub(crate) claims: Vec<Claim>,
    /// Shown when there are no claims.
    pub(crate) otherwise: &'static str,
}

/// Something went otherwise than hoped.
#[derive(Template)]
#[template(path = "problem.html")]
pub(crate) struct Problem<'a> {
    pub(crate) brand: Option<&'a Brand>,
    pub(crate) bank: &'a str,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    /// For whoever looks into it: code and description, as received.
    pub(crate) detail: Option<String>,
}

/// Renders a page.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let mut response = (status, Html(html)).into_response();
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => {
            error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
