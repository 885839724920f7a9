#![allow(clippy::unwrap_used)]

use super::*;
use crate::declare::file::tests::{BANK, parse};

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y2hhbmNlcnkvdGVzdC8wMA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The bank as the store has it after it was applied: passwords are hashes there.
fn stored(text: &str) -> Declared {
    let mut bank = parse(text).unwrap();
    for user in &mut bank.users {
        user.password = Some(DeclaredPassword::Hash(PasswordHash::from_phc(HASH).unwrap()));
    }
    bank
}

fn is_the_declared_one(password: &Password, _: &PasswordHash) -> bool {
    password.expose() == "correct horse battery"
}

fn compare(current: &Declared, wanted: &str) -> Vec<Change> {
    difference(current, &parse(wanted).unwrap(), is_the_declared_one)
}

#[test]
fn an_empty_store_gets_everything_in_order() {
    let changes = compare(&Declared::default(), BANK);
    assert!(changes.iter().all(|change| change.action == Action::Create));
    let kinds: Vec<_> = changes.iter().map(|change| change.resource).collect();
    assert_eq!(kinds, [Kind::Role, Kind::ResourceServer, Kind::Scope, Kind::Client, Kind::User]);
}

#[test]
fn the_same_file_twice_changes_nothing() {
    let changes = compare(&stored(BANK), BANK);
    assert!(!is_change(&changes), "{}", Shown(&changes));
}

#[test]
fn a_default_that_is_written_out_is_no_change() {
    let written = BANK
        .replace("client_name", "require_pkce = true\nclient_name")
        .replace("scope = \"openid", "scope = \"accounts:read openid");
    assert!(!is_change(&compare(&stored(BANK), &written)));
}

#[test]
fn changes_are_shown_and_secrets_are_not() {
    let wanted = BANK
        .replace("\"Ledgerline\"", "\"Ledgerline Ltd\"")
        .replace("abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba")
        .replace("correct horse battery", "incorrect horse")
        .replace("[\"account-viewer\"]\nsecond", "[]\nsecond");
    let changes = compare(&stored(BANK), &wanted);
    let shown = Shown(&changes).to_string();
    for part in [
        "~ client          ledgerline",
        "client_name: \"Ledgerline\" -> \"Ledgerline Ltd\"",
        "    secret: secret changes",
        "~ user            alice",
        "    password: secret changes",
        "roles: [\"account-viewer\"] -> null",
        "0 to create, 2 to change, 3 unchanged, 0 not in this file",
    ] {
        assert!(shown.contains(part), "{part} in:\n{shown}");
    }
    for secret in ["zyxwvu", "incorrect horse", "argon2id"] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!serde_json::to_string(&changes).unwrap().contains(secret));
    }
}

#[test]
fn a_secret_that_is_not_mentioned_stays() {
    let wanted = BANK
        .replace("client_secret = \"abcdefghijklmnopqrstuvwxyz\"\n", "")
        .replace("password = \"correct horse battery\"\n", "");
    assert!(!is_change(&compare(&stored(BANK), &wanted)));
}

#[test]
fn what_the_file_does_not_mention_is_left_alone() {
    let changes = compare(&stored(BANK), "");
    assert_eq!(changes.len(), 5);
    assert!(changes.iter().all(|change| change.action == Action::NotInFile));
    assert!(!is_change(&changes));
}
