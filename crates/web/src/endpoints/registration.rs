//! `/register` and `/register/{client_id}`: clients that register themselves (RFC 7591, RFC 7592). The routes
//! are there only where registration is switched on.

use axum::{
    Json,
    extract::{FromRequest, Path, Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flows::registration::Registered;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use protocol::{ErrorCode, registration::RegistrationResponse};

use crate::{
    App,
    request::Caller,
    response::{json_error, trouble},
    wire::{self, WireError},
};

/// POST `/register` (RFC 7591 §3.1).
pub async fn register(State(app): State<App>, Caller(context): Caller, request: Request) -> Response {
    let token = match bearer(request.headers()) {
        Ok(token) => token,
        Err(error) => return refuse(error),
    };
    let body = match body(request, &app).await {
        Ok(body) => body,
        Err(error) => return refuse(error),
    };
    answer(app.service.register(&context, token.as_deref(), &body).await, StatusCode::CREATED)
}

/// GET `/register/{client_id}` (RFC 7592 §2.1).
pub async fn read(
    State(app): State<App>,
    Caller(context): Caller,
    Path(client): Path<String>,
    headers: HeaderMap,
) -> Response {
    let token = match bearer(&headers) {
        Ok(token) => token,
        Err(error) => return refuse(error),
    };
    answer(app.service.read_registration(&context, &client, token.as_deref()).await, StatusCode::OK)
}

/// PUT `/register/{client_id}` (RFC 7592 §2.2).
pub async fn replace(
    State(app): State<App>,
    Caller(context): Caller,
    Path(client): Path<String>,
    request: Request,
) -> Response {
    let token = match bearer(request.headers()) {
        Ok(token) => token,
        Err(error) => return refuse(error),
    };
    let body = match body(request, &app).await {
        Ok(body) => body,
        Err(error) => return refuse(error),
    };
    let done = app.service.replace_registration(&context, &client, token.as_deref(), &body).await;
    answer(done, StatusCode::OK)
}

/// DELETE `/register/{client_id}` (RFC 7592 §2.3).
pub async fn end(
    State(app): State<App>,
    Caller(context): Caller,
    Path(client): Path<String>,
    headers: HeaderMap,
) -> Response {
    let token = match bearer(&headers) {
        Ok(token) => token,
        Err(error) => return refuse(error),
    };
    match app.service.end_registration(&context, &client, token.as_deref()).await {
        Err(error) => trouble(&error),
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(refusal)) => refuse(wire::registration(&refusal)),
    }
}

fn answer(done: Registered<RegistrationResponse>, status: StatusCode) -> Response {
    match done {
        Err(error) => trouble(&error),
        Ok(Ok(response)) => (status, Json(response)).into_response(),
        Ok(Err(refusal)) => refuse(wire::registration(&refusal)),
    }
}

/// A refusal; one of credentials with its challenge (RFC 6750 §3).
fn refuse(error: WireError) -> Response {
    let challenge = match (error.status, error.code) {
        (StatusCode::UNAUTHORIZED, ErrorCode::InvalidToken) => Some("Bearer error=\"invalid_token\""),
        (StatusCode::UNAUTHORIZED, _) => Some("Bearer"),
        _ => None,
    };
    let mut response = json_error(error, false);
    if let Some(challenge) = challenge {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// The one Bearer token of the header. Another scheme is a token that nobody knows: whoever brings a
/// credential wants it to count, and is not treated as a stranger.
fn bearer(headers: &HeaderMap) -> Result<Option<String>, WireError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty());
    match (token, values.next()) {
        (Some((_, token)), None) => Ok(Some(token.trim().to_owned())),
        _ => Err(wire::registration_credentials("the Authorization header must be one Bearer token")),
    }
}

async fn body(request: Request, app: &App) -> Result<Bytes, WireError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(wire::registration_body(
            "the body must be application/json",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ));
    }
    let bytes = Bytes::from_request(request, app).await;
    bytes.map_err(|rejection| {
        wire::registration_body("the body could not be read or is too large", rejection.status())
    })
}
