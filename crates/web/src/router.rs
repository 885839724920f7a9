//! Every public route, with its layers.

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderName, Method, StatusCode, header};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{Any, CorsLayer},
    timeout::TimeoutLayer,
};

use crate::{
    App,
    browser::{Visit, account, authorize, interaction, logout},
    endpoints::{metadata, token, userinfo},
    form::MAX_BODY,
    headers::{protect_endpoints, protect_pages},
    limits::{
        Class, fields,
        header::bound,
        layer::{Guard, limit},
    },
    pages::assets,
    request::{identify, measure},
};

/// No request takes longer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that the public listener serves.
pub fn public_router(app: &App) -> Router {
    // Each of these tries a credential.
    let guesses = limited(
        app,
        Class::Guess,
        Router::new()
            .route("/interaction/{id}/login", post(interaction::login))
            .route("/interaction/{id}/otp", post(interaction::otp))
            .route("/interaction/{id}/recovery-code", post(interaction::recovery_code))
            .route("/interaction/{id}/enrol", post(interaction::enrol))
            .route("/account/password", post(account::password)),
    );
    // Each of these may write, a GET too: it begins an interaction, or ends one with a code.
    let pages = limited(
        app,
        Class::Page,
        Router::new()
            .route("/authorize", get(authorize::get).post(authorize::post))
            .route("/interaction/{id}", get(interaction::get))
            .route("/interaction/{id}/recovery-codes", post(interaction::codes_saved))
            .route("/interaction/{id}/consent", post(interaction::decide))
            .route("/interaction/{id}/cancel", post(interaction::cancel))
            .route("/interaction/{id}/switch", post(interaction::switch))
            .route("/account", get(account::get))
            .route("/account/totp", post(account::totp))
            .route("/account/recovery-codes", post(account::codes_saved))
            .route("/account/sessions/{id}/end", post(account::end_session))
            .route("/account/apps/{consent}/withdraw", post(account::withdraw))
            .route("/account/sign-out", post(account::sign_out))
            .route("/end-session", get(logout::get).post(logout::post))
            .route_layer(from_fn(no_head)),
    );
    // The rest reads nothing but the program itself.
    let people = guesses
        .merge(pages)
        .route("/login", get(account::login))
        .route("/signed-out", get(logout::signed_out))
        .route("/assets/{file}", get(assets::serve))
        .fallback(not_found);
    let people = bounded(people).layer(from_fn_with_state(app.clone(), protect_pages));
    // BCP-23: browser apps call these from anywhere, without cookies. The authorization endpoint is
    // never among them (F2-04).
    let shared = Router::new()
        .route("/.well-known/openid-configuration", get(metadata::provider))
        .route("/.well-known/oauth-authorization-server", get(metadata::provider))
        .route("/jwks", get(metadata::jwks))
        .merge(limited(
            app,
            Class::Endpoint,
            Router::new()
                .route("/token", post(token::token))
                .route("/revoke", post(token::revoke))
                .route("/userinfo", get(userinfo::userinfo).post(userinfo::userinfo)),
        ))
        .layer(cors());
    let endpoints =
        limited(app, Class::Endpoint, Router::new().route("/introspect", post(token::introspect)))
            .merge(shared);
    let endpoints = bounded(endpoints).layer(from_fn_with_state(app.clone(), protect_endpoints));
    endpoints.merge(people).with_state(app.clone()).layer(
        ServiceBuilder::new()
            .layer(from_fn_with_state(app.clone(), identify))
            .layer(from_fn(measure))
            .layer(from_fn(bound)),
    )
}

/// Routes that end in time, with a bounded body, and with an answer whatever happens. Inside the
/// layers that protect, so that these answers are protected too.
fn bounded(routes: Router<App>) -> Router<App> {
    routes.layer(
        ServiceBuilder::new()
            .layer(CatchPanicLayer::new())
            .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, TIMEOUT))
            .layer(DefaultBodyLimit::max(MAX_BODY)),
    )
}

/// axum answers HEAD as GET without the body. Where a GET may issue a code or end an interaction,
/// nobody who throws the answer away shall cause that.
async fn no_head(request: Request, next: Next) -> Response {
    if request.method() == Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, POST")]).into_response();
    }
    next.run(request).await
}

/// Routes behind the limit of their class.
fn limited(app: &App, class: Class, routes: Router<App>) -> Router<App> {
    routes.route_layer(from_fn_with_state(Guard { app: app.clone(), class }, limit))
}

fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("dpop")])
        .expose_headers([
            header::WWW_AUTHENTICATE,
            header::RETRY_AFTER,
            fields::RATELIMIT,
            fields::RATELIMIT_POLICY,
            HeaderName::from_static("dpop-nonce"),
        ])
        .max_age(Duration::from_secs(3600))
}

async fn not_found(State(app): State<App>, visit: Visit) -> Response {
    visit.not_found(&app)
}
