//! `/end-session` (OpenID Connect RP-Initiated Logout 1.0) and `/signed-out`.

use axum::{
    extract::{RawQuery, Request, State},
    response::{IntoResponse, Response},
};
use flows::logout::Logout;
use http::StatusCode;
use protocol::{logout::EndSessionRequest, params::Params, secret::CsrfToken, uri::RedirectUri};
use tokens::logout::LogoutFrame;

use crate::{
    App,
    browser::{Visit, federation, interaction},
    cookies,
    form::{FormBody, FormFault},
    headers::{FormTarget, FrameSources},
    pages::{Field, Frame, Page, ProblemKind, SignOut, SignedOut, SigningOut},
    response::see_other,
};

/// GET (LO-01).
pub async fn get(State(app): State<App>, visit: Visit, RawQuery(query): RawQuery) -> Response {
    match Params::parse(query.unwrap_or_default().as_bytes()) {
        Ok(params) => end(&app, &visit, &params).await,
        Err(fault) => visit.form_problem(&app, &FormFault::Params(fault)),
    }
}

/// POST (LO-01): by a client, or from our own confirmation page, which carries a token.
pub async fn post(State(app): State<App>, visit: Visit, request: Request) -> Response {
    match FormBody::read(request, &app).await {
        Ok(FormBody(params)) if visit.cookies.session.is_none() => {
            // A cross-site post carries no Lax cookie: come again with GET, which does. Whatever token it
            // brings, it speaks for nobody, so it confirms nothing.
            see_other(&format!("/end-session?{}", params.to_query()))
        }
        Ok(FormBody(params)) => end(&app, &visit, &params).await,
        Err(fault) => visit.form_problem(&app, &fault),
    }
}

async fn end(app: &App, visit: &Visit, params: &Params) -> Response {
    let request = match EndSessionRequest::parse(params) {
        Ok(request) => request,
        Err(fault) => {
            let detail = Some(fault.to_string());
            return visit.problem(app, StatusCode::BAD_REQUEST, ProblemKind::BadRequest, detail);
        }
    };
    let confirmed = params.get("csrf").map(CsrfToken::new);
    let parting = federation::parting(app, visit).await;
    match app.service.logout(&visit.context, &request, &visit.cookies, confirmed.as_ref()).await {
        Err(error) => visit.trouble(app, &error),
        Ok(Logout::Confirm { client, csrf, username, redirect }) => {
            let page = SignOut {
                frame: visit.frame(app, &request.ui_locales),
                csrf: csrf.expose().to_owned(),
                action_sign_out: "/end-session".into(),
                fields: fields(&request),
                client: client.map(|client| client.name.clone()),
                username,
                stay: "/account".into(),
            };
            let mut response = Page::new(page).into_response();
            // The answer to the form leads to the client (BCP-22).
            if let Some(source) = redirect.as_deref().and_then(RedirectUri::csp_source) {
                response.extensions_mut().insert(FormTarget(source));
            }
            interaction::leading_upstream(app, response).await
        }
        Ok(Logout::Done { redirect, frames }) => {
            let redirect = federation::onward(app, visit, parting, redirect).await;
            signed_out(app, visit, visit.frame(app, &request.ui_locales), frames, redirect)
        }
    }
}

/// After the end of a session: to where the person goes on, past the page that tells apps of it where
/// some want to be told so (FL-01).
pub fn signed_out(
    app: &App,
    visit: &Visit,
    frame: Frame,
    frames: Vec<LogoutFrame>,
    onward: Option<String>,
) -> Response {
    let onward = onward.unwrap_or_else(|| "/signed-out".to_owned());
    let mut response = if frames.is_empty() {
        see_other(&onward)
    } else {
        let (frames, sources) = frames.into_iter().map(|frame| (frame.url, frame.source)).unzip();
        let mut response = Page::new(SigningOut { frame, frames, onward }).into_response();
        response.extensions_mut().insert(FrameSources(sources));
        response
    };
    // A request that came without the session's cookie, from within another site's page, takes none away.
    if visit.cookies.session.is_some() {
        cookies::end_session(app, &mut response);
    }
    response
}

/// What the confirmation must carry on.
fn fields(request: &EndSessionRequest) -> Vec<Field> {
    let languages = (!request.ui_locales.is_empty()).then(|| request.ui_locales.join(" "));
    let members = [
        ("ui_locales", &languages),
        ("id_token_hint", &request.id_token_hint),
        ("client_id", &request.client_id),
        ("post_logout_redirect_uri", &request.post_logout_redirect_uri),
        ("state", &request.state),
    ];
    members.into_iter().filter_map(|(name, value)| Some(Field::new(name, value.clone()?))).collect()
}

/// GET `/signed-out`.
pub async fn signed_out_page(State(app): State<App>, visit: Visit) -> Response {
    let page = SignedOut { frame: visit.frame(&app, &[]), back: None, sign_in: Some("/account".to_owned()) };
    Page::new(page).into_response()
}
