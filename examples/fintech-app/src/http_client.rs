//! The one HTTP client of the apps, for the issuer and for the bank's API: no redirects, five seconds, one MiB.
//!
//! Redirects are off because a token endpoint that redirects would send the client's credentials elsewhere.
//! [`Sender`] is the same client on behalf of one app: where the app has keys, it authenticates what goes to the
//! issuer by the back channel and proves possession with every request. So the `openidconnect` crate, which
//! knows neither `private_key_jwt` nor DPoP, speaks both without knowing.

use std::{pin::Pin, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, header};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, Request, redirect::Policy};
use url::form_urlencoded;

use crate::{keys::Keys, now};

const MAX_ANSWER_BYTES: usize = 1024 * 1024;
const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

#[derive(Clone)]
pub(crate) struct Http(Client);

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("the request failed: {0}")]
    Request(#[from] reqwest::Error),
    #[error("the answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error("the message cannot be represented: {0}")]
    Message(#[from] http::Error),
    #[error("the request cannot be signed: {0}")]
    Signature(#[from] josekit::JoseError),
}

impl Http {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(5)).build().map(Self)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.0.execute(Request::try_from(request)?).await?;
        let mut answer = http::Response::builder().status(response.status());
        for (name, value) in response.headers() {
            answer = answer.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(HttpError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(answer.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// The HTTP client as one app uses it.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) http: Http,
    pub(crate) identity: Option<Identity>,
}

/// What an app with keys is to the issuer.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) keys: Arc<Keys>,
    pub(crate) client_id: String,
    pub(crate) issuer: String,
}

impl Sender {
    /// Sends a request. Access tokens are put in as `Bearer`; for an app with keys they go out as `DPoP`. A
    /// server that wants its nonce in the proof gets it at the second try (RFC 9449 §8).
    pub(crate) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let Some(identity) = &self.identity else { return self.http.send(request).await };
        let uri = request.uri().clone();
        let answer = self.http.send(identity.sign(request.clone())?).await?;
        if !identity.learn_nonce(&uri, &answer) || !wants_nonce(&answer) {
            return Ok(answer);
        }
        let answer = self.http.send(identity.sign(request)?).await?;
        identity.learn_nonce(&uri, &answer);
        Ok(answer)
    }

    /// Posts a form to the issuer, as this client.
    pub(crate) async fn post_form(
        &self,
        endpoint: &url::Url,
        form: String,
    ) -> Result<HttpResponse, HttpError> {
        let request = http::Request::post(endpoint.as_str()).header(header::CONTENT_TYPE, FORM);
        self.send(request.body(form.into_bytes())?).await
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

impl Identity {
    fn sign(&self, mut request: HttpRequest) -> Result<HttpRequest, HttpError> {
        let now = now();
        let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token.and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
        let proof = self.keys.proof(request.method().as_str(), request.uri(), token.as_deref(), now)?;
        let form = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == FORM);
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("DPoP {token}")).map_err(http::Error::from)?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        } else if request.method() == Method::POST && form {
            // Each try has its own assertion; one counts once.
            let assertion = self.keys.assertion(&self.client_id, &self.issuer, now)?;
            let fields = form_urlencoded::Serializer::new(String::new())
                .append_pair(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                )
                .append_pair("client_assertion", &assertion)
                .finish();
            let body = request.body_mut();
            body.push(b'&');
            body.extend_from_slice(fields.as_bytes());
        }
        request.headers_mut().insert(DPOP, HeaderValue::try_from(proof).map_err(http::Error::from)?);
        Ok(request)
    }

    fn learn_nonce(&self, uri: &http::Uri, answer: &HttpResponse) -> bool {
        let nonce = answer.headers().get(DPOP_NONCE).and_then(|nonce| nonce.to_str().ok());
        nonce.inspect(|nonce| self.keys.learn_nonce(uri, nonce)).is_some()
    }
}

/// From the issuer in the body, from an API in the challenge (RFC 9449 §8, §9).
fn wants_nonce(answer: &HttpResponse) -> bool {
    #[derive(serde::Deserialize)]
    struct Said {
        error: String,
    }
    let challenge = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    challenge.is_some_and(|challenge| challenge.contains("error=\"use_dpop_nonce\""))
        || serde_json::from_slice(answer.body()).is_ok_and(|said: Said| said.error == "use_dpop_nonce")
}

impl<'c> AsyncHttpClient<'c> for Sender {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}
