//! Cookies: one for the browser, one for the session, one for the accounts that the browser has signed
//! in to.
//!
//! On https all have the `__Host-` prefix, which a browser accepts only with `Secure`, for the
//! whole host and from no subdomain (SE-01). On plain http, for development, the prefix can't work
//! and the names say so.

use axum::response::Response;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use flows::{sign_in::SignedIn, visitor::Cookies};
use http::{HeaderMap, HeaderValue, header};
use protocol::secret::{BrowserCookie, DeviceCookie, SessionCookie};

use crate::App;

const SESSION: [&str; 2] = ["chancery-session-dev", "__Host-chancery-session"];
const BROWSER: [&str; 2] = ["chancery-browser-dev", "__Host-chancery-browser"];
const DEVICE: [&str; 2] = ["chancery-device-dev", "__Host-chancery-device"];

/// How long a browser keeps a cookie.
#[derive(Clone, Copy)]
enum Keep {
    /// Until it is closed: how long the value counts is for the store to say.
    Session,
    /// As long as it keeps any; browsers cap that at 400 days.
    Always,
    /// Not at all.
    Remove,
}

/// The cookies of a request.
pub fn read(app: &App, headers: &HeaderMap) -> Cookies {
    let jar = CookieJar::from_headers(headers);
    let value = |names: [&str; 2]| {
        let name = names[usize::from(app.config.https)];
        jar.get(name).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
    };
    Cookies {
        browser: value(BROWSER).map(BrowserCookie::new),
        session: value(SESSION).map(SessionCookie::new),
        device: value(DEVICE).map(DeviceCookie::new),
    }
}

/// `Set-Cookie` for a new browser cookie.
pub fn browser(app: &App, cookie: &BrowserCookie) -> HeaderValue {
    written(app, BROWSER, cookie.expose(), Keep::Session)
}

/// `Set-Cookie` for a new session.
pub fn session(app: &App, cookie: &SessionCookie) -> HeaderValue {
    written(app, SESSION, cookie.expose(), Keep::Session)
}

/// `Set-Cookie` for what the browser keeps of accounts. It outlives the session and says nothing of
/// anybody; it only keeps strangers from slowing the person down.
pub fn device(app: &App, cookie: &DeviceCookie) -> HeaderValue {
    written(app, DEVICE, cookie.expose(), Keep::Always)
}

/// Adds the cookies of a right credential to a response.
pub fn sign_in(app: &App, response: &mut Response, signed_in: &SignedIn) {
    set(response, session(app, &signed_in.session));
    if let Some(cookie) = &signed_in.device {
        set(response, device(app, cookie));
    }
}

/// `Set-Cookie` that removes the session cookie.
pub fn no_session(app: &App) -> HeaderValue {
    written(app, SESSION, "", Keep::Remove)
}

fn written(app: &App, names: [&'static str; 2], value: &str, keep: Keep) -> HeaderValue {
    let https = app.config.https;
    let mut cookie = Cookie::build((names[usize::from(https)], value.to_owned()))
        .path("/")
        .http_only(true)
        .secure(https)
        .same_site(SameSite::Lax)
        .build();
    match keep {
        Keep::Session => {}
        Keep::Always => cookie.make_permanent(),
        Keep::Remove => cookie.make_removal(),
    }
    HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// Adds a `Set-Cookie` header to a response.
pub fn set(response: &mut Response, cookie: HeaderValue) {
    response.headers_mut().append(header::SET_COOKIE, cookie);
}
