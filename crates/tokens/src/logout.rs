//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0).
//!
//! A link to the end-session endpoint can be put on any page, so nobody is signed out by one alone:
//! without an ID token of this very session the person confirms first (LO-01). And nobody is sent
//! anywhere that the client did not register (LO-02).

use protocol::{SessionId, UserId, logout::EndSessionRequest};

use crate::client::Client;

/// What a verified `id_token_hint` says; it may have expired (LO-03).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutHint {
    /// Its `sub`.
    pub subject: UserId,
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
            hint.subject != user || hint.session.is_some_and(|named| named != session)
        }
        (Some(_), None) => true,
    };
    LogoutDecision { confirm, redirect: redirect(request, client) }
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
            let hint = hint.map(|(session, subject)| LogoutHint { subject, session: Some(session) });
            end_session(&request, None, hint.as_ref(), Some((session, subject))).confirm
        };
        assert!(confirm(None));
        assert!(!confirm(Some((1, 2))));
        assert!(confirm(Some((1, 3))), "another person's hint");
        assert!(confirm(Some((9, 2))), "another session's hint");
        assert!(!end_session(&request, None, None, None).confirm);
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
