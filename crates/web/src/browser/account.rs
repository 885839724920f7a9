//! `/account`: what a person sees and changes about themselves.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, RawQuery, Request, State},
    response::{IntoResponse, Response},
};
use flows::account::{AccountAccess, AccountGate, AccountView, PasswordChangeRefusal, PasswordChanged};
use flows::federation::links::UpstreamAccount;
use http::StatusCode;
use mfa::{PasswordWeakness, Session};
use protocol::{
    params::Params,
    secret::{CsrfToken, Password},
};

use crate::{
    App,
    browser::{Visit, consent::personal_kind, federation, interaction, logout::signed_out},
    cookies,
    form::FormBody,
    pages::{
        Account, AccountNotice, AccountProblem, ConnectedApp, DetailItem, Frame, Page, ProblemKind,
        RecoveryCodes, SecondFactorState, SessionEntry, UpstreamEntry, WebLink,
    },
    response::see_other,
};

/// GET: the overview, or the way to it.
pub async fn get(State(app): State<App>, visit: Visit, RawQuery(query): RawQuery) -> Response {
    let linked = query.as_deref().and_then(|query| query.strip_prefix("linked="));
    let notice = linked.and_then(|word| match word {
        "yes" => Some(AccountNotice::Linked),
        "no" => Some(AccountNotice::Unlinked),
        "taken" => Some(AccountNotice::LinkTaken),
        "failed" => Some(AccountNotice::LinkFailed),
        "only-way" => Some(AccountNotice::OnlyWay),
        _ => None,
    });
    match app.service.account_gate(&visit.cookies).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(AccountGate::Open(access)) => overview(&app, &visit, &access, notice, None).await,
        Ok(gate) => elsewhere(&app, &visit, gate),
    }
}

/// GET `/login`: signs a person in to the account pages.
pub async fn login() -> Response {
    see_other("/account")
}

pub(super) fn elsewhere(app: &App, visit: &Visit, gate: AccountGate) -> Response {
    match gate {
        AccountGate::Interact { id, browser } => {
            let mut response = see_other(&format!("/interaction/{id}"));
            if let Some(cookie) = browser {
                cookies::set(&mut response, cookies::browser(app, &cookie));
            }
            response
        }
        AccountGate::Forgery | AccountGate::Open(_) => {
            visit.problem(app, StatusCode::FORBIDDEN, ProblemKind::Expired, None)
        }
    }
}

/// A post with the right token (BCP-16), from a session as strong as the account pages want.
pub struct Posted {
    pub(super) visit: Visit,
    pub(super) access: Box<AccountAccess>,
    params: Params,
}

impl FromRequest<App> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Ok(visit) = Visit::from_request_parts(&mut parts, app).await;
        let body = FormBody::read(Request::from_parts(parts, body), app).await;
        let FormBody(params) = body.map_err(|fault| visit.form_problem(app, &fault))?;
        let csrf = CsrfToken::new(params.get("csrf").unwrap_or_default());
        match app.service.account_post(&visit.context, &visit.cookies, &csrf).await {
            Err(error) => Err(visit.trouble(app, &error)),
            Ok(AccountGate::Open(access)) => Ok(Self { visit, access, params }),
            // A post from another site carries no cookies, and its answer must not replace them: the
            // GET that follows carries them.
            Ok(AccountGate::Interact { .. }) => Err(see_other("/account")),
            Ok(gate) => Err(elsewhere(app, &visit, gate)),
        }
    }
}

/// POST `password`.
pub async fn password(State(app): State<App>, posted: Posted) -> Response {
    let Posted { visit, access, params } = posted;
    let field = |name| Password::new(params.get(name).unwrap_or_default());
    let (current, new) = (field("current_password"), field("new_password"));
    let (service, passwords) = (&app.service, (current, new));
    match service.change_password(&visit.context, &access.visitor, &visit.cookies, passwords).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(Ok(PasswordChanged { session, csrf, device })) => {
            let access = AccountAccess { csrf, ..*access };
            let changed = Some(AccountNotice::PasswordChanged);
            let mut response = overview(&app, &visit, &access, changed, None).await;
            cookies::start_session(&app, &mut response, &session);
            if let Some(cookie) = device {
                cookies::set(&mut response, cookies::device(&app, &cookie));
            }
            response
        }
        Ok(Err(refusal)) => {
            let problem = match refusal {
                PasswordChangeRefusal::SessionChanged => return see_other("/account"),
                PasswordChangeRefusal::WrongPassword => AccountProblem::WrongPassword,
                PasswordChangeRefusal::Wait(wait) => {
                    AccountProblem::Wait { seconds: u64::try_from(wait).unwrap_or(1) }
                }
                PasswordChangeRefusal::Weak(PasswordWeakness::Guessable(_)) => AccountProblem::WeakPassword,
                PasswordChangeRefusal::Weak(_) => AccountProblem::PasswordLength {
                    min: mfa::password::MIN_CHARACTERS,
                    max: mfa::password::MAX_BYTES,
                },
            };
            overview(&app, &visit, &access, None, Some(problem)).await
        }
    }
}

/// POST `totp`: set up an authenticator, replace it, or make new recovery codes.
pub async fn totp(State(app): State<App>, posted: Posted) -> Response {
    let Posted { visit, access, params } = posted;
    if params.get("change") != Some("recovery-codes") {
        return match app.service.begin_authenticator(&visit.cookies).await {
            Err(error) => visit.trouble(&app, &error),
            Ok((id, browser)) => elsewhere(&app, &visit, AccountGate::Interact { id, browser }),
        };
    }
    match app.service.renew_recovery_codes(&visit.context, &access.visitor).await {
        Err(error) => visit.trouble(&app, &error),
        // Old sign-ins make no new codes: sign in anew, then ask again.
        Ok(None) => match app.service.begin_reauthentication(&visit.cookies).await {
            Err(error) => visit.trouble(&app, &error),
            Ok((id, browser)) => elsewhere(&app, &visit, AccountGate::Interact { id, browser }),
        },
        Ok(Some(codes)) => Page::new(RecoveryCodes {
            frame: visit.frame(&app, &[]),
            csrf: access.csrf.expose().to_owned(),
            action_saved: "/account/recovery-codes".into(),
            username: access.visitor.user.username.as_str().to_owned(),
            codes: codes.codes().iter().map(|code| code.expose().to_owned()).collect(),
            created_at: app.service.now(),
        })
        .into_response(),
    }
}

/// POST `recovery-codes`: the person has saved them.
pub async fn codes_saved() -> Response {
    see_other("/account")
}

/// POST `sessions/{id}/end`.
pub async fn end_session(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    let Posted { visit, access, .. } = posted;
    let Ok(id) = id.parse() else { return visit.not_found(&app) };
    match app.service.end_session_of(&visit.context, &access.visitor, id).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(()) => overview(&app, &visit, &access, Some(AccountNotice::SessionEnded), None).await,
    }
}

/// POST `apps/{consent}/withdraw`.
pub async fn withdraw(State(app): State<App>, Path(id): Path<String>, posted: Posted) -> Response {
    let Posted { visit, access, .. } = posted;
    let Ok(id) = id.parse() else { return visit.not_found(&app) };
    match app.service.withdraw(&visit.context, &access.visitor, id).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(()) => overview(&app, &visit, &access, Some(AccountNotice::AccessWithdrawn), None).await,
    }
}

/// POST `sign-out`.
pub async fn sign_out(State(app): State<App>, posted: Posted) -> Response {
    let Posted { visit, access, .. } = posted;
    let parting = federation::parting(&app, &visit).await;
    match app.service.sign_out(&visit.context, &access.visitor, "by_user").await {
        Err(error) => visit.trouble(&app, &error),
        Ok(frames) => {
            let onward = federation::onward(&app, &visit, parting, None).await;
            signed_out(&app, &visit, visit.frame(&app, &[]), frames, onward)
        }
    }
}

async fn overview(
    app: &App,
    visit: &Visit,
    access: &AccountAccess,
    notice: Option<AccountNotice>,
    error: Option<AccountProblem>,
) -> Response {
    let visitor = &access.visitor;
    let AccountView { sessions, apps, accounts, recovery_codes_left, totp } =
        match app.service.account_view(visitor).await {
            Ok(view) => view,
            Err(error) => return visit.trouble(app, &error),
        };
    let upstreams = match app.service.upstream_accounts(visitor).await {
        Ok(upstreams) => upstreams,
        Err(error) => return visit.trouble(app, &error),
    };
    let confirmed_at = totp.and_then(|credential| credential.confirmed_at);
    let user = &visitor.user;
    let frame = visit.frame(app, &[]);
    let language = frame.language.tag().to_owned();
    let declared = app.service.declared();
    let page = Account {
        csrf: access.csrf.expose().to_owned(),
        name: user.claims.name.clone().unwrap_or_else(|| user.username.as_str().to_owned()),
        username: user.username.as_str().to_owned(),
        notice,
        error,
        apps: apps
            .iter()
            .map(|connected| entry(connected, &declared.catalogue, (&frame, &language), &accounts))
            .collect(),
        sessions: sessions.iter().map(|session| session_entry(session, visitor.session.id)).collect(),
        second_factor: match confirmed_at {
            None => SecondFactorState::Off,
            Some(since) => SecondFactorState::On {
                since,
                codes_left: usize::try_from(recovery_codes_left).unwrap_or_default(),
            },
        },
        upstreams: upstreams.iter().map(|account| upstream_entry(account, &language)).collect(),
        action_password: "/account/password".into(),
        action_totp: "/account/totp".into(),
        action_sign_out: "/account/sign-out".into(),
        frame,
    };
    let status = match error {
        None => StatusCode::OK,
        Some(AccountProblem::Wait { .. }) => StatusCode::TOO_MANY_REQUESTS,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    interaction::leading_upstream(app, Page::with_status(status, page).into_response()).await
}

fn upstream_entry(account: &UpstreamAccount, language: &str) -> UpstreamEntry {
    let config = account.provider.config();
    let what = if account.link.is_some() { "unlink" } else { "link" };
    UpstreamEntry {
        id: config.id.to_string(),
        name: config.name(language).to_owned(),
        since: account.link.as_ref().map(|link| link.linked_at),
        label: account.link.as_ref().and_then(|link| link.label.clone()),
        action: format!("/account/upstream/{}/{what}", config.id),
    }
}

fn entry(
    connected: &flows::account::ConnectedApp,
    catalogue: &::consent::Catalogue,
    (frame, language): (&Frame, &str),
    accounts: &[::consent::BankAccount],
) -> ConnectedApp {
    let consent = &connected.consent;
    let titles = catalogue.definitions(&consent.scope).filter(|scope| scope.audience.is_some());
    ConnectedApp {
        consent_id: consent.id.to_string(),
        name: connected.name.clone(),
        homepage: connected.home.as_deref().and_then(WebLink::parse),
        items: titles.map(|scope| scope.text(&[language]).0.to_owned()).collect(),
        details: consent
            .details
            .iter()
            .filter_map(|detail| {
                let kind = catalogue.detail_types().get(detail.kind())?;
                Some(DetailItem::new(frame, kind, detail, accounts))
            })
            .collect(),
        personal: consent.scope.iter().filter_map(|scope| personal_kind(scope.as_str())).collect(),
        offline: consent.scope.contains("offline_access"),
        since: consent.granted_at,
        until: consent.expires_at,
        action_withdraw: format!("/account/apps/{}/withdraw", consent.id),
    }
}

fn session_entry(session: &Session, current: protocol::SessionId) -> SessionEntry {
    SessionEntry {
        session_id: session.id.to_string(),
        device: session.user_agent.as_deref().map(device).unwrap_or_default(),
        address: session.address.map(|address| address.to_string()).unwrap_or_default(),
        signed_in_at: session.created_at,
        last_seen: session.last_seen_at,
        current: session.id == current,
        action_end: format!("/account/sessions/{}/end", session.id),
    }
}

/// Browser and system, as far as the browser says; what it says in full where that is unknown.
fn device(user_agent: &str) -> String {
    let unknown = |text: &str| text.is_empty() || text == "UNKNOWN";
    match woothee::parser::Parser::new().parse(user_agent) {
        Some(known) if !unknown(known.name) && !unknown(known.os) => format!("{}, {}", known.name, known.os),
        Some(known) if !unknown(known.name) => known.name.to_owned(),
        _ => user_agent.chars().take(80).collect(),
    }
}
