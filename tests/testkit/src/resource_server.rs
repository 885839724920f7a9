//! A resource server: the bank's API, which asks the issuer about the tokens it is shown.

use reqwest::Client;
use url::Url;

use crate::answer::Answer;
use crate::relying_party::{ClientAuth, endpoint};

/// A resource server with credentials for introspection.
#[derive(Debug, Clone)]
pub struct ResourceServer {
    /// The issuer's URL.
    pub issuer: Url,
    /// The identifier it authenticates with.
    pub id: String,
    /// How it authenticates.
    pub auth: ClientAuth,
    http: Client,
}

impl ResourceServer {
    /// A resource server of the issuer at `issuer`, over plain http.
    ///
    /// # Panics
    /// When `issuer` is not a URL.
    #[must_use]
    pub fn new(issuer: &str, id: &str, auth: ClientAuth) -> Self {
        Self {
            issuer: Url::parse(issuer).expect("the issuer is a URL"),
            id: id.to_owned(),
            auth,
            http: crate::http_client(&[]).build().expect("a plain client can be built"),
        }
    }

    /// Asks about a token (RFC 7662 §2.1).
    pub async fn introspect(&self, token: &str) -> Answer {
        let url = endpoint(&self.issuer, "/introspect");
        Answer::from(self.auth.post(&self.http, url, &self.id, &[("token", token)])).await
    }

    /// Whether the issuer says that a token is active.
    ///
    /// # Panics
    /// When it says neither.
    pub async fn is_active(&self, token: &str) -> bool {
        let answer = self.introspect(token).await.expect(200);
        answer["active"].as_bool().unwrap_or_else(|| panic!("no boolean \"active\" in {}", answer.text))
    }
}
