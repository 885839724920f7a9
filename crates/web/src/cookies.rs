//! Cookies: one for the browser, one for the session, one for the accounts that the browser has signed
//! in to; and one that scripts of ours may read, which follows the session's and opens nothing.
//!
//! On https all have the `__Host-` prefix, which a browser accepts only with `Secure`, for the
//! whole host and from no subdomain (SE-01). On plain http, for development, the prefix can't work
//! and the names say so.

use axum::response::Response;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use flows::{session_state::browser_state, sign_in::SignedIn, visitor::Cookies};
use http::{HeaderMap, HeaderValue, header};
use protocol::secret::{BrowserCookie, DeviceCookie, SessionCookie};

use crate::App;

const SESSION: [&str; 2] = ["chancery-session-dev", "__Host-chancery-session"];
const BROWSER: [&str; 2] = ["chancery-browser-dev", "__Host-chancery-browser"];
const DEVICE: [&str; 2] = ["chancery-device-dev", "__Host-chancery-device"];

const STATE: [&str; 2] = ["chancery-state-dev", "__Host-chancery-state"];

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

/// Adds the cookie of a new session to a response, and the browser state that belongs to it.
pub fn start_session(app: &App, response: &mut Response, cookie: &SessionCookie) {
    set(response, written(app, SESSION, cookie.expose(), Keep::Session));
    set(response, state(app, &browser_state(cookie), Keep::Session));
}

/// Removes the session cookie, and the browser state with it.
pub fn end_session(app: &App, response: &mut Response) {
    set(response, written(app, SESSION, "", Keep::Remove));
    set(response, state(app, "", Keep::Remove));
}

/// The name of the cookie that the `check_session_iframe` reads.
pub fn state_name(app: &App) -> &'static str {
    STATE[usize::from(app.config.https)]
}

/// The browser state that the browser holds, where it sends no session: from within another site's page
/// it sends only this cookie.
pub fn read_state(app: &App, headers: &HeaderMap) -> Option<String> {
    let jar = CookieJar::from_headers(headers);
    jar.get(state_name(app)).map(|cookie| cookie.value().to_owned())
}

/// A script within another site's page reads it, so it is neither `Lax` nor `HttpOnly` (SE-01). Browsers
/// take `Secure` on loopback's plain http, and `SameSite=None` only with it.
fn state(app: &App, value: &str, keep: Keep) -> HeaderValue {
    let mut cookie = Cookie::build((state_name(app), value.to_owned()))
        .path("/")
        .secure(true)
        .same_site(SameSite::None)
        .build();
    if matches!(keep, Keep::Remove) {
        cookie.make_removal();
    }
    HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// `Set-Cookie` for what the browser keeps of accounts. It outlives the session and says nothing of
/// anybody; it only keeps strangers from slowing the person down.
pub fn device(app: &App, cookie: &DeviceCookie) -> HeaderValue {
    written(app, DEVICE, cookie.expose(), Keep::Always)
}

/// Adds the cookies of a right credential to a response.
pub fn sign_in(app: &App, response: &mut Response, signed_in: &SignedIn) {
    start_session(app, response, &signed_in.session);
    if let Some(cookie) = &signed_in.device {
        set(response, device(app, cookie));
    }
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
