//! `/token`, `/introspect`, `/revoke`: form posts of clients and resource servers.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use flows::{introspect::IntrospectionRefusal, revoke::RevocationRefusal, token::TokenRefusal};
use http::StatusCode;

use crate::{
    App,
    endpoints::authorization,
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
    share.tell(response)
}

/// POST `/introspect` (RFC 7662 §2).
pub async fn introspect(State(app): State<App>, Caller(context): Caller, request: Request) -> Response {
    let header = authorization(request.headers()).map(str::to_owned);
    let FormBody(body) = match FormBody::read(request, &app).await {
        Ok(body) => body,
        Err(fault) => return form_error(&fault),
    };
    let answer = app.service.introspect(&context, header.as_deref(), &body).await;
    evidence::introspection(&answer);
    match answer {
        Err(error) => trouble(&error),
        Ok(Ok(response)) => Json(response).into_response(),
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
