//! Who is who: browser sessions in memory, keyed by a random cookie.
//!
//! A session begins when somebody clicks "Connect". Its id changes when the connection is made, so that an id
//! planted beforehand is worth nothing. Each browser may have several attempts under way (tabs), found by
//! `state`; each is used once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum_extra::extract::cookie::{Cookie, SameSite};
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::{AccessToken, CsrfToken, Nonce, PkceCodeVerifier, RefreshToken, core::CoreIdToken};
use serde_json::Value;

use crate::bank::{PaymentOrder, StepUp};

pub(crate) const COOKIE: &str = "fintech-app-session";
/// A session unused for this long is forgotten.
const IDLE: TimeDelta = TimeDelta::hours(8);
/// An attempt to connect that takes longer is forgotten.
const ATTEMPT: TimeDelta = TimeDelta::minutes(30);
const MAX_SESSIONS: usize = 1_000;
const MAX_ATTEMPTS: usize = 10;

/// An authorization request under way.
pub(crate) struct Attempt {
    pub(crate) state: CsrfToken,
    pub(crate) nonce: Nonce,
    pub(crate) verifier: PkceCodeVerifier,
    /// The scopes asked for.
    pub(crate) scopes: Vec<String>,
    /// What the bank's API wants of this authentication, if it is a step-up (RFC 9470 §4).
    pub(crate) step_up: Option<StepUp>,
    /// The payment that is to be approved, if that is all it is for (RFC 9396).
    pub(crate) payment: Option<PaymentOrder>,
    pub(crate) started: DateTime<Utc>,
}

/// What the bank gave us.
pub(crate) struct Tokens {
    pub(crate) access: AccessToken,
    pub(crate) refresh: Option<RefreshToken>,
    /// The granted scopes, sorted.
    pub(crate) scopes: Vec<String>,
    pub(crate) expires: Option<DateTime<Utc>>,
    /// The newest ID token, verified; later the `id_token_hint` of logout.
    pub(crate) id_token: CoreIdToken,
    pub(crate) userinfo: Option<Value>,
    /// How often the access token has been refreshed.
    pub(crate) refreshed: u32,
}

/// A connected bank. The lock is held while tokens are used or refreshed: two tabs that refresh at once would
/// spend one rotating refresh token twice, which the bank must take for theft (RFC 9700 §4.14.2).
pub(crate) struct Connection {
    pub(crate) tokens: tokio::sync::Mutex<Tokens>,
}

/// One thing to tell at the top of the next page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Notice {
    pub(crate) good: bool,
    pub(crate) text: String,
}

impl Notice {
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self { good: true, text: text.into() }
    }
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self { good: false, text: text.into() }
    }
}

#[derive(Default)]
struct PerBrand {
    attempts: Vec<Attempt>,
    connection: Option<Arc<Connection>>,
    notice: Option<Notice>,
    logout_state: Option<CsrfToken>,
}

struct Session {
    seen: DateTime<Utc>,
    brands: HashMap<String, PerBrand>,
}

/// All sessions of the process.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// Remembers an attempt, in the session `id` or a new one. Returns the session's id.
    pub(crate) fn begin(&self, id: Option<&str>, brand: &str, attempt: Attempt) -> String {
        let mut sessions = self.lock();
        let now = attempt.started;
        let id = match id.filter(|id| sessions.contains_key(*id)) {
            Some(id) => id.to_owned(),
            None => {
                make_room(&mut sessions, now);
                new_id()
            }
        };
        let session =
            sessions.entry(id.clone()).or_insert_with(|| Session { seen: now, brands: HashMap::new() });
        session.seen = now;
        let attempts = &mut session.brands.entry(brand.to_owned()).or_default().attempts;
        attempts.retain(|other| now.signed_duration_since(other.started) < ATTEMPT);
        if attempts.len() >= MAX_ATTEMPTS {
            attempts.remove(0);
        }
        attempts.push(attempt);
        id
    }

    /// The attempt that sent `state`, once: the second call finds nothing.
    pub(crate) fn take_attempt(
        &self,
        id: &str,
        brand: &str,
        state: &str,
        now: DateTime<Utc>,
    ) -> Option<Attempt> {
        self.with(id, brand, |mine| {
            let found = mine.attempts.iter().position(|attempt| attempt.state.secret() == state)?;
            let attempt = mine.attempts.remove(found);
            (now.signed_duration_since(attempt.started) < ATTEMPT).then_some(attempt)
        })?
    }

    /// Stores the connection and moves the session to a fresh id, which is returned; `None` if it is gone.
    pub(crate) fn connect(
        &self,
        id: &str,
        brand: &str,
        connection: Connection,
        now: DateTime<Utc>,
    ) -> Option<String> {
        let mut sessions = self.lock();
        let mut session = sessions.remove(id)?;
        session.seen = now;
        session.brands.entry(brand.to_owned()).or_default().connection = Some(Arc::new(connection));
        let fresh = new_id();
        sessions.insert(fresh.clone(), session);
        Some(fresh)
    }

    /// The connection of this browser to this app's bank. Counts as use of the session.
    pub(crate) fn connection(&self, id: &str, brand: &str, now: DateTime<Utc>) -> Option<Arc<Connection>> {
        let mut sessions = self.lock();
        let session = sessions.get_mut(id)?;
        if now.signed_duration_since(session.seen) >= IDLE {
            sessions.remove(id);
            return None;
        }
        session.seen = now;
        session.brands.get(brand)?.connection.clone()
    }

    /// Forgets the connection, if it is still `this` one, and leaves a notice.
    pub(crate) fn disconnect(&self, id: &str, brand: &str, this: &Arc<Connection>, notice: Option<Notice>) {
        self.with(id, brand, |mine| {
            if mine.connection.as_ref().is_some_and(|connection| Arc::ptr_eq(connection, this)) {
                mine.connection = None;
                mine.notice = notice;
            }
        });
    }

    pub(crate) fn leave_notice(&self, id: &str, brand: &str, notice: Notice) {
        self.with(id, brand, |mine| mine.notice = Some(notice));
    }

    pub(crate) fn take_notice(&self, id: &str, brand: &str) -> Option<Notice> {
        self.with(id, brand, |mine| mine.notice.take())?
    }

    /// A `state` for a logout request, remembered until [`Self::logout_returned`].
    pub(crate) fn logout_begins(&self, id: &str, brand: &str) -> CsrfToken {
        let state = CsrfToken::new_random();
        self.with(id, brand, |mine| mine.logout_state = Some(state.clone()));
        state
    }

    /// Whether this browser sent the logout request that has come back with `state`.
    pub(crate) fn logout_returned(&self, id: &str, brand: &str, state: &str) -> bool {
        self.with(id, brand, |mine| mine.logout_state.take_if(|sent| sent.secret() == state).is_some())
            .unwrap_or_default()
    }

    fn with<T>(&self, id: &str, brand: &str, action: impl FnOnce(&mut PerBrand) -> T) -> Option<T> {
        self.lock().get_mut(id)?.brands.get_mut(brand).map(action)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session cookie. `Lax`, because the bank's redirect back is a cross-site navigation.
pub(crate) fn cookie(id: String, secure: bool) -> Cookie<'static> {
    Cookie::build((COOKIE, id)).path("/").http_only(true).same_site(SameSite::Lax).secure(secure).build()
}

fn make_room(sessions: &mut HashMap<String, Session>, now: DateTime<Utc>) {
    if sessions.len() < MAX_SESSIONS {
        return;
    }
    sessions.retain(|_, session| now.signed_duration_since(session.seen) < IDLE);
    if sessions.len() >= MAX_SESSIONS
        && let Some(oldest) =
            sessions.iter().min_by_key(|(_, session)| session.seen).map(|(id, _)| id.clone())
    {
        sessions.remove(&oldest);
    }
}

/// 256 random bits.
fn new_id() -> String {
    CsrfToken::new_random_len(32).into_secret()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + minutes * 60, 0).unwrap()
    }

    fn attempt(state: &str, started: DateTime<Utc>) -> Attempt {
        Attempt {
            state: CsrfToken::new(state.into()),
            nonce: Nonce::new_random(),
            verifier: PkceCodeVerifier::new("v".repeat(43)),
            scopes: Vec::new(),
            step_up: None,
            payment: None,
            started,
        }
    }

    #[test]
    fn an_attempt_counts_once_for_its_own_browser_and_app() {
        let sessions = Sessions::default();
        let mine = sessions.begin(None, "ledgerline", attempt("s1", at(0)));
        assert_eq!(sessions.begin(Some(&mine), "ledgerline", attempt("s2", at(0))), mine, "a second tab");
        let theirs = sessions.begin(Some("planted"), "ledgerline", attempt("s3", at(0)));
        assert_ne!(theirs, "planted", "an id that we did not make is not taken over");

        assert!(sessions.take_attempt(&theirs, "ledgerline", "s1", at(1)).is_none());
        assert!(sessions.take_attempt(&mine, "pocketwise", "s1", at(1)).is_none());
        assert!(sessions.take_attempt(&mine, "ledgerline", "s1", at(1)).is_some());
        assert!(sessions.take_attempt(&mine, "ledgerline", "s1", at(1)).is_none(), "once");
        assert!(sessions.take_attempt(&mine, "ledgerline", "s2", at(31)).is_none(), "too late");
    }

    #[test]
    fn sessions_and_attempts_are_bounded() {
        let sessions = Sessions::default();
        let first = sessions.begin(None, "b", attempt("s", at(0)));
        for _ in 0..MAX_SESSIONS {
            sessions.begin(None, "b", attempt("s", at(1)));
        }
        assert_eq!(sessions.lock().len(), MAX_SESSIONS);
        assert!(sessions.take_attempt(&first, "b", "s", at(1)).is_none(), "the oldest made room");
        let id = sessions.begin(None, "b", attempt("first", at(1)));
        for _ in 0..MAX_ATTEMPTS {
            sessions.begin(Some(&id), "b", attempt("later", at(1)));
        }
        assert!(sessions.take_attempt(&id, "b", "first", at(1)).is_none());
    }

    #[test]
    fn a_logout_state_counts_once() {
        let sessions = Sessions::default();
        let id = sessions.begin(None, "b", attempt("s", at(0)));
        let state = sessions.logout_begins(&id, "b");
        assert!(!sessions.logout_returned(&id, "b", "guess"));
        assert!(sessions.logout_returned(&id, "b", state.secret()));
        assert!(!sessions.logout_returned(&id, "b", state.secret()));
    }
}
