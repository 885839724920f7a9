//! Naming and placing a request, once, before anything else looks at it.
//!
//! Each request gets a name that stands in its logs, its audit events, its error page and its
//! `X-Request-Id` header. Its address is the peer's, unless the peer is a configured proxy and says
//! on whose behalf it asks (BCP-15).

use std::net::IpAddr;

use axum::{
    extract::{FromRequestParts, Request, State},
    middleware::Next,
    response::Response,
};
use flows::RequestContext;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use protocol::CorrelationId;
use tracing::Instrument;

use crate::{App, Peer};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The outermost layer: makes the [`RequestContext`] and logs the outcome. Only method, route and
/// status are logged; queries and bodies carry codes and tokens (BCP-17).
pub async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let address = peer.map(|peer| caller_address(&app, peer.address.ip(), request.headers()));
    let correlation = CorrelationId(app.service.id());
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let user_agent = user_agent.map(|text| text.chars().take(300).collect());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    request.extensions_mut().insert(RequestContext { address, correlation, user_agent });
    let span = tracing::info_span!("request", %correlation, %method, path = %path);
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.in_scope(|| tracing::info!(status, "answered"));
    if let Ok(value) = HeaderValue::from_str(&correlation.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Walks `X-Forwarded-For` from the right, past configured proxies, to the first address that is
/// none. A header from anybody else says nothing (BCP-15).
fn caller_address(app: &App, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let trusted = |address: IpAddr| app.config.trusted_proxies.iter().any(|net| net.contains(&address));
    let mut address = peer.to_canonical();
    if !trusted(address) {
        return address;
    }
    let values = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.iter().rev() {
        let Ok(next) = hop.parse::<IpAddr>() else { return address };
        address = next.to_canonical();
        if !trusted(address) {
            break;
        }
    }
    address
}

/// The context of a request, as handlers take it.
#[derive(Clone, Debug)]
pub struct Caller(pub RequestContext);

impl FromRequestParts<App> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let context = parts.extensions.get::<RequestContext>().cloned();
        Ok(Self(context.unwrap_or_else(|| RequestContext {
            address: None,
            correlation: CorrelationId(app.service.id()),
            user_agent: None,
        })))
    }
}

/// Times requests by route, method and status: labels of low cardinality.
#[expect(clippy::disallowed_methods, reason = "a duration for metrics; no decision reads it")]
pub async fn measure(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<axum::extract::MatchedPath>();
    let route = route.map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    // A stranger may invent methods; a label must not.
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    let method = method.to_owned();
    let began = tokio::time::Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = [("route", route), ("method", method), ("status", status)];
    metrics::histogram!("chancery_http_request_seconds", &labels).record(began.elapsed().as_secs_f64());
    response
}
