//! The histogram `chancery_http_request_seconds`: requests by route, method and status, labels of low
//! cardinality.
//!
//! Looking a series up by its labels allocates and hashes all of them, for every request. A route
//! answers with few statuses, so each keeps the series that it has met.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use http::{Method, StatusCode};
use metrics::Histogram;

/// The series of one route.
#[derive(Default)]
pub struct Series(RwLock<Vec<Known>>);

struct Known {
    route: String,
    method: &'static str,
    status: StatusCode,
    histogram: Histogram,
}

impl Series {
    /// Counts a request; `route` is its pattern, never its path.
    pub fn record(&self, route: Option<&str>, method: &'static str, status: StatusCode, took: Duration) {
        let route = route.unwrap_or("none");
        let is = |known: &&Known| known.status == status && known.method == method && known.route == route;
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter().find(is) {
            return known.histogram.record(took);
        }
        drop(known);
        let labels = [
            ("route", route.to_owned()),
            ("method", method.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        let histogram = metrics::histogram!("chancery_http_request_seconds", &labels);
        histogram.record(took);
        // Two that meet here add the same series twice, and the second is never found. No harm.
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.push(Known { route: route.to_owned(), method, status, histogram });
    }
}

/// A method as a label. A stranger may invent methods; a label must not.
pub fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
