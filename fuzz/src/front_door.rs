//! The whole server behind its router, on a database of its own: a request is whatever the bytes say.

use std::{collections::HashMap, net::IpAddr, path::Path, sync::Arc};

use axum::Router;
use chancery::{config::Settings, declare};
use chrono::{DateTime, Utc};
use flows::{Clock, Service, SystemRandom, service::Parts};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use jose::Algorithm;
use keys::{KeyEncryptionKey, Sealer};
use mfa::Pepper;
use store::{Store, StoreOptions};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;
use url::Url;
use web::{App, Peer, WebConfig, public_router};

const ISSUER: &str = "https://login.bank.example";

/// Where clients may send people: nothing else may ever stand in a `Location`.
const REDIRECTS: [&str; 3] = ["https://web.example/cb", "https://web.example/bye", "http://127.0.0.1/cb"];

/// The time stands still, so that an input means the same in every run.
struct Still;

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }
}

struct Door {
    runtime: Runtime,
    router: Router,
    _directory: TempDir,
}

impl Door {
    fn open() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite:{}", directory.path().join("bank.db").display());
        let router = runtime.block_on(async {
            let store = Store::open(&StoreOptions::new(&url)).await.expect("a database");
            store.migrate().await.expect("a schema");
            let mut settings = Settings::new(ISSUER.parse().expect("an issuer"));
            settings.keys.algorithms = vec![Algorithm::Es256];
            let parts = Parts {
                store,
                clock: Arc::new(Still),
                random: Arc::new(SystemRandom),
                sealer: Sealer::new(&KeyEncryptionKey::from_bytes([7; 32]), &[]),
                pepper: Pepper::new([9; 32]),
                policies: settings.policies().expect("policies"),
            };
            let service = Service::new(parts).await.expect("a service");
            let bank = declare::parse(include_str!("bank.toml"), Path::new("bank.toml"), |_| None);
            let applied = service.declare(&bank.expect("bank.toml describes a bank")).await;
            applied.expect("the store answers").expect("the bank can be declared");
            let proxies = vec!["192.0.2.0/24".parse().expect("a network")];
            public_router(&App::new(service, WebConfig::new(ISSUER, "Bank", proxies)))
        });
        Self { runtime, router, _directory: directory }
    }

    fn ask(&self, request: Request<String>) -> (Response<()>, Vec<u8>) {
        self.runtime.block_on(async {
            let Ok(response) = self.router.clone().oneshot(request).await;
            let (parts, body) = response.into_parts();
            let body = body.collect().await.expect("the body is whole").to_bytes();
            (Response::from_parts(parts, ()), body.to_vec())
        })
    }
}

/// A request in the form of HTTP/1.1: method and target, header lines, an empty line, the body. Reading it
/// is not ours, so what hyper would refuse is no input.
fn request(text: &str) -> Option<Request<String>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let target: Uri = target.parse().ok().filter(|target: &Uri| target.path().starts_with('/'))?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).ok()?);
    }
    let mut request = Request::new(body.to_owned());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    let address: IpAddr = [192, 0, 2, 1].into();
    request.extensions_mut().insert(Peer { address: (address, 9).into(), tls: true });
    Some(request)
}

/// Whether a person may be sent there.
fn is_ours(location: &str) -> bool {
    if location.starts_with('/') && !location.starts_with("//") && !location.starts_with("/\\") {
        return true;
    }
    let Ok(mut url) = Url::parse(location) else { return false };
    if url.origin().ascii_serialization() == ISSUER {
        return true;
    }
    url.set_query(None);
    if url.scheme() == "http" && url.set_port(None).is_err() {
        return false;
    }
    REDIRECTS.contains(&url.as_str())
}

/// The public router: never an error of our own, never a person sent to a place that no client
/// registered (BCP-03), never markup from a request in a page (BCP-13), nothing stored by caches that may
/// hold a token (BCP-18).
pub fn front_door(bytes: &[u8]) {
    thread_local!(static DOOR: Door = Door::open());
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(request) = request(text) else { return };
    let path = request.uri().path().to_owned();
    let (response, body) = DOOR.with(|door| door.ask(request));
    let (status, headers) = (response.status(), response.headers());
    assert!(!status.is_server_error(), "{status}: {}", String::from_utf8_lossy(&body));
    assert!(headers.contains_key("x-request-id"));
    let named = headers.get_all(header::LOCATION);
    for location in named {
        let location = location.to_str().expect("a location is ASCII");
        assert!(status.is_redirection() && is_ours(location), "{status} {location}");
    }
    let value = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let body = String::from_utf8_lossy(&body);
    match value(header::CONTENT_TYPE).unwrap_or_default() {
        html if html.starts_with("text/html") => {
            assert!(!body.contains("<xss"), "{body}");
            let policy = value(header::CONTENT_SECURITY_POLICY).expect("a page has a policy");
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
            assert_eq!(value(header::CACHE_CONTROL), Some("no-store"));
        }
        json if json.starts_with("application/json") => {
            let answer: HashMap<String, serde_json::Value> = serde_json::from_str(&body).expect("JSON");
            if status.is_client_error() {
                assert!(answer.get("error").is_some_and(serde_json::Value::is_string));
            }
            if status == StatusCode::UNAUTHORIZED {
                assert!(headers.contains_key(header::WWW_AUTHENTICATE) || path != "/userinfo");
            }
            if answer.contains_key("access_token") || answer.contains_key("error") {
                assert_eq!(value(header::CACHE_CONTROL), Some("no-store"), "BCP-18");
            }
        }
        _ => {}
    }
}
