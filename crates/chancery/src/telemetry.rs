//! Logs and metrics of the process.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, prelude::*, util::TryInitError};

use crate::config::settings::{Log, LogFormat};

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
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match log.format {
        LogFormat::Human => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(())
}

/// Makes the `metrics` macros count, and returns the handle that renders them for Prometheus. Call
/// [`PrometheusHandle::run_upkeep`] now and then; [`admin`](crate::admin) does.
///
/// # Errors
/// [`TelemetryFault`].
pub fn metrics() -> Result<PrometheusHandle, TelemetryFault> {
    Ok(PrometheusBuilder::new().set_buckets(&SECONDS)?.install_recorder()?)
}
