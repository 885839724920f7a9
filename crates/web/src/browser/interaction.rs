//! `/interaction/{id}`: the pages on the way from a request to a code.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, RawQuery, Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use flows::{
    FlowError,
    enrolment::EnrolmentAnswer,
    federation::UpstreamProblem,
    interaction::{Interaction, Shown},
    second_factor::Factor,
    sign_in::{CredentialAnswer, CredentialRefusal, SignedIn},
};
use http::{HeaderValue, StatusCode, header};
use mfa::TotpEnrolment;
use protocol::{
    InteractionId,
    params::Params,
    secret::{CsrfToken, OneTimePassword, Password, RecoveryCode},
};

use crate::{
    App,
    browser::{Visit, consent, logout::signed_out, respond::authorization, select_account},
    cookies,
    form::FormBody,
    headers::{FormTarget, UpstreamTargets},
    pages::{
        AskingApp, CodeProblem, Enrol, EnrolProblem, Frame, Page, RecoveryCodes, SecondFactor, SignIn,
        SignInNotice, SignInProblem, UpstreamChoice,
    },
    response::see_other,
};

/// GET: what comes next.
pub async fn get(
    State(app): State<App>,
    visit: Visit,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let Ok(id) = id.parse() else { return visit.not_found(&app) };
    let problem = query.as_deref().and_then(|query| query.strip_prefix("upstream=")?.parse().ok());
    match app.service.show(&visit.context, id, &visit.cookies).await {
        Ok(Shown::SignIn(interaction)) => {
            sign_in_page(&app, &visit, &interaction, problem.map(Failed::Upstream).as_ref()).await
        }
        shown => render(&app, &visit, shown).await,
    }
}

/// Shows an outcome, whatever it is.
pub(super) async fn render(app: &App, visit: &Visit, shown: Result<Shown, FlowError>) -> Response {
    match shown {
        Err(error) => visit.trouble(app, &error),
        Ok(Shown::SignIn(interaction)) => sign_in_page(app, visit, &interaction, None).await,
        Ok(Shown::SelectAccount(interaction)) => select_account::page(app, visit, &interaction),
        Ok(Shown::SecondFactor(interaction)) => second_factor_page(app, visit, &interaction, None),
        Ok(Shown::Enrol(interaction, enrolment)) => enrol_page(app, visit, &interaction, &enrolment, None),
        Ok(Shown::Consent(interaction, asked)) => consent::page(app, visit, &interaction, &asked),
        Ok(Shown::Respond(response)) => authorization(app, visit, &response).await,
        Ok(Shown::Account) => see_other("/account"),
        Ok(Shown::Refused(refusal)) => visit.interaction_refused(app, &refusal),
    }
}

/// A post to an interaction: who, its id, its fields, its token. The token is checked by the flow,
/// together with everything else about the interaction.
pub struct Posted {
    pub(super) visit: Visit,
    pub(super) id: InteractionId,
    pub(super) params: Params,
    pub(super) csrf: CsrfToken,
}

impl FromRequest<App> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let Ok(visit) = Visit::from_request_parts(&mut parts, app).await;
        let id = Path::<String>::from_request_parts(&mut parts, app).await.ok();
        let id = id.and_then(|Path(id)| id.parse().ok()).ok_or_else(|| visit.not_found(app))?;
        let body = FormBody::read(Request::from_parts(parts, body), app).await;
        let FormBody(params) = body.map_err(|fault| visit.form_problem(app, &fault))?;
        let csrf = CsrfToken::new(params.get("csrf").unwrap_or_default());
        Ok(Self { visit, id, params, csrf })
    }
}

/// POST `login`: username and password.
pub async fn login(State(app): State<App>, posted: Posted) -> Response {
    let Posted { visit, id, params, csrf } = posted;
    let username = params.get("username").unwrap_or_default();
    let password = Password::new(params.get("password").unwrap_or_default());
    let answer = app.service.sign_in(&visit.context, id, &visit.cookies, &csrf, (username, password)).await;
    match answer {
        Ok(CredentialAnswer::Again(interaction, refusal)) => {
            sign_in_page(&app, &visit, &interaction, Some(&Failed::Password(username, refusal))).await
        }
        other => accepted_or(&app, &visit, id, other).await,
    }
}

/// POST `otp`: a one-time password.
pub async fn otp(State(app): State<App>, posted: Posted) -> Response {
    let code = OneTimePassword::new(posted.params.get("otp").unwrap_or_default());
    factor(&app, posted, Factor::OneTimePassword(code)).await
}

/// POST `recovery-code`: a recovery code in place of it.
pub async fn recovery_code(State(app): State<App>, posted: Posted) -> Response {
    let code = RecoveryCode::new(posted.params.get("recovery_code").unwrap_or_default());
    factor(&app, posted, Factor::RecoveryCode(code)).await
}

async fn factor(app: &App, posted: Posted, factor: Factor) -> Response {
    let Posted { visit, id, csrf, .. } = posted;
    let answer = app.service.second_factor(&visit.context, id, &visit.cookies, &csrf, &factor).await;
    match answer {
        Ok(CredentialAnswer::Again(interaction, refusal)) => {
            second_factor_page(app, &visit, &interaction, Some((&factor, refusal)))
        }
        other => accepted_or(app, &visit, id, other).await,
    }
}

/// 303 to what comes next, with the new session; or whatever else is to be shown.
async fn accepted_or(
    app: &App,
    visit: &Visit,
    id: InteractionId,
    answer: Result<CredentialAnswer, FlowError>,
) -> Response {
    match answer {
        Err(error) => visit.trouble(app, &error),
        Ok(CredentialAnswer::Accepted(signed_in)) => go_on(app, id, Some(&signed_in)),
        Ok(CredentialAnswer::Elsewhere(shown)) => render(app, visit, Ok(*shown)).await,
        Ok(CredentialAnswer::Again(interaction, _)) => sign_in_page(app, visit, &interaction, None).await,
    }
}

pub(super) fn go_on(app: &App, id: InteractionId, signed_in: Option<&SignedIn>) -> Response {
    let mut response = see_other(&format!("/interaction/{id}"));
    if let Some(signed_in) = signed_in {
        cookies::sign_in(app, &mut response, signed_in);
    }
    response
}

/// POST `enrol`: the first code of a new authenticator. Its answer shows the recovery codes, the
/// only time they can be shown.
pub async fn enrol(State(app): State<App>, posted: Posted) -> Response {
    let Posted { visit, id, params, csrf } = posted;
    let code = OneTimePassword::new(params.get("otp").unwrap_or_default());
    match app.service.enrol(&visit.context, id, &visit.cookies, &csrf, &code).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(EnrolmentAnswer::Elsewhere(shown)) => render(&app, &visit, Ok(*shown)).await,
        Ok(EnrolmentAnswer::Again(_, _, CredentialRefusal::Wait(seconds))) => visit.wait(&app, seconds),
        Ok(EnrolmentAnswer::Again(interaction, enrolment, CredentialRefusal::Wrong)) => {
            enrol_page(&app, &visit, &interaction, &enrolment, Some(EnrolProblem::Wrong))
        }
        Ok(EnrolmentAnswer::Enrolled { signed_in, codes, interaction }) => {
            let username = interaction.visitor.as_ref().map(|visitor| visitor.user.username.as_str());
            let page = RecoveryCodes {
                frame: frame(&app, &visit, &interaction),
                csrf: csrf.expose().to_owned(),
                action_saved: format!("/interaction/{id}/recovery-codes"),
                username: username.unwrap_or_default().to_owned(),
                codes: codes.codes().iter().map(|code| code.expose().to_owned()).collect(),
                created_at: app.service.now(),
            };
            let mut response = leading_to_client(Page::new(page).into_response(), &interaction);
            cookies::sign_in(&app, &mut response, &signed_in);
            response
        }
    }
}

/// POST `recovery-codes`: the person has saved them.
pub async fn codes_saved(State(app): State<App>, visit: Visit, Path(id): Path<String>) -> Response {
    match id.parse() {
        Ok(id) => go_on(&app, id, None),
        Err(_) => visit.not_found(&app),
    }
}

/// POST `consent`: yes or no.
pub async fn decide(State(app): State<App>, posted: Posted) -> Response {
    let Posted { visit, id, params, csrf } = posted;
    let (context, cookies) = (&visit.context, &visit.cookies);
    let shown = match params.get("decision") {
        Some("allow") => {
            app.service.allow(context, id, cookies, &csrf, &consent::chosen_accounts(&params)).await
        }
        Some("deny") => app.service.deny(context, id, cookies, &csrf).await,
        _ => app.service.show(context, id, cookies).await,
    };
    render(&app, &visit, shown).await
}

/// POST `cancel`: the person gives up (F2-32).
pub async fn cancel(State(app): State<App>, posted: Posted) -> Response {
    let Posted { visit, id, csrf, .. } = posted;
    let shown = app.service.deny(&visit.context, id, &visit.cookies, &csrf).await;
    render(&app, &visit, shown).await
}

/// POST `switch`: somebody else sits here; sign out and ask who.
pub async fn switch(State(app): State<App>, posted: Posted) -> Response {
    let Posted { visit, id, csrf, .. } = posted;
    match app.service.switch_user(&visit.context, id, &visit.cookies, &csrf).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(Err(refusal)) => visit.interaction_refused(&app, &refusal),
        // Apps that want to be told in the browser are (FL-01), on the way to the sign-in page.
        Ok(Ok(frames)) => {
            let onward = Some(format!("/interaction/{id}"));
            signed_out(&app, &visit, visit.frame(&app, &[]), frames, onward)
        }
    }
}

/// The frame in the language that the client or the browser wants.
pub(super) fn frame(app: &App, visit: &Visit, interaction: &Interaction) -> Frame {
    let locales = interaction.request().map(|request| request.ui_locales.as_slice()).unwrap_or_default();
    visit.frame(app, locales)
}

pub(super) fn asking_app(interaction: &Interaction) -> Option<AskingApp> {
    let client = interaction.client()?;
    let action_cancel = format!("/interaction/{}/cancel", interaction.record.id);
    Some(AskingApp { name: client.name.clone(), action_cancel })
}

/// Lets the answer to a form lead to the client (BCP-22).
pub(super) fn leading_to_client(mut response: Response, interaction: &Interaction) -> Response {
    if let Some(source) = interaction.validated.as_ref().and_then(|valid| valid.redirect().csp_source()) {
        response.extensions_mut().insert(FormTarget(source));
    }
    response
}

fn waiting(mut response: Response, seconds: i64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn seconds(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(1)
}

/// Why the sign-in page is shown again.
enum Failed<'a> {
    /// What was typed, and what is wrong with it.
    Password(&'a str, CredentialRefusal),
    /// A provider's answer.
    Upstream(UpstreamProblem),
}

async fn sign_in_page(
    app: &App,
    visit: &Visit,
    interaction: &Interaction,
    failed: Option<&Failed<'_>>,
) -> Response {
    let (status, error) = match failed {
        None => (StatusCode::OK, None),
        Some(Failed::Password(_, CredentialRefusal::Wrong)) => {
            (StatusCode::FORBIDDEN, Some(SignInProblem::Rejected))
        }
        Some(Failed::Password(_, CredentialRefusal::Wait(wait))) => {
            (StatusCode::TOO_MANY_REQUESTS, Some(SignInProblem::Wait { seconds: seconds(*wait) }))
        }
        Some(Failed::Upstream(problem)) => (StatusCode::OK, Some(SignInProblem::Upstream(problem.as_str()))),
    };
    let typed = match failed {
        Some(Failed::Password(typed, _)) => Some(*typed),
        _ => None,
    };
    let hint = interaction.request().and_then(|request| request.login_hint.as_deref());
    let known = interaction.visitor.as_ref().map(|visitor| visitor.user.username.as_str());
    let username = typed.or(hint).or(known).unwrap_or_default();
    let frame = frame(app, visit, interaction);
    let id = interaction.record.id;
    let page = SignIn {
        csrf: interaction.csrf.expose().to_owned(),
        action_login: format!("/interaction/{id}/login"),
        app: asking_app(interaction),
        username: username.chars().take(255).collect(),
        notice: interaction.visitor.is_some().then_some(SignInNotice::Again),
        error,
        upstreams: upstream_choices(app, interaction, &frame, username),
        action_realm: app
            .service
            .upstreams()
            .iter()
            .any(|provider| !provider.config().domains.is_empty())
            .then(|| format!("/interaction/{id}/realm")),
        frame,
    };
    let response = leading_to_client(Page::with_status(status, page).into_response(), interaction);
    let response = leading_upstream(app, response).await;
    match failed {
        Some(Failed::Password(_, CredentialRefusal::Wait(wait))) => waiting(response, *wait),
        _ => response,
    }
}

/// The providers of the list, those first that the name belongs to by its domain; hidden ones only then.
fn upstream_choices(
    app: &App,
    interaction: &Interaction,
    frame: &Frame,
    username: &str,
) -> Vec<UpstreamChoice> {
    let providers = app.service.upstreams().iter().map(|provider| provider.config());
    let (home, others): (Vec<_>, Vec<_>) = providers.partition(|config| config.answers_for(username));
    let shown = home.into_iter().chain(others.into_iter().filter(|config| !config.hidden));
    shown
        .map(|config| UpstreamChoice {
            id: config.id.to_string(),
            name: config.name(frame.language.tag()).to_owned(),
            action: format!("/interaction/{}/upstream/{}", interaction.record.id, config.id),
        })
        .collect()
}

/// Lets the answer to a form lead to upstream providers (BCP-22).
pub(super) async fn leading_upstream(app: &App, mut response: Response) -> Response {
    let origins = app.service.upstream_origins().await;
    if !origins.is_empty() {
        response.extensions_mut().insert(UpstreamTargets(origins));
    }
    response
}

fn second_factor_page(
    app: &App,
    visit: &Visit,
    interaction: &Interaction,
    failed: Option<(&Factor, CredentialRefusal)>,
) -> Response {
    let (status, error) = match failed {
        None => (StatusCode::OK, None),
        Some((_, CredentialRefusal::Wait(wait))) => {
            (StatusCode::TOO_MANY_REQUESTS, Some(CodeProblem::Wait { seconds: seconds(wait) }))
        }
        Some((Factor::OneTimePassword(_), CredentialRefusal::Wrong)) => {
            (StatusCode::FORBIDDEN, Some(CodeProblem::Wrong))
        }
        Some((Factor::RecoveryCode(_), CredentialRefusal::Wrong)) => {
            (StatusCode::FORBIDDEN, Some(CodeProblem::WrongRecoveryCode))
        }
    };
    let username = interaction.visitor.as_ref().map(|visitor| visitor.user.username.as_str());
    let page = SecondFactor {
        frame: frame(app, visit, interaction),
        csrf: interaction.csrf.expose().to_owned(),
        action_otp: format!("/interaction/{}/otp", interaction.record.id),
        action_recovery: format!("/interaction/{}/recovery-code", interaction.record.id),
        app: asking_app(interaction),
        username: username.unwrap_or_default().to_owned(),
        error,
    };
    let response = leading_to_client(Page::with_status(status, page).into_response(), interaction);
    match failed {
        Some((_, CredentialRefusal::Wait(wait))) => waiting(response, wait),
        _ => response,
    }
}

fn enrol_page(
    app: &App,
    visit: &Visit,
    interaction: &Interaction,
    enrolment: &TotpEnrolment,
    error: Option<EnrolProblem>,
) -> Response {
    let status = if error.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let username = interaction.visitor.as_ref().map(|visitor| visitor.user.username.as_str());
    let page = Enrol {
        frame: frame(app, visit, interaction),
        csrf: interaction.csrf.expose().to_owned(),
        action_enrol: format!("/interaction/{}/enrol", interaction.record.id),
        app: asking_app(interaction),
        back: interaction.validated.is_none().then(|| "/account".to_owned()),
        account_name: username.unwrap_or_default().to_owned(),
        secret: enrolment.manual_key().replace(' ', ""),
        qr_png_base64: STANDARD.encode(enrolment.qr_png()),
        otpauth_uri: enrolment.uri().to_owned(),
        replacing: false,
        error,
    };
    leading_to_client(Page::with_status(status, page).into_response(), interaction)
}
