//! Spans to a collector, by OTLP over HTTP.
//!
//! Rooms mark what is worth a span with `tracing` spans of the target `traced`, at debug level: the
//! request, statements of the store, password hashes, signatures. Nothing else reaches the collector,
//! and these carry only names from the program, numbers, and the correlation id that also stands in the
//! log and the audit trail (BCP-17). While traces are off no subscriber wants that target, so such a
//! span is one comparison with a global level.
//!
//! A request never waits for the collector: finished spans go into a bounded queue, from which one
//! task delivers them. What does not fit, or cannot be delivered in time, is counted and forgotten.

use std::{collections::HashMap, time::Duration};

use http::HeaderMap;
use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator},
    trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState, TracerProvider},
};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{
        Sampler, SamplingDecision, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample,
        Span as SdkSpan, SpanData, SpanExporter as _, SpanProcessor,
    },
};
use tokio::{
    sync::mpsc::{self, Receiver, Sender},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use url::Url;

use crate::config::Settings;

/// The target of spans that are exported.
pub(crate) const TARGET: &str = "traced";

/// How many finished spans wait at most; about 4 MiB.
const QUEUE: usize = 8192;

/// How many are delivered at once at most.
const BATCH: usize = 512;

/// How long a span waits for others.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a collector that does not take spans is mentioned in the log.
const REMIND: Duration = Duration::from_secs(600);

/// The counter of spans, by what became of them.
const SPANS: &str = "chancery_trace_spans_total";

/// Why spans can't be exported.
#[derive(Debug, thiserror::Error)]
pub enum TracesFault {
    /// The settings name no usable collector. Loading finds this first.
    #[error("{0}")]
    Settings(String),
    /// The exporter can't be built.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
    /// There is nothing to check the collector's certificate with.
    #[error("this machine's trusted certificates: {0}")]
    Roots(#[from] std::io::Error),
}

/// The export in progress.
#[derive(Debug)]
pub struct Traces {
    stop: CancellationToken,
    delivery: JoinHandle<()>,
    timeout: Duration,
}

impl Traces {
    /// Begins to export, if the settings name a collector; also gives the tracer that makes spans.
    /// Needs a tokio runtime. The collector need not be there yet.
    ///
    /// # Errors
    /// [`TracesFault`].
    pub(crate) fn start(settings: &Settings) -> Result<Option<(Self, SdkTracer)>, TracesFault> {
        let traces = &settings.traces;
        let Some(url) = traces.collector().map_err(TracesFault::Settings)? else { return Ok(None) };
        let timeout = traces.timeout.to_duration();
        let headers = traces.header_list().map_err(TracesFault::Settings)?;
        let headers = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
        let mut exporter = exporter(&url, timeout, headers.collect())?;
        let resource = Resource::builder_empty()
            .with_service_name("chancery")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("chancery.issuer", settings.issuer.as_str().to_owned()))
            .build();
        exporter.set_resource(&resource);
        metrics::describe_counter!(SPANS, "Spans by outcome: exported, dropped");
        let (sender, receiver) = mpsc::channel(QUEUE);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(OfWork(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                traces.sample.as_number(),
            )))))
            .with_span_processor(Queue(sender))
            .build();
        let stop = CancellationToken::new();
        let delivery = tokio::spawn(deliver(exporter, receiver, stop.clone(), timeout));
        let tracer = provider.tracer("chancery");
        Ok(Some((Self { stop, delivery, timeout }, tracer)))
    }

    /// Delivers what is left, but waits no longer than the configured timeout.
    pub async fn finish(self) {
        self.stop.cancel();
        if tokio::time::timeout(self.timeout, self.delivery).await.is_err() {
            tracing::warn!("the collector did not take the last spans in time");
        }
    }
}

fn exporter(
    url: &Url,
    timeout: Duration,
    headers: HashMap<String, String>,
) -> Result<SpanExporter, TracesFault> {
    let exporter = SpanExporter::builder().with_http().with_endpoint(url.as_str()).with_timeout(timeout);
    let exporter = exporter.with_headers(headers);
    if url.scheme() == "https" {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider)?;
        let connector = connector.https_only().enable_http1().build();
        return Ok(exporter.with_http_client(HyperClient::new(connector, timeout, None)).build()?);
    }
    Ok(exporter.with_http_client(HyperClient::with_default_connector(timeout, None)).build()?)
}

/// Continues the trace that a request's `traceparent` names. Only for peers that are believed.
pub fn follow(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(headers));
    // Fails where nobody listens to the span; then there is nothing to continue.
    let _ = span.set_parent(parent);
}

struct Carrier<'a>(&'a HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        // Two of them contradict each other: then there is none (W3C Trace Context §3.2).
        let mut values = self.0.get_all(key).iter();
        values.next().filter(|_| values.next().is_none()).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Samples what somebody asked for. A statement that stands alone is one of those that poll, sweep and
/// start the server: a trace a second that tells nothing.
#[derive(Clone, Debug)]
struct OfWork(Sampler);

impl ShouldSample for OfWork {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let alone = !parent.is_some_and(|parent| parent.span().span_context().is_valid());
        if alone && *kind == SpanKind::Client {
            let (attributes, trace_state) = (Vec::new(), TraceState::NONE);
            return SamplingResult { decision: SamplingDecision::Drop, attributes, trace_state };
        }
        self.0.should_sample(parent, trace, name, kind, attributes, links)
    }
}

/// Where finished spans wait.
#[derive(Debug)]
struct Queue(Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut SdkSpan, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.0.try_send(span).is_err() {
            count("dropped", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

fn count(outcome: &'static str, spans: usize) {
    metrics::counter!(SPANS, "outcome" => outcome).increment(spans as u64);
}

/// Delivers in batches until `stop` is cancelled and the queue is empty.
async fn deliver(
    exporter: SpanExporter,
    mut queue: Receiver<SpanData>,
    stop: CancellationToken,
    timeout: Duration,
) {
    let mut complaint = Complaint::default();
    loop {
        let mut batch = Vec::new();
        let collect = async {
            while batch.len() < BATCH
                && let Some(span) = queue.recv().await
            {
                batch.push(span);
            }
        };
        tokio::select! {
            biased;
            () = collect => {}
            () = stop.cancelled() => queue.close(),
            () = tokio::time::sleep(PAUSE) => {}
        }
        if batch.is_empty() {
            // A closed queue gives nothing only when it is empty.
            if queue.is_closed() && queue.is_empty() {
                return;
            }
            continue;
        }
        let spans = batch.len();
        let problem = match tokio::time::timeout(timeout, exporter.export(batch)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        count(if problem.is_none() { "exported" } else { "dropped" }, spans);
        complaint.heard(problem);
    }
}

/// Says once in a while that the collector does not take spans, and once that it does again.
#[derive(Default)]
struct Complaint(Option<Instant>);

impl Complaint {
    #[expect(clippy::disallowed_methods, reason = "spaces log lines; no decision reads it")]
    fn heard(&mut self, problem: Option<String>) {
        match (problem, self.0) {
            (None, Some(_)) => {
                tracing::info!("the collector takes spans again");
                self.0 = None;
            }
            (Some(problem), last) if last.is_none_or(|last| last.elapsed() >= REMIND) => {
                tracing::warn!(problem, "the collector does not take spans; they are dropped");
                self.0 = Some(Instant::now());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use metrics_exporter_prometheus::PrometheusBuilder;
    use opentelemetry::trace::{Span as _, Tracer};

    use super::*;

    #[test]
    fn a_full_queue_counts_what_it_drops_and_waits_for_nothing() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let (sender, mut queue) = mpsc::channel(1);
        let provider = SdkTracerProvider::builder().with_span_processor(Queue(sender)).build();
        metrics::with_local_recorder(&recorder, || {
            for name in ["first", "second", "third"] {
                provider.tracer("test").start(name).end();
            }
        });
        assert_eq!(queue.try_recv().unwrap().name, "first");
        assert!(queue.try_recv().is_err());
        let page = recorder.handle().render();
        assert!(page.contains("chancery_trace_spans_total{outcome=\"dropped\"} 2"), "{page}");
    }

    #[test]
    fn one_well_formed_traceparent_names_a_trace() {
        const GOOD: &str = "00-abababababababababababababababab-cdcdcdcdcdcdcdcd-01";
        for (values, known) in [
            (&[GOOD][..], true),
            (&[GOOD, GOOD], false),
            (&["00-00000000000000000000000000000000-cdcdcdcdcdcdcdcd-01"], false),
            (&["nonsense"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("traceparent", value.parse().unwrap());
            }
            let found =
                TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(&headers));
            assert_eq!(found.span().span_context().is_valid(), known, "{values:?}");
        }
    }
}
