//! A fintech app: builds authorization requests (RFC 6749 §4.1, PKCE S256 of RFC 7636), redeems codes and
//! uses what it gets. It is plain on purpose, so that tests can also make it misbehave; proof that real
//! libraries work is given by real libraries.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, RequestBuilder};
use url::Url;

use crate::answer::Answer;
use crate::page::Departure;

/// How a client proves who it is at the token, introspection and revocation endpoints.
#[derive(Clone)]
pub enum ClientAuth {
    /// `none`: a public client, which only names itself.
    None,
    /// `client_secret_basic` (RFC 6749 §2.3.1).
    Basic(String),
    /// `client_secret_post`.
    Post(String),
    /// `private_key_jwt` (RFC 7523): makes the assertion for each request.
    Assertion(Arc<dyn Fn() -> String + Send + Sync>),
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic(_) => "Basic",
            Self::Post(_) => "Post",
            Self::Assertion(_) => "Assertion",
        })
    }
}

impl ClientAuth {
    /// Sends `fields` as a form to `url` with this authentication in it.
    pub(crate) fn post(
        &self,
        http: &Client,
        url: Url,
        client_id: &str,
        fields: &[(&str, &str)],
    ) -> RequestBuilder {
        let mut body: Vec<(&str, &str)> = fields.to_vec();
        let assertion;
        let mut request = http.post(url);
        match self {
            Self::None => body.push(("client_id", client_id)),
            Self::Basic(secret) => {
                // RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
                let encode =
                    |value: &str| url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
                request = request.basic_auth(encode(client_id), Some(encode(secret)));
            }
            Self::Post(secret) => body.extend([("client_id", client_id), ("client_secret", secret.as_str())]),
            Self::Assertion(make) => {
                assertion = make();
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                body.extend([("client_assertion_type", kind), ("client_assertion", assertion.as_str())]);
            }
        }
        request.form(&body)
    }
}

/// A registered client at one issuer.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    /// The issuer's URL.
    pub issuer: Url,
    /// The `client_id`.
    pub client_id: String,
    /// How it authenticates.
    pub auth: ClientAuth,
    /// A registered redirect URI.
    pub redirect_uri: String,
    http: Client,
}

/// One authorization request, and what its sender remembers about it.
#[derive(Debug, Clone)]
pub struct Attempt {
    endpoint: Url,
    issuer: String,
    /// The parameters, in order.
    pub parameters: Vec<(String, String)>,
    /// The PKCE verifier (RFC 7636 §4.1).
    pub verifier: String,
    /// The `state` sent.
    pub state: String,
    /// The `nonce` sent.
    pub nonce: String,
}

impl Attempt {
    /// Sets a parameter.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).also(name, value)
    }

    /// Leaves a parameter out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(n, _)| n != name);
        self
    }

    /// Adds a parameter, even if it is there already.
    #[must_use]
    pub fn also(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The request as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = self.endpoint.clone();
        url.query_pairs_mut().extend_pairs(&self.parameters);
        url.into()
    }

    /// The code of a response to this request, after the checks every client must make: `state`
    /// (RFC 6749 §10.12) and `iss` (RFC 9207 §2.4).
    ///
    /// # Panics
    /// When a check fails or there is no code.
    pub fn code(&self, response: &Departure) -> String {
        assert_eq!(response.parameter("state"), Some(self.state.as_str()), "state");
        assert_eq!(response.parameter("iss"), Some(self.issuer.as_str()), "iss (RFC 9207)");
        response.code().to_owned()
    }
}

impl RelyingParty {
    /// A client of the issuer at `issuer`, over plain http.
    ///
    /// # Panics
    /// When `issuer` is not a URL.
    #[must_use]
    pub fn new(issuer: &str, client_id: &str, auth: ClientAuth, redirect_uri: &str) -> Self {
        Self::trusting(&[], issuer, client_id, auth, redirect_uri)
    }

    /// The same, trusting these PEM certificates for https.
    ///
    /// # Panics
    /// When `issuer` is not a URL.
    #[must_use]
    pub fn trusting(
        roots: &[&str],
        issuer: &str,
        client_id: &str,
        auth: ClientAuth,
        redirect_uri: &str,
    ) -> Self {
        Self {
            issuer: Url::parse(issuer).expect("the issuer is a URL"),
            client_id: client_id.to_owned(),
            auth,
            redirect_uri: redirect_uri.to_owned(),
            http: crate::http_client(roots)
                .build()
                .expect("a client with the test's own certificates can be built"),
        }
    }

    /// An authorization request for `scope`, with fresh `state`, `nonce` and PKCE verifier.
    #[must_use]
    pub fn attempt(&self, scope: &str) -> Attempt {
        let (verifier, state, nonce) = (fresh("verifier"), fresh("state"), fresh("nonce"));
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let parameters = [
            ("response_type", "code"),
            ("client_id", &self.client_id),
            ("redirect_uri", &self.redirect_uri),
            ("scope", scope),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        Attempt {
            endpoint: self.endpoint("/authorize"),
            issuer: self.issuer.as_str().trim_end_matches('/').to_owned(),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            verifier,
            state,
            nonce,
        }
    }

    /// Redeems a code obtained by `attempt` (RFC 6749 §4.1.3, RFC 7636 §4.5).
    pub async fn redeem(&self, attempt: &Attempt, code: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &attempt.verifier),
        ])
        .await
    }

    /// Uses a refresh token (RFC 6749 §6).
    pub async fn refresh(&self, refresh_token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// Asks for a token of the client's own (RFC 6749 §4.4).
    pub async fn client_credentials(&self, scope: &str) -> Answer {
        self.token(&[("grant_type", "client_credentials"), ("scope", scope)]).await
    }

    /// Posts these fields to the token endpoint, with the client's authentication added.
    pub async fn token(&self, fields: &[(&str, &str)]) -> Answer {
        self.post("/token", fields).await
    }

    /// Revokes a token (RFC 7009 §2.1).
    pub async fn revoke(&self, token: &str) -> Answer {
        self.post("/revoke", &[("token", token)]).await
    }

    /// Posts these fields to an endpoint, with the client's authentication added.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.try_post(path, fields).await.expect("the server answers")
    }

    /// The same where the server may be away.
    ///
    /// # Errors
    /// When nobody answers, the answer does not arrive whole, or time runs out.
    pub async fn try_post(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer, reqwest::Error> {
        Answer::of(self.auth.post(&self.http, self.endpoint(path), &self.client_id, fields)).await
    }

    /// The user's claims (OpenID Connect Core §5.3), with the access token in the header (RFC 6750 §2.1).
    pub async fn userinfo(&self, access_token: &str) -> Answer {
        Answer::from(self.http.get(self.endpoint("/userinfo")).bearer_auth(access_token)).await
    }

    /// A JSON document of the issuer: metadata, JWKS.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::from(self.http.get(self.endpoint(path))).await
    }

    /// The client beneath, for requests that no decent app would make.
    #[must_use]
    pub fn http(&self) -> &Client {
        &self.http
    }

    /// The address of one of the issuer's endpoints, under the issuer's own path.
    #[must_use]
    pub fn endpoint(&self, path: &str) -> Url {
        endpoint(&self.issuer, path)
    }
}

pub(crate) fn endpoint(issuer: &Url, path: &str) -> Url {
    let text = format!("{}{path}", issuer.as_str().trim_end_matches('/'));
    Url::parse(&text).unwrap_or_else(|e| panic!("{text:?} is no URL: {e}"))
}

/// A value of 43 characters that no other call returns: unique is enough here, since no test guesses.
fn fresh(purpose: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let seed = format!("{purpose} {} {number}", std::process::id());
    URL_SAFE_NO_PAD.encode(digest(&SHA256, seed.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_a_url_that_can_be_bent() {
        let app = RelyingParty::new("http://localhost:1", "app", ClientAuth::None, "http://127.0.0.1:2/cb");
        let attempt = app.attempt("openid").without("nonce").with("scope", "openid email").also("scope", "x");
        let url = Url::parse(&attempt.url()).unwrap();
        let scopes: Vec<_> = url.query_pairs().filter(|(name, _)| name == "scope").map(|(_, v)| v).collect();
        assert_eq!(url.path(), "/authorize");
        assert_eq!(scopes, ["openid email", "x"]);
        assert!(!url.query_pairs().any(|(name, _)| name == "nonce"));
        assert_eq!(attempt.verifier.len(), 43);
        assert_ne!(attempt.verifier, app.attempt("openid").verifier);
    }

    #[test]
    fn basic_credentials_are_form_encoded_first() {
        let http = crate::http_client(&[]).build().unwrap();
        let url = Url::parse("http://localhost:1/token").unwrap();
        let auth = ClientAuth::Basic("p:%".to_owned());
        let request = auth.post(&http, url, "a b", &[("x", "y")]).build().unwrap();
        // base64("a+b:p%3A%25")
        assert_eq!(request.headers()["authorization"], "Basic YStiOnAlM0ElMjU=");
        assert_eq!(request.body().unwrap().as_bytes(), Some(b"x=y".as_slice()));
    }
}
