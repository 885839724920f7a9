//! Logs, metrics and traces of the process.

pub mod traces;

use std::io::IsTerminal;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{
    EnvFilter, Layer, filter::LevelFilter, filter::Targets, fmt, prelude::*, util::TryInitError,
};

use self::traces::{Traces, TracesFault};
use crate::config::{
    Settings,
    settings::{Log, LogFormat},
};

/// Buckets of latencies, in seconds: from an answer out of memory to a request that waited for a
/// password hash behind others.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Why telemetry can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryFault {
    /// The filter has no meaning.
    #[error("log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logs were set up before.
    #[error("logs: {0}")]
    Logs(#[from] TryInitError),
    /// Spans can't be exported.
    #[error("traces: {0}")]
    Traces(#[from] TracesFault),
    /// Metrics were set up before.
    #[error("metrics: {0}")]
    Metrics(#[from] BuildError),
}

/// Sends log lines to standard error as configured.
///
/// # Errors
/// [`TelemetryFault`].
pub fn logs(log: &Log) -> Result<(), TelemetryFault> {
    let filter = EnvFilter::builder().parse(&log.filter)?;
    // A filter of the whole registry costs less than one of a layer.
    tracing_subscriber::registry().with(filter).with(lines(log)).try_init()?;
    Ok(())
}

/// Sends log lines to standard error and, if a collector is configured, spans to it. Needs a tokio
/// runtime.
///
/// # Errors
/// [`TelemetryFault`].
pub fn logs_and_traces(settings: &Settings) -> Result<Option<Traces>, TelemetryFault> {
    let Some((traces, tracer)) = Traces::start(settings)? else {
        logs(&settings.log)?;
        return Ok(None);
    };
    let filter = EnvFilter::builder().parse(&settings.log.filter)?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_filter(Targets::new().with_target(traces::TARGET, LevelFilter::DEBUG));
    tracing_subscriber::registry().with(lines(&settings.log).with_filter(filter)).with(spans).try_init()?;
    Ok(Some(traces))
}

/// Log lines as configured.
fn lines<S>(log: &Log) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    match log.format {
        LogFormat::Human => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

/// Makes the `metrics` macros count, and returns the handle that renders them for Prometheus. Call
/// [`PrometheusHandle::run_upkeep`] now and then; [`admin`](crate::admin) does.
///
/// # Errors
/// [`TelemetryFault`].
pub fn metrics() -> Result<PrometheusHandle, TelemetryFault> {
    Ok(PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?)
}
