//! Settings that must fit each other. Each rule is one short function; the list of them is the whole
//! policy.

use std::str::FromStr;

use ipnet::IpNet;
use keys::KeyEncryptionKey;
use secrecy::ExposeSecret;
use web::pages::Language;

use crate::config::{
    load::Origins, mistake::Mistake, mutual::mutual_tls_has_a_place, policy, settings::Settings,
    traces::is_loopback, value::Span,
};

/// Key, problem, remedy.
pub(super) type Finding = (&'static str, String, String);

const RULES: [fn(&Settings, &mut Vec<Finding>); 14] = [
    issuer_is_https,
    plain_http_is_guarded,
    mutual_tls_has_a_place,
    tls_is_complete,
    database_is_known,
    secrets_are_strong,
    keys_overlap,
    lifetimes_nest,
    work_is_bounded,
    limits_hold,
    words_are_known,
    traces_have_a_way,
    registration_is_sound,
    outbound_is_bounded,
];

/// Applies every rule.
pub fn check(settings: &Settings, origins: &Origins, mistakes: &mut Vec<Mistake>) {
    // A setting that was already found wrong stands at its default; to judge that would mislead.
    let mut known: Vec<String> = mistakes.iter().map(|mistake| mistake.key.clone()).collect();
    if known.iter().any(|key| key == "issuer") {
        // Whether a proxy is needed depends on the issuer.
        known.push("proxy.trusted".to_owned());
    }
    let mut findings = Vec::new();
    for rule in RULES {
        rule(settings, &mut findings);
    }
    mistakes.extend(
        findings
            .into_iter()
            .filter(|(key, ..)| !known.iter().any(|k| k == key || *k == format!("{key}_file")))
            .map(|(key, problem, remedy)| Mistake {
                origin: origins.of(key),
                key: key.to_owned(),
                problem,
                remedy,
            }),
    );
}

/// What an operator should know at the start, although it is no mistake.
pub fn warnings(settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    if !settings.issuer.is_https() {
        warnings.push(format!(
            "{} is plain http: for development on this machine only; cookies lack the __Host- prefix",
            settings.issuer
        ));
    } else if !settings.has_tls() {
        warnings
            .push("the public listener speaks plain http; TLS must end at the configured proxy".to_owned());
    }
    if settings.secrets.key_encryption_key.is_none() || settings.secrets.password_pepper.is_none() {
        warnings.push(
            "key-encryption key or pepper is not set: the well-known ones of development protect nothing"
                .to_owned(),
        );
    }
    if settings.limits.guesses == 0 && !settings.is_development() {
        warnings.push("limits.guesses is 0: one address may try as many passwords as it likes".to_owned());
    }
    if settings.registration.enabled && settings.registration.anonymous_policy.is_some() {
        warnings.push("registration.anonymous_policy is set: everybody can register clients".to_owned());
    }
    if settings.mtls.listen.is_some() && !settings.proxy.trusted.is_empty() {
        warnings.push(
            "mtls.listen is set: no client can show its certificate from an address of proxy.trusted"
                .to_owned(),
        );
    }
    if !settings.listen.admin.ip().is_loopback() && settings.listen.admin_allow.is_empty() {
        warnings.push(format!(
            "the admin listener {} can be reached from other machines; only the network guards it",
            settings.listen.admin
        ));
    }
    warnings
}

pub(super) fn find(
    findings: &mut Vec<Finding>,
    key: &'static str,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) {
    findings.push((key, problem.into(), remedy.into()));
}

/// OC-26, RFC 8414 §2.
fn issuer_is_https(settings: &Settings, findings: &mut Vec<Finding>) {
    if !settings.issuer.is_https() && !settings.issuer.is_loopback() {
        find(
            findings,
            "issuer",
            format!("`{}` is plain http, and not on this machine", settings.issuer),
            "Write the https URL that clients use, even if a proxy ends TLS.",
        );
    }
}

/// Plain http only on loopback, or for configured proxies (BCP-15).
fn plain_http_is_guarded(settings: &Settings, findings: &mut Vec<Finding>) {
    let exposed = !settings.listen.public.ip().is_loopback();
    if exposed && !settings.has_tls() && settings.proxy.trusted.is_empty() {
        find(
            findings,
            "listen.public",
            format!("{} would speak plain http to the network", settings.listen.public),
            "Set tls.certificate and tls.key; or listen on 127.0.0.1; or name the proxies that end TLS in proxy.trusted.",
        );
    }
    if settings.issuer.is_https() && !settings.has_tls() && settings.proxy.trusted.is_empty() && !exposed {
        find(
            findings,
            "proxy.trusted",
            "is empty, but something must end TLS for an https issuer",
            "Set tls.certificate and tls.key, or name the proxy, such as trusted = [\"127.0.0.1\"].",
        );
    }
    for network in &settings.proxy.trusted {
        if network.prefix_len() == 0 {
            find(
                findings,
                "proxy.trusted",
                format!("`{network}` trusts the whole internet"),
                "Name the proxies' own addresses.",
            );
        }
    }
    if settings.listen.public == settings.listen.admin && settings.listen.public.port() != 0 {
        find(
            findings,
            "listen.admin",
            "is the same as listen.public",
            "Give the admin listener a port of its own.",
        );
    }
}

fn tls_is_complete(settings: &Settings, findings: &mut Vec<Finding>) {
    let (missing, present) = match (&settings.tls.certificate, &settings.tls.key) {
        (Some(_), None) => ("tls.key", "tls.certificate"),
        (None, Some(_)) => ("tls.certificate", "tls.key"),
        _ => return,
    };
    find(findings, missing, format!("is missing beside {present}"), "Name both PEM files, or neither.");
}

fn database_is_known(settings: &Settings, findings: &mut Vec<Finding>) {
    const REMEDY: &str = "Write \"postgres://user@host/name\" or \"sqlite:///path/to/file.db\".";
    match &settings.database.url {
        None => find(findings, "database.url", "is missing", REMEDY),
        Some(url) => {
            let url = url.expose_secret();
            if !["postgres://", "postgresql://", "sqlite:"].iter().any(|scheme| url.starts_with(scheme)) {
                find(findings, "database.url", "names neither PostgreSQL nor SQLite", REMEDY);
            }
        }
    }
    if settings.database.max_connections == 0 {
        find(findings, "database.max_connections", "is 0", "Write at least 1.");
    }
}

const GENERATE_PEPPER: &str = "Generate one: openssl rand -base64 32 > password-pepper; then set \
    secrets.password_pepper_file, and never change it.";

fn secrets_are_strong(settings: &Settings, findings: &mut Vec<Finding>) {
    const GENERATE: &str = "Generate one: openssl rand -base64 32 > key-encryption-key; then set \
        secrets.key_encryption_key_file, and keep a copy in a safe place.";
    match &settings.secrets.key_encryption_key {
        None if settings.is_development() => {}
        None => find(findings, "secrets.key_encryption_key", "is missing", GENERATE),
        Some(key) => {
            if let Err(fault) = KeyEncryptionKey::from_str(key.expose_secret()) {
                find(findings, "secrets.key_encryption_key", fault.to_string(), GENERATE);
            }
        }
    }
    match &settings.secrets.password_pepper {
        None if settings.is_development() => {}
        None => find(findings, "secrets.password_pepper", "is missing", GENERATE_PEPPER),
        Some(pepper) => {
            if policy::pepper_bytes(pepper).is_none() {
                find(findings, "secrets.password_pepper", "is not 32 bytes in base64", GENERATE_PEPPER);
            }
        }
    }
}

/// OC-22: a client always knows the key of a token that is still valid.
fn keys_overlap(settings: &Settings, findings: &mut Vec<Finding>) {
    let keys = &settings.keys;
    match settings.common_rotation() {
        Ok(common) => schedules_fit(settings, &common, findings),
        Err(fault @ keys::RotationPolicyFault::NoAlgorithm) => {
            find(
                findings,
                "keys.algorithms",
                fault.to_string(),
                "Name some, such as [\"RS256\", \"ES256\"].",
            );
        }
        Err(fault) => find(
            findings,
            "keys.active",
            fault.to_string(),
            "Write keys.active longer than keys.announce, and each of them up to ten years.",
        ),
    }
    let algorithm = settings.tokens.access_token_algorithm;
    if !keys.algorithms.is_empty() && !keys.algorithms.contains(&algorithm) {
        find(
            findings,
            "tokens.access_token_algorithm",
            format!("{algorithm} is not one of keys.algorithms"),
            "Name one for which there is a key, or add it to keys.algorithms.",
        );
    }
    let notice = humantime::format_duration(keys::NOTICE.to_std().unwrap_or_default());
    if keys.announce.to_delta() < keys.jwks_cache.to_delta() + keys::NOTICE {
        find(
            findings,
            "keys.announce",
            format!("{} is shorter than keys.jwks_cache, {}, and {notice}", keys.announce, keys.jwks_cache),
            "A new key must be published for as long as clients may cache the old list, and a little longer, \
             because a node may notice it late.",
        );
    }
    // What resource servers declare beyond this is added where it is known (`Service::rotation`).
    let longest = settings.tokens.access_token.max(settings.tokens.id_token);
    if keys.retain.to_delta() < longest.to_delta() + keys::NOTICE {
        find(
            findings,
            "keys.retain",
            format!("{} is shorter than the longest token, {longest}, and {notice}", keys.retain),
            "A key must stay published until the last token that it signed has expired, and a little longer, \
             because a node may notice late that it has retired.",
        );
    }
}

/// Each schedule of one algorithm is that of a configured one, and leaves time to announce.
fn schedules_fit(settings: &Settings, common: &keys::RotationPolicy, findings: &mut Vec<Finding>) {
    const KEY: &str = "keys.active_by_algorithm";
    let schedules = &settings.keys.active_by_algorithm;
    for (position, schedule) in schedules.iter().enumerate() {
        let algorithm = schedule.algorithm;
        if !common.has(algorithm) {
            let remedy = "Name one of keys.algorithms, or leave the entry out.";
            find(findings, KEY, format!("{algorithm} is not one of keys.algorithms"), remedy);
        } else if schedules[..position].iter().any(|other| other.algorithm == algorithm) {
            find(findings, KEY, format!("names {algorithm} twice"), "Write one entry for each algorithm.");
        } else if let Err(fault) = common.clone().with_period(algorithm, schedule.span.to_delta()) {
            let remedy = "Write a time longer than keys.announce, up to ten years.";
            find(findings, KEY, format!("{algorithm}: {fault}"), remedy);
        }
    }
}

fn lifetimes_nest(settings: &Settings, findings: &mut Vec<Finding>) {
    let (tokens, sessions) = (&settings.tokens, &settings.sessions);
    if settings.pushed.lifetime >= Span::minutes(10) {
        find(
            findings,
            "pushed_requests.lifetime",
            format!("{} is ten minutes or more", settings.pushed.lifetime),
            "FAPI 2.0 wants less than ten minutes.",
        );
    }
    if tokens.code > Span::seconds(60) {
        find(
            findings,
            "tokens.code",
            format!("{} is longer than a minute", tokens.code),
            "Codes are redeemed at once by the app; write 60s or less.",
        );
    }
    if tokens.access_token > Span::days(1) {
        find(
            findings,
            "tokens.access_token",
            format!("{} is longer than a day", tokens.access_token),
            "Let refresh tokens carry access over long times; a leaked access token should be worth little.",
        );
    }
    if tokens.refresh_idle > tokens.refresh_absolute {
        find(
            findings,
            "tokens.refresh_idle",
            format!(
                "{} is longer than tokens.refresh_absolute, {}",
                tokens.refresh_idle, tokens.refresh_absolute
            ),
            "Write at most the absolute lifetime.",
        );
    }
    if sessions.idle > sessions.absolute {
        find(
            findings,
            "sessions.idle",
            format!("{} is longer than sessions.absolute, {}", sessions.idle, sessions.absolute),
            "Write at most the absolute lifetime.",
        );
    }
    if settings.interactions.lifetime > Span::hours(24) {
        find(
            findings,
            "interactions.lifetime",
            format!("{} is longer than a day", settings.interactions.lifetime),
            "A customer who has not finished by then starts again from the app.",
        );
    }
}

fn work_is_bounded(settings: &Settings, findings: &mut Vec<Finding>) {
    let passwords = &settings.passwords;
    if let Err(fault) = settings.hashing() {
        find(
            findings,
            "passwords.memory_kib",
            format!("{} KiB in {} passes will not do", passwords.memory_kib, passwords.iterations),
            format!("{fault}."),
        );
    }
    if passwords.concurrent_hashes == Some(0) {
        find(findings, "passwords.concurrent_hashes", "is 0, so nobody could sign in", "Write at least 1.");
    }
    if settings.listen.max_connections == 0 {
        find(findings, "listen.max_connections", "is 0, so nobody could connect", "Write at least 1.");
    }
}

/// A limit that holds for nobody is a mistake; whoever wants none writes 0.
fn limits_hold(settings: &Settings, findings: &mut Vec<Finding>) {
    for network in settings.limits.exempt.iter().filter(|network| network.prefix_len() == 0) {
        find(
            findings,
            "limits.exempt",
            format!("`{network}` exempts the whole internet"),
            "Name your own networks; to switch a limit off, write 0.",
        );
    }
    for (key, address, allowed) in [
        ("listen.public_allow", settings.listen.public, &settings.listen.public_allow),
        ("listen.admin_allow", settings.listen.admin, &settings.listen.admin_allow),
    ] {
        let local = |network: &IpNet| network.addr().is_loopback() || network.prefix_len() == 0;
        if address.ip().is_loopback() && !allowed.is_empty() && !allowed.iter().any(local) {
            find(
                findings,
                key,
                format!("admits nobody: {address} can only be reached from this machine"),
                "Add 127.0.0.1 or ::1, or listen on another address.",
            );
        }
    }
}

fn words_are_known(settings: &Settings, findings: &mut Vec<Finding>) {
    if settings.language().is_none() {
        find(
            findings,
            "pages.language",
            format!("there are no pages in `{}`", settings.pages.language),
            format!("Write one of: {}.", Language::ALL.map(Language::tag).join(", ")),
        );
    }
    if let Err(error) = tracing_subscriber::EnvFilter::builder().parse(&settings.log.filter) {
        find(
            findings,
            "log.filter",
            format!("`{}`: {error}", settings.log.filter),
            "Write a level such as \"info\", or levels by module such as \"info,store=debug\".",
        );
    }
}

fn outbound_is_bounded(settings: &Settings, findings: &mut Vec<Finding>) {
    let outbound = &settings.outbound;
    if let Err(fault) = outbound.roots() {
        let remedy = "Name a PEM file with certificates that the server may read.";
        find(findings, "outbound.root_certificate", fault, remedy);
    }
    if outbound.root_certificate.is_some() && outbound.allow.is_empty() {
        find(
            findings,
            "outbound.root_certificate",
            "is for the hosts of outbound.allow, and there are none",
            "Name the hosts, or leave the setting out.",
        );
    }
    for (key, value) in
        [("outbound.max_answer_kib", outbound.max_answer_kib), ("outbound.per_host", outbound.per_host)]
    {
        if value == 0 {
            find(findings, key, "is 0, so no request could succeed", "Write at least 1.");
        }
    }
}

fn traces_have_a_way(settings: &Settings, findings: &mut Vec<Finding>) {
    const REMEDY: &str = "Write the whole URL, such as \"http://127.0.0.1:4318/v1/traces\".";
    let traces = &settings.traces;
    if let Err(fault) = traces.collector() {
        find(findings, "traces.endpoint", fault, REMEDY);
    }
    if let Err(fault) = traces.header_list() {
        find(findings, "traces.headers", fault, "Write one \"Name: value\" a line.");
    }
    if let Ok(Some(url)) = traces.collector()
        && url.scheme() == "http"
        && !is_loopback(&url)
        && traces.headers.is_some()
    {
        find(
            findings,
            "traces.endpoint",
            "is plain http, and would carry traces.headers over the network in clear",
            "Write an https URL.",
        );
    }
    if traces.follow_proxies && settings.proxy.trusted.is_empty() {
        find(
            findings,
            "traces.follow_proxies",
            "is true, but proxy.trusted names nobody to follow",
            "Name the proxies, or leave the setting out.",
        );
    }
}

/// DR-01, DR-10.
fn registration_is_sound(settings: &Settings, findings: &mut Vec<Finding>) {
    const REMEDY: &str = "docs/registration.md shows how policies and issuers are written.";
    if let Err((key, fault)) = settings.registration() {
        find(findings, key, fault, REMEDY);
    }
    if let Err((key, fault)) = settings.client_documents() {
        find(findings, key, fault, REMEDY);
    }
}
