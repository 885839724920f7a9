//! A small bank for the tests of this crate: two resource servers, four scopes.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Scope, client::TokenFormat};

use crate::catalogue::{Catalogue, ResourceServer, Role, ScopeDefinition, ScopeText};

pub(crate) const BANK: &str = "https://api.meridian.example";
pub(crate) const CARDS: &str = "https://cards.meridian.example";

pub(crate) const DAY: i64 = 24 * 3600;

pub(crate) fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

pub(crate) fn roles(names: &[&str]) -> Vec<Role> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

pub(crate) fn server(audience: &str) -> ResourceServer {
    ResourceServer {
        audience: audience.to_owned(),
        name: format!("Server at {audience}"),
        token_format: TokenFormat::Jwt,
        introspection: None,
        access_token_lifetime: None,
    }
}

pub(crate) fn define(name: &str, audience: Option<&str>, needs: &[&str]) -> ScopeDefinition {
    ScopeDefinition {
        name: name.parse().unwrap(),
        title: format!("Title of {name}"),
        description: format!("Description of {name}"),
        audience: audience.map(str::to_owned),
        roles: roles(needs).into_iter().collect::<BTreeSet<_>>(),
        sensitive: false,
        financial: false,
        second_factor_required: false,
        max_lifetime: None,
        translations: BTreeMap::new(),
    }
}

pub(crate) fn catalogue() -> Catalogue {
    let mut accounts = define("accounts:read", Some(BANK), &["account-viewer"]);
    accounts.max_lifetime = Some(90 * DAY);
    let translation = ScopeText { title: "您的帳戶".to_owned(), description: "帳戶清單".to_owned() };
    accounts.translations.insert("zh-Hant".to_owned(), translation);
    let mut payments = define("payments:write", Some(BANK), &["account-viewer", "payment-initiator"]);
    payments.sensitive = true;
    payments.second_factor_required = true;
    payments.max_lifetime = Some(30 * DAY);
    let balances = define("balances:read", Some(BANK), &["account-viewer"]);
    let cards = define("cards:read", Some(CARDS), &["card-viewer"]);
    Catalogue::new([accounts, payments, balances, cards], [server(BANK), server(CARDS)]).unwrap()
}
