//! The kinds of values that settings take, and how each is read from TOML or from the text of an
//! environment variable. A list in the environment is separated by commas.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use config::{Value, ValueKind};
use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::config::section::Unfit;

/// A type that a setting can have.
pub trait Setting: Sized {
    /// What the reference calls it.
    const KIND: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// [`Unfit`] says what is wrong and what to write instead.
    fn read(value: &Value) -> Result<Self, Unfit>;

    /// The value as the reference shows it; `None` if it is not set, or secret.
    fn show(&self) -> Option<String>;
}

fn unfit<T>(problem: impl fmt::Display, remedy: impl Into<String>) -> Result<T, Unfit> {
    Err(Unfit { problem: problem.to_string(), remedy: remedy.into() })
}

/// The text of a value; numbers and truth values are not silently turned into text.
fn text(value: &Value) -> Result<&str, Unfit> {
    match &value.kind {
        ValueKind::String(text) if !text.is_empty() => Ok(text),
        ValueKind::String(_) => unfit("is empty", "Write a value, or leave the setting out."),
        _ => unfit("is not a text", "Put the value in quotes."),
    }
}

/// Reads a text through [`FromStr`] and explains a failure.
fn parse<T: FromStr<Err: fmt::Display>>(value: &Value, remedy: &str) -> Result<T, Unfit> {
    let text = text(value)?;
    text.parse().or_else(|error| unfit(format!("`{text}`: {error}"), remedy))
}

impl Setting for String {
    const KIND: &'static str = "text";
    fn read(value: &Value) -> Result<Self, Unfit> {
        text(value).map(str::to_owned)
    }
    fn show(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Setting for PathBuf {
    const KIND: &'static str = "path";
    fn read(value: &Value) -> Result<Self, Unfit> {
        text(value).map(Self::from)
    }
    fn show(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl Setting for SecretString {
    const KIND: &'static str = "secret text";
    fn read(value: &Value) -> Result<Self, Unfit> {
        text(value).map(Self::from)
    }
    fn show(&self) -> Option<String> {
        None
    }
}

impl Setting for bool {
    const KIND: &'static str = "true or false";
    fn read(value: &Value) -> Result<Self, Unfit> {
        match &value.kind {
            ValueKind::Boolean(value) => Ok(*value),
            ValueKind::String(text) if text == "true" => Ok(true),
            ValueKind::String(text) if text == "false" => Ok(false),
            _ => unfit("is neither true nor false", "Write true or false, without quotes in a file."),
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for u32 {
    const KIND: &'static str = "number";
    fn read(value: &Value) -> Result<Self, Unfit> {
        let number = match &value.kind {
            ValueKind::I64(number) => Self::try_from(*number).ok(),
            ValueKind::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map_or_else(
            || unfit("is not a whole number between 0 and 4294967295", "Write a number, such as 10."),
            Ok,
        )
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for SocketAddr {
    const KIND: &'static str = "address and port";
    fn read(value: &Value) -> Result<Self, Unfit> {
        parse(value, "Write an IP address and a port, such as \"127.0.0.1:8400\" or \"[::]:8400\".")
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for IpNet {
    const KIND: &'static str = "network";
    fn read(value: &Value) -> Result<Self, Unfit> {
        let text = text(value)?;
        if let Ok(address) = text.parse::<std::net::IpAddr>() {
            return Ok(Self::from(address));
        }
        parse(value, "Write an address or a network in CIDR form, such as \"10.1.0.0/16\" or \"::1\".")
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for jose::jwe::EncryptionKeyType {
    const KIND: &'static str = "algorithm";
    fn read(value: &Value) -> Result<Self, Unfit> {
        match text(value)?.parse() {
            Ok(keys::KeyAlgorithm::Encryption(key_type)) => Ok(key_type),
            _ => unfit("is no algorithm to encrypt with", "Write \"RSA-OAEP-256\" or \"ECDH-ES\"."),
        }
    }
    fn show(&self) -> Option<String> {
        Some(keys::KeyAlgorithm::Encryption(*self).as_str().to_owned())
    }
}

impl Setting for jose::Algorithm {
    const KIND: &'static str = "algorithm";
    fn read(value: &Value) -> Result<Self, Unfit> {
        parse(value, "Write \"RS256\", \"PS256\", \"ES256\" or \"EdDSA\".")
    }
    fn show(&self) -> Option<String> {
        Some(self.as_str().to_owned())
    }
}

impl Setting for mfa::SecondFactorPolicy {
    const KIND: &'static str = "`required` or `if-enrolled`";
    fn read(value: &Value) -> Result<Self, Unfit> {
        parse(value, "Write \"required\" or \"if-enrolled\".")
    }
    fn show(&self) -> Option<String> {
        Some(self.as_str().to_owned())
    }
}

impl<T: Setting> Setting for Option<T> {
    const KIND: &'static str = T::KIND;
    fn read(value: &Value) -> Result<Self, Unfit> {
        T::read(value).map(Some)
    }
    fn show(&self) -> Option<String> {
        self.as_ref().and_then(Setting::show)
    }
}

impl<T: Setting> Setting for Vec<T> {
    const KIND: &'static str = "list";
    fn read(value: &Value) -> Result<Self, Unfit> {
        match &value.kind {
            ValueKind::Array(items) => items.iter().map(T::read).collect(),
            ValueKind::String(text) => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| T::read(&Value::new(None, item)))
                .collect(),
            _ => unfit("is not a list", "Write a list, such as [\"a\", \"b\"]."),
        }
    }
    fn show(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(Setting::show).collect();
        Some(if items.is_empty() { "empty".to_owned() } else { items.join(", ") })
    }
}

/// A length of time in whole seconds, written as people write it: `90s`, `10m`, `1h30m`, `180d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(u32);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    /// So many minutes.
    pub const fn minutes(minutes: u32) -> Self {
        Self(minutes * 60)
    }

    /// So many hours.
    pub const fn hours(hours: u32) -> Self {
        Self(hours * 3600)
    }

    /// So many days of 24 hours.
    pub const fn days(days: u32) -> Self {
        Self(days * 86_400)
    }

    /// The length in seconds.
    pub const fn as_seconds(self) -> u32 {
        self.0
    }

    /// For timers.
    pub const fn to_duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }

    /// For dates.
    pub fn to_delta(self) -> chrono::TimeDelta {
        chrono::TimeDelta::seconds(self.0.into())
    }
}

/// Why a text is no [`Span`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SpanFault {
    /// It is not a duration at all.
    #[error("{0}")]
    Malformed(#[from] humantime::DurationError),
    /// It has a fraction of a second, is zero, or is longer than 100 years.
    #[error("a duration here is between one second and 100 years, in whole seconds")]
    Range,
}

impl FromStr for Span {
    type Err = SpanFault;
    fn from_str(text: &str) -> Result<Self, SpanFault> {
        let duration = humantime::parse_duration(text)?;
        let seconds = u32::try_from(duration.as_secs()).map_err(|_| SpanFault::Range)?;
        if duration.subsec_nanos() != 0 || seconds == 0 || seconds > 100 * 366 * 86_400 {
            return Err(SpanFault::Range);
        }
        Ok(Self(seconds))
    }
}

impl TryFrom<String> for Span {
    type Error = SpanFault;
    fn try_from(text: String) -> Result<Self, SpanFault> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    /// Days, hours, minutes and seconds: months and years would hide that they are averages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
        let mut rest = self.0;
        for (length, unit) in parts {
            if rest / length > 0 {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        if self.0 == 0 { f.write_str("0s") } else { Ok(()) }
    }
}

impl Setting for Span {
    const KIND: &'static str = "duration";
    fn read(value: &Value) -> Result<Self, Unfit> {
        parse(value, "Write a number with a unit, such as \"90s\", \"10m\", \"1h30m\" or \"180d\".")
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// How long the keys of one algorithm sign: `RS256=365d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The algorithm.
    pub algorithm: jose::Algorithm,
    /// How long.
    pub span: Span,
}

impl Setting for Schedule {
    const KIND: &'static str = "algorithm=duration";
    fn read(value: &Value) -> Result<Self, Unfit> {
        const REMEDY: &str = "Write an algorithm and a duration, such as \"RS256=365d\".";
        let Some((algorithm, span)) = text(value)?.split_once('=') else {
            return unfit("has no `=`", REMEDY);
        };
        let part = |text: &str| Value::new(None, text.trim());
        Ok(Self { algorithm: Setting::read(&part(algorithm))?, span: Setting::read(&part(span))? })
    }
    fn show(&self) -> Option<String> {
        Some(format!("{}={}", self.algorithm, self.span))
    }
}

/// A part of a whole: a number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// The whole.
    pub const ALL: Self = Self(1.0);

    /// As a number from 0 to 1.
    pub const fn as_number(self) -> f64 {
        self.0
    }
}

impl Setting for Share {
    const KIND: &'static str = "number from 0 to 1";
    fn read(value: &Value) -> Result<Self, Unfit> {
        let number = match &value.kind {
            ValueKind::Float(number) => Some(*number),
            ValueKind::I64(0) => Some(0.0),
            ValueKind::I64(1) => Some(1.0),
            ValueKind::String(text) => text.parse().ok(),
            _ => None,
        };
        match number.filter(|number| (0.0..=1.0).contains(number)) {
            Some(number) => Ok(Self(number)),
            None => unfit("is not a number from 0 to 1", "Write a number such as 0.1, for one in ten."),
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// The issuer identifier (RFC 8414 §2): a URL without query, fragment and trailing slash. Kept as
/// its exact text, because clients compare it as a string (RFC 9207 §2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer(String);

/// Why a text is no issuer identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerFault {
    /// No URL, or written in another way than URLs are normalised to.
    #[error("is not a URL in its normal form (lower-case host, no default port)")]
    Malformed,
    /// Another scheme than https or http.
    #[error("has a scheme other than https")]
    Scheme,
    /// Query, fragment or user information.
    #[error("has a query, a fragment or user information")]
    Extra,
    /// Ends with a slash.
    #[error("ends with a slash")]
    TrailingSlash,
    /// Has a path, which this server's routes do not.
    #[error("has a path")]
    Path,
}

impl Issuer {
    /// The identifier as it stands in tokens and metadata.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a URL.
    pub fn url(&self) -> Url {
        Url::parse(&self.0).expect("an issuer is only made from a text that parses")
    }

    /// Whether it is an https URL.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether its host is this machine.
    pub fn is_loopback(&self) -> bool {
        match self.url().host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}

impl FromStr for Issuer {
    type Err = IssuerFault;
    fn from_str(text: &str) -> Result<Self, IssuerFault> {
        let url = Url::parse(text).map_err(|_| IssuerFault::Malformed)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(IssuerFault::Scheme);
        }
        if text.contains(['?', '#', '@']) {
            return Err(IssuerFault::Extra);
        }
        if text.ends_with('/') {
            return Err(IssuerFault::TrailingSlash);
        }
        if url.path() != "/" {
            return Err(IssuerFault::Path);
        }
        if url.as_str().strip_suffix('/') != Some(text) {
            return Err(IssuerFault::Malformed);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Setting for Issuer {
    const KIND: &'static str = "URL";
    fn read(value: &Value) -> Result<Self, Unfit> {
        parse(value, "Write scheme, host and, if need be, port, such as \"https://login.bank.example\".")
    }
    fn show(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

/// Declares a setting that is one of a few words.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $crate::config::value::Setting for $name {
            const KIND: &'static str = concat!("one of:" $(, " `", $text, "`")*);
            fn read(value: &config::Value) -> Result<Self, $crate::config::section::Unfit> {
                match &value.kind {
                    $(config::ValueKind::String(text) if text == $text => Ok(Self::$variant),)*
                    other => Err($crate::config::section::Unfit {
                        problem: format!("`{other}` is not one of the possible values"),
                        remedy: concat!("Write one of:" $(, " \"", $text, "\"")*, ".").to_owned(),
                    }),
                }
            }
            fn show(&self) -> Option<String> {
                Some(match self { $(Self::$variant => $text),* }.to_owned())
            }
        }
    };
}

pub(crate) use choice;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("60s", Ok(Span::seconds(60)))]
    #[case("1h30m", Ok(Span::minutes(90)))]
    #[case("180d", Ok(Span::days(180)))]
    #[case("1500ms", Err(()))]
    #[case("0s", Err(()))]
    #[case("60", Err(()))]
    #[case("900y", Err(()))]
    #[case("-5m", Err(()))]
    fn spans_are_read(#[case] text: &str, #[case] expected: Result<Span, ()>) {
        assert_eq!(text.parse::<Span>().map_err(|_| ()), expected);
    }

    #[rstest]
    #[case(Span::seconds(60), "1m")]
    #[case(Span::minutes(90), "1h30m")]
    #[case(Span::days(180), "180d")]
    fn spans_are_shown_as_they_are_read(#[case] span: Span, #[case] shown: &str) {
        assert_eq!(span.to_string(), shown);
        assert_eq!(shown.parse::<Span>().unwrap(), span);
    }

    #[rstest]
    #[case("https://bank.example", None)]
    #[case("http://localhost:8400", None)]
    #[case("https://bank.example/", Some(IssuerFault::TrailingSlash))]
    #[case("https://bank.example?x", Some(IssuerFault::Extra))]
    #[case("https://bank.example#", Some(IssuerFault::Extra))]
    #[case("https://u@bank.example", Some(IssuerFault::Extra))]
    #[case("https://bank.example/id", Some(IssuerFault::Path))]
    #[case("https://Bank.example", Some(IssuerFault::Malformed))]
    #[case("https://bank.example:443", Some(IssuerFault::Malformed))]
    #[case("ftp://bank.example", Some(IssuerFault::Scheme))]
    #[case("bank.example", Some(IssuerFault::Malformed))]
    fn oc_26_issuer_forms(#[case] text: &str, #[case] fault: Option<IssuerFault>) {
        assert_eq!(text.parse::<Issuer>().err(), fault);
    }

    #[test]
    fn loopback_is_recognised() {
        for (issuer, loopback) in [
            ("http://localhost:8400", true),
            ("http://127.0.0.1:8400", true),
            ("http://[::1]:8400", true),
            ("http://localhost.example", false),
        ] {
            assert_eq!(issuer.parse::<Issuer>().unwrap().is_loopback(), loopback, "{issuer}");
        }
    }

    #[rstest]
    #[case(ValueKind::Float(0.25), Some(0.25))]
    #[case(ValueKind::I64(1), Some(1.0))]
    #[case(ValueKind::String("0.001".to_owned()), Some(0.001))]
    #[case(ValueKind::I64(2), None)]
    #[case(ValueKind::Float(-0.1), None)]
    #[case(ValueKind::String("NaN".to_owned()), None)]
    fn shares_are_read(#[case] kind: ValueKind, #[case] expected: Option<f64>) {
        assert_eq!(Share::read(&Value::new(None, kind)).ok().map(Share::as_number), expected);
    }

    #[test]
    fn a_list_may_come_from_one_text() {
        let networks: Vec<IpNet> = Setting::read(&Value::new(None, "10.0.0.0/8, ::1")).unwrap();
        assert_eq!(networks.len(), 2);
    }
}
