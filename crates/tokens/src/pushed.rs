//! Pushed authorization requests (RFC 9126): what waits for a browser to bring its reference.
//!
//! A request is checked when it is pushed, by the same list as at the authorization endpoint, and again
//! when its reference comes, because the client may have changed since. The reference is spent by the
//! answer, not by the first look at it: a person who reloads the page goes on (F2-31).

use chrono::{DateTime, Duration, Utc};
use jose::digest::{Digest, sha256};
use protocol::{
    ClientId,
    authorization::{AuthorizationRequest, REFERENCE_PREFIX},
    secret::RequestReference,
};

/// A pushed request as it is stored. A crash may lose it; the client pushes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedRecord {
    /// SHA-256 of the reference.
    pub digest: Digest,
    /// The client that pushed it; the reference is worth nothing to another (PAR-03).
    pub client: ClientId,
    /// The request as it was read.
    pub request: AuthorizationRequest,
    /// When it was pushed.
    pub created_at: DateTime<Utc>,
    /// Until when a browser may bring the reference (PAR-04).
    pub expires_at: DateTime<Utc>,
    /// Until when an interaction that it began may still spend it.
    pub keep_until: DateTime<Utc>,
    /// When its answer was sent.
    pub consumed_at: Option<DateTime<Utc>>,
}

/// Why a reference leads nowhere. All are `invalid_request_uri` outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceFault {
    /// Never given out, or forgotten.
    #[error("unknown_request_uri")]
    Unknown,
    /// Of another client (PAR-03).
    #[error("request_uri_of_another_client")]
    OtherClient,
    /// Too old (PAR-04).
    #[error("request_uri_expired")]
    Expired,
    /// Answered before (PAR-03).
    #[error("request_uri_used")]
    Used,
}

/// A new reference with its row (F2-36: 256 random bits). The request is marked as pushed, which is what
/// the check of it at the authorization endpoint looks at.
pub fn push(
    client: &ClientId,
    request: AuthorizationRequest,
    entropy: [u8; 32],
    (lifetime, interaction): (Duration, Duration),
    now: DateTime<Utc>,
) -> (RequestReference, PushedRecord) {
    let reference = RequestReference::from_entropy(entropy);
    let digest = sha256(reference.expose());
    let expires_at = now + lifetime;
    let record = PushedRecord {
        digest,
        client: client.clone(),
        request: AuthorizationRequest { pushed: Some(digest.to_string()), ..request },
        created_at: now,
        expires_at,
        keep_until: expires_at + interaction,
        consumed_at: None,
    };
    (reference, record)
}

/// The digest of the reference in a `request_uri`; `None` for a URI of another kind.
pub fn reference_digest(request_uri: &str) -> Option<Digest> {
    request_uri.strip_prefix(REFERENCE_PREFIX).map(sha256)
}

/// The request behind a reference that this client brings.
///
/// # Errors
/// [`ReferenceFault`].
pub fn redeem_reference(
    found: Option<PushedRecord>,
    client: &ClientId,
    now: DateTime<Utc>,
) -> Result<AuthorizationRequest, ReferenceFault> {
    let record = found.ok_or(ReferenceFault::Unknown)?;
    if record.client != *client {
        return Err(ReferenceFault::OtherClient);
    }
    if record.consumed_at.is_some() {
        return Err(ReferenceFault::Used);
    }
    if record.expires_at <= now {
        return Err(ReferenceFault::Expired);
    }
    Ok(record.request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checks::tests::request, grant::tests::now};

    fn pushed() -> (RequestReference, PushedRecord) {
        let client = "app".parse().unwrap();
        push(&client, request(), [7; 32], (Duration::seconds(60), Duration::minutes(30)), now())
    }

    #[test]
    fn par_03_f2_36_a_reference_is_kept_as_a_digest_and_leads_to_its_request() {
        let (reference, record) = pushed();
        let uri = format!("{REFERENCE_PREFIX}{}", reference.expose());
        assert_eq!(reference_digest(&uri), Some(record.digest));
        assert_eq!(reference_digest("https://app.example/request"), None);
        let found = redeem_reference(Some(record.clone()), &record.client, now()).unwrap();
        assert_eq!(found, AuthorizationRequest { pushed: Some(record.digest.to_string()), ..request() });
        assert_eq!(record.keep_until, now() + Duration::minutes(31));
    }

    #[test]
    fn par_03_par_04_references_that_lead_nowhere() {
        let record = pushed().1;
        let client = record.client.clone();
        let lead = |record: Option<PushedRecord>| redeem_reference(record, &client, now()).map(|_| ());
        assert_eq!(lead(None), Err(ReferenceFault::Unknown));
        let other = PushedRecord { client: "other".parse().unwrap(), ..record.clone() };
        assert_eq!(lead(Some(other)), Err(ReferenceFault::OtherClient));
        let late = PushedRecord { expires_at: now(), ..record.clone() };
        assert_eq!(lead(Some(late)), Err(ReferenceFault::Expired));
        assert_eq!(
            lead(Some(PushedRecord { consumed_at: Some(now()), ..record })),
            Err(ReferenceFault::Used)
        );
    }
}
