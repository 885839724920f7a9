//! What the mint makes for the authorization endpoint: the ID token beside a code, and the JWT that a
//! whole response travels in (JARM). Never an access token (BCP-07).

use chrono::{DateTime, Duration, Utc};
use jose::digest::half_hash;
use protocol::ClientId;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{IdTokenClaims, Mint, MintFault};
use crate::{checks::ValidatedAuthorization, client::Client, envelope::Envelope, issue::IssuedCode};

/// How long a response in a JWT counts: it is read at once, and JARM §2.1 recommends at most ten
/// minutes (MS-06).
const RESPONSE_LIFETIME: Duration = Duration::minutes(2);

/// A response in a JWT (JARM §2.1).
#[derive(Serialize)]
struct ResponseClaims<'a> {
    iss: &'a str,
    aud: &'a ClientId,
    exp: i64,
    #[serde(flatten)]
    parameters: &'a Map<String, Value>,
}

impl Mint<'_> {
    /// Makes the ID token that stands beside a code (OpenID Connect Core §3.3.2.11); none where the
    /// response type has none. It passes through the browser, so it says who and when, and about the
    /// person only what the client asked for by name and they consented to, which is `person` (OC-18);
    /// `c_hash` and `s_hash` tie it to the code and the state beside it (OC-13).
    ///
    /// # Errors
    /// [`MintFault`].
    pub fn id_token_beside(
        &self,
        issued: &IssuedCode,
        validated: &ValidatedAuthorization,
        person: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Option<Envelope>, MintFault> {
        let request = validated.request();
        if !request.response_type.has_id_token() {
            return Ok(None);
        }
        let client = validated.client();
        let algorithm = client.id_token_algorithm;
        let key = self.keyring.signer(algorithm).ok_or(MintFault::NoKey(algorithm))?;
        let grant = &issued.grant;
        let claims = IdTokenClaims {
            iss: self.issuer,
            sub: self.subjects.subject(client, grant.user),
            aud: &client.id,
            exp: (now + self.policy.id_token_lifetime).timestamp(),
            iat: now.timestamp(),
            auth_time: grant.auth_time.timestamp(),
            acr: grant.acr,
            amr: &grant.amr,
            sid: client.names_sessions().then_some(grant.session),
            at_hash: None,
            c_hash: Some(half_hash(algorithm, issued.code.expose())),
            s_hash: request.state.as_deref().map(|state| half_hash(algorithm, state)),
            nonce: request.nonce.as_deref(),
            person,
        };
        Ok(Some(Envelope::signed(key.sign("JWT", &claims)?, client.disclosure.id_token)))
    }

    /// Puts the parameters of a response into a JWT, signed and encrypted as the client registered
    /// (MS-06, MS-07). It has no `sub`, and so passes for no ID token, and not the type of an access
    /// token (AT-04).
    ///
    /// # Errors
    /// [`MintFault`].
    pub fn authorization_response(
        &self,
        client: &Client,
        parameters: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Envelope, MintFault> {
        let algorithm = client.responses.signing;
        let key = self.keyring.signer(algorithm).ok_or(MintFault::NoKey(algorithm))?;
        let exp = (now + RESPONSE_LIFETIME).timestamp();
        let claims = ResponseClaims { iss: self.issuer, aud: &client.id, exp, parameters };
        Ok(Envelope::signed(key.sign("JWT", &claims)?, client.responses.encryption))
    }
}
