//! Every metric there is: its name, kind, labels and meaning.
//!
//! The metrics themselves are counted where things happen; this list describes them to Prometheus, makes
//! the series of counters known before their first event (or an alert on their increase would miss it),
//! and is the table of `docs/metrics.md`. A test holds list, document and `/metrics` against each other.

use std::fmt::Write;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution of seconds, in buckets.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels with their values, as the document shows them.
    pub labels: &'static str,
    /// What it tells.
    pub help: &'static str,
    /// Series of a counter that begin at 0, each by its labels.
    series: &'static [&'static [(&'static str, &'static str)]],
}

const fn metric(name: &'static str, kind: Kind, labels: &'static str, help: &'static str) -> Metric {
    Metric { name, kind, labels, help, series: &[] }
}

const fn counter(
    name: &'static str,
    labels: &'static str,
    help: &'static str,
    series: &'static [&'static [(&'static str, &'static str)]],
) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help, series }
}

const fn gauge(name: &'static str, labels: &'static str, help: &'static str) -> Metric {
    metric(name, Kind::Gauge, labels, help)
}

const fn histogram(name: &'static str, labels: &'static str, help: &'static str) -> Metric {
    metric(name, Kind::Histogram, labels, help)
}

/// All of them, in the order of the document.
pub const METRICS: &[Metric] = &[
    gauge("chancery_info", "`version`", "Always 1; the label tells the release"),
    histogram(
        "chancery_http_request_seconds",
        "`route`, `method`, `status`",
        "Requests on the public listener, by the pattern of their route (`none` for no route)",
    ),
    counter(
        "chancery_requests_limited_total",
        "`limit` = `guess`, `page`, `endpoint`, `client`, `connection`",
        "Requests and connections refused because one caller sent too many",
        &[
            &[("limit", "guess")],
            &[("limit", "page")],
            &[("limit", "endpoint")],
            &[("limit", "client")],
            &[("limit", "connection")],
        ],
    ),
    counter(
        "chancery_authorizations_total",
        "`outcome` = `issued`, `refused`; of a refusal `error`, `reason`",
        "Answers of the authorization endpoint",
        &[&[("outcome", "issued")]],
    ),
    counter(
        "chancery_tokens_total",
        "`outcome` = `issued`, `refused`, `failed`; of an issue `grant`; of a refusal `error`, `reason`",
        "Answers of the token endpoint",
        &[
            &[("outcome", "issued"), ("grant", "authorization_code")],
            &[("outcome", "issued"), ("grant", "refresh_token")],
            &[("outcome", "issued"), ("grant", "client_credentials")],
            &[("outcome", "refused"), ("error", "invalid_grant"), ("reason", "code_replayed")],
            &[("outcome", "refused"), ("error", "invalid_grant"), ("reason", "refresh_token_reused")],
            &[("outcome", "failed")],
        ],
    ),
    counter(
        "chancery_pushed_requests_total",
        "`outcome` = `pushed`, `refused`, `failed`; of a refusal `error`, `reason`",
        "Answers of the PAR endpoint",
        &[&[("outcome", "pushed")], &[("outcome", "failed")]],
    ),
    counter(
        "chancery_introspections_total",
        "`outcome` = `active`, `inactive`, `refused`, `failed`",
        "Answers of the introspection endpoint",
        &[
            &[("outcome", "active")],
            &[("outcome", "inactive")],
            &[("outcome", "refused")],
            &[("outcome", "failed")],
        ],
    ),
    counter(
        "chancery_client_authentications_failed_total",
        "`reason`",
        "Clients that could not prove who they are",
        &[
            &[("reason", "unknown_client")],
            &[("reason", "wrong_client_secret")],
            &[("reason", "bad_client_assertion")],
            &[("reason", "replayed_client_assertion")],
        ],
    ),
    counter(
        "chancery_logins_total",
        "`outcome` = `accepted`, `refused`",
        "Passwords that people gave",
        &[&[("outcome", "accepted")], &[("outcome", "refused")]],
    ),
    counter(
        "chancery_second_factors_total",
        "`outcome` = `accepted`, `refused`",
        "One-time passwords and recovery codes that people gave",
        &[&[("outcome", "accepted")], &[("outcome", "refused")]],
    ),
    gauge("chancery_password_hash_slots", "", "Password hashes that may run at a time"),
    gauge("chancery_password_hashes_running", "", "Password hashes that run"),
    gauge("chancery_password_hashes_waiting", "", "Requests that wait for a password hash"),
    histogram("chancery_password_hash_wait_seconds", "", "How long requests wait for a slot"),
    histogram("chancery_password_hash_seconds", "", "How long a password hash takes"),
    counter(
        "chancery_password_hashes_refused_total",
        "",
        "Requests sent away because too many wait already",
        &[&[]],
    ),
    gauge("chancery_database_up", "", "Whether the database answered the last poll, once a second"),
    gauge(
        "chancery_store_connections",
        "`pool` = `postgres`, or `reader`, `writer` on SQLite; `state` = `in_use`, `idle`",
        "Connections to the database",
    ),
    gauge("chancery_store_connections_limit", "`pool`", "The most connections that there may be"),
    histogram(
        "chancery_store_acquire_seconds",
        "",
        "How long requests wait for a connection, or for a new one to be made",
    ),
    histogram(
        "chancery_store_probe_seconds",
        "",
        "How long the smallest read takes, connection included; sampled once a second",
    ),
    counter(
        "chancery_store_errors_total",
        "`kind` = `unavailable`, `contended`, `conflict`, `corrupt`",
        "Statements that the database did not carry out; some conflicts are expected",
        &[
            &[("kind", "unavailable")],
            &[("kind", "contended")],
            &[("kind", "conflict")],
            &[("kind", "corrupt")],
        ],
    ),
    gauge(
        "chancery_signing_keys",
        "`alg`; `state` = `announced`, `active`, `retired`",
        "Signing keys that are published",
    ),
    gauge("chancery_signing_key_age_seconds", "`alg`", "For how long the signing key has signed"),
    gauge("chancery_signing_key_period_seconds", "`alg`", "For how long a key is to sign"),
    gauge(
        "chancery_signing_key_next_step_seconds",
        "`alg`",
        "Until a key is announced, activated or destroyed next; 0 when that is due",
    ),
    counter(
        "chancery_key_tending_failures_total",
        "",
        "Attempts to make or move signing keys that failed",
        &[&[]],
    ),
    counter(
        "chancery_swept_rows_total",
        "`table`",
        "Rows removed because they can neither be used nor replayed any more",
        &[],
    ),
    histogram("chancery_sweep_seconds", "", "How long a sweep takes, once a minute"),
    counter("chancery_sweep_failures_total", "", "Sweeps that failed", &[&[]]),
    gauge("chancery_audit_queue_events", "", "Audit events that wait for their batch"),
    gauge(
        "chancery_audit_queue_oldest_seconds",
        "",
        "The age of the oldest event of the batch that is being written; 0 for none",
    ),
    counter(
        "chancery_audit_batches_total",
        "`outcome` = `written`, `failed`",
        "Batches of audit events",
        &[&[("outcome", "written")], &[("outcome", "failed")]],
    ),
    counter("chancery_audit_batched_events_total", "", "Audit events written in batches", &[&[]]),
    counter(
        "chancery_audit_queue_refused_total",
        "",
        "Requests refused because the audit trail is behind",
        &[&[]],
    ),
    counter(
        "chancery_trace_spans_total",
        "`outcome` = `exported`, `dropped`",
        "Spans of traces",
        &[&[("outcome", "exported")], &[("outcome", "dropped")]],
    ),
    counter(
        "chancery_logout_tokens_total",
        "`outcome` = `delivered`, `postponed`, `failed`",
        "Attempts to tell a client of the end of a session; a failed one was the last",
        &[&[("outcome", "delivered")], &[("outcome", "postponed")], &[("outcome", "failed")]],
    ),
    counter(
        "chancery_outbound_requests_total",
        "`outcome` = `answered`, `failed`",
        "Requests that this server sends: to the collector of traces",
        &[&[("outcome", "answered")], &[("outcome", "failed")]],
    ),
];

/// Describes every metric to the recorder, and lets the known series of counters begin at 0.
pub fn describe() {
    for metric in METRICS {
        let Metric { name, kind, help, series, .. } = *metric;
        match kind {
            Kind::Counter => metrics::describe_counter!(name, help),
            Kind::Gauge => metrics::describe_gauge!(name, help),
            Kind::Histogram => metrics::describe_histogram!(name, metrics::Unit::Seconds, help),
        }
        for labels in series {
            metrics::counter!(name, *labels).absolute(0);
        }
    }
    metrics::gauge!("chancery_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    metrics::gauge!("chancery_password_hashes_running").set(0.0);
    metrics::gauge!("chancery_password_hashes_waiting").set(0.0);
}

/// The table of the document.
pub fn reference() -> String {
    let mut table = String::from("| Metric | Type | Labels | Tells |\n|---|---|---|---|\n");
    for Metric { name, kind, labels, help, .. } in METRICS {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String can't fail.
        let _ = writeln!(table, "| `{name}` | {kind} | {labels} | {help} |");
    }
    table
}
