//! The well-known documents and the key set: the same bytes for everybody until a snapshot changes,
//! named by a strong entity tag, so that who has them already is told so (RFC 9110 §13.1.2).

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use flows::metadata::Document;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::App;

/// GET `/.well-known/openid-configuration` and `/.well-known/oauth-authorization-server` (F2-06).
pub async fn provider(State(app): State<App>, request: Request) -> Response {
    document(&app, request.headers(), &app.service.declared().documents.metadata, "application/json")
}

/// GET `/jwks` (RFC 7517 §5).
pub async fn jwks(State(app): State<App>, request: Request) -> Response {
    document(&app, request.headers(), &app.service.declared().documents.jwks, "application/jwk-set+json")
}

/// How long clients may keep it is configured; new keys are announced for at least as long before
/// they sign (OC-22).
fn document(app: &App, asked: &HeaderMap, document: &Document, media_type: &'static str) -> Response {
    let Document { body, entity_tag } = document;
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(header::CACHE_CONTROL, app.document_caching.clone());
    if let Ok(tag) = HeaderValue::from_maybe_shared(entity_tag.clone()) {
        headers.insert(header::ETAG, tag);
    }
    let mut response = if has(asked, entity_tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        Response::new(Body::from(body.clone()))
    };
    *response.headers_mut() = headers;
    response
}

/// Whether `If-None-Match` lists the tag, weak or not (RFC 9110 §13.1.2). `*` asks whether there is any
/// document, and there is.
fn has(asked: &HeaderMap, tag: &[u8]) -> bool {
    let lists = asked.get_all(header::IF_NONE_MATCH);
    lists.iter().flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).any(|one| {
        let one = one.trim_ascii();
        one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list() {
        let asked = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            has(&headers, b"\"tag\"")
        };
        assert!(asked(&["\"tag\""]) && asked(&["W/\"tag\""]) && asked(&["*"]));
        assert!(asked(&["\"other\", W/\"tag\""]) && asked(&["\"other\"", "\"tag\" "]));
        assert!(!asked(&[]) && !asked(&["tag"]) && !asked(&["\"tagged\""]) && !asked(&["\"ta\",\"g\""]));
    }
}
