//! Every public route, with the rules of its group.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};

use crate::{
    App,
    browser::{
        Visit, account, authorize, check_session, device, federation, interaction, logout, select_account,
    },
    endpoints::{device as device_endpoint, metadata, pushed, registration, token, userinfo},
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
        .route("/device", get(device::get).post(device::post))
        .route("/device/confirm", post(device::confirm))
        .route_layer(front(app, Rules::PEOPLE.limited(Class::Guess)));
    // Each of these may write, a GET too: it begins an interaction, or ends one with a code.
    let pages = Router::new()
        .route("/authorize", get(authorize::get).post(authorize::post))
        .route("/interaction/{id}", get(interaction::get))
        .route("/interaction/{id}/recovery-codes", post(interaction::codes_saved))
        .route("/interaction/{id}/consent", post(interaction::decide))
        .route("/interaction/{id}/cancel", post(interaction::cancel))
        .route("/interaction/{id}/switch", post(interaction::switch))
        .route("/interaction/{id}/account", post(select_account::choose))
        .route("/interaction/{id}/upstream/{provider}", post(federation::choose))
        .route("/interaction/{id}/realm", post(federation::realm))
        .route("/federation/callback/{provider}", get(federation::callback))
        .route("/federation/signed-out/{provider}", get(federation::signed_out))
        .route("/account/upstream/{provider}/link", post(federation::link))
        .route("/account/upstream/{provider}/unlink", post(federation::unlink))
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
        .route("/signed-out", get(logout::signed_out_page))
        .route("/check-session", get(check_session::get))
        .route("/assets/{file}", get(assets::serve))
        .fallback(not_found)
        .layer(front(app, Rules::PEOPLE.only_reads()));
    // BCP-23: browser apps call these from anywhere, without cookies. The authorization endpoint is
    // never among them (F2-04).
    let shared = Rules::PROGRAMS.cross_origin();
    let documents = Router::new()
        .route("/.well-known/openid-configuration", get(metadata::provider))
        .route("/.well-known/oauth-authorization-server", get(metadata::provider))
        .route("/jwks", get(metadata::jwks))
        .route_layer(front(app, shared.only_reads()));
    // DR-01: where registration is off there is nothing to find.
    let registration = match app.service.policies().registration {
        None => Router::new(),
        Some(_) => Router::new()
            .route("/register", post(registration::register))
            .route(
                "/register/{client}",
                get(registration::read).put(registration::replace).delete(registration::end),
            )
            .route_layer(front(app, Rules::PROGRAMS.limited(Class::Registration))),
    };
    let people = guesses.merge(pages).merge(rest);
    documents.merge(endpoints(app)).merge(registration).merge(people).with_state(app.clone())
}

/// What the listener for clients that show a certificate serves (MT-07): the endpoints that
/// `mtls_endpoint_aliases` names, and no page.
pub fn mutual_router(app: &App) -> Router {
    endpoints(app).fallback(not_found).with_state(app.clone())
}

/// Where clients and resource servers authenticate.
fn endpoints(app: &App) -> Router<App> {
    let shared = Rules::PROGRAMS.cross_origin();
    let crossed = Router::new()
        .route("/token", post(token::token))
        .route("/par", post(pushed::push))
        .route("/revoke", post(token::revoke))
        .route("/userinfo", get(userinfo::userinfo).post(userinfo::userinfo))
        .route_layer(front(app, shared.limited(Class::Endpoint)));
    let inspection = Router::new()
        .route("/introspect", post(token::introspect))
        .route("/device_authorization", post(device_endpoint::authorize))
        .route("/federation/backchannel-logout/{provider}", post(federation::backchannel))
        .route_layer(front(app, Rules::PROGRAMS.limited(Class::Endpoint)));
    crossed.merge(inspection)
}

async fn not_found(State(app): State<App>, visit: Visit) -> Response {
    visit.not_found(&app)
}
