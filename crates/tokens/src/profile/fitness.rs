//! What keeps a client from a profile, and what the profile will ask of its program.
//!
//! Both registration and the report for operators go through one list, [`RULES`]. Each entry reads the same
//! value of [`Rules`] that the checks of requests read, so what is reported and what is done can't differ.
//! What a registration alone decides is kept or broken; what a client shows only while it runs is demanded,
//! and the report says so in advance.

use std::fmt;

use jose::{Algorithm, KeySet};
use protocol::{
    client::{AuthMethod, ClientMetadata, GrantType, Profile, ResponseMode, ResponseType},
    response_mode::Delivery,
};
use serde::Serialize;

use super::Rules;
use crate::client::{Client, ClientFault, ClientRecord};

/// What keeps a client from its profile, in words that an operator can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileFault {
    /// F2-08: nothing tells it from somebody else.
    #[error("it is a public client; it must authenticate with {}", one_of(.allowed))]
    Public {
        /// What will do.
        allowed: &'static [AuthMethod],
    },
    /// F2-10.
    #[error("it authenticates by {used}; only {} will do", all_of(.allowed))]
    Method {
        /// What it registered.
        used: AuthMethod,
        /// What will do.
        allowed: &'static [AuthMethod],
    },
    /// F2-34.
    #[error("{member} is {value}; only {} will do", all_of(.allowed))]
    Algorithm {
        /// The metadata member.
        member: &'static str,
        /// Its value.
        value: String,
        /// What will do.
        allowed: &'static [Algorithm],
    },
    /// F2-34: whatever it signs would be refused.
    #[error("jwks: none of its keys can sign with {}", one_of(.allowed))]
    NoSigningKey {
        /// What it would have to sign with.
        allowed: &'static [Algorithm],
    },
    /// F2-18.
    #[error("response_types has {used}; only {} will do", all_of(.allowed))]
    ResponseType {
        /// What it registered.
        used: ResponseType,
        /// What will do.
        allowed: &'static [ResponseType],
    },
    /// DV-06: the code of a device is typed by whoever is asked to.
    #[error(
        "grant_types has {}, which anybody can be lured into; take it away or set device_grant",
        GrantType::DeviceCode
    )]
    DeviceGrant,
    /// F2-21.
    #[error("require_pkce is off; PKCE can't be waived")]
    WithoutPkce,
    /// MS-05: it could never be answered.
    #[error("response_modes has no signed one; name jwt, query.jwt, fragment.jwt or form_post.jwt")]
    NoSignedMode,
}

/// `a, b and c`.
fn all_of<T: fmt::Display>(values: &[T]) -> String {
    listed(values, "and")
}

/// `a, b or c`.
fn one_of<T: fmt::Display>(values: &[T]) -> String {
    listed(values, "or")
}

fn listed<T: fmt::Display>(values: &[T], link: &str) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} {link} {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// What became of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The registration obeys it.
    Kept,
    /// The registration breaks it; nothing works until it is changed.
    Broken,
    /// The client's program must obey it; each request is checked.
    Demanded,
}

/// One rule, held against one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, in a word or two.
    pub rule: &'static str,
    /// Where it is written.
    pub cites: &'static str,
    /// What became of it.
    pub verdict: Verdict,
    /// What is so, or must become so.
    pub text: String,
}

/// What a rule is held against.
struct Subject<'a> {
    rules: &'static Rules,
    record: &'a ClientRecord,
    metadata: &'a ClientMetadata,
    method: AuthMethod,
}

/// What a rule says of a client; `Kept` and `Demanded` with what is told of it.
enum Said {
    Broken(Vec<ProfileFault>),
    Kept(String),
    Demanded(String),
}

/// A rule: its name, where it is written, and how it is decided. `None` where the profile has no such rule.
struct Rule {
    name: &'static str,
    cites: &'static str,
    holds: fn(&Subject<'_>) -> Option<Said>,
}

/// Every rule, in the order in which an operator would mend them.
const RULES: &[Rule] = &[
    Rule { name: "authentication", cites: "F2-08 F2-10, FAPI 2.0 §5.3.2.1", holds: method },
    Rule { name: "algorithms", cites: "F2-34, FAPI 2.0 §5.4.1", holds: algorithms },
    Rule { name: "keys", cites: "F2-34 F2-35, FAPI 2.0 §5.4.1", holds: keys },
    Rule { name: "response types", cites: "F2-18, FAPI 2.0 §5.3.2.2", holds: response_types },
    Rule { name: "device grant", cites: "DV-06, RFC 8628 §5.4", holds: device_grant },
    Rule { name: "pkce", cites: "F2-21, FAPI 2.0 §5.3.2.2", holds: pkce },
    Rule { name: "assertion audience", cites: "F2-12, FAPI 2.0 §5.3.2.1", holds: audience },
    Rule { name: "pushed requests", cites: "F2-19, FAPI 2.0 §5.3.2.2", holds: pushed_requests },
    Rule { name: "bound tokens", cites: "F2-09, FAPI 2.0 §5.3.2.1", holds: bound_tokens },
    Rule { name: "signed requests", cites: "MS-01 MS-02 MS-03, FAPI 2.0 MS §5.3", holds: signed_requests },
    Rule { name: "signed responses", cites: "MS-05, FAPI 2.0 MS §5.4", holds: signed_responses },
];

fn judged(faults: Vec<ProfileFault>, kept: impl FnOnce() -> String) -> Said {
    if faults.is_empty() { Said::Kept(kept()) } else { Said::Broken(faults) }
}

fn method(subject: &Subject<'_>) -> Option<Said> {
    let (used, allowed) = (subject.method, subject.rules.methods);
    let fault = match used {
        _ if allowed.contains(&used) => None,
        AuthMethod::None => Some(ProfileFault::Public { allowed }),
        used => Some(ProfileFault::Method { used, allowed }),
    };
    Some(judged(fault.into_iter().collect(), || format!("it authenticates by {used}")))
}

fn algorithms(subject: &Subject<'_>) -> Option<Said> {
    let allowed = subject.rules.algorithms;
    let foreign = |(member, value): (&'static str, &String)| {
        // A name that is no algorithm at all is told of elsewhere.
        let known = value.parse::<Algorithm>();
        known.is_ok_and(|algorithm| !allowed.contains(&algorithm)).then(|| ProfileFault::Algorithm {
            member,
            value: value.clone(),
            allowed,
        })
    };
    let faults = signatures(subject.metadata).filter_map(foreign).collect();
    Some(judged(faults, || format!("what it and we sign is signed with {}", one_of(allowed))))
}

/// Only keys that stand in the registration are looked at; others are when they are fetched.
fn keys(subject: &Subject<'_>) -> Option<Said> {
    let allowed = subject.rules.algorithms;
    if subject.method != AuthMethod::PrivateKeyJwt && !subject.rules.signed_requests {
        return None;
    }
    let Some(jwks) = &subject.metadata.jwks else {
        let uri = subject.metadata.jwks_uri.as_ref()?;
        return Some(Said::Demanded(format!("{uri} has a key that signs with {}", one_of(allowed))));
    };
    // A set that can't be read is told of elsewhere.
    let keys = KeySet::from_value(jwks).ok()?;
    let fit = allowed.iter().any(|algorithm| keys.supports(*algorithm));
    let fault = (!fit).then_some(ProfileFault::NoSigningKey { allowed });
    Some(judged(fault.into_iter().collect(), || format!("a key of its signs with {}", one_of(allowed))))
}

fn response_types(subject: &Subject<'_>) -> Option<Said> {
    let allowed = subject.rules.response_types;
    let types = subject.metadata.response_types.iter().flatten().copied();
    let fault = |used| ProfileFault::ResponseType { used, allowed };
    let faults = types.filter(|used| !allowed.contains(used)).take(1).map(fault).collect();
    Some(judged(faults, || format!("it asks for {}", one_of(allowed))))
}

fn device_grant(subject: &Subject<'_>) -> Option<Said> {
    let registered =
        subject.metadata.grant_types.iter().flatten().any(|grant| *grant == GrantType::DeviceCode);
    let allowed = subject.rules.device_grant || subject.record.settings.device_grant;
    let fault = (registered && !allowed).then_some(ProfileFault::DeviceGrant);
    Some(judged(fault.into_iter().collect(), || {
        if registered { "it may use the device grant" } else { "it does not use the device grant" }.to_owned()
    }))
}

fn pkce(subject: &Subject<'_>) -> Option<Said> {
    if !subject.rules.pkce {
        return None;
    }
    if !subject.record.settings.require_pkce {
        return Some(Said::Broken(vec![ProfileFault::WithoutPkce]));
    }
    Some(Said::Demanded("every request has a code_challenge of method S256".to_owned()))
}

fn audience(subject: &Subject<'_>) -> Option<Said> {
    let asserts = subject.method == AuthMethod::PrivateKeyJwt && subject.rules.audience_is_issuer;
    asserts.then(|| Said::Demanded("aud of its assertions is the issuer, as a plain string".to_owned()))
}

fn pushed_requests(subject: &Subject<'_>) -> Option<Said> {
    let demand = "it pushes its authorization requests and sends browsers with the request_uri";
    subject.rules.pushed_requests.then(|| Said::Demanded(demand.to_owned()))
}

fn bound_tokens(subject: &Subject<'_>) -> Option<Said> {
    let demand = "each token request shows the key that its token is bound to";
    subject.rules.bound_tokens.then(|| Said::Demanded(demand.to_owned()))
}

fn signed_requests(subject: &Subject<'_>) -> Option<Said> {
    let demand = "what it pushes is a request object: aud has the issuer, nbf and exp are at most an hour \
                  from now and apart";
    subject.rules.signed_requests.then(|| Said::Demanded(demand.to_owned()))
}

fn signed_responses(subject: &Subject<'_>) -> Option<Said> {
    if !subject.rules.signed_responses {
        return None;
    }
    let signed = |mode: &ResponseMode| Delivery::of(Some(*mode), false).signed;
    if subject
        .metadata
        .response_modes
        .as_ref()
        .is_some_and(|modes| !modes.is_empty() && !modes.iter().any(signed))
    {
        return Some(Said::Broken(vec![ProfileFault::NoSignedMode]));
    }
    let demand = "it asks for response_mode jwt, or one of its kind, and verifies what it is answered";
    Some(Said::Demanded(demand.to_owned()))
}

/// The members that name an algorithm of signatures, with their values.
fn signatures(metadata: &ClientMetadata) -> impl Iterator<Item = (&'static str, &String)> {
    [
        ("token_endpoint_auth_signing_alg", &metadata.token_endpoint_auth_signing_alg),
        ("id_token_signed_response_alg", &metadata.id_token_signed_response_alg),
        ("userinfo_signed_response_alg", &metadata.userinfo_signed_response_alg),
        ("request_object_signing_alg", &metadata.request_object_signing_alg),
        ("authorization_signed_response_alg", &metadata.authorization_signed_response_alg),
    ]
    .into_iter()
    .filter_map(|(member, value)| value.as_ref().map(|value| (member, value)))
}

fn subject<'a>(record: &'a ClientRecord, rules: &'static Rules) -> Subject<'a> {
    let metadata = &record.metadata;
    let method = metadata.token_endpoint_auth_method.unwrap_or(AuthMethod::ClientSecretBasic);
    Subject { rules, record, metadata, method }
}

/// Every rule of a profile that a registration breaks.
pub(super) fn faults(record: &ClientRecord, rules: &'static Rules) -> Vec<ProfileFault> {
    let subject = subject(record, rules);
    let broken = |said| if let Said::Broken(faults) = said { Some(faults) } else { None };
    RULES.iter().filter_map(|rule| (rule.holds)(&subject)).filter_map(broken).flatten().collect()
}

/// Holds every rule of a profile, and those that hold for all clients, against a client, as if it had the
/// profile.
pub fn fitness(record: &ClientRecord, profile: Profile) -> Vec<Finding> {
    let mut record = record.clone();
    record.settings.profile = Some(profile);
    let subject = subject(&record, Rules::of(profile));
    let mut findings = Vec::new();
    for Rule { name, cites, holds } in RULES {
        let mut tell = |verdict, text| findings.push(Finding { rule: name, cites, verdict, text });
        match holds(&subject) {
            None => {}
            Some(Said::Kept(text)) => tell(Verdict::Kept, text),
            Some(Said::Demanded(text)) => tell(Verdict::Demanded, text),
            Some(Said::Broken(faults)) => {
                faults.iter().for_each(|fault| tell(Verdict::Broken, fault.to_string()));
            }
        }
    }
    let general = Client::parse(&record).err().unwrap_or_default();
    let general = general.iter().filter(|fault| !matches!(fault, ClientFault::Profile { .. }));
    findings.extend(general.map(Finding::of_fault));
    findings
}

impl Finding {
    fn of_fault(fault: &ClientFault) -> Self {
        let text = fault.to_string();
        let (rule, cites) = match fault {
            ClientFault::RedirectUri { .. } | ClientFault::NoRedirectUri => {
                ("redirect URIs", "F2-24, FAPI 2.0 §5.3.2.2")
            }
            ClientFault::Keys(_) | ClientFault::KeysTwice => ("keys", "F2-35, FAPI 2.0 §5.4.1"),
            _ => return Self::of_registration(text),
        };
        Self { rule, cites, verdict: Verdict::Broken, text }
    }

    /// A rule that is broken and holds for every client.
    pub const fn of_registration(text: String) -> Self {
        Self { rule: "registration", cites: "DR-04", verdict: Verdict::Broken, text }
    }
}

#[cfg(test)]
mod tests;
