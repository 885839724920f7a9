//! What an endpoint that speaks JSON answered.

use std::ops::Index;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A response whose body is JSON, or nothing.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; `Null` when it is not JSON.
    pub json: Value,
}

impl Answer {
    pub(crate) async fn from(request: reqwest::RequestBuilder) -> Self {
        Self::of(request).await.expect("the server answers")
    }

    /// Sends a request to a server that may be away.
    ///
    /// # Errors
    /// When nobody answers, the answer does not arrive whole, or time runs out.
    pub async fn of(request: reqwest::RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Self { status, headers, text, json })
    }

    /// Returns itself when the status is `status`.
    ///
    /// # Panics
    /// When it is not, with the body.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "unexpected status; the body is: {}", self.text);
        self
    }

    /// Asserts a refusal (RFC 6749 §5.2): this status, this `error` code.
    ///
    /// # Panics
    /// When the answer differs.
    pub fn expect_error(&self, status: u16, error: &str) {
        let (got, code) = (self.status, self.json["error"].as_str());
        assert_eq!((got, code), (status, Some(error)), "the body is: {}", self.text);
    }

    /// A member that must be a string.
    ///
    /// # Panics
    /// When it is missing or of another type.
    #[must_use]
    pub fn str(&self, member: &str) -> &str {
        self.json[member].as_str().unwrap_or_else(|| panic!("no string {member:?} in {}", self.text))
    }

    /// A header field's value; `None` when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Index<&str> for Answer {
    type Output = Value;

    fn index(&self, member: &str) -> &Value {
        &self.json[member]
    }
}

/// The claims of a signed JWT, read without verification: a test looks inside, it does not trust.
///
/// # Panics
/// When it is not a compact JWS with a JSON payload.
#[must_use]
pub fn claims_of(jwt: &str) -> Value {
    let parts: Vec<&str> = jwt.split('.').collect();
    assert_eq!(parts.len(), 3, "a compact JWS has three parts: {jwt}");
    let payload = URL_SAFE_NO_PAD.decode(parts[1]).expect("the payload is base64url");
    serde_json::from_slice(&payload).expect("the payload is JSON")
}
