//! `/userinfo` (OpenID Connect Core §5.3): the token from the header, or from a form body; never
//! from the query (F2-38, O21-03).

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use protocol::{Description, ErrorCode, secret::AccessToken};

use crate::{
    App,
    form::{FormBody, FormFault},
    request::Caller,
    response::{json_error, trouble},
    wire::{self, WireError},
};

/// GET and POST (OC-16).
pub async fn userinfo(State(app): State<App>, Caller(context): Caller, request: Request) -> Response {
    let token = match token(request, &app).await {
        Ok(Some(token)) => token,
        Ok(None) => return unauthorized(),
        Err(error) => return challenge(error),
    };
    match app.service.userinfo(&context, &token).await {
        Err(error) => trouble(&error),
        Ok(Ok(claims)) => Json(claims).into_response(),
        Ok(Err(fault)) => challenge(wire::userinfo(&fault)),
    }
}

/// The token; more than one way at once is a malformed request (RFC 6750 §2).
async fn token(request: Request, app: &App) -> Result<Option<AccessToken>, WireError> {
    let header = bearer(request.headers())?;
    if request.method() != Method::POST {
        return Ok(header);
    }
    let body = match FormBody::read(request, app).await {
        Ok(FormBody(params)) if params.repeated().is_some() => {
            return Err(malformed("a parameter is repeated"));
        }
        Ok(FormBody(params)) => params.get("access_token").map(AccessToken::new),
        // A post with the token in the header needs no body.
        Err(FormFault::MediaType) => None,
        Err(fault) => return Err(WireError { status: fault.status(), ..malformed(fault.describe()) }),
    };
    match (header, body) {
        (Some(_), Some(_)) => Err(malformed("more than one access token")),
        (header, body) => Ok(header.or(body)),
    }
}

fn malformed(description: &'static str) -> WireError {
    let description = Description::from(description);
    WireError { code: ErrorCode::InvalidRequest, description, status: StatusCode::BAD_REQUEST }
}

/// The credentials of a Bearer header; the scheme name is case-insensitive (RFC 9110 §11.1). Another
/// scheme is no token at all.
fn bearer(headers: &HeaderMap) -> Result<Option<AccessToken>, WireError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed("more than one Authorization header"));
    }
    let text = value.to_str().map_err(|_| malformed("malformed Authorization header"))?;
    let Some((scheme, token)) = text.split_once(' ') else { return Ok(None) };
    Ok(scheme.eq_ignore_ascii_case("bearer").then(|| AccessToken::new(token.trim())))
}

/// An error with its challenge (RFC 6750 §3).
fn challenge(error: WireError) -> Response {
    let text = format!("Bearer error=\"{}\", error_description=\"{}\"", error.code, error.description);
    let status = error.status;
    let mut response = json_error(error, false);
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// No token: a bare challenge without an error code (RFC 6750 §3.1).
fn unauthorized() -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer realm=\"chancery\"")]).into_response()
}
