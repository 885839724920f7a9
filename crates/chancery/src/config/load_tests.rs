#![allow(clippy::unwrap_used)]

use std::{fs, path::PathBuf};

use rstest::rstest;
use secrecy::ExposeSecret;

use super::*;
use crate::config::value::Span;

const KEY: &str = "c29tZSByYW5kb20gYnl0ZXMgZm9yIGEgdGVzdCBrZXk=";

const DIGITS: &str = "0123456789012345678901234567890123456789012345678901234567890123";
const PEPPER: &str = "YW5vdGhlciAzMiByYW5kb20gYnl0ZXMgZm9yIHRlc3Q=";

/// A file in a directory of its own.
fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("chancery.toml");
    fs::write(&path, text).unwrap();
    (directory, path)
}

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Settings, Vec<Mistake>> {
    let (_directory, path) = written(text);
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(Some(&path), environment)
}

const DEVELOPMENT: &str = "issuer = \"http://localhost:8400\"\ndatabase.url = \"sqlite:chancery.db\"\n";

fn production(rest: &str) -> String {
    format!(
        "issuer = \"https://login.bank.example\"\ndatabase.url = \"postgres://db/chancery\"\n\
         secrets.key_encryption_key = \"{KEY}\"\nsecrets.password_pepper = \"{PEPPER}\"\nproxy.trusted = [\"10.0.0.1\"]\n{rest}"
    )
}

#[test]
fn a_short_file_is_enough_for_development() {
    let settings = load(DEVELOPMENT, &[]).unwrap();
    assert!(settings.is_development());
    assert_eq!(settings.tokens.access_token, Span::minutes(5));
}

#[test]
fn production_is_not_development() {
    let settings = load(&production(""), &[]).unwrap();
    assert!(!settings.is_development());
}

#[test]
fn the_environment_wins_and_is_typed() {
    let settings = load(
        &format!("{DEVELOPMENT}tokens.id_token = \"2m\"\n"),
        &[
            ("CHANCERY__TOKENS__ID_TOKEN", "3m"),
            ("CHANCERY__DATABASE__MAX_CONNECTIONS", "7"),
            ("CHANCERY__DATABASE__MIGRATE_ON_START", "true"),
            ("CHANCERY__PROXY__TRUSTED", "10.0.0.0/8,::1"),
            ("CHANCERY__KEYS__ALGORITHMS", "ES256"),
            ("CHANCERY__PAGES__BANK_NAME", ""),
            ("CHANCERY__PAGES__LANGUAGE", "zh-Hant"),
            ("CHANCERY_CONFIG", "elsewhere.toml"),
            ("CHANCERY__SECRETS__KEY_ENCRYPTION_KEY", DIGITS),
        ],
    )
    .unwrap();
    assert_eq!(settings.tokens.id_token, Span::minutes(3));
    assert_eq!(settings.database.max_connections, 7);
    assert!(settings.database.migrate_on_start);
    assert_eq!(settings.proxy.trusted.len(), 2);
    assert_eq!(settings.keys.algorithms, [jose::Algorithm::Es256]);
    assert_eq!(settings.pages.bank_name, "Chancery", "an empty variable counts as absent");
    assert_eq!(settings.pages.language, "zh-Hant");
    let key = settings.secrets.key_encryption_key.unwrap();
    assert_eq!(key.expose_secret(), DIGITS, "digits stay text");
}

#[test]
fn everything_may_come_from_the_environment() {
    let environment =
        [("CHANCERY__ISSUER", "http://localhost:8400"), ("CHANCERY__DATABASE__URL", "sqlite:x.db")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert!(Settings::load(None, environment).is_ok());
}

#[test]
fn unknown_keys_are_mistakes_with_a_suggestion() {
    let mistakes = load(
        &format!("{DEVELOPMENT}token.code = \"10s\"\nisuer = \"x\"\ntokens.acces_token = \"5m\"\n"),
        &[("CHANCERY__LOG__FORMT", "json")],
    )
    .unwrap_err();
    let shown: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(mistakes.len(), 4, "{shown:?}");
    let find = |key: &str| mistakes.iter().find(|mistake| mistake.key == key).unwrap();
    assert_eq!(find("tokens.acces_token").remedy, "Did you mean `tokens.access_token`?");
    assert_eq!(find("token").remedy, "Did you mean `tokens`?");
    assert_eq!(find("isuer").remedy, "Did you mean `issuer`?");
    assert_eq!(find("log.formt").origin, "CHANCERY__LOG__FORMT");
    assert!(find("isuer").origin.ends_with("chancery.toml"));
    let missing = load("issuer = \"http://localhost:8400\"", &[]).unwrap_err();
    assert!(missing[0].origin.ends_with("chancery.toml"), "the file in which it would be set");
}

/// One line added to a good production file is found wrong under one key.
#[rstest]
#[case("tokens.code = \"61s\"", "tokens.code")]
#[case("tokens.access_token = \"2d\"", "tokens.access_token")]
#[case("tokens.access_token = 300", "tokens.access_token")]
#[case("tokens.refresh_idle = \"365d\"", "tokens.refresh_idle")]
#[case("sessions.idle = \"13h\"", "sessions.idle")]
#[case("keys.announce = \"30m\"", "keys.announce")]
#[case("keys.retain = \"4m\"", "keys.retain")]
// As long as the list is cached is not enough: a node may notice the new key late.
#[case("keys.announce = \"1h\"", "keys.announce")]
#[case("keys.retain = \"5m\"", "keys.retain")]
#[case("keys.active_by_algorithm = [\"RS256\"]", "keys.active_by_algorithm")]
#[case("keys.active_by_algorithm = [\"EdDSA=30d\"]", "keys.active_by_algorithm")]
#[case("keys.active_by_algorithm = [\"RS256=1d\"]", "keys.active_by_algorithm")]
#[case("keys.active_by_algorithm = [\"RS256=30d\", \"RS256=40d\"]", "keys.active_by_algorithm")]
#[case("keys.algorithms = [\"HS256\"]", "keys.algorithms")]
#[case("keys.algorithms = [\"none\"]", "keys.algorithms")]
#[case("keys.algorithms = []", "keys.algorithms")]
#[case("listen.admin = \"127.0.0.1:8400\"", "listen.admin")]
#[case("listen.public = \"localhost:8400\"", "listen.public")]
#[case("tls.certificate = \"cert.pem\"", "tls.key")]
#[case("tls.key = \"key.pem\"", "tls.certificate")]
#[case("database.max_connections = 0", "database.max_connections")]
#[case("database.max_connections = -1", "database.max_connections")]
#[case("database.migrate_on_start = \"yes\"", "database.migrate_on_start")]
#[case("secrets.password_pepper_file = \"beside\"", "secrets.password_pepper_file")]
#[case("tokens.access_token_algorithm = \"EdDSA\"", "tokens.access_token_algorithm")]
#[case("keys.active = \"1h\"", "keys.active")]
#[case("passwords.memory_kib = 1024", "passwords.memory_kib")]
#[case("passwords.iterations = 1", "passwords.memory_kib")]
#[case("passwords.concurrent_hashes = 0", "passwords.concurrent_hashes")]
#[case("second_factor.policy = \"never\"", "second_factor.policy")]
#[case("log.filter = \"info,,=\"", "log.filter")]
#[case("log.format = \"xml\"", "log.format")]
#[case("pages.language = \"tlh\"", "pages.language")]
#[case("interactions.lifetime = \"25h\"", "interactions.lifetime")]
#[case("log = 3", "log")]
fn every_rule_finds_its_mistake(#[case] line: &str, #[case] key: &str) {
    let mistakes = load(&production(line), &[]).unwrap_err();
    let keys: Vec<_> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    assert_eq!(keys, [key], "{mistakes:?}");
    assert!(mistakes.iter().all(|mistake| !mistake.remedy.is_empty()));
}

/// One setting of a good production configuration replaced through the environment.
#[rstest]
#[case("CHANCERY__ISSUER", "http://login.bank.example", "issuer")]
#[case("CHANCERY__ISSUER", "https://login.bank.example/", "issuer")]
#[case("CHANCERY__PROXY__TRUSTED", "0.0.0.0/0", "proxy.trusted")]
#[case("CHANCERY__PROXY__TRUSTED", ",", "proxy.trusted")]
#[case("CHANCERY__DATABASE__URL", "mysql://x", "database.url")]
#[case("CHANCERY__SECRETS__KEY_ENCRYPTION_KEY", "c2hvcnQ=", "secrets.key_encryption_key")]
#[case("CHANCERY__SECRETS__PASSWORD_PEPPER", "c2hvcnQ=", "secrets.password_pepper")]
#[case(
    "CHANCERY__SECRETS__KEY_ENCRYPTION_KEY",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "secrets.key_encryption_key"
)]
fn mistakes_name_the_variable(#[case] variable: &str, #[case] value: &str, #[case] key: &str) {
    let mistakes = load(&production(""), &[(variable, value)]).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert_eq!((mistakes[0].origin.as_str(), mistakes[0].key.as_str()), (variable, key));
    assert!(!mistakes[0].problem.contains("c2hvcnQ"), "a secret is never repeated");
}

#[test]
fn bcp_15_plain_http_on_the_network_takes_a_configured_proxy() {
    let text = production("listen.public = \"0.0.0.0:8400\"");
    assert!(load(&text, &[]).is_ok());
    let mistakes = load(&text.replace("[\"10.0.0.1\"]", "[]"), &[]).unwrap_err();
    assert_eq!(mistakes[0].key, "listen.public");
}

#[test]
fn a_key_encryption_key_is_demanded_outside_development() {
    let text = production("").replace(&format!("secrets.key_encryption_key = \"{KEY}\""), "");
    assert_eq!(load(&text, &[]).unwrap_err()[0].key, "secrets.key_encryption_key");
    let text = production("").replace(&format!("secrets.password_pepper = \"{PEPPER}\""), "");
    assert_eq!(load(&text, &[]).unwrap_err()[0].key, "secrets.password_pepper");
    let exposed = format!("{DEVELOPMENT}listen.public = \"0.0.0.0:8400\"\nproxy.trusted = [\"10.0.0.1\"]\n");
    assert_eq!(load(&exposed, &[]).unwrap_err()[0].key, "secrets.key_encryption_key");
}

#[test]
fn secret_files_are_found_beside_the_file() {
    let text = production("").replace(
        &format!("secrets.key_encryption_key = \"{KEY}\""),
        "secrets.key_encryption_key_file = \"kek\"",
    );
    let (directory, path) = written(&text);
    fs::write(directory.path().join("kek"), format!("{KEY}\n")).unwrap();
    let settings = Settings::load(Some(&path), []).unwrap();
    assert_eq!(settings.secrets.key_encryption_key.unwrap().expose_secret(), KEY);

    let both = [("CHANCERY__SECRETS__KEY_ENCRYPTION_KEY".to_owned(), KEY.to_owned())];
    let mistakes = Settings::load(Some(&path), both).unwrap_err();
    assert_eq!(mistakes[0].key, "secrets.key_encryption_key_file");
}

#[test]
fn a_broken_file_names_its_line() {
    let mistakes = load("issuer = \n", &[]).unwrap_err();
    assert!(mistakes[0].problem.contains("line 1"), "{mistakes:?}");
    let absent = Settings::load(Some(Path::new("/nonexistent/chancery.toml")), []).unwrap_err();
    assert_eq!(absent[0].origin, "/nonexistent/chancery.toml");
}

#[test]
fn what_is_required_is_asked_for_at_once() {
    let keys: Vec<_> = load("", &[]).unwrap_err().into_iter().map(|mistake| mistake.key).collect();
    assert!(keys.contains(&"issuer".to_owned()) && keys.contains(&"database.url".to_owned()), "{keys:?}");
}

#[test]
fn debug_shows_no_secret() {
    let settings = load(&production(""), &[]).unwrap();
    assert!(!format!("{settings:?}").contains(KEY));
}

#[test]
fn the_example_file_is_right() {
    let example = include_str!("../../../../chancery.example.toml");
    let (directory, path) = written(example);
    let secrets = directory.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("database-url"), "postgres://chancery@localhost/chancery").unwrap();
    fs::write(secrets.join("key-encryption-key"), KEY).unwrap();
    fs::write(secrets.join("password-pepper"), PEPPER).unwrap();
    Settings::load(Some(&path), []).unwrap();
    // Every line that is commented out is a setting that exists.
    let all =
        example.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
    fs::write(&path, all).unwrap();
    let unknown: Vec<_> = match Settings::load(Some(&path), []) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.into_iter().filter(|mistake| mistake.problem.contains("no such")).collect(),
    };
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn limits_are_on_and_0_switches_one_off() {
    let limits = load(DEVELOPMENT, &[]).unwrap().limits();
    let numbers = [limits.guesses, limits.pages, limits.endpoints, limits.clients];
    assert_eq!(numbers.map(|number| number.unwrap().get()), [60, 600, 6000, 6000]);
    let limits = load(&format!("{DEVELOPMENT}limits.pages = 0\nlimits.exempt = [\"10.0.0.0/8\"]\n"), &[])
        .unwrap()
        .limits();
    assert_eq!((limits.pages, limits.exempt.len()), (None, 1));
}

#[test]
fn limits_that_hold_for_nobody_are_mistakes() {
    for (text, key) in [
        ("limits.exempt = [\"0.0.0.0/0\"]", "limits.exempt"),
        ("listen.admin_allow = [\"10.0.0.0/8\"]", "listen.admin_allow"),
        ("listen.public_allow = [\"10.0.0.0/8\"]", "listen.public_allow"),
    ] {
        let mistakes = load(&format!("{DEVELOPMENT}{text}\n"), &[]).unwrap_err();
        assert_eq!(mistakes.iter().map(|mistake| mistake.key.as_str()).collect::<Vec<_>>(), [key]);
    }
    for text in [
        "listen.admin_allow = [\"::1\", \"10.0.0.0/8\"]",
        "listen.admin = \"0.0.0.0:8401\"\nlisten.admin_allow = [\"10.0.0.0/8\"]",
    ] {
        assert!(load(&format!("{DEVELOPMENT}{text}\n"), &[]).is_ok(), "{text}");
    }
}

#[rstest]
#[case("traces.endpoint = \"http://127.0.0.1:4318/v1/traces\"\ntraces.headers = \"X-Key: k\"\n", None)]
#[case("traces.endpoint = \"127.0.0.1:4318\"\n", Some("traces.endpoint"))]
#[case(
    "traces.endpoint = \"http://otlp.bank.example/v1/traces\"\ntraces.headers = \"X-Key: k\"\n",
    Some("traces.endpoint")
)]
#[case("traces.headers = \"no header\"\n", Some("traces.headers"))]
#[case("traces.follow_proxies = true\n", Some("traces.follow_proxies"))]
#[case("traces.sample = 1.5\n", Some("traces.sample"))]
fn traces_have_a_way(#[case] text: &str, #[case] mistake: Option<&str>) {
    let found = load(&format!("{DEVELOPMENT}{text}"), &[]).err().unwrap_or_default();
    let keys: Vec<&str> = found.iter().map(|found| found.key.as_str()).collect();
    assert_eq!(keys, mistake.into_iter().collect::<Vec<_>>(), "{found:?}");
}
