//! The authorization request to a provider.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jose::digest::hmac_sha256;
use openidconnect::{
    AuthenticationContextClass, ClientId, CsrfToken, LanguageTag, LoginHint, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope,
    core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient},
};
use url::Url;

use crate::provider::{Provider, UpstreamFault};

/// What one attempt keeps from everybody but us: made from its `state` and a key of this server, so
/// that nothing of it has to be stored.
pub struct AttemptSecrets {
    state: String,
    nonce: String,
    verifier: String,
}

impl AttemptSecrets {
    /// The secrets of an attempt. `key` is known to this server alone: `state` travels through the
    /// browser, and with the key nobody finds nonce or verifier from it.
    pub fn derive(key: &[u8; 32], state: &str) -> Self {
        let part = |what: &str| {
            let tag = hmac_sha256(key, &[what.as_bytes(), state.as_bytes()]);
            URL_SAFE_NO_PAD.encode(tag.as_bytes())
        };
        Self { state: state.to_owned(), nonce: part("nonce"), verifier: part("code_verifier") }
    }

    pub(crate) fn nonce(&self) -> Nonce {
        Nonce::new(self.nonce.clone())
    }

    pub(crate) fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.verifier.clone())
    }
}

/// What is asked of a provider.
#[derive(Clone, Debug, Default)]
pub struct UpstreamRequest {
    /// Where it answers.
    pub redirect_uri: String,
    /// Whether the person must sign in anew.
    pub fresh: bool,
    /// How old a sign-in may be at most. Always sent: then `auth_time` is due in the ID token (OpenID
    /// Connect Core §2).
    pub max_age: TimeDelta,
    /// Whether two factors are wanted; sent as the provider's own words for them.
    pub strong: bool,
    /// Who is expected.
    pub login_hint: Option<String>,
    /// The languages that the person reads.
    pub ui_locales: Vec<String>,
}

impl Provider {
    /// Where the browser goes: code flow, PKCE S256, `state` and `nonce` (OpenID Connect Core §3.1.2.1).
    ///
    /// # Errors
    /// [`UpstreamFault::Unreachable`], [`UpstreamFault::Metadata`].
    pub async fn authorization_url(
        &self,
        request: &UpstreamRequest,
        secrets: &AttemptSecrets,
        now: DateTime<Utc>,
    ) -> Result<Url, UpstreamFault> {
        let metadata = self.metadata(now).await?;
        let config = self.config();
        let redirect_uri = RedirectUrl::new(request.redirect_uri.clone())
            .map_err(|_| UpstreamFault::Metadata("our own redirect URI is no URL"))?;
        let client = CoreClient::from_provider_metadata(
            (*metadata).clone(),
            ClientId::new(config.client_id.clone()),
            None,
        )
        .set_redirect_uri(redirect_uri);
        let (state, nonce) = (CsrfToken::new(secrets.state.clone()), secrets.nonce());
        let mut url = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&secrets.verifier()))
            .add_scopes(config.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new))
            .set_max_age(std::time::Duration::from_secs(
                u64::try_from(request.max_age.num_seconds()).unwrap_or_default(),
            ));
        if request.fresh {
            url = url.add_prompt(CoreAuthPrompt::Login);
        }
        if request.strong {
            for value in config.strong_values() {
                url = url.add_auth_context_value(AuthenticationContextClass::new(value.to_owned()));
            }
        }
        if let Some(hint) = request.login_hint.as_ref().filter(|hint| config.answers_for(hint)) {
            url = url.set_login_hint(LoginHint::new(hint.clone()));
        }
        for locale in &request.ui_locales {
            url = url.add_ui_locale(LanguageTag::new(locale.clone()));
        }
        Ok(url.url().0)
    }
}
