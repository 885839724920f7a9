#![allow(clippy::unwrap_used)]
//! The limits as a caller meets them: the layer before a route, without the flows behind it.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use governor::clock::FakeRelativeClock;

use super::*;

fn per_minute(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number)
}

fn limits(policy: LimitPolicy) -> (FakeRelativeClock, Limits) {
    let clock = FakeRelativeClock::default();
    let limits = Limits::new(policy, &Timer::Manual(clock.clone()));
    (clock, limits)
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn passes(verdict: Option<Verdict>) -> bool {
    !matches!(verdict, Some(Verdict::Beyond(_)))
}

#[test]
fn without_a_policy_nothing_is_counted() {
    let (_, limits) = limits(LimitPolicy::default());
    assert_eq!(limits.address(Class::Guess, address("192.0.2.1")), None);
    assert_eq!(limits.client(&"app".parse().unwrap()), None);
    assert_eq!(limits.remembered(), 0);
}

#[test]
fn each_class_and_each_address_has_its_own_share() {
    let policy = LimitPolicy { guesses: per_minute(1), pages: per_minute(2), ..LimitPolicy::default() };
    let (clock, limits) = limits(policy);
    let ask = |class, from: &str| passes(limits.address(class, address(from)));
    assert!(ask(Class::Guess, "192.0.2.1"));
    assert!(!ask(Class::Guess, "192.0.2.1"));
    assert!(!ask(Class::Guess, "::ffff:192.0.2.1"), "the same address, written otherwise");
    assert!(ask(Class::Guess, "192.0.2.2"));
    assert!(ask(Class::Page, "192.0.2.1") && ask(Class::Page, "192.0.2.1"));
    assert!(!ask(Class::Page, "192.0.2.1"));
    assert!((0..100).all(|_| ask(Class::Endpoint, "192.0.2.1")), "no limit is set");
    assert!(ask(Class::Guess, "2001:db8::1"));
    assert!(!ask(Class::Guess, "2001:db8::ffff:1"), "one /64 is one caller");
    assert!(passes(limits.address(Class::Guess, None)));
    assert!(!passes(limits.address(Class::Guess, None)), "who has no address is limited too");
    clock.advance(Duration::from_secs(60));
    assert!(ask(Class::Guess, "192.0.2.1"));
}

#[test]
fn exempt_networks_are_not_counted() {
    let exempt = vec!["10.0.0.0/8".parse().unwrap()];
    let (_, limits) = limits(LimitPolicy { endpoints: per_minute(1), exempt, ..LimitPolicy::default() });
    let ask = |from: &str| limits.address(Class::Endpoint, address(from));
    assert!((0..10).all(|_| ask("10.1.2.3").is_none() && ask("::ffff:10.1.2.3").is_none()));
    assert!(passes(ask("192.0.2.1")) && !passes(ask("192.0.2.1")));
}

#[test]
fn memory_is_bounded_and_given_back() {
    let (clock, limits) = limits(LimitPolicy { guesses: per_minute(60), ..LimitPolicy::default() });
    for n in 0..300_000_u128 {
        let v6 = IpAddr::from((0x2001_0db8_u128 << 96 | n << 64).to_be_bytes());
        limits.address(Class::Guess, Some(v6));
    }
    assert!(limits.remembered() <= 1 << 18, "{}", limits.remembered());
    assert!(limits.remembered() > 100_000, "{}", limits.remembered());
    clock.advance(Duration::from_secs(120));
    limits.tidy();
    assert_eq!(limits.remembered(), 0);
}

#[test]
fn a_clients_share_is_noted_once_it_is_asked_for() {
    let (_, limits) = limits(LimitPolicy { clients: per_minute(1), ..LimitPolicy::default() });
    let client = "app".parse().unwrap();
    let noted =
        |share: ClientShare<'_>| share.tell(Response::default()).extensions().get::<Standing>().copied();
    assert_eq!(noted(ClientShare::new(&limits)), None, "nobody proved to be a client");
    let share = ClientShare::new(&limits);
    assert_eq!(share.admit(&client), Ok(()));
    assert_eq!(noted(share).unwrap().remaining, 0);
    let share = ClientShare::new(&limits);
    assert_eq!(share.admit(&client), Err(60));
    assert_eq!(noted(share).unwrap(), Standing { limit: "client", quota: 1, remaining: 0, reset: 60 });
    assert_eq!(ClientShare::new(&limits).admit(&"other".parse().unwrap()), Ok(()));
}

#[test]
fn answers_say_how_the_caller_stands() {
    let mut response = Response::default();
    fields::write(&mut response, &Standing { limit: "page", quota: 600, remaining: 598, reset: 1 });
    fields::write(&mut response, &Standing { limit: "client", quota: 6000, remaining: 0, reset: 7 });
    let all = |name| -> Vec<&str> {
        response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    };
    assert_eq!(all(fields::RATELIMIT_POLICY), ["\"page\";q=600;w=60", "\"client\";q=6000;w=60"]);
    assert_eq!(all(fields::RATELIMIT), ["\"page\";r=598;t=1", "\"client\";r=0;t=7"]);
}

#[test]
fn too_large_a_header_is_refused() {
    use axum::{body::Body, extract::Request};
    use http::StatusCode;

    let with = |fields: usize, length: usize, query: usize| {
        let mut request = Request::builder().uri(format!("/?{}", "q".repeat(query)));
        for field in 0..fields {
            request = request.header(format!("x-{field}"), "v".repeat(length));
        }
        header::excess(&request.body(Body::empty()).unwrap())
    };
    for (fields, length, query, expected) in [
        (header::MAX_FIELDS, 1, 8_000, None),
        (header::MAX_FIELDS + 1, 1, 1, Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
        (2, header::MAX_BYTES / 2, 1, Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
        (1, 1, header::MAX_TARGET, Some(StatusCode::URI_TOO_LONG)),
    ] {
        assert_eq!(with(fields, length, query), expected);
    }
}
