//! The kinds of values that arguments take.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use protocol::client::{AuthMethod, GrantType, Profile, TokenFormat};

use crate::config::Span;

/// A duration that may be zero, such as `24h`.
///
/// # Errors
/// Says what is wrong.
pub fn duration(text: &str) -> Result<TimeDelta, String> {
    let parsed = humantime::parse_duration(text).map_err(|fault| fault.to_string())?;
    TimeDelta::from_std(parsed)
        .ok()
        .filter(|delta| *delta <= TimeDelta::days(36_500))
        .ok_or_else(|| "a duration here is at most 100 years".to_owned())
}

/// A lifetime in seconds, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(pub Option<i64>);

/// A duration such as `180d`, or `none` for the default.
///
/// # Errors
/// Says what is wrong.
pub fn lifetime(text: &str) -> Result<Lifetime, String> {
    if text == "none" {
        return Ok(Lifetime(None));
    }
    let span: Span = text.parse().map_err(|fault: crate::config::value::SpanFault| fault.to_string())?;
    Ok(Lifetime(Some(span.as_seconds().into())))
}

/// A point in time as it was written: it may count back from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This time.
    At(DateTime<Utc>),
    /// So long ago.
    Ago(TimeDelta),
}

impl Moment {
    /// The time that is meant.
    pub fn resolve(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now - ago,
        }
    }
}

/// `2026-05-17T08:00:00Z`, `2026-05-17` (midnight UTC), or `90m` for so long ago.
///
/// # Errors
/// Says what is expected.
pub fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::At(at.to_utc()));
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(Moment::At(day.and_time(NaiveTime::MIN).and_utc()));
    }
    duration(text).map(Moment::Ago).map_err(|_| {
        "write a time such as 2026-05-17T08:00:00Z, a day such as 2026-05-17, or 90m for so long ago"
            .to_owned()
    })
}

fn known<T: Copy + Send + Sync + 'static>(
    values: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(values.iter().map(|value| name(*value))).map(move |text| {
        let found = values.iter().copied().find(|value| name(*value) == text);
        found.expect("the parser lets only known values through")
    })
}

/// How clients authenticate.
pub fn auth_method() -> impl TypedValueParser<Value = AuthMethod> {
    known(AuthMethod::ALL, AuthMethod::as_str)
}

/// Grant types.
pub fn grant_type() -> impl TypedValueParser<Value = GrantType> {
    known(GrantType::ALL, GrantType::as_str)
}

/// Forms of access tokens.
pub fn token_format() -> impl TypedValueParser<Value = TokenFormat> {
    known(TokenFormat::ALL, TokenFormat::as_str)
}

/// A profile.
pub fn profile() -> impl TypedValueParser<Value = Profile> {
    known(Profile::ALL, Profile::as_str)
}

/// Kinds of audit events.
pub fn event_kind() -> impl TypedValueParser<Value = audit::EventKind> {
    known(audit::EventKind::ALL, audit::EventKind::as_str)
}

/// How events end.
pub fn outcome() -> impl TypedValueParser<Value = audit::Outcome> {
    known(audit::Outcome::ALL, audit::Outcome::as_str)
}

/// Algorithms of our own keys.
pub fn algorithm() -> impl TypedValueParser<Value = keys::KeyAlgorithm> {
    known(&keys::KeyAlgorithm::ALL, keys::KeyAlgorithm::as_str)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = DateTime::parse_from_rfc3339("2026-05-17T12:00:00Z").unwrap().to_utc();
        let read = |text| moment(text).map(|moment| moment.resolve(now).to_rfc3339());
        assert_eq!(read("2026-05-17T10:00:00+02:00").unwrap(), "2026-05-17T08:00:00+00:00");
        assert_eq!(read("2026-05-16").unwrap(), "2026-05-16T00:00:00+00:00");
        assert_eq!(read("90m").unwrap(), "2026-05-17T10:30:00+00:00");
        assert!(read("yesterday").unwrap_err().contains("90m"));
    }

    #[test]
    fn durations_have_bounds() {
        assert_eq!(duration("0s"), Ok(TimeDelta::zero()));
        assert!(duration("200years").is_err());
        assert_eq!(lifetime("none"), Ok(Lifetime(None)));
        assert_eq!(lifetime("1h"), Ok(Lifetime(Some(3600))));
        assert!(lifetime("0s").is_err());
    }
}
