//! `[traces]` as the exporter needs it.

use http::{HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use url::{Host, Url};

use crate::config::settings::Traces;

impl Traces {
    /// The collector, if there is one.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn collector(&self) -> Result<Option<Url>, String> {
        let Some(text) = &self.endpoint else { return Ok(None) };
        let url = Url::parse(text).map_err(|error| format!("`{text}`: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{text}` is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("holds a user name or password, which belongs in traces.headers_file".to_owned());
        }
        if url.path() == "/" {
            return Err(format!("`{text}` has no path; collectors listen at /v1/traces"));
        }
        Ok(Some(url))
    }

    /// The headers that every delivery carries. Values may be secret.
    ///
    /// # Errors
    /// Which line is no header; never its value.
    pub fn header_list(&self) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let text = self.headers.as_ref().map(|headers| headers.expose_secret()).unwrap_or_default();
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(number, line)| {
                let header = line.split_once(':').and_then(|(name, value)| {
                    let mut value = HeaderValue::from_str(value.trim()).ok()?;
                    value.set_sensitive(true);
                    Some((name.trim().parse().ok()?, value))
                });
                header.ok_or_else(|| format!("line {} is no header", number + 1))
            })
            .collect()
    }
}

/// Whether a URL's host is this machine, so that plain http crosses no network.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://127.0.0.1:4318/v1/traces", true)]
    #[case("https://otlp.bank.example/v1/traces", true)]
    #[case("http://127.0.0.1:4318", false)]
    #[case("grpc://127.0.0.1:4317/v1/traces", false)]
    #[case("https://user:password@otlp.bank.example/v1/traces", false)]
    #[case("127.0.0.1:4318", false)]
    fn collectors_are_whole_urls(#[case] endpoint: &str, #[case] taken: bool) {
        let traces = Traces { endpoint: Some(endpoint.to_owned()), ..Traces::default() };
        assert_eq!(traces.collector().is_ok(), taken);
    }

    #[test]
    fn bcp_17_header_values_are_in_no_message() {
        let with = |text: &str| Traces { headers: Some(text.into()), ..Traces::default() }.header_list();
        let list = with("Authorization: Bearer abc\n\nX-Tenant:bank").unwrap();
        assert_eq!(list[0].1, "Bearer abc");
        assert_eq!(list[1].0, "x-tenant");
        assert!(!format!("{list:?}").contains("abc"));
        assert_eq!(with("X-Tenant: bank\nvery secret").unwrap_err(), "line 2 is no header");
    }
}
