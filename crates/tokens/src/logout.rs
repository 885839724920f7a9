//! Logout: RP-initiated (OpenID Connect RP-Initiated Logout 1.0), and how clients hear of it over the
//! back channel (Back-Channel Logout 1.0) and the front channel (Front-Channel Logout 1.0).
//!
//! A link to the end-session endpoint can be put on any page, so nobody is signed out by one alone:
//! without an ID token of this very session the person confirms first (LO-01). And nobody is sent
//! anywhere that the client did not register (LO-02).

use chrono::{DateTime, TimeDelta, Utc};
use protocol::{ClientId, SessionId, TokenId, UserId, logout::EndSessionRequest, uri::RedirectUri};
use serde::Serialize;

use crate::{
    client::Client,
    envelope::Envelope,
    mint::{Mint, MintFault},
};

/// How long a logout token counts (Back-Channel Logout §2.4, BL-01).
const TOKEN_LIFETIME: TimeDelta = TimeDelta::minutes(2);

/// For how long clients are told of the end of a session. Whoever could not be reached by then has
/// sessions of their own that are over.
pub const NOTICE_LIFETIME: TimeDelta = TimeDelta::hours(6);

/// How long to wait after each failed attempt; after the last one nobody tries any more (BL-02).
const WAITS: [TimeDelta; 8] = [
    TimeDelta::seconds(5),
    TimeDelta::seconds(20),
    TimeDelta::minutes(1),
    TimeDelta::minutes(5),
    TimeDelta::minutes(15),
    TimeDelta::minutes(45),
    TimeDelta::hours(1),
    TimeDelta::hours(2),
];

/// What a verified `id_token_hint` says; it may have expired (LO-03).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutHint {
    /// Its `sub`, where that names a person; a pairwise one does not.
    pub subject: Option<UserId>,
    /// Its `sid`.
    pub session: Option<SessionId>,
}

/// What to do with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutDecision {
    /// Whether the person must say yes first.
    pub confirm: bool,
    /// Where to go afterwards, `state` included; `None` for our own page.
    pub redirect: Option<String>,
}

/// Decides. `client` is the one that the hint's audience or `client_id` names, if both agree;
/// `current` is the session of the browser.
pub fn end_session(
    request: &EndSessionRequest,
    client: Option<&Client>,
    hint: Option<&LogoutHint>,
    current: Option<(SessionId, UserId)>,
) -> LogoutDecision {
    let confirm = match (current, hint) {
        // Nobody is signed in: there is nothing to confirm.
        (None, _) => false,
        (Some((session, user)), Some(hint)) => {
            let known = hint.subject.is_some() || hint.session.is_some();
            !known
                || hint.subject.is_some_and(|named| named != user)
                || hint.session.is_some_and(|named| named != session)
        }
        (Some(_), None) => true,
    };
    let redirect = redirect(request, client);
    // A request that wants to lead where it may not is none that a client of ours would send (LO-02).
    let stray = request.post_logout_redirect_uri.is_some() && redirect.is_none();
    LogoutDecision { confirm: confirm || (stray && current.is_some()), redirect }
}

/// LO-02: a registered URI of the client, by exact string (loopback ports of native clients
/// excepted).
fn redirect(request: &EndSessionRequest, client: Option<&Client>) -> Option<String> {
    let wanted = request.post_logout_redirect_uri.as_deref()?;
    let client = client?;
    let mut registered = client.post_logout_redirect_uris.iter();
    if !registered.any(|uri| uri.admits(wanted, client.application_type)) {
        return None;
    }
    let mut url = url::Url::parse(wanted).ok()?;
    if let Some(state) = &request.state {
        url.query_pairs_mut().append_pair("state", state);
        return Some(url.into());
    }
    Some(wanted.to_owned())
}

/// A client that is to be told that a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutNotice {
    /// The session, which is over.
    pub session: SessionId,
    /// Who is told.
    pub client: ClientId,
    /// Whose session it was.
    pub user: UserId,
    /// When it ended.
    pub created_at: DateTime<Utc>,
    /// How often it was tried, the current attempt included.
    pub attempts: i64,
    /// When nobody tries any more.
    pub expires_at: DateTime<Utc>,
}

impl LogoutNotice {
    /// When to try again after an attempt that failed; `None` when it was the last one (BL-02).
    pub fn next_attempt(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let made = usize::try_from(self.attempts).ok()?.checked_sub(1)?;
        let next = now + *WAITS.get(made)?;
        (next < self.expires_at).then_some(next)
    }
}

/// The claims of a logout token (Back-Channel Logout §2.4). No nonce, so that it is never taken for an
/// ID token.
#[derive(Debug, Serialize)]
struct LogoutTokenClaims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a ClientId,
    iat: i64,
    exp: i64,
    jti: TokenId,
    sid: SessionId,
    events: Events,
}

#[derive(Debug, Serialize)]
struct Events {
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    backchannel_logout: Nothing,
}

#[derive(Debug, Serialize)]
struct Nothing {}

impl Mint<'_> {
    /// Makes a logout token, signed and encrypted as the client's ID tokens are (BL-01). It always names
    /// the session (BL-03).
    ///
    /// # Errors
    /// [`MintFault`].
    pub fn logout_token(
        &self,
        client: &Client,
        notice: &LogoutNotice,
        id: TokenId,
        now: DateTime<Utc>,
    ) -> Result<Envelope, MintFault> {
        let algorithm = client.id_token_algorithm;
        let key = self.keyring.signer(algorithm).ok_or(MintFault::NoKey(algorithm))?;
        let claims = LogoutTokenClaims {
            iss: self.issuer,
            sub: self.subjects.subject(client, notice.user),
            aud: &client.id,
            iat: now.timestamp(),
            exp: (now + TOKEN_LIFETIME).timestamp(),
            jti: id,
            sid: notice.session,
            events: Events { backchannel_logout: Nothing {} },
        };
        Ok(Envelope::signed(key.sign("logout+jwt", &claims)?, client.disclosure.id_token))
    }
}

/// What the page after a logout frames for one client (FL-01).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutFrame {
    /// The client's registered address with `iss` and `sid`.
    pub url: String,
    /// Its origin, for `frame-src`.
    pub source: String,
}

impl LogoutFrame {
    /// The frame of a client, if it registered one.
    pub fn new(client: &Client, issuer: &str, session: SessionId) -> Option<Self> {
        let uri = client.logout.front_channel.as_deref()?;
        let mut url = url::Url::parse(uri).ok()?;
        url.query_pairs_mut().append_pair("iss", issuer).append_pair("sid", &session.to_string());
        Some(Self { source: RedirectUri::csp_source(uri)?, url: url.into() })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::client::tests::record;

    fn client() -> Client {
        let mut record = record();
        record.metadata.post_logout_redirect_uris = vec!["https://app.example/bye".into()];
        Client::parse(&record).unwrap()
    }

    fn ids(session: u128, user: u128) -> (SessionId, UserId) {
        (SessionId(Uuid::from_u128(session)), UserId(Uuid::from_u128(user)))
    }

    #[test]
    fn lo_01_only_a_hint_of_this_session_spares_the_question() {
        let request = EndSessionRequest::default();
        let (session, subject) = ids(1, 2);
        let confirm = |hint: Option<(u128, u128)>| {
            let hint = hint.map(|(session, user)| ids(session, user));
            let hint =
                hint.map(|(session, subject)| LogoutHint { subject: Some(subject), session: Some(session) });
            end_session(&request, None, hint.as_ref(), Some((session, subject))).confirm
        };
        assert!(confirm(None));
        assert!(!confirm(Some((1, 2))));
        assert!(confirm(Some((1, 3))), "another person's hint");
        assert!(confirm(Some((9, 2))), "another session's hint");
        assert!(!end_session(&request, None, None, None).confirm);
    }

    #[test]
    fn lo_01_a_hint_that_names_nobody_asks_and_a_session_alone_suffices() {
        let (session, user) = ids(1, 2);
        let confirm = |hint| {
            end_session(&EndSessionRequest::default(), None, Some(&hint), Some((session, user))).confirm
        };
        assert!(confirm(LogoutHint { subject: None, session: None }));
        assert!(confirm(LogoutHint { subject: None, session: Some(ids(9, 2).0) }));
        assert!(!confirm(LogoutHint { subject: None, session: Some(session) }));
    }

    #[test]
    fn lo_02_a_stray_redirect_is_asked_about_even_with_a_hint() {
        let (session, user) = ids(1, 2);
        let hint = LogoutHint { subject: Some(user), session: Some(session) };
        let confirm = |uri: &str| {
            let post_logout_redirect_uri = Some(uri.to_owned());
            let request = EndSessionRequest { post_logout_redirect_uri, ..EndSessionRequest::default() };
            end_session(&request, Some(&client()), Some(&hint), Some((session, user))).confirm
        };
        assert!(!confirm("https://app.example/bye"));
        assert!(confirm("https://app.example/bye?foo=bar"));
        assert!(confirm("https://evil.example/"));
    }

    #[test]
    fn bl_02_attempts_are_bounded_and_grow_apart() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let (session, user) = ids(1, 2);
        let client: ClientId = "app".parse().unwrap();
        let (mut now, mut waits) = (start, Vec::new());
        for attempts in 1.. {
            let notice = LogoutNotice {
                session,
                user,
                client: client.clone(),
                created_at: start,
                attempts,
                expires_at: start + NOTICE_LIFETIME,
            };
            let Some(next) = notice.next_attempt(now) else { break };
            waits.push(next - now);
            now = next;
        }
        assert_eq!(waits, WAITS, "and none after the last");
        assert!(now - start < NOTICE_LIFETIME);
        assert!(waits.is_sorted());
    }

    #[test]
    fn fl_01_frames_carry_issuer_and_session() {
        let mut record = record();
        record.metadata.frontchannel_logout_uri = Some("https://app.example/out?tenant=1".into());
        let client = Client::parse(&record).unwrap();
        let frame = LogoutFrame::new(&client, "https://id.example", ids(1, 2).0).unwrap();
        assert_eq!(
            frame.url,
            "https://app.example/out?tenant=1&iss=https%3A%2F%2Fid.example&sid=00000000-0000-0000-0000-000000000001"
        );
        assert_eq!(frame.source, "https://app.example");
    }

    #[test]
    fn lo_02_lo_03_redirects() {
        let ask = |uri: &str, state: Option<&str>, client: Option<&Client>| {
            let request = EndSessionRequest {
                post_logout_redirect_uri: Some(uri.into()),
                state: state.map(Into::into),
                ..EndSessionRequest::default()
            };
            end_session(&request, client, None, None).redirect
        };
        let client = client();
        let uri = "https://app.example/bye";
        assert_eq!(ask(uri, None, Some(&client)).as_deref(), Some(uri));
        assert_eq!(
            ask(uri, Some("a b"), Some(&client)).as_deref(),
            Some("https://app.example/bye?state=a+b")
        );
        assert_eq!(ask("https://evil.example/", Some("s"), Some(&client)), None);
        assert_eq!(ask("https://app.example/bye/", None, Some(&client)), None);
        assert_eq!(ask(uri, None, None), None);
    }
}
