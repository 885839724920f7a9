//! Cookies: one for the browser, one for the session.
//!
//! On https both have the `__Host-` prefix, which a browser accepts only with `Secure`, for the
//! whole host and from no subdomain (SE-01). On plain http, for development, the prefix can't work
//! and the names say so.

use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use flows::visitor::Cookies;
use http::{HeaderMap, HeaderValue, header};
use protocol::secret::{BrowserCookie, SessionCookie};

use crate::App;

const SESSION: [&str; 2] = ["chancery-session-dev", "__Host-chancery-session"];
const BROWSER: [&str; 2] = ["chancery-browser-dev", "__Host-chancery-browser"];

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
    }
}

/// `Set-Cookie` for a new browser cookie.
pub fn browser(app: &App, cookie: &BrowserCookie) -> HeaderValue {
    written(app, BROWSER, cookie.expose(), false)
}

/// `Set-Cookie` for a new session.
pub fn session(app: &App, cookie: &SessionCookie) -> HeaderValue {
    written(app, SESSION, cookie.expose(), false)
}

/// `Set-Cookie` that removes the session cookie.
pub fn no_session(app: &App) -> HeaderValue {
    written(app, SESSION, "", true)
}

/// Both are session cookies in the browser's sense: how long they count is for the store to say.
fn written(app: &App, names: [&'static str; 2], value: &str, remove: bool) -> HeaderValue {
    let https = app.config.https;
    let mut cookie = Cookie::build((names[usize::from(https)], value.to_owned()))
        .path("/")
        .http_only(true)
        .secure(https)
        .same_site(SameSite::Lax)
        .build();
    if remove {
        cookie.make_removal();
    }
    HeaderValue::from_str(&cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// Adds a `Set-Cookie` header to a response.
pub fn set(response: &mut axum::response::Response, cookie: HeaderValue) {
    response.headers_mut().append(header::SET_COOKIE, cookie);
}
