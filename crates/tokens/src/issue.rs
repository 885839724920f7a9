//! The end of a successful authorization: a grant under its consent, and a code for it.
//!
//! The signature is the whole rule: a code comes only from a request that passed every check, a
//! person who was authenticated, and a consent that was given.

use chrono::{DateTime, Utc};
use consent::GrantedConsent;
use jose::digest::sha256;
use mfa::Authentication;
use protocol::{GrantId, client::GrantType, secret::AuthorizationCode};

use crate::{
    checks::ValidatedAuthorization,
    disclosed::GrantedClaims,
    grant::{CodeRecord, GrantRecord},
    policy::TokenPolicy,
};

/// A new code with the rows that stand behind it.
#[derive(Debug)]
pub struct IssuedCode {
    /// Goes to the client, and nowhere else.
    pub code: AuthorizationCode,
    /// The row of the code.
    pub code_record: CodeRecord,
    /// The row of the grant.
    pub grant: GrantRecord,
}

/// Why a code can't be issued although all three proofs are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueFault {
    /// The consent is another person's or another client's: a mistake of the caller.
    #[error("consent_of_another")]
    ForeignConsent,
    /// The consent no longer covers anything that was asked.
    #[error("nothing_granted")]
    NothingGranted,
}

/// Issues a code (RFC 6749 §4.1.2). The code is stored as a digest only.
///
/// # Errors
/// [`IssueFault`] when the proofs don't belong together.
pub fn issue_code(
    validated: &ValidatedAuthorization,
    authentication: &Authentication,
    consent: &GrantedConsent,
    (id, entropy): (GrantId, [u8; 32]),
    policy: &TokenPolicy,
    now: DateTime<Utc>,
) -> Result<IssuedCode, IssueFault> {
    let client = validated.client();
    if consent.user() != authentication.user() || *consent.client() != client.id {
        return Err(IssueFault::ForeignConsent);
    }
    // F2-17: never more than was asked and consented.
    let scope = validated.scope().intersection(consent.scope());
    // An ID token was asked for, and what is left of the scope yields none.
    let token_less = validated.request().response_type.has_id_token() && !scope.contains("openid");
    if scope.is_empty() || token_less {
        return Err(IssueFault::NothingGranted);
    }
    let claims = GrantedClaims::granted(&validated.request().claims, &client.scope, consent.scope());
    let audience = validated.audience().iter().filter(|resource| consent.resources().contains(resource));
    let refreshes = client.may_use(GrantType::RefreshToken);
    let token_lifetime = validated.longest_token_lifetime(policy.access_token_lifetime);
    let life = if refreshes { policy.refresh_absolute } else { policy.code_lifetime + token_lifetime };
    let grant = GrantRecord {
        id,
        consent: consent.id(),
        client: client.id.clone(),
        user: authentication.user(),
        session: authentication.session(),
        // BL-04, OC-15: without offline_access an OpenID Connect grant is the session's.
        session_bound: scope.contains("openid") && !scope.contains("offline_access"),
        audience: audience.cloned().collect(),
        auth_time: authentication.auth_time(),
        acr: validated.answered_acr(authentication.acr()),
        amr: authentication.amr().to_vec(),
        created_at: now,
        revoked_at: None,
        expires_at: consent.expires_at().map_or(now + life, |end| end.min(now + life)),
        scope,
        claims,
        details: consent.details().clone(),
    };
    let code = AuthorizationCode::from_entropy(entropy);
    let expires_at = now + policy.code_lifetime;
    let code_record = CodeRecord {
        digest: sha256(code.expose()),
        grant: id,
        client: client.id.clone(),
        redirect_uri: validated.redirect().uri().to_owned(),
        code_challenge: validated.request().code_challenge.clone(),
        nonce: validated.request().nonce.clone(),
        // Well-formed, because the request was read.
        dpop_jkt: validated.request().dpop_jkt.as_deref().and_then(|text| text.parse().ok()),
        issued_at: now,
        expires_at,
        keep_until: expires_at + token_lifetime,
        consumed_at: None,
    };
    Ok(IssuedCode { code, code_record, grant })
}

#[cfg(test)]
mod tests;
