//! Sending, under the policy.

use std::{
    error::Error,
    fmt,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use moka::sync::Cache;
use reqwest::{Certificate, Client, ClientBuilder, redirect};
use tokio::{sync::Semaphore, time::timeout};
use url::{Host, Url};

use crate::{
    AllowedHost, OutboundPolicy,
    address::is_public,
    resolver::{NotPublic, PublicOnly},
};

/// So many hosts and failed URLs are remembered.
const REMEMBERED: u64 = 10_000;
/// The longest URL that is requested, in bytes.
const MAX_URL: usize = 2048;

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutboundFault {
    /// Not an https URL with a host and without credentials.
    #[error("the URL is not an https URL that may be requested")]
    Url,
    /// A host that is not on the public internet and that no operator listed (OUT-01).
    #[error("the host is not public")]
    NotPublic,
    /// It failed a moment ago and is left alone for a while (OUT-02).
    #[error("the URL failed a moment ago")]
    FailedRecently,
    /// No answer in time.
    #[error("the host did not answer in time")]
    TimedOut,
    /// No connection, no trust in its certificate, or the answer broke off.
    #[error("the host could not be reached")]
    Unreachable,
    /// An answer other than the expected 200; redirects are not followed.
    #[error("the host answered {0}")]
    Status(StatusCode),
    /// A body of another media type than asked for.
    #[error("the answer has an unexpected content type")]
    ContentType,
    /// More bytes than the policy allows.
    #[error("the answer is too large")]
    TooLarge,
}

/// A document, and how long its owner says that it may be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The bytes.
    pub body: Bytes,
    /// `max-age` of `Cache-Control` (RFC 9111 §5.2.2.1), unless it says `no-store` or `no-cache`.
    pub max_age: Option<Duration>,
}

/// The only sender of requests. Cheap to clone; connections and memory are shared.
#[derive(Clone)]
pub struct Outbound(Arc<Inner>);

struct Inner {
    policy: OutboundPolicy,
    public: OnceLock<Option<Client>>,
    allowed: Vec<(AllowedHost, OnceLock<Option<Client>>)>,
    places: Cache<(String, u16), Arc<Semaphore>>,
    failed: Cache<String, ()>,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outbound").field(&self.0.policy).finish()
    }
}

impl Outbound {
    /// A sender under a policy. Nothing is opened before the first request.
    pub fn new(policy: OutboundPolicy) -> Self {
        let allowed = policy.allow.iter().map(|host| (host.clone(), OnceLock::new())).collect();
        Self(Arc::new(Inner {
            public: OnceLock::new(),
            allowed,
            places: Cache::new(REMEMBERED),
            failed: Cache::builder().max_capacity(REMEMBERED).time_to_live(policy.retry_after).build(),
            policy,
        }))
    }

    /// Whether a URL may be requested at all, as far as can be said without looking up its host:
    /// for those who register URLs.
    ///
    /// # Errors
    /// [`OutboundFault::Url`], [`OutboundFault::NotPublic`].
    pub fn admits(&self, url: &str) -> Result<(), OutboundFault> {
        self.target(url).map(drop)
    }

    /// Fetches a document whose media type is one of `media` (an essence, like `application/json`).
    ///
    /// # Errors
    /// [`OutboundFault`].
    pub async fn get(&self, url: &str, media: &[&str]) -> Result<Fetched, OutboundFault> {
        // Of what was asked for: who has a key set fetched as if it were something else must not keep its
        // owner from having it read.
        let wanted = format!("{} {url}", media.join(","));
        if self.0.failed.contains_key(&wanted) {
            return Err(OutboundFault::FailedRecently);
        }
        let fetched = self.fetch(url, media).await;
        if let Err(fault) = &fetched {
            tracing::debug!(%fault, "an outbound request failed");
            self.0.failed.insert(wanted, ());
        }
        fetched
    }

    async fn fetch(&self, url: &str, media: &[&str]) -> Result<Fetched, OutboundFault> {
        let request = Request::builder().method(Method::GET).uri(url);
        let request = request.header(header::ACCEPT, media.join(", "));
        let answer = self.send(request.body(Vec::new()).map_err(|_| OutboundFault::Url)?).await?;
        if answer.status() != StatusCode::OK {
            return Err(OutboundFault::Status(answer.status()));
        }
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let essence = text(header::CONTENT_TYPE).and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !media.iter().any(|wanted| essence.trim().eq_ignore_ascii_case(wanted)) {
            return Err(OutboundFault::ContentType);
        }
        let max_age = text(header::CACHE_CONTROL).and_then(max_age);
        Ok(Fetched { body: answer.into_body(), max_age })
    }

    /// Posts a form and answers the status of whatever comes back. `body` is encoded already.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn post_form(&self, url: &str, body: String) -> Result<StatusCode, OutboundFault> {
        let request = Request::builder().method(Method::POST).uri(url);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.body(body.into_bytes()).map_err(|_| OutboundFault::Url)?;
        Ok(self.send(request).await?.status())
    }

    /// Sends any request and answers whatever comes back, whatever its status. Failures are not
    /// remembered.
    ///
    /// # Errors
    /// [`OutboundFault`], but neither of `Status`, `ContentType`, `FailedRecently`.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, OutboundFault> {
        let target = self.target(&request.uri().to_string())?;
        let answer = timeout(self.0.policy.timeout, self.exchange(target, request)).await;
        let answer = answer.unwrap_or(Err(OutboundFault::TimedOut));
        let outcome = if answer.is_ok() { "answered" } else { "failed" };
        metrics::counter!("chancery_outbound_requests_total", "outcome" => outcome).increment(1);
        answer
    }

    async fn exchange(
        &self,
        target: Target<'_>,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Bytes>, OutboundFault> {
        let places = self
            .0
            .places
            .get_with(target.place.clone(), || Arc::new(Semaphore::new(self.0.policy.per_host.max(1))));
        let _place = places.acquire().await.map_err(|_| OutboundFault::Unreachable)?;
        let client = self.client(&target).ok_or(OutboundFault::Unreachable)?;
        let (parts, body) = request.into_parts();
        let sent = client.request(parts.method, target.url).headers(parts.headers).body(body).send().await;
        let mut answer = sent.map_err(|error| fault_of(&error))?;
        let mut response = Response::builder().status(answer.status());
        if let Some(headers) = response.headers_mut() {
            headers.clone_from(answer.headers());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| fault_of(&error))? {
            if body.len() + chunk.len() > self.0.policy.max_body {
                return Err(OutboundFault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        response.body(body.into()).map_err(|_| OutboundFault::Unreachable)
    }

    /// Everything that can be said of a URL before its host is looked up.
    fn target(&self, url: &str) -> Result<Target<'_>, OutboundFault> {
        if url.len() > MAX_URL {
            return Err(OutboundFault::Url);
        }
        let url = Url::parse(url).map_err(|_| OutboundFault::Url)?;
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundFault::Url);
        }
        let port = url.port_or_known_default().ok_or(OutboundFault::Url)?;
        let (host, address) = match url.host() {
            None => return Err(OutboundFault::Url),
            Some(Host::Domain(name)) => (name.to_owned(), None),
            Some(Host::Ipv4(address)) => (address.to_string(), Some(IpAddr::V4(address))),
            Some(Host::Ipv6(address)) => (address.to_string(), Some(IpAddr::V6(address))),
        };
        let listed = self.0.allowed.iter().find(|(known, _)| known.host == host && known.port == port);
        if listed.is_none() && address.is_some_and(|address| !is_public(address)) {
            return Err(OutboundFault::NotPublic);
        }
        Ok(Target { url, place: (host, port), listed })
    }

    fn client(&self, target: &Target<'_>) -> Option<Client> {
        let client = match target.listed {
            None => self.0.public.get_or_init(|| built(builder().dns_resolver(PublicOnly::new()))),
            Some((host, client)) => client.get_or_init(|| match &host.root_certificate {
                None => built(builder()),
                Some(pem) => match Certificate::from_pem_bundle(pem.as_bytes()) {
                    Ok(roots) => built(builder().tls_certs_merge(roots)),
                    Err(error) => {
                        tracing::error!(host = host.host, %error, "a root certificate can't be read");
                        None
                    }
                },
            }),
        };
        client.clone()
    }
}

/// A URL that may be requested.
struct Target<'a> {
    url: Url,
    place: (String, u16),
    listed: Option<&'a (AllowedHost, OnceLock<Option<Client>>)>,
}

fn builder() -> ClientBuilder {
    Client::builder()
        .https_only(true)
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(2)
        .user_agent("chancery")
}

fn built(builder: ClientBuilder) -> Option<Client> {
    builder.build().map_err(|error| tracing::error!(%error, "no outbound requests are possible")).ok()
}

/// The refusal of our own resolver is inside the library's error.
fn fault_of(error: &reqwest::Error) -> OutboundFault {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if current.is::<NotPublic>() {
            return OutboundFault::NotPublic;
        }
        cause = current.source();
    }
    OutboundFault::Unreachable
}

fn max_age(text: &str) -> Option<Duration> {
    let directives = || text.split(',').map(str::trim);
    let forbids = |directive: &str| {
        directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache")
    };
    if directives().any(forbids) {
        return None;
    }
    let seconds = directives().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then_some(value)
    });
    seconds?.parse().ok().map(Duration::from_secs)
}
