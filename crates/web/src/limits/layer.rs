//! The layer before the routes of a class: counts the caller's address, refuses or lets through, and
//! tells the caller how it stands.

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::Response,
};
use flows::RequestContext;

use crate::{
    App,
    browser::Visit,
    limits::{Class, Standing, Verdict, fields},
    wire,
};

/// A class together with what counts it.
#[derive(Clone)]
pub struct Guard {
    /// The counts.
    pub app: App,
    /// Which of them.
    pub class: Class,
}

/// Lets a request pass, or answers 429: JSON for programs, a page for people. No body is read before.
pub async fn limit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Guard { app, class } = guard;
    let address = request.extensions().get::<RequestContext>().and_then(|context| context.address);
    let Some(verdict) = app.limits.address(class, address) else {
        return told(next.run(request).await, None);
    };
    fields::count(&verdict);
    match verdict {
        Verdict::Within(standing) => told(next.run(request).await, Some(standing)),
        Verdict::Beyond(standing) if class == Class::Endpoint => {
            let refusal = fields::refusal(wire::limited("address"), standing.reset);
            told(refusal, Some(standing))
        }
        Verdict::Beyond(standing) => {
            let (mut parts, _) = request.into_parts();
            let Ok(visit) = Visit::from_request_parts(&mut parts, &app).await;
            let page = visit.wait(&app, i64::try_from(standing.reset).unwrap_or(i64::MAX));
            told(page, Some(standing))
        }
    }
}

/// Writes how the address stands and, where a handler noted it, how the client does.
fn told(mut response: Response, address: Option<Standing>) -> Response {
    let client = response.extensions_mut().remove::<Standing>();
    for standing in address.iter().chain(&client) {
        fields::write(&mut response, standing);
    }
    response
}
