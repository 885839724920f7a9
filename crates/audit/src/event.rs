//! One security event, and how it is put together.

use std::{collections::BTreeMap, net::IpAddr};

use chrono::{DateTime, Utc};
use protocol::{ClientId, ConsentId, CorrelationId, GrantId, InteractionId, SessionId, UserId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    detail,
    kind::{Actor, EventKind, Outcome},
};

/// One security event: who did what to whom, from where, and how it ended.
///
/// The fields are public so that the store can write them and read them back; events are *made*
/// with [`Event::new`] and the builder methods, because those redact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The event's own id, a UUIDv7, so that ids sort by time.
    pub id: Uuid,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub kind: EventKind,
    /// How it ended.
    pub outcome: Outcome,
    /// Who caused it.
    pub actor: Actor,
    /// The person concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<UserId>,
    /// The client concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client: Option<ClientId>,
    /// The browser session concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<SessionId>,
    /// The grant concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grant: Option<GrantId>,
    /// The consent concerned.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub consent: Option<ConsentId>,
    /// The interaction during which it happened.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub interaction: Option<InteractionId>,
    /// Where the request came from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<IpAddr>,
    /// The request, as logs and error pages name it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub correlation: Option<CorrelationId>,
    /// Why it was refused: a stable code such as `wrong_password`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Further facts, redacted and on one line each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub detail: BTreeMap<String, String>,
}

impl Event {
    /// An event of which only the kind and the time are known yet. Outcome and actor follow from
    /// the kind.
    pub const fn new(kind: EventKind, at: DateTime<Utc>, id: Uuid) -> Self {
        Self {
            id,
            at,
            kind,
            outcome: kind.outcome(),
            actor: kind.usual_actor(),
            user: None,
            client: None,
            session: None,
            grant: None,
            consent: None,
            interaction: None,
            address: None,
            correlation: None,
            reason: None,
            detail: BTreeMap::new(),
        }
    }

    /// Says who caused it, where that is not who usually does.
    #[must_use]
    pub fn by(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// Why it was refused. Made a code: lower-case letters, digits, `_` and `.`.
    #[must_use]
    pub fn reason(mut self, reason: impl AsRef<str>) -> Self {
        self.reason = Some(detail::code(reason.as_ref())).filter(|code| !code.is_empty());
        self
    }

    /// Adds a fact, unless it is empty. What is or looks like a secret is written as
    /// [`REDACTED`](detail::REDACTED) (BCP-17).
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl AsRef<str>) -> Self {
        let value = detail::recorded(key, value.as_ref());
        if !value.is_empty() {
            self.detail.insert(detail::code(key), value.into_owned());
        }
        self
    }
}

macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident: $type:ty),* $(,)?) => {
        /// The identifiers; each method takes the value, or an `Option` of it.
        impl Event {$(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut self, value: impl Into<Option<$type>>) -> Self {
                self.$name = value.into();
                self
            }
        )*}
    };
}

facts! {
    /// Names the person concerned.
    user: UserId,
    /// Names the client concerned.
    client: ClientId,
    /// Names the browser session concerned.
    session: SessionId,
    /// Names the grant concerned.
    grant: GrantId,
    /// Names the consent concerned.
    consent: ConsentId,
    /// Names the interaction during which it happened.
    interaction: InteractionId,
    /// Says where the request came from.
    address: IpAddr,
    /// Names the request.
    correlation: CorrelationId,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event(kind: EventKind) -> Event {
        Event::new(kind, DateTime::UNIX_EPOCH, Uuid::from_u128(1))
    }

    #[test]
    fn bcp_17_the_builder_redacts() {
        let event = event(EventKind::TokenRefused)
            .reason("Unknown Token")
            .detail("refresh_token", "s3cret")
            .detail("hint", "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzM2NyZXQifQ.c2ln")
            .detail("user_agent", "Mozilla\nlogin_succeeded")
            .detail("empty", "");
        let text = serde_json::to_string(&event).unwrap();
        assert!(!text.contains("s3cret") && !text.contains("c2ln"), "{text}");
        assert_eq!(event.detail["refresh_token"], detail::REDACTED);
        assert_eq!(event.detail["user_agent"], "Mozilla login_succeeded");
        assert!(!event.detail.contains_key("empty"));
        assert_eq!(event.reason.as_deref(), Some("unknown_token"));
        assert_eq!((event.outcome, event.actor), (Outcome::Refusal, Actor::Client));
    }

    #[test]
    fn identifiers_are_taken_bare_or_optional() {
        let user = UserId(Uuid::from_u128(2));
        let event =
            event(EventKind::LoginSucceeded).user(user).client(None).address(IpAddr::from([127, 0, 0, 1]));
        assert_eq!((event.user, event.client.as_ref()), (Some(user), None));
        let written = serde_json::to_value(&event).unwrap();
        assert!(written.get("client").is_none());
        assert_eq!(serde_json::from_value::<Event>(written).unwrap(), event);
    }
}
