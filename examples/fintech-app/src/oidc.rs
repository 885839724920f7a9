//! The OpenID Connect client: discovery, code flow with PKCE, refresh, revocation, logout.
//!
//! The `openidconnect` crate does the work and checks signature, issuer, audience, expiry and nonce of ID
//! tokens. Metadata is fetched when first needed and again when an ID token is signed with an unknown key.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::{
    AccessTokenHash, AdditionalProviderMetadata, AuthenticationContextClass, AuthorizationCode,
    ClaimsVerificationError, ClientId, ConfigurationError, CsrfToken, EndSessionUrl, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IssuerUrl, LogoutRequest, Nonce, NonceVerifier, OAuth2TokenResponse,
    PkceCodeChallenge, PostLogoutRedirectUrl, ProviderMetadata, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, StandardErrorResponse, SubjectIdentifier, TokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient,
        CoreClientAuthMethod, CoreErrorResponseType, CoreGrantType, CoreIdToken, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType, CoreTokenResponse, CoreUserInfoClaims,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{info, warn};
use url::{Url, form_urlencoded};

use crate::{
    Brand, Config,
    bank::{PaymentOrder, StepUp},
    http_client::{Http, HttpError, Identity, Sender},
    now,
    session::{Attempt, Tokens},
};

/// What every connection asks for.
const SCOPES: [&str; 6] = ["openid", "profile", "email", "accounts:read", "balances:read", "offline_access"];
/// What the approval of one payment asks for beside it.
const APPROVAL: [&str; 2] = ["openid", "accounts:read"];
/// What one may ask for besides.
pub(crate) const PAYMENTS: &str = "payments:write";

/// The members of the metadata that the crate does not know: RFC 7009, RFC 9126 §5, RP-Initiated Logout §2.1,
/// RFC 9207 §3.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Extra {
    revocation_endpoint: Option<Url>,
    pushed_authorization_request_endpoint: Option<Url>,
    end_session_endpoint: Option<EndSessionUrl>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}
impl AdditionalProviderMetadata for Extra {}

type Metadata = ProviderMetadata<
    Extra,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why the conversation with the issuer failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    #[error("the bank's sign-in service cannot be reached: {0}")]
    Unreachable(String),
    /// `invalid_grant`: the code or refresh token does not count (any more) (RFC 6749 §5.2).
    #[error("the bank no longer honours the grant")]
    GrantRefused,
    #[error("the bank's token endpoint answered: {0}")]
    Refused(String),
    #[error("the bank's answer to the pushed request can't be read: {0}")]
    Pushed(#[from] serde_json::Error),
    #[error("the access token is not bound to this app's key")]
    NotBound,
    #[error("the bank sent no ID token")]
    NoIdToken,
    #[error("the ID token does not hold: {0}")]
    IdToken(#[from] ClaimsVerificationError),
    #[error("the ID token was made for another access token")]
    AccessTokenHash,
    #[error("the refreshed ID token is about somebody else")]
    SubjectChanged,
    #[error("the bank's metadata is incomplete: {0}")]
    Metadata(#[from] ConfigurationError),
}

/// The issuer, seen by all apps of this process.
pub(crate) struct Provider {
    issuer: IssuerUrl,
    public_url: Url,
    http: Http,
    metadata: Mutex<Option<Arc<Metadata>>>,
}

impl Provider {
    pub(crate) fn new(config: &Config, http: Http) -> Result<Self, String> {
        let issuer = IssuerUrl::new(config.issuer.clone())
            .map_err(|error| format!("the issuer is no URL: {error}"))?;
        Ok(Self { issuer, public_url: config.public_url.clone(), http, metadata: Mutex::default() })
    }

    pub(crate) fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// Whether the issuer promises `iss` in every authorization response (RFC 9207 §3).
    pub(crate) async fn promises_iss(&self) -> Result<bool, OidcError> {
        Ok(self.metadata().await?.additional_metadata().authorization_response_iss_parameter_supported)
    }

    /// An authorization request: where to send the browser, and what to remember.
    pub(crate) async fn start(&self, brand: &Brand, payments: bool) -> Result<(Url, Attempt), OidcError> {
        // the scopes are listed in full, `openid` among them, so that the list is what was asked for
        let metadata = self.metadata().await?;
        let client = self.client(brand, &metadata).disable_openid_scope();
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes: Vec<String> =
            SCOPES.into_iter().chain(payments.then_some(PAYMENTS)).map(str::to_owned).collect();
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(scopes.iter().cloned().map(Scope::new))
            // OpenID Connect Core §11: who asks for offline access asks for consent
            .add_prompt(CoreAuthPrompt::Consent)
            .set_pkce_challenge(challenge)
            .url();
        let url = self.push(brand, &metadata, url).await?;
        Ok((url, Attempt { state, nonce, verifier, scopes, step_up: None, payment: None, started: now() }))
    }

    /// The same for somebody who is connected, and whom the bank's API wants authenticated more strongly or
    /// anew (RFC 9470 §4). Nothing new is asked for, so the bank need not ask for consent again.
    pub(crate) async fn step_up(
        &self,
        brand: &Brand,
        tokens: &Tokens,
        wanted: StepUp,
    ) -> Result<(Url, Attempt), OidcError> {
        let metadata = self.metadata().await?;
        let client = self.client(brand, &metadata).disable_openid_scope();
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes = tokens.scopes.clone();
        let classes = wanted.acr_values.iter().cloned().map(AuthenticationContextClass::new);
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(scopes.iter().cloned().map(Scope::new))
            .set_id_token_hint(&tokens.id_token)
            .set_pkce_challenge(challenge);
        for class in classes {
            request = request.add_auth_context_value(class);
        }
        if let Some(seconds) = wanted.max_age {
            request = request.set_max_age(Duration::from_secs(seconds));
        }
        let (url, state, nonce) = request.url();
        let url = self.push(brand, &metadata, url).await?;
        Ok((
            url,
            Attempt { state, nonce, verifier, scopes, step_up: Some(wanted), payment: None, started: now() },
        ))
    }

    /// The same for one payment, which the customer approves at the bank as it is (RFC 9396). The scopes name the
    /// customer and the API, and nothing that was not granted before.
    pub(crate) async fn approve(
        &self,
        brand: &Brand,
        tokens: &Tokens,
        payment: PaymentOrder,
        debtor_iban: &str,
    ) -> Result<(Url, Attempt), OidcError> {
        let metadata = self.metadata().await?;
        let client = self.client(brand, &metadata).disable_openid_scope();
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let scopes: Vec<String> = APPROVAL.map(str::to_owned).to_vec();
        let (url, state, nonce) = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .add_scopes(scopes.iter().cloned().map(Scope::new))
            .add_extra_param("authorization_details", payment.authorization_details(debtor_iban))
            .set_id_token_hint(&tokens.id_token)
            .set_pkce_challenge(challenge)
            .url();
        let url = self.push(brand, &metadata, url).await?;
        let attempt =
            Attempt { state, nonce, verifier, scopes, step_up: None, payment: Some(payment), started: now() };
        Ok((url, attempt))
    }

    /// An app with keys tells the bank what it asks for by the back channel, so that the browser carries only
    /// a name for it, which nobody there can read or change (RFC 9126, FAPI 2.0 §5.3.3.1).
    async fn push(&self, brand: &Brand, metadata: &Metadata, request: Url) -> Result<Url, OidcError> {
        #[derive(Deserialize)]
        struct Pushed {
            request_uri: String,
        }
        if brand.keys.is_none() {
            return Ok(request);
        }
        let endpoint = metadata.additional_metadata().pushed_authorization_request_endpoint.as_ref();
        let endpoint = endpoint.ok_or(ConfigurationError::MissingUrl("pushed authorization request"))?;
        // The query is a form already.
        let form = request.query().unwrap_or_default().to_owned();
        let answer = self.sender(brand).post_form(endpoint, form).await.map_err(unreachable)?;
        if answer.status() != http::StatusCode::CREATED {
            let said = serde_json::from_slice::<StandardErrorResponse<CoreErrorResponseType>>(answer.body());
            let said = said.map_or_else(|_| answer.status().to_string(), |said| said.to_string());
            return Err(OidcError::Refused(said));
        }
        let pushed: Pushed = serde_json::from_slice(answer.body())?;
        let mut url = request;
        url.query_pairs_mut()
            .clear()
            .append_pair("client_id", &brand.client_id)
            .append_pair("request_uri", &pushed.request_uri);
        Ok(url)
    }

    /// The HTTP client as this app uses it.
    pub(crate) fn sender(&self, brand: &Brand) -> Sender {
        let identity = brand.keys.clone().map(|keys| Identity {
            keys,
            client_id: brand.client_id.clone(),
            issuer: self.issuer().to_owned(),
        });
        Sender { http: self.http.clone(), identity }
    }

    /// Redeems the code and checks what comes for it.
    pub(crate) async fn finish(
        &self,
        brand: &Brand,
        code: AuthorizationCode,
        attempt: Attempt,
    ) -> Result<Tokens, OidcError> {
        let client = self.client(brand, &*self.metadata().await?);
        let response = client
            .exchange_code(code)?
            .set_pkce_verifier(attempt.verifier)
            .request_async(&self.sender(brand))
            .await
            .map_err(token_error)?;
        check_bound(brand, &response)?;
        let id_token = response.id_token().ok_or(OidcError::NoIdToken)?.clone();
        let subject = self.verify(brand, &id_token, &response, &attempt.nonce).await?;
        let userinfo = self.userinfo(brand, &client, &response, subject).await;
        Ok(tokens(&response, attempt.scopes, id_token, userinfo, now()))
    }

    /// Trades the refresh token for new tokens. [`OidcError::GrantRefused`]: access was withdrawn.
    pub(crate) async fn refresh(&self, brand: &Brand, old: &mut Tokens) -> Result<(), OidcError> {
        let Some(refresh) = old.refresh.clone() else { return Err(OidcError::GrantRefused) };
        let client = self.client(brand, &*self.metadata().await?);
        let sender = self.sender(brand);
        let response =
            client.exchange_refresh_token(&refresh)?.request_async(&sender).await.map_err(token_error)?;
        check_bound(brand, &response)?;
        // a rotated token counts from here on, whatever else is wrong with the answer
        old.refresh = response.refresh_token().cloned().or(Some(refresh));
        let subject = subject_of(&old.id_token);
        let id_token = match response.id_token() {
            Some(fresh) => {
                // a refreshed ID token has no nonce (OpenID Connect Core §12.2), but must name the same person
                let about = self.verify(brand, fresh, &response, no_nonce).await?;
                if subject.as_deref() != Some(about.as_str()) {
                    return Err(OidcError::SubjectChanged);
                }
                fresh.clone()
            }
            None => old.id_token.clone(),
        };
        let userinfo = match subject {
            Some(subject) => self.userinfo(brand, &client, &response, SubjectIdentifier::new(subject)).await,
            None => None,
        };
        let refreshed = old.refreshed + 1;
        let fresh = tokens(&response, std::mem::take(&mut old.scopes), id_token, userinfo, now());
        *old = Tokens { refresh: fresh.refresh.or(old.refresh.take()), refreshed, ..fresh };
        Ok(())
    }

    /// Revokes the refresh token and with it everything that came of it (RFC 7009 §2.1); without one, the access
    /// token. Done by hand, because the crate insists on https, and these apps also talk to a bank on loopback.
    pub(crate) async fn revoke(&self, brand: &Brand, tokens: &Tokens) -> Result<(), OidcError> {
        let metadata = self.metadata().await?;
        let endpoint = metadata.additional_metadata().revocation_endpoint.clone();
        let endpoint = endpoint.ok_or(ConfigurationError::MissingUrl("revocation"))?;
        let (token, hint) = match &tokens.refresh {
            Some(refresh) => (refresh.secret(), "refresh_token"),
            None => (tokens.access.secret(), "access_token"),
        };
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", hint)
            .append_pair("client_id", &brand.client_id)
            .finish();
        let response = self.sender(brand).post_form(&endpoint, form).await.map_err(unreachable)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(OidcError::Refused(status.to_string())),
        }
    }

    /// Where to send the browser to sign out at the bank (RP-Initiated Logout §2); `None` if there is no such place.
    pub(crate) async fn logout(
        &self,
        brand: &Brand,
        id_token: &CoreIdToken,
        state: CsrfToken,
    ) -> Result<Option<Url>, OidcError> {
        let metadata = self.metadata().await?;
        let Some(endpoint) = metadata.additional_metadata().end_session_endpoint.clone() else {
            return Ok(None);
        };
        let back = PostLogoutRedirectUrl::from_url(self.address(brand, "signed-out"));
        let request = LogoutRequest::from(endpoint)
            .set_id_token_hint(id_token)
            .set_client_id(ClientId::new(brand.client_id.clone()))
            .set_post_logout_redirect_uri(back)
            .set_state(state);
        Ok(Some(request.http_get_url()))
    }

    /// Checks an ID token (OpenID Connect Core §3.1.3.7) and returns whom it is about. If its key is unknown the
    /// issuer may have rotated: the metadata and keys are fetched once more.
    async fn verify<N: NonceVerifier + Copy>(
        &self,
        brand: &Brand,
        id_token: &CoreIdToken,
        response: &CoreTokenResponse,
        nonce: N,
    ) -> Result<SubjectIdentifier, OidcError> {
        let known = self.client(brand, &*self.metadata().await?);
        match check_id_token(&known, id_token, response, nonce) {
            Err(OidcError::IdToken(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey,
            ))) => {
                info!("an ID token names a key that is not known; fetching the keys anew");
                let renewed = self.client(brand, &*self.discover().await?);
                check_id_token(&renewed, id_token, response, nonce)
            }
            judged => judged,
        }
    }

    /// Userinfo is told, not relied on: without it the page merely shows less.
    async fn userinfo(
        &self,
        brand: &Brand,
        client: &Client,
        response: &CoreTokenResponse,
        subject: SubjectIdentifier,
    ) -> Option<Value> {
        let request = client.user_info(response.access_token().clone(), Some(subject)).ok()?;
        let claims: Result<CoreUserInfoClaims, _> = request.request_async(&self.sender(brand)).await;
        match claims {
            Ok(claims) => serde_json::to_value(&claims).ok(),
            Err(error) => {
                warn!(%error, "userinfo could not be read");
                None
            }
        }
    }

    fn client(&self, brand: &Brand, metadata: &Metadata) -> Client {
        let redirect = RedirectUrl::from_url(self.address(brand, "callback"));
        let id = ClientId::new(brand.client_id.clone());
        CoreClient::from_provider_metadata(metadata.clone(), id, None).set_redirect_uri(redirect)
    }

    /// Where people reach a page of the app.
    fn address(&self, brand: &Brand, page: &str) -> Url {
        let mut url = self.public_url.clone();
        let path = format!("{}/{}/{page}", url.path().trim_end_matches('/'), brand.slug);
        url.set_path(&path);
        url
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, OidcError> {
        let known = self.metadata.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(known) => Ok(known),
            None => self.discover().await,
        }
    }

    async fn discover(&self) -> Result<Arc<Metadata>, OidcError> {
        let fetched = Metadata::discover_async(self.issuer.clone(), &self.http).await;
        let metadata = Arc::new(fetched.map_err(|error| OidcError::Unreachable(chain(&error)))?);
        *self.metadata.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&metadata));
        Ok(metadata)
    }
}

/// An app with keys has use for a bound token only (FAPI 2.0 §5.3.3.2).
fn check_bound(brand: &Brand, response: &CoreTokenResponse) -> Result<(), OidcError> {
    let bound = response.token_type().as_ref().eq_ignore_ascii_case("dpop");
    if brand.keys.is_none() || bound { Ok(()) } else { Err(OidcError::NotBound) }
}

#[expect(clippy::needless_pass_by_value, reason = "used as the function of map_err")]
fn unreachable(error: HttpError) -> OidcError {
    OidcError::Unreachable(error.to_string())
}

fn check_id_token(
    client: &Client,
    id_token: &CoreIdToken,
    response: &CoreTokenResponse,
    nonce: impl NonceVerifier,
) -> Result<SubjectIdentifier, OidcError> {
    let verifier = client.id_token_verifier();
    let claims = id_token.claims(&verifier, nonce)?;
    if let Some(expected) = claims.access_token_hash() {
        let signing = |error| OidcError::IdToken(ClaimsVerificationError::SignatureVerification(error));
        let algorithm = id_token.signing_alg().map_err(signing)?;
        let key = id_token.signing_key(&verifier).map_err(signing)?;
        let actual = AccessTokenHash::from_token(response.access_token(), algorithm, key)
            .map_err(|_| OidcError::AccessTokenHash)?;
        if actual != *expected {
            return Err(OidcError::AccessTokenHash);
        }
    }
    Ok(claims.subject().clone())
}

fn no_nonce(_: Option<&Nonce>) -> Result<(), String> {
    Ok(())
}

/// The `sub` of an ID token that was verified when it came.
fn subject_of(id_token: &CoreIdToken) -> Option<String> {
    let claims = crate::claims::of_jwt(&id_token.to_string())?;
    claims.into_iter().find(|claim| claim.name == "sub").map(|claim| claim.value)
}

/// `scope` may be left out of an answer when it is what was asked for (RFC 6749 §5.1), at a refresh what was
/// granted before: `otherwise`.
fn tokens(
    response: &CoreTokenResponse,
    otherwise: Vec<String>,
    id_token: CoreIdToken,
    userinfo: Option<Value>,
    now: DateTime<Utc>,
) -> Tokens {
    let mut scopes = match response.scopes() {
        Some(scopes) => scopes.iter().map(|scope| scope.to_string()).collect(),
        None => otherwise,
    };
    scopes.sort();
    let lifetime = response.expires_in().and_then(|lifetime| TimeDelta::from_std(lifetime).ok());
    Tokens {
        access: response.access_token().clone(),
        refresh: response.refresh_token().cloned(),
        scopes,
        expires: lifetime.and_then(|lifetime| now.checked_add_signed(lifetime)),
        id_token,
        userinfo,
        refreshed: 0,
    }
}

fn token_error(
    error: RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>,
) -> OidcError {
    match error {
        RequestTokenError::ServerResponse(said) if *said.error() == CoreErrorResponseType::InvalidGrant => {
            OidcError::GrantRefused
        }
        RequestTokenError::ServerResponse(said) => OidcError::Refused(said.to_string()),
        RequestTokenError::Request(error) => OidcError::Unreachable(error.to_string()),
        // the answer itself may hold tokens, so it goes nowhere
        RequestTokenError::Parse(..) => OidcError::Refused("something that is no token response".into()),
        RequestTokenError::Other(text) => OidcError::Refused(text),
    }
}

/// An error with its causes, for the log and the page.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
