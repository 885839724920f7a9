//! What stands before the routes of a class: counts the caller's address, refuses or lets through, and
//! tells the caller how it stands.

use axum::{
    extract::{FromRequestParts, Request},
    response::Response,
};
use flows::RequestContext;

use crate::{
    App,
    browser::Visit,
    limits::{Class, Limits, Standing, Verdict, fields},
    wire,
};

impl Limits {
    /// Counts a request of a class; `None` where nothing is limited.
    pub(crate) fn ask(&self, class: Class, request: &Request) -> Option<Verdict> {
        let address = request.extensions().get::<RequestContext>().and_then(|context| context.address);
        let verdict = self.address(class, address);
        verdict.iter().for_each(fields::count);
        verdict
    }
}

/// Answers 429: JSON for programs, a page for people. No body is read before.
pub async fn refuse(app: &App, class: Class, request: Request, standing: Standing) -> Response {
    if matches!(class, Class::Endpoint | Class::Registration) {
        return fields::refusal(wire::limited("address"), standing.reset);
    }
    let (mut parts, _) = request.into_parts();
    let Ok(visit) = Visit::from_request_parts(&mut parts, app).await;
    visit.wait(app, i64::try_from(standing.reset).unwrap_or(i64::MAX))
}

/// Writes how the address stands and, where a handler noted it, how the client does.
pub fn told(mut response: Response, address: Option<Standing>) -> Response {
    let client = response.extensions_mut().remove::<Standing>();
    for standing in address.iter().chain(&client) {
        fields::write(&mut response, standing);
    }
    response
}
