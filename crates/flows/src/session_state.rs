//! Session management (OpenID Connect Session Management 1.0): the values by which a client sees
//! whether the person at its browser is still the one who signed in.
//!
//! The browser state is derived from the session cookie, one way only, and stands in a cookie that
//! scripts of our own origin may read. It changes whenever the session cookie does, and it opens
//! nothing (SE-01).

use jose::digest::{hmac_sha256, sha256};
use protocol::{ClientId, secret::SessionCookie};

/// The browser state of a session cookie. Without a session the state is empty.
pub fn browser_state(session: &SessionCookie) -> String {
    hmac_sha256(session.expose().as_bytes(), &[b"browser state"]).to_string()
}

/// The `session_state` of an authorization response: it depends on client, origin, browser state and
/// salt (SM-01). `salt` has no dot and no space.
pub fn session_state(client: &ClientId, origin: &str, browser_state: &str, salt: &str) -> String {
    format!("{}.{salt}", sha256(format!("{client} {origin} {browser_state} {salt}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sm_01_the_state_depends_on_client_origin_browser_and_salt() {
        let client = |id: &str| id.parse::<ClientId>().unwrap();
        let base = session_state(&client("app"), "https://a.example", "state", "salt");
        assert!(base.ends_with(".salt"));
        for other in [
            session_state(&client("other"), "https://a.example", "state", "salt"),
            session_state(&client("app"), "https://b.example", "state", "salt"),
            session_state(&client("app"), "https://a.example", "", "salt"),
            session_state(&client("app"), "https://a.example", "state", "pepper"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn se_01_the_browser_state_says_nothing_of_the_cookie() {
        let cookie = SessionCookie::from_entropy([7; 32]);
        let state = browser_state(&cookie);
        assert_ne!(state, cookie.expose());
        assert_ne!(state, browser_state(&SessionCookie::from_entropy([8; 32])));
        assert_ne!(state, sha256(cookie.expose()).to_string(), "the digest is what the store finds it by");
    }
}
