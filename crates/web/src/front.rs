//! What stands before every route, in one layer.
//!
//! A request passes, from the outside in: its name and its place in logs and metrics
//! ([`identify`](crate::request::identify)), the bound of its header, the headers that protect the
//! answer, a net for panics, a limit of time and of body, cross-origin rules, the share of its class;
//! then its route. What is inside a step gets what the step adds: a refusal is protected too.
//!
//! These could be nine tower layers. axum clones and boxes a route once per layer and request, and
//! each of those boxes holds all that lie within, so nine layers cost several times what the answers
//! of the cheap endpoints do. One layer, shared by reference, costs one box.
//!
//! A caller may hang up whenever it likes. What only reads then ends; everything else goes on to its end,
//! within the same limit of time. Else whoever is refused could hang up before the refusal's consequences are
//! written: the counted attempt, the revoked family, the line in the audit trail, the noted fetch of
//! somebody's keys. Who hangs up and asks again with the same code or refresh token may therefore find it
//! used.

use std::{
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{
    body::HttpBody,
    extract::{DefaultBodyLimit, MatchedPath, Request},
    response::{IntoResponse, Response},
    routing::Route,
};
use http::{Method, StatusCode, header};
use tokio_util::task::TaskTracker;
use tower::{Layer, Service, ServiceExt, layer::layer_fn, service_fn};
use tracing::Instrument;

use crate::{
    App, cors,
    form::MAX_BODY,
    headers::{protect_endpoint, protect_page},
    limits::{
        Class, Verdict,
        header::excess,
        layer::{refuse, told},
    },
    request::{identify, name},
    series::{Series, method_label},
    traced::trace,
};

/// No request takes longer, whether or not its caller still waits.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What the routes of a group have in common.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    page: bool,
    class: Option<Class>,
    cross_origin: bool,
    no_head: bool,
    only_reads: bool,
}

impl Rules {
    /// For people: pages.
    pub const PEOPLE: Self =
        Self { page: true, class: None, cross_origin: false, no_head: false, only_reads: false };
    /// For programs.
    pub const PROGRAMS: Self = Self { page: false, ..Self::PEOPLE };

    /// Behind the limit of a class.
    #[must_use]
    pub const fn limited(self, class: Class) -> Self {
        Self { class: Some(class), ..self }
    }

    /// Scripts of any origin may call it and read the answer (BCP-23).
    #[must_use]
    pub const fn cross_origin(self) -> Self {
        Self { cross_origin: true, ..self }
    }

    /// axum answers HEAD as GET without the body. Where a GET may issue a code or end an interaction,
    /// nobody who throws the answer away shall cause that.
    #[must_use]
    pub const fn no_head(self) -> Self {
        Self { no_head: true, ..self }
    }

    /// Nothing of it writes or asks others, so it may end when its caller hangs up.
    #[must_use]
    pub const fn only_reads(self) -> Self {
        Self { only_reads: true, ..self }
    }
}

/// The layer before the routes of a group.
pub fn front(
    app: &App,
    rules: Rules,
) -> impl Layer<
    Route,
    Service: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync,
> + Clone
+ Send
+ Sync
+ use<> {
    let app = app.clone();
    layer_fn(move |route| {
        let door = Arc::new(Door { app: app.clone(), rules, route, series: Series::default() });
        service_fn(move |request| {
            let door = Arc::clone(&door);
            async move { Ok::<_, Infallible>(door.pass(request).await) }
        })
    })
}

/// One route and what stands before it.
struct Door {
    app: App,
    rules: Rules,
    route: Route,
    series: Series,
}

impl Door {
    #[expect(clippy::disallowed_methods, reason = "a duration for metrics; no decision reads it")]
    async fn pass(self: &Arc<Self>, mut request: Request) -> Response {
        let began = tokio::time::Instant::now();
        let correlation = identify(&self.app, &mut request);
        let (pattern, method) =
            (request.extensions().get::<MatchedPath>().cloned(), method_label(request.method()));
        // Only method, route and status are logged; queries and bodies carry codes and tokens (BCP-17).
        let span = tracing::info_span!(
            "request", %correlation, method = %request.method(), path = %request.uri().path()
        );
        let answer = self.traced(request);
        let mut response =
            if span.is_disabled() { answer.await } else { answer.instrument(span.clone()).await };
        let status = response.status();
        span.in_scope(|| tracing::info!(status = status.as_u16(), "answered"));
        name(&mut response, correlation);
        self.series.record(pattern.as_ref().map(MatchedPath::as_str), method, status, began.elapsed());
        response
    }

    async fn traced(self: &Arc<Self>, request: Request) -> Response {
        match self.app.config.traced {
            None => self.protected(request).await,
            Some(_) => trace(&self.app, request, |request| self.protected(request)).await,
        }
    }

    async fn protected(self: &Arc<Self>, request: Request) -> Response {
        let mut response = match excess(&request) {
            Some(status) => status.into_response(),
            None => self.bounded(request).await,
        };
        // Room for what every answer gets, at once.
        response.headers_mut().reserve(8);
        match self.rules.page {
            true => protect_page(&self.app, &mut response),
            false => protect_endpoint(&self.app, &mut response),
        }
        response
    }

    /// Ends in time, with a bounded body, and with an answer whatever happens.
    async fn bounded(self: &Arc<Self>, mut request: Request) -> Response {
        if !request.body().is_end_stream() {
            DefaultBodyLimit::max(MAX_BODY).apply(&mut request);
        }
        let door = Arc::clone(self);
        let answer = in_time(async move { door.shared(request).await });
        if self.rules.only_reads { answer.await } else { whole(&self.app.unfinished, answer).await }
    }

    async fn shared(&self, request: Request) -> Response {
        if !self.rules.cross_origin {
            return self.admitted(request).await;
        }
        if request.method() == Method::OPTIONS {
            return cors::preflight();
        }
        let mut response = self.admitted(request).await;
        cors::share(&mut response);
        response
    }

    async fn admitted(&self, request: Request) -> Response {
        let Some(class) = self.rules.class else { return self.routed(request).await };
        let standing = match self.app.limits.ask(class, &request) {
            None => None,
            Some(Verdict::Within(standing)) => Some(standing),
            Some(Verdict::Beyond(standing)) => {
                return told(refuse(&self.app, class, request, standing).await, Some(standing));
            }
        };
        told(self.routed(request).await, standing)
    }

    async fn routed(&self, request: Request) -> Response {
        if self.rules.no_head && request.method() == Method::HEAD {
            return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, POST")]).into_response();
        }
        let Ok(response) = self.route.clone().oneshot(request).await;
        response
    }
}

/// The answer of some work, if it comes within the limit. Whoever reads 503 knows that it has ended.
async fn in_time(work: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(TIMEOUT, caught(work)).await {
        Ok(Some(response)) => response,
        Ok(None) => panicked(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Some work that comes to its end whether or not somebody waits for it.
async fn whole(unfinished: &TaskTracker, work: impl Future<Output = Response> + Send + 'static) -> Response {
    unfinished.spawn(work.in_current_span()).await.unwrap_or_else(|_| panicked())
}

fn panicked() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "Service panicked").into_response()
}

/// The outcome of some work, or nothing if it panicked. What it left behind is thrown away with it.
async fn caught<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        polled.map_or_else(
            |panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
                tracing::error!(panic = text, "a request panicked");
                Poll::Ready(None)
            },
            |polled| polled.map(Some),
        )
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_may_write_goes_on_when_the_caller_hangs_up() {
        let (unfinished, ended) = (TaskTracker::new(), Arc::new(AtomicBool::new(false)));
        let said = Arc::clone(&ended);
        let work = async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            said.store(true, Ordering::SeqCst);
            StatusCode::OK.into_response()
        };
        let hung_up = tokio::time::timeout(Duration::from_millis(1), whole(&unfinished, work)).await;
        assert!(hung_up.is_err());
        unfinished.close();
        unfinished.wait().await;
        assert!(ended.load(Ordering::SeqCst));
        let panicking = whole(&unfinished, in_time(async { panic!("in a task") })).await;
        assert_eq!(panicking.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test(start_paused = true)]
    async fn work_has_ended_when_503_is_answered() {
        let (unfinished, ended) = (TaskTracker::new(), Arc::new(AtomicBool::new(false)));
        let said = Arc::clone(&ended);
        let endless = async move {
            tokio::time::sleep(2 * TIMEOUT).await;
            said.store(true, Ordering::SeqCst);
            StatusCode::OK.into_response()
        };
        let late = whole(&unfinished, in_time(endless)).await;
        assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(unfinished.is_empty());
        tokio::time::sleep(3 * TIMEOUT).await;
        assert!(!ended.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_is_caught_wherever_it_happens() {
        assert_eq!(caught(async { 1 }).await, Some(1));
        let at_once = async { panic!("at once") };
        assert_eq!(caught::<u8>(at_once).await, None);
        let later = async {
            tokio::task::yield_now().await;
            panic!("{} later", 1)
        };
        assert_eq!(caught::<u8>(later).await, None);
    }
}
