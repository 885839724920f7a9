//! What a client may exchange, and whose assertions it may bring: the rules of its settings, checked.

use std::sync::Arc;

use jose::KeySet;
use protocol::{
    client::GrantType,
    uri::{is_https_url, is_resource_indicator},
};

use super::{ClientFault, ClientKeys, ClientRecord};
use crate::assertion_grant::AssertionRule;

/// An hour: replay marks are kept as long as assertions live (JB-01).
const LONGEST_ASSERTION: i64 = 3600;

/// An issuer of assertions, and where its keys are.
#[derive(Clone, Debug)]
pub struct AssertionIssuer {
    /// What the operator wrote.
    pub rule: AssertionRule,
    /// Its keys.
    pub keys: ClientKeys,
}

/// Reads the rules of a client's settings.
pub(super) fn parse(record: &ClientRecord, faults: &mut Vec<ClientFault>) -> Vec<AssertionIssuer> {
    let settings = &record.settings;
    let uses = |grant| record.metadata.grant_types.as_ref().is_some_and(|types| types.contains(&grant));
    let mut fault = |member, problem: String| faults.push(ClientFault::Exchange { member, problem });
    if !settings.exchange.is_empty() && !uses(GrantType::TokenExchange) {
        fault("exchange", format!("rules need the grant {}", GrantType::TokenExchange));
    }
    if !settings.assertion_issuer.is_empty() && !uses(GrantType::JwtBearer) {
        fault("assertion_issuer", format!("rules need the grant {}", GrantType::JwtBearer));
    }
    for rule in &settings.exchange {
        for audience in [Some(&rule.audience), rule.from_audience.as_ref()].into_iter().flatten() {
            if !is_resource_indicator(audience) {
                fault("exchange", format!("{audience} is not an absolute URI without fragment"));
            }
        }
        if rule.scope.is_empty() {
            fault("exchange", format!("the rule for {} has no scope", rule.audience));
        }
    }
    let mut issuers: Vec<AssertionIssuer> = Vec::new();
    for rule in &settings.assertion_issuer {
        if issuers.iter().any(|known| known.rule.issuer == rule.issuer) {
            fault("assertion_issuer", format!("{} is there twice", rule.issuer));
        }
        if rule.max_lifetime.is_some_and(|seconds| !(1..=LONGEST_ASSERTION).contains(&seconds)) {
            fault("assertion_issuer", "max_lifetime must be positive and at most an hour".to_owned());
        }
        let keys = match (&rule.jwks, &rule.jwks_uri) {
            (Some(jwks), None) => KeySet::from_value(jwks)
                .map(|keys| ClientKeys::Registered(Arc::new(keys)))
                .map_err(|problem| problem.to_string()),
            (None, Some(uri)) if is_https_url(uri) => Ok(ClientKeys::At(uri.clone())),
            (None, Some(_)) => Err("jwks_uri must be an https URL".to_owned()),
            _ => Err("needs one of jwks, jwks_file and jwks_uri".to_owned()),
        };
        match keys {
            Ok(keys) => issuers.push(AssertionIssuer { rule: rule.clone(), keys }),
            Err(problem) => fault("assertion_issuer", format!("{}: {problem}", rule.issuer)),
        }
    }
    issuers
}
