//! `/token`, `/introspect`, `/revoke`: form posts of clients and resource servers.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use flows::dpop::NonceOf;
use flows::{
    introspect::{Introspected, IntrospectionRefusal},
    revoke::RevocationRefusal,
    token::TokenRefusal,
};
use http::{HeaderMap, StatusCode, header};

use crate::{
    App,
    endpoints::{authorization, with_nonce},
    evidence,
    form::FormBody,
    limits::{ClientShare, fields},
    request::Caller,
    response::{form_error, json_error, trouble},
    wire,
};

/// POST `/token` (RFC 6749 §3.2).
pub async fn token(State(app): State<App>, Caller(context): Caller, request: Request) -> Response {
    let header = authorization(request.headers()).map(str::to_owned);
    let FormBody(body) = match FormBody::read(request, &app).await {
        Ok(body) => body,
        Err(fault) => return form_error(&fault),
    };
    let share = ClientShare::new(&app.limits);
    let answer = app.service.token(&context, header.as_deref(), &body, &|client| share.admit(client)).await;
    evidence::token(body.get("grant_type"), &answer);
    let response = match answer {
        Err(error) => trouble(&error),
        Ok(Ok(response)) => Json(response).into_response(),
        Ok(Err(refusal @ TokenRefusal::Limited(seconds))) => fields::refusal(wire::token(&refusal), seconds),
        Ok(Err(refusal)) => {
            let basic = matches!(&refusal, TokenRefusal::Client(client) if client.used_header);
            json_error(wire::token(&refusal), basic)
        }
    };
    with_nonce(&app, NonceOf::AuthorizationServer, share.tell(response))
}

/// What a resource server names in `Accept` that wants a signed answer (RFC 9701 §4).
const INTROSPECTION_JWT: &str = "application/token-introspection+jwt";

/// Whether the header names that media type, and not with the weight that means never. A wildcard does
/// not ask for it.
fn wants_signature(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(INTROSPECTION_JWT));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        named && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

/// POST `/introspect` (RFC 7662 §2, RFC 9701).
pub async fn introspect(State(app): State<App>, Caller(context): Caller, request: Request) -> Response {
    let signed = wants_signature(request.headers());
    let header = authorization(request.headers()).map(str::to_owned);
    let FormBody(body) = match FormBody::read(request, &app).await {
        Ok(body) => body,
        Err(fault) => return form_error(&fault),
    };
    let answer = app.service.introspect(&context, header.as_deref(), &body, signed).await;
    evidence::introspection(&answer);
    match answer {
        Err(error) => trouble(&error),
        Ok(Ok(Introspected { token: Some(token), .. })) => {
            ([(header::CONTENT_TYPE, INTROSPECTION_JWT)], token).into_response()
        }
        Ok(Ok(Introspected { response, token: None })) => Json(response).into_response(),
        Ok(Err(refusal)) => {
            let basic = matches!(refusal, IntrospectionRefusal::Unauthenticated { .. });
            json_error(wire::introspection(&refusal), basic)
        }
    }
}

/// POST `/revoke` (RFC 7009 §2).
pub async fn revoke(State(app): State<App>, Caller(context): Caller, request: Request) -> Response {
    let header = authorization(request.headers()).map(str::to_owned);
    let FormBody(body) = match FormBody::read(request, &app).await {
        Ok(body) => body,
        Err(fault) => return form_error(&fault),
    };
    let share = ClientShare::new(&app.limits);
    let answer = app.service.revoke(&context, header.as_deref(), &body, &|client| share.admit(client)).await;
    let response = match answer {
        Err(error) => trouble(&error),
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(refusal @ RevocationRefusal::Limited(seconds))) => {
            fields::refusal(wire::revocation(&refusal), seconds)
        }
        Ok(Err(refusal)) => {
            let basic = matches!(&refusal, RevocationRefusal::Client(client) if client.used_header);
            json_error(wire::revocation(&refusal), basic)
        }
    };
    share.tell(response)
}
