//! Redeeming an authorization code (RFC 6749 §4.1.3).

use chrono::{DateTime, Utc};
use consent::{Catalogue, details::narrowed};
use jose::digest::Digest;
use protocol::{
    GrantId, authorization_details::AuthorizationDetails, client::GrantType, pkce::CodeVerifier,
    token::CodeRequest,
};

use crate::{
    device,
    grant::{CodeRecord, GrantEnd, GrantLine, LiveGrant},
    oxide,
    sender::Sender,
};

/// Why a code gives nothing. All are `invalid_grant` outside, but for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeFault {
    /// The client is not registered for this grant.
    #[error("grant_type_not_allowed")]
    GrantNotAllowed,
    /// No such code.
    #[error("unknown_code")]
    Unknown,
    /// Issued to another client (BCP-20).
    #[error("code_of_another_client")]
    OtherClient,
    /// Redeemed before (F2-25).
    #[error("code_replayed")]
    Replayed,
    /// Older than its lifetime (F2-14).
    #[error("code_expired")]
    Expired,
    /// `redirect_uri` is not the authorized one, or is missing where it may not be (O21-05).
    #[error("redirect_uri_mismatch")]
    RedirectUri,
    /// No verifier for a challenge (BCP-05).
    #[error("code_verifier_missing")]
    VerifierMissing,
    /// A verifier without a challenge (BCP-05).
    #[error("code_verifier_unexpected")]
    VerifierUnexpected,
    /// The verifier is malformed or does not fit the challenge (RFC 7636 §4.6).
    #[error("code_verifier_wrong")]
    VerifierWrong,
    /// Bound to another key than the one that was shown, if any was (DP-08, F2-15).
    #[error("code_bound_to_another_key")]
    OtherKey,
    /// Authorization details beyond those that were granted: `invalid_authorization_details` (RAR-04).
    #[error("authorization_details_wider_than_granted")]
    DetailsWider,
    /// The grant no longer lives.
    #[error("{0}")]
    Ended(GrantEnd),
    /// The RFC 6749 core refused what our own checks let pass.
    #[error("core_refused")]
    Core,
}

/// A refusal, and the family that it ends: a replay revokes what the code once gave (BCP-19,
/// F2-25). The revocation commits although the request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeRefusal {
    /// Why.
    pub fault: CodeFault,
    /// What to revoke.
    pub revoke: Option<GrantId>,
}

/// A code that may be redeemed, if the conditional statement of the store agrees.
#[derive(Debug)]
pub struct RedeemableCode {
    pkce: Option<VerifiedPkce>,
    record: CodeRecord,
    grant: LiveGrant,
    details: AuthorizationDetails,
}

/// Proof that the verifier fitted the challenge of the authorization request (RFC 7636 §4.6).
#[derive(Clone, Copy, Debug)]
pub struct VerifiedPkce(());

impl RedeemableCode {
    /// The proof that whoever redeems it made the request; absent only for a client that is exempt
    /// (O21-01).
    pub const fn pkce(&self) -> Option<VerifiedPkce> {
        self.pkce
    }

    /// What the conditional statement must find unspent.
    pub const fn digest(&self) -> Digest {
        self.record.digest
    }

    /// The grant that it gives.
    pub const fn grant(&self) -> &LiveGrant {
        &self.grant
    }

    /// What exactly its access token may say: of what was granted, what the request wants (RFC 9396 §6).
    pub const fn details(&self) -> &AuthorizationDetails {
        &self.details
    }

    /// The nonce for the ID token.
    pub fn nonce(&self) -> Option<&str> {
        self.record.nonce.as_deref()
    }

    /// What follows when the statement found the code already spent: somebody was faster, so this
    /// is a replay and the family ends.
    pub const fn lost(&self) -> CodeRefusal {
        CodeRefusal { fault: CodeFault::Replayed, revoke: Some(self.record.grant) }
    }
}

/// Decides about a redemption.
///
/// # Errors
/// [`CodeRefusal`]. Another client's presentation ends nothing (DP-15).
pub fn redeem(
    sender: &Sender,
    request: &CodeRequest,
    found: Option<(CodeRecord, GrantLine)>,
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> Result<RedeemableCode, CodeRefusal> {
    let refuse = |fault| CodeRefusal { fault, revoke: None };
    let client = sender.client();
    if !client.may_use(GrantType::AuthorizationCode) {
        return Err(refuse(CodeFault::GrantNotAllowed));
    }
    let (record, line) = found.ok_or(refuse(CodeFault::Unknown))?;
    if record.client != client.id || line.grant.client != client.id {
        return Err(refuse(CodeFault::OtherClient));
    }
    if record.consumed_at.is_some() {
        return Err(CodeRefusal { fault: CodeFault::Replayed, revoke: Some(record.grant) });
    }
    if record.expires_at <= now {
        return Err(refuse(CodeFault::Expired));
    }
    if !sender.holds(record.dpop_jkt) {
        return Err(refuse(CodeFault::OtherKey));
    }
    redirect_uri(request, &record).map_err(refuse)?;
    let verifier = verifier(request, &record).map_err(refuse)?;
    if verifier.is_none() && client.protection.rules().pkce {
        return Err(refuse(CodeFault::VerifierMissing));
    }
    oxide::redeem(client, &record, &line.grant.scope, verifier.as_ref()).map_err(refuse)?;
    let pkce = verifier.map(|_| VerifiedPkce(()));
    let grant = line.live(catalogue, now).map_err(|end| refuse(CodeFault::Ended(end)))?;
    let details = narrowed(&grant.grant().details, request.details.as_ref());
    let details = details.map_err(|_| refuse(CodeFault::DetailsWider))?;
    Ok(RedeemableCode { pkce, record, grant, details })
}

/// Decides about what a person allowed a device (RFC 8628 §3.4). The device's code is no authorization
/// code: it never went through a browser, so there is no redirect and no verifier to compare (DV-03).
///
/// # Errors
/// [`CodeRefusal`]. Another client's presentation ends nothing.
pub fn redeem_device(
    sender: &Sender,
    (record, line): (CodeRecord, GrantLine),
    catalogue: &Catalogue,
    now: DateTime<Utc>,
) -> Result<RedeemableCode, CodeRefusal> {
    let refuse = |fault| CodeRefusal { fault, revoke: None };
    let client = sender.client();
    if !device::may_use(client) {
        return Err(refuse(CodeFault::GrantNotAllowed));
    }
    if record.client != client.id || line.grant.client != client.id {
        return Err(refuse(CodeFault::OtherClient));
    }
    if record.consumed_at.is_some() {
        return Err(CodeRefusal { fault: CodeFault::Replayed, revoke: Some(record.grant) });
    }
    if record.expires_at <= now {
        return Err(refuse(CodeFault::Expired));
    }
    let grant = line.live(catalogue, now).map_err(|end| refuse(CodeFault::Ended(end)))?;
    // Devices can't ask for any.
    let details = AuthorizationDetails::default();
    Ok(RedeemableCode { pkce: None, record, grant, details })
}

/// With PKCE the redirect URI may be left out; if it comes, it is the authorized one (O21-05).
fn redirect_uri(request: &CodeRequest, record: &CodeRecord) -> Result<(), CodeFault> {
    let fits = match &request.redirect_uri {
        Some(uri) => *uri == record.redirect_uri,
        None => record.code_challenge.is_some(),
    };
    fits.then_some(()).ok_or(CodeFault::RedirectUri)
}

fn verifier(request: &CodeRequest, record: &CodeRecord) -> Result<Option<CodeVerifier>, CodeFault> {
    match (&record.code_challenge, &request.code_verifier) {
        (Some(_), None) => Err(CodeFault::VerifierMissing),
        (None, Some(_)) => Err(CodeFault::VerifierUnexpected),
        (None, None) => Ok(None),
        (Some(_), Some(text)) => CodeVerifier::parse(text.expose()).map(Some).ok_or(CodeFault::VerifierWrong),
    }
}

#[cfg(test)]
impl RedeemableCode {
    /// A code that gives `grant`, of a client that is exempt from PKCE.
    pub(crate) fn for_tests(grant: LiveGrant) -> Self {
        let details = grant.grant().details.clone();
        Self { pkce: None, record: oxide::tests::code(), grant, details }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Duration;
    use protocol::{
        client::AuthMethod,
        secret::{AuthorizationCode, CodeVerifierText},
    };
    use rstest::rstest;

    use super::*;
    use crate::{
        checks::tests::catalogue,
        client::tests::{client, confidential},
        grant::tests::{line, now},
    };

    // RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    struct Case {
        request: CodeRequest,
        record: CodeRecord,
        line: GrantLine,
    }

    fn case() -> Case {
        Case {
            request: CodeRequest {
                code: AuthorizationCode::new("x"),
                redirect_uri: Some("https://app.example/cb".into()),
                code_verifier: Some(CodeVerifierText::new(VERIFIER)),
                resources: Vec::new(),
                details: None,
            },
            record: CodeRecord {
                digest: jose::digest::sha256("x"),
                grant: line().grant.id,
                client: "app".parse().unwrap(),
                redirect_uri: "https://app.example/cb".into(),
                code_challenge: Some(CHALLENGE.to_owned().try_into().unwrap()),
                nonce: None,
                dpop_jkt: None,
                issued_at: now(),
                expires_at: now() + Duration::seconds(60),
                keep_until: now() + Duration::seconds(360),
                consumed_at: None,
            },
            line: line(),
        }
    }

    fn run(case: Case) -> Result<(), CodeRefusal> {
        let client = Sender::for_tests(client());
        redeem(&client, &case.request, Some((case.record, case.line)), &catalogue(), now()).map(|_| ())
    }

    #[test]
    fn a_right_redemption_passes() {
        assert_eq!(run(case()), Ok(()));
    }

    #[rstest]
    #[case(|c: &mut Case| c.record.client = "other".parse().unwrap(), CodeFault::OtherClient)]
    #[case(|c: &mut Case| c.line.grant.client = "other".parse().unwrap(), CodeFault::OtherClient)]
    #[case(|c: &mut Case| c.record.expires_at = now(), CodeFault::Expired)]
    #[case(|c: &mut Case| c.request.redirect_uri = Some("https://app.example/cb/".into()), CodeFault::RedirectUri)]
    #[case(|c: &mut Case| c.request.code_verifier = None, CodeFault::VerifierMissing)]
    #[case(|c: &mut Case| c.record.dpop_jkt = Some(jose::digest::sha256("key")), CodeFault::OtherKey)]
    #[case(|c: &mut Case| c.record.code_challenge = None, CodeFault::VerifierUnexpected)]
    #[case(|c: &mut Case| c.request.code_verifier = Some(CodeVerifierText::new("a".repeat(43))), CodeFault::VerifierWrong)]
    #[case(|c: &mut Case| c.request.code_verifier = Some(CodeVerifierText::new("short")), CodeFault::VerifierWrong)]
    #[case(|c: &mut Case| c.line.consent_withdrawn_at = Some(now()), CodeFault::Ended(GrantEnd::ConsentWithdrawn))]
    #[case(|c: &mut Case| c.line.client_disabled = true, CodeFault::Ended(GrantEnd::ClientDisabled))]
    #[case(|c: &mut Case| c.line.consent_scope = "email".parse().unwrap(), CodeFault::Ended(GrantEnd::NothingLeft))]
    fn bcp_05_bcp_20_f2_14_f2_15_o21_05_dp_15_refusals_revoke_nothing(
        #[case] change: fn(&mut Case),
        #[case] fault: CodeFault,
    ) {
        let mut case = case();
        change(&mut case);
        assert_eq!(run(case), Err(CodeRefusal { fault, revoke: None }));
    }

    #[test]
    fn f2_25_a_replay_by_its_client_ends_the_family() {
        let mut case = case();
        case.record.consumed_at = Some(now());
        let grant = case.record.grant;
        assert_eq!(run(case), Err(CodeRefusal { fault: CodeFault::Replayed, revoke: Some(grant) }));
    }

    #[test]
    fn dp_15_another_clients_replay_ends_nothing() {
        let mut case = case();
        case.record.consumed_at = Some(now());
        case.record.client = "other".parse().unwrap();
        assert_eq!(run(case), Err(CodeRefusal { fault: CodeFault::OtherClient, revoke: None }));
    }

    #[test]
    fn o21_05_without_pkce_the_redirect_uri_is_required() {
        let client = Sender::for_tests(confidential(AuthMethod::ClientSecretBasic));
        let mut case = case();
        case.record.code_challenge = None;
        case.request.code_verifier = None;
        case.request.redirect_uri = None;
        let run = |case: &Case| {
            let found = Some((case.record.clone(), case.line.clone()));
            redeem(&client, &case.request, found, &catalogue(), now())
        };
        let refusal = run(&case);
        assert_eq!(refusal.unwrap_err().fault, CodeFault::RedirectUri);
        case.request.redirect_uri = Some("https://app.example/cb".into());
        assert!(run(&case).is_ok());
    }

    #[test]
    fn o21_05_with_pkce_the_redirect_uri_may_be_left_out() {
        let mut case = case();
        case.request.redirect_uri = None;
        assert_eq!(run(case), Ok(()));
    }
}
