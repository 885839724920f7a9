//! The end of a session: there when it ended here, here when it ended there.

use chrono::{DateTime, TimeDelta, Utc};
use jose::{Algorithm, Digest, JoseFault, digest::sha256_framed, verify};
use serde_json::Value;
use url::Url;

use crate::{
    config::SignatureAlgorithm,
    provider::{Provider, UpstreamFault, key_set},
};

/// The member of `events` that makes a logout token (OpenID Connect Back-Channel Logout §2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Clocks of two servers may differ by so much.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// A token is of no use any more after so long, whatever it says.
const MAX_AGE: TimeDelta = TimeDelta::minutes(10);

/// A logout token that holds, to be used once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamLogoutToken {
    /// The provider's issuer.
    pub issuer: String,
    /// Whose sessions end, if it names a subject.
    pub subject: Option<String>,
    /// Which session ends, if it names one.
    pub sid: Option<String>,
    /// Marks the token as used.
    pub digest: Digest,
    /// Until when the mark must be kept.
    pub expires_at: DateTime<Utc>,
}

impl Provider {
    /// Where the browser goes to end the session there too (RP-Initiated Logout §2); `None` if the
    /// provider has no such place or the operator does not want it.
    pub async fn end_session_url(
        &self,
        id_token: Option<&str>,
        post_logout_redirect_uri: &str,
        state: &str,
        now: DateTime<Utc>,
    ) -> Option<Url> {
        if !self.config().logout {
            return None;
        }
        let metadata = self.metadata(now).await.ok()?;
        let endpoint = metadata.additional_metadata().end_session_endpoint.as_deref()?;
        let mut url = Url::parse(endpoint).ok().filter(|url| url.scheme() == "https")?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(id_token) = id_token {
                query.append_pair("id_token_hint", id_token);
            }
            query.append_pair("client_id", &self.config().client_id);
            query.append_pair("post_logout_redirect_uri", post_logout_redirect_uri);
            query.append_pair("state", state);
        }
        Some(url)
    }

    /// Verifies a logout token (OpenID Connect Back-Channel Logout §2.6). Whether its `jti` was seen
    /// before, the store knows.
    ///
    /// # Errors
    /// [`UpstreamFault`].
    pub async fn logout_token(
        &self,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<UpstreamLogoutToken, UpstreamFault> {
        let refused = |why: &str| UpstreamFault::LogoutToken(why.to_owned());
        let metadata = self.metadata(now).await?;
        let config = self.config();
        let allowed: Vec<Algorithm> =
            config.algorithms.iter().copied().map(SignatureAlgorithm::jose).collect();
        let verified = match verify(token, &key_set(&metadata), &allowed) {
            Err(JoseFault::NoKey { .. }) => match self.newer_keys(&metadata, now).await? {
                Some(newer) => verify(token, &key_set(&newer), &allowed),
                None => return Err(refused("no key of the provider is fit")),
            },
            verified => verified,
        };
        let verified = verified.map_err(|fault| UpstreamFault::LogoutToken(fault.to_string()))?;
        // §2.4 recommends the type; a token that says it is another kind is not taken for this one.
        let typed = verified.typ.as_deref();
        if typed.is_some() && !verified.typ_is("logout+jwt") && !verified.typ_is("JWT") {
            return Err(refused("typ is of another kind of token"));
        }
        let claims = &verified.claims;
        let malformed = |_| refused("a claim is malformed");
        if claims.iss().map_err(malformed)? != Some(config.issuer.as_str()) {
            return Err(refused("iss is not the provider"));
        }
        let audience = claims.aud().map_err(malformed)?;
        if !audience.is_some_and(|audience| audience.contains(&config.client_id)) {
            return Err(refused("aud is not this server"));
        }
        let issued = claims.iat().map_err(malformed)?.ok_or_else(|| refused("iat is missing"))?;
        if issued > now + SKEW || issued < now - MAX_AGE {
            return Err(refused("iat is not recent"));
        }
        if claims.exp().map_err(malformed)?.is_some_and(|exp| exp <= now - SKEW) {
            return Err(refused("it has expired"));
        }
        if claims.get("nonce").is_some() {
            return Err(refused("a nonce makes it an ID token"));
        }
        if !claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
            return Err(refused("events does not say logout"));
        }
        let subject = claims.sub().map_err(malformed)?.map(str::to_owned);
        let sid = claims.text("sid").map_err(malformed)?.map(str::to_owned);
        if subject.is_none() && sid.is_none() {
            return Err(refused("neither sub nor sid"));
        }
        let jti = claims.jti().map_err(malformed)?.ok_or_else(|| refused("jti is missing"))?;
        let digest = sha256_framed(&[b"upstream logout", config.issuer.as_bytes(), jti.as_bytes()]);
        Ok(UpstreamLogoutToken {
            issuer: config.issuer.clone(),
            subject,
            sid,
            digest,
            expires_at: issued + MAX_AGE + SKEW,
        })
    }
}
