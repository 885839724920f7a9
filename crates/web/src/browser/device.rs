//! `/device`: where a person types the code of a device (RFC 8628 §3.3).

use axum::{
    extract::{RawQuery, Request, State},
    response::{IntoResponse, Response},
};
use flows::device_flow::{ConfirmedCode, TypedCode};
use http::StatusCode;
use protocol::{
    params::Params,
    secret::{BrowserCookie, CsrfToken},
};

use crate::{
    App,
    browser::{Visit, consent::card},
    cookies,
    form::{FormBody, FormFault},
    pages::{CodeEntryProblem, ConfirmCode, EnterCode, Page, ProblemKind},
    response::see_other,
};

/// GET: asks for the code. One that came with the address is only looked up once the browser can be told
/// from others; until then it stands in the field (DV-04).
pub async fn get(State(app): State<App>, visit: Visit, RawQuery(query): RawQuery) -> Response {
    let params = match Params::parse(query.unwrap_or_default().as_bytes()) {
        Ok(params) => params,
        Err(fault) => return visit.form_problem(&app, &FormFault::Params(fault)),
    };
    let typed = params.get("user_code").unwrap_or_default();
    match (&visit.cookies.browser, typed) {
        (Some(browser), typed) if !typed.is_empty() => look_up(&app, &visit, browser, typed).await,
        (Some(_), _) => enter(&app, &visit, "", None),
        (None, typed) => {
            let mut response = enter(&app, &visit, typed, None);
            let cookie = BrowserCookie::from_entropy(app.service.entropy());
            cookies::set(&mut response, cookies::browser(&app, &cookie));
            response
        }
    }
}

/// POST: looks the code up.
pub async fn post(State(app): State<App>, visit: Visit, request: Request) -> Response {
    match (FormBody::read(request, &app).await, &visit.cookies.browser) {
        (Err(fault), _) => visit.form_problem(&app, &fault),
        (Ok(_), None) => see_other("/device"),
        (Ok(FormBody(params)), Some(browser)) => {
            look_up(&app, &visit, browser, params.get("user_code").unwrap_or_default()).await
        }
    }
}

/// POST `confirm`: the person has compared the codes.
pub async fn confirm(State(app): State<App>, visit: Visit, request: Request) -> Response {
    let FormBody(params) = match FormBody::read(request, &app).await {
        Ok(body) => body,
        Err(fault) => return visit.form_problem(&app, &fault),
    };
    let typed = params.get("user_code").unwrap_or_default();
    let csrf = CsrfToken::new(params.get("csrf").unwrap_or_default());
    match app.service.confirm_code(&visit.context, &visit.cookies, typed, &csrf).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(ConfirmedCode::Interact(id)) => see_other(&format!("/interaction/{id}")),
        Ok(ConfirmedCode::Wait(seconds)) => visit.wait(&app, seconds),
        Ok(ConfirmedCode::Over) => visit.problem(&app, StatusCode::GONE, ProblemKind::Expired, None),
        Ok(ConfirmedCode::Forgery) => visit.problem(&app, StatusCode::FORBIDDEN, ProblemKind::Expired, None),
    }
}

async fn look_up(app: &App, visit: &Visit, browser: &BrowserCookie, typed: &str) -> Response {
    match app.service.typed_code(&visit.context, browser, typed).await {
        Err(error) => visit.trouble(app, &error),
        Ok(TypedCode::Wrong) => enter(app, visit, typed, Some(CodeEntryProblem::Wrong)),
        Ok(TypedCode::Wait(wait)) => {
            let seconds = u64::try_from(wait).unwrap_or(1);
            enter(app, visit, typed, Some(CodeEntryProblem::Wait { seconds }))
        }
        Ok(TypedCode::Confirm { client, code, csrf }) => {
            let page = ConfirmCode {
                frame: visit.frame(app, &[]),
                csrf: csrf.expose().to_owned(),
                client: card(app, &client),
                code: code.shown(),
            };
            Page::new(page).into_response()
        }
    }
}

fn enter(app: &App, visit: &Visit, typed: &str, error: Option<CodeEntryProblem>) -> Response {
    let status = match error {
        None => StatusCode::OK,
        Some(CodeEntryProblem::Wrong) => StatusCode::FORBIDDEN,
        Some(CodeEntryProblem::Wait { .. }) => StatusCode::TOO_MANY_REQUESTS,
    };
    let typed = typed.chars().take(32).collect();
    Page::with_status(status, EnterCode { frame: visit.frame(app, &[]), typed, error }).into_response()
}
