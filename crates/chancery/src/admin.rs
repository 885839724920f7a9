//! The admin listener: health for whoever restarts us, metrics for whoever watches us.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// An answer later than this is as good as none to a load balancer.
const READY_WITHIN: Duration = Duration::from_secs(2);
/// How often histograms are drained.
const UPKEEP: Duration = Duration::from_secs(5);

/// Says whether requests would succeed at this moment, or why not.
pub type Readiness = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Brings gauges up to date, before metrics are shown.
pub type Observe = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone)]
struct Admin {
    observe: Observe,
    ready: Readiness,
    stop: CancellationToken,
    metrics: PrometheusHandle,
}

/// The routes: `/health/live`, `/health/ready`, `/metrics`. A server that is stopping is not ready, so
/// that a load balancer looks elsewhere while it drains.
pub fn router(
    ready: Readiness,
    observe: Observe,
    stop: CancellationToken,
    metrics: PrometheusHandle,
) -> Router {
    Router::new()
        .route("/health/live", get(async || "live\n"))
        .route("/health/ready", get(readiness))
        .route("/metrics", get(render))
        .with_state(Admin { observe, ready, stop, metrics })
}

async fn readiness(State(admin): State<Admin>) -> impl IntoResponse {
    if admin.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match timeout(READY_WITHIN, (admin.ready)()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n".to_owned()),
        Ok(Err(why)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n".to_owned()),
    }
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    (admin.observe)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render())
}

/// Keeps the memory of histograms flat, until `stop`.
pub async fn upkeep(metrics: PrometheusHandle, stop: CancellationToken) {
    while timeout(UPKEEP, stop.cancelled()).await.is_err() {
        metrics.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::{body::Body, http::Request};
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tower::ServiceExt;

    use super::*;

    async fn status(ready: Result<(), String>, stop: &CancellationToken, path: &str) -> StatusCode {
        let ready: Readiness = Arc::new(move || {
            let ready = ready.clone();
            Box::pin(async move { ready })
        });
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let request = Request::get(path).body(Body::empty()).unwrap();
        router(ready, Arc::new(|| ()), stop.clone(), metrics).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn readiness_tells_the_truth() {
        let stop = CancellationToken::new();
        assert_eq!(status(Ok(()), &stop, "/health/ready").await, StatusCode::OK);
        let down = Err("database: connection refused".to_owned());
        assert_eq!(status(down.clone(), &stop, "/health/ready").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(down, &stop, "/health/live").await, StatusCode::OK);
        stop.cancel();
        assert_eq!(status(Ok(()), &stop, "/health/ready").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(Ok(()), &stop, "/metrics").await, StatusCode::OK);
    }
}
