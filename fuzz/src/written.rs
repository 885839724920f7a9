//! What operators write: the configuration, the declared bank, the command line.

use std::{cell::OnceCell, collections::BTreeSet, fs, path::Path};

use chancery::{
    cli::{Cli, value},
    config::{Issuer, Settings, Span},
    declare,
};
use chrono::{DateTime, TimeDelta};
use mfa::SecondFactorPolicy;
use tempfile::TempDir;

use crate::halves;

/// Files that an input names are not read: they say nothing of the reader, and a device among them never
/// ends.
fn names_files(text: &str) -> bool {
    text.to_ascii_lowercase().contains("_file") || text.contains('\\')
}

/// The configuration: the first half is the file, the second the environment, a variable in a line. What
/// has no mistake makes policies; every mistake says what is wrong and what to do.
pub fn configuration(bytes: &[u8]) {
    thread_local!(static DIRECTORY: OnceCell<TempDir> = const { OnceCell::new() });
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if names_files(text) {
        return;
    }
    let (file, environment) = halves(text);
    let variables = environment.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (format!("CHANCERY__{name}"), value.to_owned()));
    let loaded = DIRECTORY.with(|directory| {
        let directory = directory.get_or_init(|| tempfile::tempdir().expect("a temporary directory"));
        let path = directory.path().join("chancery.toml");
        fs::write(&path, file).expect("the temporary directory takes a file");
        Settings::load(Some(&path), variables)
    });
    match loaded {
        Ok(settings) => {
            settings.policies().expect("settings that were checked make policies");
            let _ = settings.limits();
            assert_eq!(settings.issuer.as_str().parse::<Issuer>().as_ref(), Ok(&settings.issuer));
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            assert!(mistakes.iter().all(|mistake| !mistake.problem.is_empty() && !mistake.remedy.is_empty()));
        }
    }
}

/// The file that describes a bank: nothing is declared twice, and every mistake has its place.
pub fn bank_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if names_files(text) {
        return;
    }
    match declare::parse(text, Path::new("bank.toml"), |_| None) {
        Ok(declared) => {
            let clients: BTreeSet<_> = declared.clients.iter().map(|client| &client.id).collect();
            let users: BTreeSet<_> = declared.users.iter().map(|user| &user.username).collect();
            assert_eq!((clients.len(), users.len()), (declared.clients.len(), declared.users.len()));
            let again = declare::parse(text, Path::new("bank.toml"), |_| None);
            assert_eq!(format!("{:?}", again.expect("as before").clients), format!("{:?}", declared.clients));
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            let last = text.lines().count() + 1;
            assert!(faults.iter().all(|fault| fault.line.is_none_or(|line| (1..=last).contains(&line))));
            assert!(faults.iter().all(|fault| !fault.problem.is_empty()));
        }
    }
}

/// The command line: each line is one argument, and every kind of value that arguments take.
pub fn arguments(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
    if let Ok(duration) = value::duration(text) {
        assert!(duration >= TimeDelta::zero() && duration <= TimeDelta::days(36_500));
    }
    if let Ok(value::Lifetime(Some(seconds))) = value::lifetime(text) {
        assert!((1..=100 * 366 * 86_400).contains(&seconds));
    }
    if let Ok(moment) = value::moment(text) {
        let at = moment.resolve(now);
        assert!(matches!(moment, value::Moment::At(_)) || at <= now);
    }
    if let Ok(span) = text.parse::<Span>() {
        assert_eq!(span.to_string().parse::<Span>(), Ok(span), "{text:?}");
        assert!(span.to_delta() >= TimeDelta::seconds(1));
    }
    if let Ok(issuer) = text.parse::<Issuer>() {
        assert_eq!(issuer.as_str(), text);
        assert_eq!(issuer.url().as_str(), format!("{text}/"), "RFC 9207 §2.4: one spelling");
        let _ = issuer.is_loopback();
    }
    if let Ok(policy) = text.parse::<SecondFactorPolicy>() {
        assert_eq!(policy.as_str(), text);
    }
    let words = std::iter::once("chancery").chain(text.lines());
    if let Err(refusal) = <Cli as clap::Parser>::try_parse_from(words) {
        assert!(matches!(refusal.exit_code(), 0 | 2), "the exit code that the manual promises");
    }
}
