//! What all pages' handlers share: cookies and language of the request, the frame, problems.

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use flows::{
    FlowError, RequestContext, interaction::InteractionRefusal, session_state::browser_state,
    visitor::Cookies,
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use protocol::CorrelationId;

use crate::{
    App, cookies,
    form::FormFault,
    pages::{Frame, Language, Page, Problem, ProblemKind},
    request::Caller,
    response,
};

/// So many languages are heard; nobody reads more.
const MAX_LOCALES: usize = 20;

/// A person's request: who asks, with which cookies, in which language.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The context of the request.
    pub context: RequestContext,
    /// Its cookies.
    pub cookies: Cookies,
    /// What the browser says of the person's languages.
    accept_language: Option<String>,
    /// What the request at hand says of them.
    ui_locales: Vec<String>,
    /// The browser state that it holds.
    state: Option<String>,
}

impl FromRequestParts<App> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let Caller(context) = Caller::from_request_parts(parts, app).await?;
        let accept_language =
            parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let accept_language = accept_language.map(str::to_owned);
        let state = cookies::read_state(app, &parts.headers);
        Ok(Self {
            context,
            cookies: cookies::read(app, &parts.headers),
            accept_language,
            ui_locales: Vec::new(),
            state,
        })
    }
}

impl Visit {
    /// Takes `ui_locales` of the request for pages that nothing else says a language of (OC-07).
    pub fn speak(&mut self, ui_locales: Option<&str>) {
        let words = ui_locales.unwrap_or_default().split_whitespace();
        self.ui_locales = words.take(MAX_LOCALES).map(str::to_owned).collect();
    }

    /// The frame of a page, in the first language that is both wanted and there. `ui_locales` of
    /// the request goes before the browser's own wish.
    pub fn frame(&self, app: &App, ui_locales: &[String]) -> Frame {
        let ui_locales = if ui_locales.is_empty() { &self.ui_locales } else { ui_locales };
        let wanted = (!ui_locales.is_empty()).then(|| ui_locales.join(" "));
        Frame {
            bank: app.config.bank_name.clone(),
            host: app.config.host.clone(),
            language: Language::negotiate(
                wanted.as_deref(),
                self.accept_language.as_deref(),
                app.config.language,
            ),
        }
    }

    /// The browser state (Session Management §2): that of the session, or what the browser holds where it
    /// sends no session; empty without both.
    pub fn browser_state(&self) -> String {
        match &self.cookies.session {
            Some(session) => browser_state(session),
            None => self.state.clone().unwrap_or_default(),
        }
    }

    /// A page that says what is wrong, without redirecting anybody.
    pub fn problem(
        &self,
        app: &App,
        status: StatusCode,
        kind: ProblemKind,
        detail: Option<String>,
    ) -> Response {
        problem(self.frame(app, &[]), self.context.correlation, status, kind, detail)
    }

    /// Why an interaction can't go on.
    pub fn interaction_refused(&self, app: &App, refusal: &InteractionRefusal) -> Response {
        match refusal {
            InteractionRefusal::Over => self.problem(app, StatusCode::GONE, ProblemKind::Expired, None),
            InteractionRefusal::Forgery => {
                self.problem(app, StatusCode::FORBIDDEN, ProblemKind::Expired, None)
            }
        }
    }

    /// Too many failures.
    pub fn wait(&self, app: &App, seconds: i64) -> Response {
        let wait_seconds = u64::try_from(seconds).unwrap_or(1);
        let kind = ProblemKind::TooManyAttempts { wait_seconds };
        let mut response = self.problem(app, StatusCode::TOO_MANY_REQUESTS, kind, None);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_seconds));
        response
    }

    /// A body that is no form.
    pub fn form_problem(&self, app: &App, fault: &FormFault) -> Response {
        let detail = Some(fault.describe().to_owned());
        self.problem(app, fault.status(), ProblemKind::BadRequest, detail)
    }

    /// Trouble of our own.
    pub fn trouble(&self, app: &App, error: &FlowError) -> Response {
        tracing::error!(%error, "a flow failed");
        let status = response::trouble_status(error);
        let kind = match status {
            StatusCode::SERVICE_UNAVAILABLE => ProblemKind::Unavailable,
            _ => ProblemKind::Internal,
        };
        self.problem(app, status, kind, None)
    }

    /// There is no such page.
    pub fn not_found(&self, app: &App) -> Response {
        self.problem(app, StatusCode::NOT_FOUND, ProblemKind::NotFound, None)
    }
}

fn problem(
    frame: Frame,
    correlation: CorrelationId,
    status: StatusCode,
    kind: ProblemKind,
    detail: Option<String>,
) -> Response {
    let page = Problem { frame, kind, detail, back: None, correlation_id: correlation.to_string() };
    Page::with_status(status, page).into_response()
}
