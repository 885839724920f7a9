//! Devices without a browser of their own (RFC 8628).
//!
//! The device gets two codes; the person types the short one into a browser, is told which app asks,
//! signs in and consents as for any other request. What the person allows becomes a grant with a code
//! whose digest is that of the device's own code, so that it is spent as every code is: once, by one
//! conditional statement (DV-03).

use chrono::{DateTime, TimeDelta, Utc};
use jose::digest::{Digest, sha256_framed};
use protocol::{
    ClientId, authorization::AuthorizationRequest, client::GrantType, device::UserCode, secret::DeviceCode,
};

use crate::{client::Client, issue::IssuedCode};

/// How long both codes live.
pub const LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// Seconds between polls, at first.
pub const INTERVAL: i64 = 5;
/// What each early poll adds to them (RFC 8628 §3.5).
pub const SLOWER: i64 = 5;

/// How far the person has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// Nobody has typed the code, or confirmed it.
    Pending,
    /// Somebody confirmed it; nobody else can.
    Claimed,
    /// They said no.
    Denied,
}

impl DeviceState {
    /// The stable text, as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Claimed => "claimed",
            Self::Denied => "denied",
        }
    }

    /// The state of that text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Claimed, Self::Denied].into_iter().find(|state| state.as_str() == text)
    }
}

/// A device that waits, as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceRecord {
    /// Digest of the device's code.
    pub digest: Digest,
    /// Digest of the person's code.
    pub user_code: Digest,
    /// The client (DV-03).
    pub client: ClientId,
    /// What it asks for.
    pub request: AuthorizationRequest,
    /// How far the person has come.
    pub state: DeviceState,
    /// A poll before this is too early.
    pub poll_after: DateTime<Utc>,
    /// Seconds between polls.
    pub poll_every: i64,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When both codes end.
    pub expires_at: DateTime<Utc>,
}

/// Why a poll gives no tokens (RFC 8628 §3.5, DV-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceFault {
    /// The client is not registered for this grant, or its profile has none (DV-06).
    #[error("grant_type_not_allowed")]
    GrantNotAllowed,
    /// No such code.
    #[error("unknown_device_code")]
    Unknown,
    /// Another client's (DV-03).
    #[error("device_code_of_another_client")]
    OtherClient,
    /// The person has not decided yet.
    #[error("authorization_pending")]
    Pending,
    /// The same, and the device polls too often.
    #[error("slow_down")]
    SlowDown,
    /// The person said no.
    #[error("denied_by_user")]
    Denied,
    /// Nobody decided in time.
    #[error("device_code_expired")]
    Expired,
}

/// When the device may poll again, after a poll that gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextPoll {
    /// Not before.
    pub after: DateTime<Utc>,
    /// Seconds between polls from now on.
    pub every: i64,
}

/// The digest under which a device's code is kept. Framed, so that no authorization code has it.
pub fn device_digest(code: &DeviceCode) -> Digest {
    sha256_framed(&[b"device code", code.expose().as_bytes()])
}

/// The digest under which a person's code is kept.
pub fn user_code_digest(code: &UserCode) -> Digest {
    sha256_framed(&[b"user code", code.letters().as_bytes()])
}

/// Gives what was issued to the device that waits: it is spent under the device's own code, as long as
/// that lives.
pub fn hand_over(issued: &mut IssuedCode, device: Digest, expires_at: DateTime<Utc>, now: DateTime<Utc>) {
    let wait = (expires_at - now).max(TimeDelta::zero());
    let code = &mut issued.code_record;
    code.digest = device;
    code.expires_at = expires_at;
    code.keep_until += wait;
    issued.grant.expires_at += wait;
}

/// Whether a client may use the grant: it registered it, and its profile has it or an operator said so for
/// this one (DV-06).
pub fn may_use(client: &Client) -> bool {
    let allowed = client.protection.rules().device_grant || client.settings.device_grant;
    client.may_use(GrantType::DeviceCode) && allowed
}

/// Decides about a poll while nothing was allowed (DV-02). With the fault comes what the next poll must
/// wait for, where there is to be one.
pub fn poll(
    record: Option<&DeviceRecord>,
    client: &Client,
    now: DateTime<Utc>,
) -> (DeviceFault, Option<NextPoll>) {
    let Some(record) = record else { return (DeviceFault::Unknown, None) };
    if record.client != client.id {
        return (DeviceFault::OtherClient, None);
    }
    if record.state == DeviceState::Denied {
        return (DeviceFault::Denied, None);
    }
    if record.expires_at <= now {
        return (DeviceFault::Expired, None);
    }
    let early = now < record.poll_after;
    let every = if early { record.poll_every.saturating_add(SLOWER) } else { record.poll_every };
    let wait = TimeDelta::try_seconds(every).unwrap_or(LIFETIME);
    // A device that comes a little before its time, because clocks and networks are as they are, is not
    // told off.
    let next = NextPoll { after: now + wait - TimeDelta::milliseconds(500), every };
    (if early { DeviceFault::SlowDown } else { DeviceFault::Pending }, Some(next))
}

#[cfg(test)]
mod tests {
    use protocol::client::Profile;

    use super::*;
    use crate::client::tests::client;

    fn record(now: DateTime<Utc>) -> DeviceRecord {
        DeviceRecord {
            digest: device_digest(&DeviceCode::new("d")),
            user_code: user_code_digest(&UserCode::parse("BBBBBBBB").unwrap()),
            client: client().id,
            request: AuthorizationRequest::of_device(client().id.as_str(), None, Vec::new()),
            state: DeviceState::Pending,
            poll_after: now + TimeDelta::seconds(INTERVAL),
            poll_every: INTERVAL,
            created_at: now,
            expires_at: now + LIFETIME,
        }
    }

    #[test]
    fn dv_02_each_early_poll_costs_five_seconds() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut device = record(start);
        let mut poll_at = |now: DateTime<Utc>| {
            let (fault, next) = poll(Some(&device), &client(), now);
            if let Some(next) = next {
                (device.poll_after, device.poll_every) = (next.after, next.every);
            }
            (fault, device.poll_every)
        };
        assert_eq!(poll_at(start + TimeDelta::seconds(5)), (DeviceFault::Pending, 5));
        assert_eq!(poll_at(start + TimeDelta::seconds(6)), (DeviceFault::SlowDown, 10));
        assert_eq!(poll_at(start + TimeDelta::seconds(12)), (DeviceFault::SlowDown, 15));
        assert_eq!(poll_at(start + TimeDelta::seconds(27)), (DeviceFault::Pending, 15));
        assert_eq!(poll_at(start + LIFETIME), (DeviceFault::Expired, 15));
    }

    #[test]
    fn dv_03_another_client_learns_nothing() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let device = DeviceRecord { client: "other".parse().unwrap(), ..record(now) };
        assert_eq!(poll(Some(&device), &client(), now), (DeviceFault::OtherClient, None));
        assert_eq!(poll(None, &client(), now), (DeviceFault::Unknown, None));
        let denied = DeviceRecord { state: DeviceState::Denied, ..record(now) };
        assert_eq!(poll(Some(&denied), &client(), now + LIFETIME), (DeviceFault::Denied, None));
    }

    #[test]
    fn dv_06_financial_profiles_have_no_device_flow() {
        let mut client = client();
        assert!(!may_use(&client), "off unless the client registered it");
        client.grant_types.insert(GrantType::DeviceCode);
        assert!(may_use(&client));
        client.protection.profile = Profile::Fapi2;
        assert!(!may_use(&client));
        client.settings.device_grant = true;
        assert!(may_use(&client), "an operator said so");
    }
}
