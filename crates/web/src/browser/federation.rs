//! Signing in with a bank or an employer: to a provider and back, links, and logout on either side.

use axum::{
    extract::{Path, RawQuery, Request, State},
    response::{IntoResponse, Response},
};
use flows::{
    account::AccountGate,
    federation::{
        UpstreamProblem,
        links::{LinkOutcome, LinkStart, Unlinking},
        parting::Parting,
        receive::Received,
        send::Sent,
    },
};
use http::{StatusCode, header};
use protocol::{InteractionId, params::Params};
use serde_json::json;

use crate::{
    App,
    browser::{Visit, account, interaction},
    form::{FormBody, FormFault},
    pages::ProblemKind,
    response::see_other,
};

/// POST `/interaction/{id}/upstream/{provider}`: a provider of the list.
pub async fn choose(
    State(app): State<App>,
    Path((id, provider)): Path<(String, String)>,
    visit: Visit,
    request: Request,
) -> Response {
    send(&app, &visit, &id, Some(&provider), request).await
}

/// POST `/interaction/{id}/realm`: the provider that an address belongs to.
pub async fn realm(
    State(app): State<App>,
    Path(id): Path<String>,
    visit: Visit,
    request: Request,
) -> Response {
    send(&app, &visit, &id, None, request).await
}

async fn send(app: &App, visit: &Visit, id: &str, named: Option<&str>, request: Request) -> Response {
    let Ok(id) = id.parse::<InteractionId>() else { return visit.not_found(app) };
    if named.is_some_and(|named| app.service.upstream(named).is_none()) {
        return visit.not_found(app);
    }
    let params = match FormBody::read(request, app).await {
        Ok(FormBody(params)) => params,
        Err(fault) => return visit.form_problem(app, &fault),
    };
    let csrf = protocol::secret::CsrfToken::new(params.get("csrf").unwrap_or_default());
    let wish = (named, params.get("realm"));
    match app.service.send_upstream(&visit.context, id, &visit.cookies, &csrf, wish).await {
        Err(error) => visit.trouble(app, &error),
        Ok(Sent::To(url)) => see_other(&url),
        Ok(Sent::Back(problem)) => back(id, problem),
        Ok(Sent::Elsewhere(shown)) => interaction::render(app, visit, Ok(*shown)).await,
    }
}

fn back(id: InteractionId, problem: UpstreamProblem) -> Response {
    see_other(&format!("/interaction/{id}?upstream={problem}"))
}

/// GET `/federation/callback/{provider}`: back from a provider.
pub async fn callback(
    State(app): State<App>,
    Path(provider): Path<String>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Response {
    let params = match Params::parse(query.unwrap_or_default().as_bytes()) {
        Ok(params) => params,
        Err(fault) => return visit.form_problem(&app, &FormFault::Params(fault)),
    };
    match app.service.receive_upstream(&visit.context, &provider, &params, &visit.cookies).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(Received::SignedIn(id, signed_in)) => interaction::go_on(&app, id, Some(&signed_in)),
        Ok(Received::Back(id, problem)) => back(id, problem),
        Ok(Received::Elsewhere(shown)) => interaction::render(&app, &visit, Ok(*shown)).await,
        Ok(Received::Link(outcome)) => see_other(&format!("/account?linked={}", word(outcome))),
        Ok(Received::Lost) => visit.problem(&app, StatusCode::FORBIDDEN, ProblemKind::Expired, None),
    }
}

fn word(outcome: LinkOutcome) -> &'static str {
    match outcome {
        LinkOutcome::Linked => "yes",
        LinkOutcome::Taken => "taken",
        LinkOutcome::SignedOut | LinkOutcome::Problem(_) => "failed",
    }
}

/// POST `/account/upstream/{provider}/link`.
pub async fn link(State(app): State<App>, Path(provider): Path<String>, posted: account::Posted) -> Response {
    let account::Posted { visit, access, .. } = posted;
    let Some(provider) = app.service.upstream(&provider) else { return visit.not_found(&app) };
    match app.service.begin_link(&access.visitor, &visit.cookies, provider).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(LinkStart::To(url)) => see_other(&url),
        Ok(LinkStart::SignInFirst) => sign_in_first(&app, &visit).await,
        Ok(LinkStart::Problem(_)) => see_other("/account?linked=failed"),
    }
}

/// POST `/account/upstream/{provider}/unlink`.
pub async fn unlink(
    State(app): State<App>,
    Path(provider): Path<String>,
    posted: account::Posted,
) -> Response {
    let account::Posted { visit, access, .. } = posted;
    let Some(provider) = app.service.upstream(&provider) else { return visit.not_found(&app) };
    match app.service.unlink_upstream(&visit.context, &access.visitor, provider).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(Unlinking::Done) => see_other("/account?linked=no"),
        Ok(Unlinking::OnlyWay) => see_other("/account?linked=only-way"),
        Ok(Unlinking::SignInFirst) => sign_in_first(&app, &visit).await,
    }
}

/// Old sign-ins change no links: sign in anew, then ask again.
async fn sign_in_first(app: &App, visit: &Visit) -> Response {
    match app.service.begin_reauthentication(&visit.cookies).await {
        Err(error) => visit.trouble(app, &error),
        Ok((id, browser)) => account::elsewhere(app, visit, AccountGate::Interact { id, browser }),
    }
}

/// The provider that a session rests on which is about to end. Trouble with that keeps nobody from
/// signing out here.
pub(super) async fn parting(app: &App, visit: &Visit) -> Option<Parting> {
    let parting = app.service.parting(&visit.cookies).await;
    parting.unwrap_or_else(|error| {
        tracing::warn!(%error, "nobody is signed out upstream");
        None
    })
}

/// Where the browser goes once the session has ended here: by way of the provider, if it has a way.
pub(super) async fn onward(
    app: &App,
    visit: &Visit,
    parting: Option<Parting>,
    redirect: Option<String>,
) -> Option<String> {
    let Some(parting) = parting else { return redirect };
    let way = app.service.part(&parting, &visit.cookies, redirect.clone()).await;
    way.unwrap_or_else(|error| {
        tracing::warn!(%error, "nobody is signed out upstream");
        None
    })
    .or(redirect)
}

/// GET `/federation/signed-out/{provider}`: back from signing out there.
pub async fn signed_out(
    State(app): State<App>,
    Path(provider): Path<String>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    match app.service.parted(&provider, params.get("state"), &visit.cookies).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(redirect) => see_other(redirect.as_deref().unwrap_or("/signed-out")),
    }
}

/// POST `/federation/backchannel-logout/{provider}` (OpenID Connect Back-Channel Logout §2.5, §2.8).
pub async fn backchannel(
    State(app): State<App>,
    Path(provider): Path<String>,
    visit: Visit,
    request: Request,
) -> Response {
    let refused = |status: StatusCode| {
        (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(json!({"error": "invalid_request"})))
            .into_response()
    };
    let Some(provider) = app.service.upstream(&provider) else { return refused(StatusCode::NOT_FOUND) };
    let params = match FormBody::read(request, &app).await {
        Ok(FormBody(params)) => params,
        Err(fault) => return refused(fault.status()),
    };
    let Some(token) = params.get("logout_token") else { return refused(StatusCode::BAD_REQUEST) };
    match app.service.upstream_logout(&visit.context, provider, token).await {
        Err(error) => {
            tracing::error!(%error, "a flow failed");
            refused(crate::response::trouble_status(&error))
        }
        Ok(Err(_)) => refused(StatusCode::BAD_REQUEST),
        Ok(Ok(())) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response(),
    }
}
