//! `/authorize` (RFC 6749 §3.1).

use axum::{
    extract::{RawQuery, Request, State},
    response::Response,
};
use flows::authorize::Authorization;
use http::StatusCode;
use protocol::params::Params;
use tokens::redirect::RedirectFault;

use crate::{
    App,
    browser::{Visit, respond::authorization},
    cookies, evidence,
    form::{FormBody, FormFault},
    pages::ProblemKind,
    response::see_other,
};

/// What a posted request may come to as a query; browsers and our own listener take more.
const MAX_QUERY: usize = 24 * 1024;

/// GET: decides, redirects, or leads to an interaction.
pub async fn get(State(app): State<App>, mut visit: Visit, RawQuery(query): RawQuery) -> Response {
    let params = match Params::parse(query.unwrap_or_default().as_bytes()) {
        Ok(params) => params,
        Err(fault) => return visit.form_problem(&app, &FormFault::Params(fault)),
    };
    visit.speak(params.get("ui_locales"));
    match app.service.authorize(&visit.context, &params, &visit.cookies).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(Authorization::Respond(response)) => authorization(&app, &visit, &response).await,
        Ok(Authorization::Interact { id, browser }) => {
            let mut response = see_other(&format!("/interaction/{id}"));
            if let Some(cookie) = browser {
                cookies::set(&mut response, cookies::browser(&app, &cookie));
            }
            response
        }
        Ok(Authorization::Local(fault)) => {
            let (error, reason) = local_reason(fault);
            evidence::unanswerable_authorization(error, reason);
            let detail = Some(local_detail(fault).to_owned());
            visit.problem(&app, StatusCode::BAD_REQUEST, ProblemKind::BadRequest, detail)
        }
    }
}

/// POST: a cross-site post carries no `Lax` cookie, so it is answered with 303 to a GET of the same
/// request, which does (OC-08). Both methods then behave the same.
pub async fn post(State(app): State<App>, visit: Visit, request: Request) -> Response {
    match FormBody::read(request, &app).await {
        Err(fault) => visit.form_problem(&app, &fault),
        Ok(FormBody(params)) => {
            let query = params.to_query();
            if query.len() > MAX_QUERY {
                return visit.form_problem(&app, &FormFault::Body(StatusCode::PAYLOAD_TOO_LARGE));
            }
            see_other(&format!("/authorize?{query}"))
        }
    }
}

/// The same in two words, for whoever counts.
const fn local_reason(fault: RedirectFault) -> (&'static str, &'static str) {
    match fault {
        RedirectFault::ClientIdMissing => ("invalid_request", "client_id_missing"),
        RedirectFault::UnknownClient => ("invalid_client", "unknown_client"),
        RedirectFault::RedirectUriMissing => ("invalid_request", "redirect_uri_missing"),
        RedirectFault::NotRegistered => ("invalid_request", "redirect_uri_not_registered"),
        RedirectFault::Reference(_) => ("invalid_request_uri", "request_uri_leads_nowhere"),
    }
}

/// What the developer of the app should read; the person is told that the app made a mistake.
const fn local_detail(fault: RedirectFault) -> &'static str {
    match fault {
        RedirectFault::ClientIdMissing => "invalid_request: client_id is missing or repeated",
        RedirectFault::UnknownClient => "invalid_client: client_id is not registered",
        RedirectFault::RedirectUriMissing => "invalid_request: redirect_uri is missing or repeated",
        RedirectFault::NotRegistered => "invalid_request: redirect_uri is not registered for this client",
        RedirectFault::Reference(_) => {
            "invalid_request_uri: request_uri is unknown, expired, used, or of another client"
        }
    }
}
