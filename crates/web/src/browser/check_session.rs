//! `/check-session`: the frame that tells clients whether the session changed (OpenID Connect Session
//! Management 1.0 §3.2), and the value that they ask it about.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flows::{authorize::AuthorizationResponse, session_state::session_state};
use url::Url;

use crate::{
    App,
    browser::Visit,
    cookies,
    headers::Embeddable,
    pages::{CheckSession, Page},
};

/// GET: the frame. Any site may embed it; it answers only those who know a `session_state`.
pub async fn get(State(app): State<App>) -> Response {
    let mut response = Page::new(CheckSession { cookie: cookies::state_name(&app) }).into_response();
    response.extensions_mut().insert(Embeddable);
    response
}

/// The `session_state` of an authorization response, success or error (Session Management §2, ER-01):
/// for clients of OpenID Connect whose redirect URI has an origin.
pub fn state_for(app: &App, visit: &Visit, response: &AuthorizationResponse) -> Option<String> {
    if !response.client.scope.contains("openid") {
        return None;
    }
    let origin = Url::parse(response.redirect.uri()).ok()?.origin();
    if !origin.is_tuple() {
        return None;
    }
    let salt = URL_SAFE_NO_PAD.encode(&app.service.entropy()[..12]);
    let state = visit.browser_state();
    Some(session_state(&response.client.id, &origin.ascii_serialization(), &state, &salt))
}
