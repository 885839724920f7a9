//! The routes: one page per app, the callback, and a POST per button, each answered with 303.

use std::sync::Arc;

use axum::{
    Form, Router,
    extract::{
        DefaultBodyLimit, FromRef, FromRequestParts, Path, Query, Request, State, rejection::QueryRejection,
    },
    http::{HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use axum_extra::extract::CookieJar;
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;
use tracing::{info, warn};

use crate::{
    App, Brand,
    bank::{AccountView, BankError, Payment, PaymentOrder, StepUp},
    callback::{self, Refusal},
    claims, now,
    oidc::{OidcError, PAYMENTS},
    pages::{self, ClaimTable, Connect, Dashboard, Home, Problem, page},
    session::{self, Connection, Notice, Tokens},
};

/// A token that expires within this time is refreshed before use.
const REFRESH_AHEAD: TimeDelta = TimeDelta::seconds(5);

pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/health", get(|| async { "ok" }))
        .route("/assets/app.css", get(style))
        .route("/{brand}", get(show))
        .route("/{brand}/connect", post(connect))
        .route("/{brand}/callback", get(callback))
        .route("/{brand}/refresh", post(refresh))
        .route("/{brand}/pay", post(pay))
        .route("/{brand}/approve", post(approve))
        .route("/{brand}/disconnect", post(disconnect))
        .route("/{brand}/sign-out", post(sign_out))
        .route("/{brand}/signed-out", get(signed_out))
        .fallback(|State(app): State<Arc<App>>| async move { not_found(&app) })
        .layer(DefaultBodyLimit::max(16 * 1024))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), guard))
        .with_state(app)
}

/// Posts come from our own pages only, and pages carry the headers that keep them to themselves. `form-action`
/// names the bank, because Chromium applies it to the redirect that follows a post.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").and_then(|site| site.to_str().ok());
    let own = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    let mut response = if request.method() == Method::POST && !own {
        (StatusCode::FORBIDDEN, "This form was sent from another site.").into_response()
    } else {
        next.run(request).await
    };
    let bank =
        url::Url::parse(&app.config.issuer).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {bank}; base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    const FIXED: [(HeaderName, &str); 2] =
        [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::REFERRER_POLICY, "no-referrer")];
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The app that the path names and the browser's session, for every route below an app's path.
struct Visit {
    app: Arc<App>,
    brand: Brand,
    jar: CookieJar,
    session: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Visit
where
    Arc<App>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let app = Arc::<App>::from_ref(state);
        let slug =
            Path::<String>::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let Some(brand) = app.brand(&slug).cloned() else { return Err(not_found(&app)) };
        let jar = CookieJar::from_headers(&parts.headers);
        let session = jar.get(session::COOKIE).map(|cookie| cookie.value().to_owned());
        Ok(Self { app, brand, jar, session })
    }
}

impl Visit {
    fn connection(&self) -> Option<(&str, Arc<Connection>)> {
        let id = self.session.as_deref()?;
        Some((id, self.app.sessions.connection(id, &self.brand.slug, now())?))
    }

    /// Back to the app's page.
    fn home(&self) -> Response {
        Redirect::to(&format!("/{}", self.brand.slug)).into_response()
    }

    fn with_session(self, id: String, next: &str) -> Response {
        let secure = self.app.config.public_url.scheme() == "https";
        (self.jar.add(session::cookie(id, secure)), Redirect::to(next)).into_response()
    }

    fn problem(&self, status: StatusCode, title: &str, text: &str, detail: Option<String>) -> Response {
        let bank = &self.app.config.bank_name;
        page(status, &Problem { brand: Some(&self.brand), bank, title, text, detail })
    }

    fn unreachable(&self, error: &OidcError) -> Response {
        warn!(%error, "the bank cannot be asked");
        let text = "The bank's sign-in service does not answer right now. Nothing was shared. Please try again in a moment.";
        self.problem(StatusCode::BAD_GATEWAY, "The bank cannot be reached", text, Some(error.to_string()))
    }

    /// The bank has ended the grant: forget the tokens and say so.
    fn withdrawn(&self, id: &str, connection: &Arc<Connection>) {
        let text = format!(
            "The bank says access was withdrawn. {} has forgotten its tokens; connect again whenever you like.",
            self.brand.name
        );
        self.app.sessions.disconnect(id, &self.brand.slug, connection, Some(Notice::bad(text)));
    }

    fn tell(&self, id: &str, notice: Notice) {
        self.app.sessions.leave_notice(id, &self.brand.slug, notice);
    }
}

async fn home(State(app): State<Arc<App>>) -> Response {
    page(StatusCode::OK, &Home { brands: &app.config.brands, bank: &app.config.bank_name })
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], pages::STYLE).into_response()
}

fn not_found(app: &App) -> Response {
    let (title, text) = ("There is no such page", "The address leads nowhere.");
    page(
        StatusCode::NOT_FOUND,
        &Problem { brand: None, bank: &app.config.bank_name, title, text, detail: None },
    )
}

/// The page of an app: the button to connect, or the connected accounts.
async fn show(visit: Visit) -> Response {
    let Some((id, connection)) = visit.connection() else { return offer(&visit) };
    let mut tokens = connection.tokens.lock().await;
    match fetch(&visit, &mut tokens).await {
        Err(OidcError::GrantRefused) => {
            visit.withdrawn(id, &connection);
            offer(&visit)
        }
        Err(error) => dashboard(&visit, id, &tokens, Err(error.to_string())),
        Ok(accounts) => dashboard(&visit, id, &tokens, accounts.map_err(|error| error.to_string())),
    }
}

fn offer(visit: &Visit) -> Response {
    let notice =
        visit.session.as_deref().and_then(|id| visit.app.sessions.take_notice(id, &visit.brand.slug));
    page(StatusCode::OK, &Connect { brand: &visit.brand, bank: &visit.app.config.bank_name, notice })
}

/// The accounts. A token that has expired or is refused is refreshed once; if that is refused too, access ended.
async fn fetch(visit: &Visit, tokens: &mut Tokens) -> Result<Result<Vec<AccountView>, BankError>, OidcError> {
    let old = tokens.expires.is_some_and(|expires| expires < now() + REFRESH_AHEAD);
    if old && tokens.refresh.is_some() {
        visit.app.provider.refresh(&visit.brand, tokens).await?;
    }
    let sender = visit.app.provider.sender(&visit.brand);
    match visit.app.bank.accounts(&sender, &tokens.access, &tokens.scopes).await {
        Err(BankError::TokenRefused(reason)) => {
            info!(reason, "the bank's API refuses the access token; refreshing it");
            visit.app.provider.refresh(&visit.brand, tokens).await?;
            Ok(visit.app.bank.accounts(&sender, &tokens.access, &tokens.scopes).await)
        }
        answer => Ok(answer),
    }
}

fn dashboard(
    visit: &Visit,
    id: &str,
    tokens: &Tokens,
    accounts: Result<Vec<AccountView>, String>,
) -> Response {
    let config = &visit.app.config;
    let (accounts, accounts_problem) = match accounts {
        Ok(accounts) => (accounts, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let told = |name: &str| tokens.userinfo.as_ref()?.get(name).and_then(Value::as_str).map(str::to_owned);
    let dashboard = Dashboard {
        brand: &visit.brand,
        bank: &config.bank_name,
        bank_account_url: config.bank_account_url.as_ref().map(url::Url::as_str),
        notice: visit.app.sessions.take_notice(id, &visit.brand.slug),
        person: told("name").or_else(|| told("preferred_username")),
        accounts,
        accounts_problem,
        can_ask: visit.brand.keys.is_some(),
        can_pay: tokens.scopes.iter().any(|scope| scope == PAYMENTS),
        can_refresh: tokens.refresh.is_some(),
        scopes: tokens.scopes.clone(),
        expires: tokens.expires.map(|time| time.format("%H:%M:%S UTC").to_string()).unwrap_or_default(),
        refreshed: tokens.refreshed,
        tables: tables(tokens),
    };
    page(StatusCode::OK, &dashboard)
}

fn tables(tokens: &Tokens) -> Vec<ClaimTable> {
    vec![
        ClaimTable {
            id: "id-token-claims",
            title: "ID token",
            about: "Who signed in, and how. Signature, issuer, audience, expiry and nonce were checked.",
            claims: claims::of_jwt(&tokens.id_token.to_string()).unwrap_or_default(),
            otherwise: "There is none.",
        },
        ClaimTable {
            id: "userinfo-claims",
            title: "Userinfo",
            about: "What the bank tells about the customer, asked with the access token.",
            claims: tokens.userinfo.as_ref().map(claims::of_json).unwrap_or_default(),
            otherwise: "The bank told nothing.",
        },
        ClaimTable {
            id: "access-token-claims",
            title: "Access token",
            about: "Meant for the bank's API, not for this app; opened here to show what it carries.",
            claims: claims::of_jwt(tokens.access.secret()).unwrap_or_default(),
            otherwise: "It is opaque: only the bank can read it.",
        },
    ]
}

#[derive(Deserialize)]
struct ConnectForm {
    payments: Option<String>,
}

async fn connect(visit: Visit, Form(form): Form<ConnectForm>) -> Response {
    match visit.app.provider.start(&visit.brand, form.payments.is_some()).await {
        Ok((url, attempt)) => {
            let id = visit.app.sessions.begin(visit.session.as_deref(), &visit.brand.slug, attempt);
            visit.with_session(id, url.as_str())
        }
        Err(error) => visit.unreachable(&error),
    }
}

async fn callback(visit: Visit, response: Result<Query<callback::Response>, QueryRejection>) -> Response {
    const STRANGE: &str = "The answer was not what it should be, so it was thrown away. Nothing was shared. \
        Please start again from here.";
    let strange =
        |detail: String| visit.problem(StatusCode::BAD_REQUEST, "That did not add up", STRANGE, Some(detail));
    let Ok(Query(response)) = response else { return strange("the response is malformed".into()) };
    let state = response.state.clone().unwrap_or_default();
    let attempt = visit
        .session
        .as_deref()
        .and_then(|id| visit.app.sessions.take_attempt(id, &visit.brand.slug, &state, now()));
    let (Some(attempt), Some(id)) = (attempt, visit.session.clone()) else {
        return strange("this browser did not ask for it, or it was used already (state)".into());
    };
    let promised = match visit.app.provider.promises_iss().await {
        Ok(promised) => promised,
        Err(error) => return visit.unreachable(&error),
    };
    let code = match callback::judge(response, visit.app.provider.issuer(), promised) {
        Ok(code) => code,
        Err(Refusal::Declined { error, description }) => return declined(&visit, &error, description),
        Err(refusal) => return strange(refusal.to_string()),
    };
    let (wanted, payment) = (attempt.step_up.clone(), attempt.payment.clone());
    match visit.app.provider.finish(&visit.brand, code, attempt).await {
        Ok(tokens) => {
            if let Some(payment) = payment {
                // The token is for this and nothing else; it is not kept.
                visit.tell(&id, send(&visit, &tokens, &payment).await);
                return visit.home();
            }
            let notice = wanted.map(|wanted| stepped_up(&wanted, &tokens.id_token.to_string()));
            let connection = Connection { tokens: tokio::sync::Mutex::new(tokens) };
            match visit.app.sessions.connect(&id, &visit.brand.slug, connection, now()) {
                Some(fresh) => {
                    if let Some(notice) = notice {
                        visit.tell(&fresh, notice);
                    }
                    let next = format!("/{}", visit.brand.slug);
                    visit.with_session(fresh, &next)
                }
                None => strange("the session has ended meanwhile".into()),
            }
        }
        Err(error @ OidcError::Unreachable(_)) => visit.unreachable(&error),
        Err(error) => {
            warn!(%error, "a connection failed");
            strange(error.to_string())
        }
    }
}

/// The bank said no, or the customer did (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6).
fn declined(visit: &Visit, error: &str, description: Option<String>) -> Response {
    let (title, text) = match error {
        "access_denied" => (
            "Nothing was connected",
            "You declined at the bank, or the bank did not allow it. Nothing was shared. You can try again at any time.",
        ),
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            ("The bank needs you", "The bank would have to ask you something first. Please try again.")
        }
        "temporarily_unavailable" | "server_error" => {
            ("The bank has trouble", "Something went wrong at the bank. Please try again in a moment.")
        }
        _ => ("The bank refused", "The bank did not accept the request. Nothing was shared."),
    };
    let detail =
        description.map_or_else(|| error.to_owned(), |description| format!("{error}: {description}"));
    visit.problem(StatusCode::OK, title, text, Some(detail))
}

async fn refresh(visit: Visit) -> Response {
    let Some((id, connection)) = visit.connection() else { return visit.home() };
    let mut tokens = connection.tokens.lock().await;
    match visit.app.provider.refresh(&visit.brand, &mut tokens).await {
        Ok(()) => visit.tell(id, Notice::good("Refreshed: the bank has issued a new access token.")),
        Err(OidcError::GrantRefused) => visit.withdrawn(id, &connection),
        Err(error) => {
            warn!(%error, "a refresh failed");
            visit.tell(id, Notice::bad(format!("The refresh failed: {error}.")));
        }
    }
    visit.home()
}

async fn pay(visit: Visit, Form(order): Form<PaymentOrder>) -> Response {
    let Some((id, connection)) = visit.connection() else { return visit.home() };
    let tokens = connection.tokens.lock().await;
    let sender = visit.app.provider.sender(&visit.brand);
    let notice = match visit.app.bank.pay(&sender, &tokens.access, &order.tidied()).await {
        Err(BankError::StepUp(wanted)) => return step_up(&visit, &tokens, wanted).await,
        paid => told(paid),
    };
    visit.tell(id, notice);
    visit.home()
}

/// Pays with a token that was issued for this payment.
async fn send(visit: &Visit, tokens: &Tokens, order: &PaymentOrder) -> Notice {
    told(visit.app.bank.pay(&visit.app.provider.sender(&visit.brand), &tokens.access, order).await)
}

fn told(paid: Result<Payment, BankError>) -> Notice {
    match paid {
        Ok(paid) => Notice::good(format!(
            "Paid {} {} to {} (reference {}).",
            paid.amount, paid.currency, paid.creditor, paid.payment_id
        )),
        Err(error) => Notice::bad(format!("Nothing was paid: {error}.")),
    }
}

/// Sends the customer to the bank to approve one payment, which needs no standing permission to pay.
async fn approve(visit: Visit, Form(order): Form<PaymentOrder>) -> Response {
    let Some((id, connection)) = visit.connection() else { return visit.home() };
    let mut tokens = connection.tokens.lock().await;
    let order = order.tidied();
    let accounts = match fetch(&visit, &mut tokens).await {
        Ok(Ok(accounts)) => accounts,
        Ok(Err(error)) => {
            visit.tell(id, Notice::bad(format!("Nothing was paid: {error}.")));
            return visit.home();
        }
        Err(error) => return visit.unreachable(&error),
    };
    let Some(from) = accounts.iter().find(|view| view.account.account_id == order.from_account) else {
        visit.tell(id, Notice::bad("Nothing was paid: there is no such account."));
        return visit.home();
    };
    match visit.app.provider.approve(&visit.brand, &tokens, order, &from.account.iban).await {
        Ok((url, attempt)) => {
            visit.app.sessions.begin(Some(id), &visit.brand.slug, attempt);
            Redirect::to(url.as_str()).into_response()
        }
        Err(OidcError::Refused(reason)) => {
            visit.tell(id, Notice::bad(format!("Nothing was paid. The bank says: {reason}.")));
            visit.home()
        }
        Err(error) => visit.unreachable(&error),
    }
}

/// Sends the customer to the bank to show who they are once more. The payment is not kept: they see it again
/// and press the button again, so nothing is paid that they did not look at last.
async fn step_up(visit: &Visit, tokens: &Tokens, wanted: StepUp) -> Response {
    match visit.app.provider.step_up(&visit.brand, tokens, wanted).await {
        Ok((url, attempt)) => {
            visit.app.sessions.begin(visit.session.as_deref(), &visit.brand.slug, attempt);
            Redirect::to(url.as_str()).into_response()
        }
        Err(error) => visit.unreachable(&error),
    }
}

/// What is to be told after a step-up: whether the bank did what its own API wanted. It may have been less;
/// `acr` says what it was (RFC 9470 §5).
fn stepped_up(wanted: &StepUp, id_token: &str) -> Notice {
    let claims = claims::of_jwt(id_token).unwrap_or_default();
    let acr = claims.iter().find(|claim| claim.name == "acr").map(|claim| claim.value.as_str());
    let reached =
        wanted.acr_values.is_empty() || acr.is_some_and(|acr| wanted.acr_values.iter().any(|one| one == acr));
    if reached {
        Notice::good("The bank has made sure that it is you. Please send the payment again.")
    } else {
        Notice::bad("The bank could not make sure enough that it is you. Nothing was paid.")
    }
}

async fn disconnect(visit: Visit) -> Response {
    let Some((id, connection)) = visit.connection() else { return visit.home() };
    let tokens = connection.tokens.lock().await;
    let notice = match visit.app.provider.revoke(&visit.brand, &tokens).await {
        Ok(()) => Notice::good(format!("Disconnected: the bank has revoked {}'s tokens.", visit.brand.name)),
        Err(error) => {
            warn!(%error, "a revocation failed");
            Notice::bad(format!(
                "{} has forgotten its tokens, but the bank did not confirm the revocation.",
                visit.brand.name
            ))
        }
    };
    visit.app.sessions.disconnect(id, &visit.brand.slug, &connection, Some(notice));
    visit.home()
}

/// Signs out here and at the bank. Tokens that nobody will use again are revoked, not just dropped.
async fn sign_out(visit: Visit) -> Response {
    let Some((id, connection)) = visit.connection() else { return visit.home() };
    let tokens = connection.tokens.lock().await;
    if let Err(error) = visit.app.provider.revoke(&visit.brand, &tokens).await {
        warn!(%error, "a revocation at sign-out failed");
    }
    let state = visit.app.sessions.logout_begins(id, &visit.brand.slug);
    let bank = visit.app.provider.logout(&visit.brand, &tokens.id_token, state).await;
    let notice =
        Notice::bad(format!("Signed out of {}. You may still be signed in at the bank.", visit.brand.name));
    visit.app.sessions.disconnect(id, &visit.brand.slug, &connection, Some(notice));
    match bank {
        Ok(Some(url)) => Redirect::to(url.as_str()).into_response(),
        Ok(None) => visit.home(),
        Err(error) => {
            warn!(%error, "the bank cannot be asked to sign out");
            visit.home()
        }
    }
}

#[derive(Deserialize)]
struct SignedOut {
    #[serde(default)]
    state: String,
}

/// Back from the bank's logout (RP-Initiated Logout §3); believed only with the `state` we sent.
async fn signed_out(visit: Visit, back: Result<Query<SignedOut>, QueryRejection>) -> Response {
    if let (Some(id), Ok(Query(back))) = (visit.session.as_deref(), back)
        && visit.app.sessions.logout_returned(id, &visit.brand.slug, &back.state)
    {
        visit.tell(id, Notice::good(format!("Signed out of {} and of the bank.", visit.brand.name)));
    }
    visit.home()
}
