//! Naming and placing a request, once, before anything else looks at it.
//!
//! Each request gets a name that stands in its logs, its audit events, its error page and its
//! `X-Request-Id` header. Its address is the peer's, unless the peer is a configured proxy and says
//! on whose behalf it asks (BCP-15).

use std::net::IpAddr;

use axum::{
    extract::{FromRequestParts, Request},
    response::Response,
};
use flows::{
    RequestContext,
    context::{DpopHeader, PresentedCertificate},
};
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use protocol::CorrelationId;

use crate::{App, Peer, peer::PeerCertificate};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DPOP: HeaderName = HeaderName::from_static("dpop");
const FORWARDED_FOR: &str = "x-forwarded-for";
/// So much is kept of what a browser says it is.
const MAX_USER_AGENT: usize = 300;

/// Puts the [`RequestContext`] into a request, and answers its name.
pub fn identify(app: &App, request: &mut Request) -> CorrelationId {
    let peer = request.extensions().get::<Peer>().copied();
    let address = peer.map(|peer| caller_address(app, peer.address.ip(), request.headers()));
    let correlation = CorrelationId(app.service.id());
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    // Text of a header is ASCII, so it can be cut anywhere.
    let user_agent = user_agent.map(|text| text.get(..MAX_USER_AGENT).unwrap_or(text).to_owned());
    let dpop = proof(request.headers());
    let certificate = certificate(app, peer, request);
    let context = RequestContext { address, correlation, user_agent, dpop, certificate };
    request.extensions_mut().insert(context);
    correlation
}

/// What a configured proxy says of its client, if it is configured to say it; else the certificate of the
/// connection, if TLS ends here (MT-09). A proxy may show a certificate of its own, which is nobody's that
/// stands behind it: from these addresses nobody is a client by its own connection.
fn certificate(app: &App, peer: Option<Peer>, request: &Request) -> PresentedCertificate {
    if peer.is_some_and(|peer| app.config.trusts(peer.address.ip())) {
        return match app.config.certificate_header {
            Some(form) => form.read(request.headers()),
            None => PresentedCertificate::Absent,
        };
    }
    match request.extensions().get() {
        Some(PeerCertificate(shown)) => shown.clone(),
        None => PresentedCertificate::Absent,
    }
}

/// The DPoP header, which may come once (DP-01).
fn proof(headers: &HeaderMap) -> DpopHeader {
    let mut values = headers.get_all(DPOP).iter();
    let Some(value) = values.next() else { return DpopHeader::Absent };
    match (value.to_str(), values.next()) {
        (Ok(proof), None) => DpopHeader::One(proof.to_owned()),
        _ => DpopHeader::Unreadable,
    }
}

/// Says a request's name in its answer.
pub fn name(response: &mut Response, correlation: CorrelationId) {
    let mut text = [0; 36];
    correlation.0.hyphenated().encode_lower(&mut text);
    if let Ok(value) = HeaderValue::from_bytes(&text) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

/// Walks `X-Forwarded-For` from the right, past configured proxies, to the first address that is
/// none. A header from anybody else says nothing (BCP-15).
fn caller_address(app: &App, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut address = peer.to_canonical();
    if !app.config.trusts(address) {
        return address;
    }
    let values = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.iter().rev() {
        let Ok(next) = hop.parse::<IpAddr>() else { return address };
        address = next.to_canonical();
        if !app.config.trusts(address) {
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
            dpop: DpopHeader::Absent,
            certificate: PresentedCertificate::Absent,
        })))
    }
}
