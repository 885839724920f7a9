//! The one HTTP client of the apps, for the issuer and for the bank's API: no redirects, five seconds, one MiB.
//!
//! Redirects are off because a token endpoint that redirects would send the client's credentials elsewhere.

use std::{pin::Pin, time::Duration};

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, Request, redirect::Policy};

const MAX_ANSWER_BYTES: usize = 1024 * 1024;

#[derive(Clone)]
pub(crate) struct Http(Client);

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("the request failed: {0}")]
    Request(#[from] reqwest::Error),
    #[error("the answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    #[error("the answer cannot be represented: {0}")]
    Answer(#[from] http::Error),
}

impl Http {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        Client::builder().redirect(Policy::none()).timeout(Duration::from_secs(5)).build().map(Self)
    }

    /// The client itself, to build requests with.
    pub(crate) fn client(&self) -> &Client {
        &self.0
    }

    pub(crate) async fn send(&self, request: Request) -> Result<HttpResponse, HttpError> {
        let mut response = self.0.execute(request).await?;
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
        Box::pin(async move { self.send(Request::try_from(request)?).await })
    }
}
