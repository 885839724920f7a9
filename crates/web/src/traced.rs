//! A span for each request, for whoever collects traces.
//!
//! Made only if traces are on. The span is named by method and route pattern; the
//! correlation id, which it has in common with log and audit trail, leads from one to the others.
//! Nothing else of the request is in it: no query, no body, no header, no address (BCP-17).

use axum::{
    extract::{MatchedPath, Request},
    response::Response,
};
use flows::RequestContext;
use http::{HeaderMap, Method};
use tracing::{Instrument, Span, field};

use crate::{App, Peer};

/// How requests are traced.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    /// Makes a request's span continue the trace that its headers name. Called for requests of
    /// trusted proxies only: a stranger must choose neither the ids of our traces nor what is sampled
    /// (BCP-15). `None`: every request begins a trace of its own.
    pub follow: Option<fn(&Span, &HeaderMap)>,
}

/// Inside [`identify`](crate::request::identify), which names the request.
pub async fn trace<F>(app: &App, request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let correlation = request.extensions().get::<RequestContext>().map(|context| context.correlation);
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        // What a stranger invents is in no name.
        _ => "_OTHER",
    };
    let span = tracing::debug_span!(
        target: "traced",
        "http",
        otel.name = format!("{method} {}", route.unwrap_or("none")),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
        chancery.correlation_id = correlation.map(field::display),
    );
    let peer = request.extensions().get::<Peer>();
    let follow = app.config.traced.and_then(|traced| traced.follow);
    if let Some(follow) = follow
        && peer.is_some_and(|peer| app.config.trusts(peer.address.ip()))
    {
        follow(&span, request.headers());
    }
    let response = next(request).instrument(span.clone()).await;
    // Signed, or it would be exported as text.
    span.record("http.response.status_code", i64::from(response.status().as_u16()));
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}
