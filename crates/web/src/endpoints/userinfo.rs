//! `/userinfo` (OpenID Connect Core §5.3): the token from the header, with a proof of its key if it is
//! bound to one, or from a form body; never from the query (F2-38, O21-03).

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use flows::{
    dpop::NonceOf,
    userinfo::{Shown, Userinfo, UserinfoRefusal},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jose::{Algorithm, dpop::ALGORITHMS};
use protocol::{Description, ErrorCode, secret::AccessToken};
use tokens::presented::{DeadToken, UserinfoFault};

use crate::{
    App,
    endpoints::with_nonce,
    form::{FormBody, FormFault},
    request::Caller,
    response::{json_error, trouble},
    wire::{self, WireError},
};

/// GET and POST (OC-16).
pub async fn userinfo(State(app): State<App>, Caller(context): Caller, request: Request) -> Response {
    let method = request.method().clone();
    let (scheme, token) = match token(request, &app).await {
        Ok(Some(token)) => token,
        Ok(None) => return with_nonce(&app, NonceOf::ResourceServer, unauthorized()),
        Err(error) => {
            return with_nonce(&app, NonceOf::ResourceServer, challenge(Scheme::Bearer, error));
        }
    };
    let shown = match scheme {
        Scheme::Bearer => Shown::Bearer,
        Scheme::Form => Shown::Form,
        Scheme::Dpop => Shown::Dpop { method: method.as_str() },
    };
    let response = match app.service.userinfo(&context, &token, shown).await {
        Err(error) => trouble(&error),
        Ok(Ok(Userinfo::Json(claims))) => Json(claims).into_response(),
        Ok(Ok(Userinfo::Jwt(token))) => ([(header::CONTENT_TYPE, "application/jwt")], token).into_response(),
        Ok(Err(refusal)) => {
            // A bound token that came as a bearer token is told how it would be taken (DP-12, DP-13).
            let bound =
                matches!(refusal, UserinfoRefusal::Token(UserinfoFault::Dead(DeadToken::WrongSender)));
            challenge(if bound { Scheme::Dpop } else { scheme }, wire::userinfo(&refusal))
        }
    };
    with_nonce(&app, NonceOf::ResourceServer, response)
}

/// The scheme of the Authorization header, if the token came there.
#[derive(Clone, Copy)]
enum Scheme {
    Bearer,
    Dpop,
    /// None: it came in a form body.
    Form,
}

/// The token; more than one way at once is a malformed request (RFC 6750 §2).
async fn token(request: Request, app: &App) -> Result<Option<(Scheme, AccessToken)>, WireError> {
    let header = credentials(request.headers())?;
    if request.method() != Method::POST {
        return Ok(header);
    }
    let body = match FormBody::read(request, app).await {
        Ok(FormBody(params)) if params.repeated().is_some() => {
            return Err(malformed("a parameter is repeated"));
        }
        Ok(FormBody(params)) => {
            params.get("access_token").map(|token| (Scheme::Form, AccessToken::new(token)))
        }
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

/// The token of a Bearer or DPoP header; the scheme name is case-insensitive (RFC 9110 §11.1, DP-12).
/// Another scheme is no token at all.
fn credentials(headers: &HeaderMap) -> Result<Option<(Scheme, AccessToken)>, WireError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(malformed("more than one Authorization header"));
    }
    let text = value.to_str().map_err(|_| malformed("malformed Authorization header"))?;
    let Some((scheme, token)) = text.split_once(' ') else { return Ok(None) };
    let schemes = [("bearer", Scheme::Bearer), ("dpop", Scheme::Dpop)];
    let known = schemes.into_iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name));
    Ok(known.map(|(_, scheme)| (scheme, AccessToken::new(token.trim()))))
}

/// An error with its challenge (RFC 6750 §3, RFC 9449 §7.1).
fn challenge(scheme: Scheme, error: WireError) -> Response {
    let (code, description) = (error.code, &error.description);
    let text = match scheme {
        Scheme::Bearer | Scheme::Form => {
            format!("Bearer error=\"{code}\", error_description=\"{description}\"")
        }
        Scheme::Dpop => {
            format!("DPoP error=\"{code}\", error_description=\"{description}\", {}", algorithms())
        }
    };
    let status = error.status;
    let mut response = json_error(error, false);
    *response.status_mut() = status;
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// The algorithms of proofs, as a challenge names them (RFC 9449 §7.1).
fn algorithms() -> String {
    format!("algs=\"{}\"", ALGORITHMS.map(Algorithm::as_str).join(" "))
}

/// No token: bare challenges without an error code, one for each way to send a token (RFC 6750 §3.1, DP-13).
fn unauthorized() -> Response {
    let mut response = StatusCode::UNAUTHORIZED.into_response();
    let bearer = HeaderValue::from_static("Bearer realm=\"chancery\"");
    response.headers_mut().append(header::WWW_AUTHENTICATE, bearer);
    if let Ok(dpop) = HeaderValue::from_str(&format!("DPoP {}", algorithms())) {
        response.headers_mut().append(header::WWW_AUTHENTICATE, dpop);
    }
    response
}
