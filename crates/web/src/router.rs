//! Every public route, with the rules of its group.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};

use crate::{
    App,
    browser::{Visit, account, authorize, interaction, logout},
    endpoints::{metadata, token, userinfo},
    front::{Rules, front},
    limits::Class,
    pages::assets,
};

/// Everything that the public listener serves.
pub fn public_router(app: &App) -> Router {
    // Each of these tries a credential.
    let guesses = Router::new()
        .route("/interaction/{id}/login", post(interaction::login))
        .route("/interaction/{id}/otp", post(interaction::otp))
        .route("/interaction/{id}/recovery-code", post(interaction::recovery_code))
        .route("/interaction/{id}/enrol", post(interaction::enrol))
        .route("/account/password", post(account::password))
        .route_layer(front(app, Rules::PEOPLE.limited(Class::Guess)));
    // Each of these may write, a GET too: it begins an interaction, or ends one with a code.
    let pages = Router::new()
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
        .route_layer(front(app, Rules::PEOPLE.limited(Class::Page).no_head()));
    // The rest reads nothing but the program itself.
    let rest = Router::new()
        .route("/login", get(account::login))
        .route("/signed-out", get(logout::signed_out))
        .route("/assets/{file}", get(assets::serve))
        .fallback(not_found)
        .layer(front(app, Rules::PEOPLE));
    // BCP-23: browser apps call these from anywhere, without cookies. The authorization endpoint is
    // never among them (F2-04).
    let shared = Rules::PROGRAMS.cross_origin();
    let documents = Router::new()
        .route("/.well-known/openid-configuration", get(metadata::provider))
        .route("/.well-known/oauth-authorization-server", get(metadata::provider))
        .route("/jwks", get(metadata::jwks))
        .route_layer(front(app, shared));
    let endpoints = Router::new()
        .route("/token", post(token::token))
        .route("/revoke", post(token::revoke))
        .route("/userinfo", get(userinfo::userinfo).post(userinfo::userinfo))
        .route_layer(front(app, shared.limited(Class::Endpoint)));
    let inspection = Router::new()
        .route("/introspect", post(token::introspect))
        .route_layer(front(app, Rules::PROGRAMS.limited(Class::Endpoint)));
    let people = guesses.merge(pages).merge(rest);
    documents.merge(endpoints).merge(inspection).merge(people).with_state(app.clone())
}

async fn not_found(State(app): State<App>, visit: Visit) -> Response {
    visit.not_found(&app)
}
