//! `/par` (RFC 9126): form posts of clients that push an authorization request.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use flows::{
    dpop::NonceOf,
    pushed::{PushRefusal, Pushed},
};
use http::StatusCode;
use serde::Serialize;

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

/// The answer to a push (RFC 9126 §2.2).
#[derive(Serialize)]
struct Answer {
    request_uri: String,
    expires_in: i64,
}

/// POST `/par` (PAR-01).
pub async fn push(State(app): State<App>, Caller(context): Caller, request: Request) -> Response {
    let header = authorization(request.headers()).map(str::to_owned);
    let FormBody(body) = match FormBody::read(request, &app).await {
        Ok(body) => body,
        Err(fault) => return form_error(&fault),
    };
    let share = ClientShare::new(&app.limits);
    let answer = app.service.push(&context, header.as_deref(), &body, &|client| share.admit(client)).await;
    evidence::push(&answer);
    let response = match answer {
        Err(error) => trouble(&error),
        Ok(Ok(Pushed { request_uri, expires_in })) => {
            (StatusCode::CREATED, Json(Answer { request_uri, expires_in })).into_response()
        }
        Ok(Err(refusal @ PushRefusal::Limited(seconds))) => fields::refusal(wire::push(&refusal), seconds),
        Ok(Err(refusal)) => {
            let basic = matches!(&refusal, PushRefusal::Client(client) if client.used_header);
            json_error(wire::push(&refusal), basic)
        }
    };
    with_nonce(&app, NonceOf::AuthorizationServer, share.tell(response))
}
