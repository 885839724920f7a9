//! `[[upstream]]`: banks and employers that people may sign in with, one table each.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use config::{Value, ValueKind};
use federation::{ClientProof, ProviderId, RoleMap, UpstreamConfig};
use jose::{Algorithm, PrivateKey, SigningKey};
use protocol::{acr::Acr, secret::ClientSecret};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

/// What the reference says of these tables.
pub const UPSTREAM_ABOUT: &str = include_str!("upstream.md");

/// One table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    issuer: String,
    client_id: String,
    client_auth: Option<String>,
    client_secret_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    own_key: Option<String>,
    scopes: Option<Vec<String>>,
    #[serde(default)]
    names: BTreeMap<String, String>,
    #[serde(default)]
    domains: Vec<String>,
    #[serde(default)]
    acr: BTreeMap<String, String>,
    roles_claim: Option<String>,
    #[serde(default)]
    roles: BTreeMap<String, String>,
    #[serde(default)]
    just_in_time: bool,
    claims: Option<Vec<String>>,
    userinfo: Option<bool>,
    #[serde(default)]
    hidden: bool,
    algorithms: Option<Vec<String>>,
    #[serde(default)]
    assume_auth_time: bool,
    logout: Option<bool>,
    #[serde(default)]
    origins: Vec<String>,
}

/// Key (inside the table, may be empty), problem, remedy.
type Wrong = (&'static str, String, String);

fn wrong<T>(key: &'static str, problem: impl Into<String>, remedy: &str) -> Result<T, Wrong> {
    Err((key, problem.into(), remedy.to_owned()))
}

/// Reads every table. Relative files start at `directory`. Gives the key, problem and remedy of what is
/// wrong.
pub(super) fn read(
    value: Value,
    directory: Option<&Path>,
    own: &[Algorithm],
) -> Result<Vec<UpstreamConfig>, (String, String, String)> {
    let ValueKind::Array(tables) = value.kind else {
        let remedy = "Write each provider under a heading [[upstream]].";
        return Err(("upstream".into(), "is not a list of tables".into(), remedy.into()));
    };
    let mut upstreams: Vec<UpstreamConfig> = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, table) in tables.into_iter().enumerate() {
        let at = |(key, problem, remedy): Wrong| {
            let dot = if key.is_empty() { "" } else { "." };
            (format!("upstream[{index}]{dot}{key}"), problem, remedy)
        };
        let upstream = one(table, directory, own).map_err(at)?;
        for (key, name) in [("id", upstream.id.as_str()), ("issuer", &upstream.issuer)] {
            if !seen.insert((key, name.to_owned())) {
                return Err(at((key, format!("`{name}` stands twice"), "Name each provider once.".into())));
            }
        }
        upstreams.push(upstream);
    }
    Ok(upstreams)
}

fn one(table: Value, directory: Option<&Path>, own: &[Algorithm]) -> Result<UpstreamConfig, Wrong> {
    let written: Written = table.try_deserialize().map_err(|error| {
        ("", format!("cannot be read: {error}"), "docs/federation.md shows every key.".to_owned())
    })?;
    let id: ProviderId = written.id.parse().map_err(|fault: federation::config::ProviderIdFault| {
        ("id", fault.to_string(), "Write a short name such as \"north-bank\".".to_owned())
    })?;
    let https = Url::parse(&written.issuer).is_ok_and(|url| url.scheme() == "https" && url.query().is_none());
    if !https {
        let problem = format!("`{}` is no https URL", written.issuer);
        return wrong("issuer", problem, "Write the issuer exactly as the provider's metadata does.");
    }
    if written.client_id.is_empty() {
        return wrong("client_id", "is empty", "Write the client_id that the provider gave.");
    }
    let proof = proof(&written, directory, own)?;
    let default = UpstreamConfig::new(id, written.issuer, written.client_id, proof);
    Ok(UpstreamConfig {
        scopes: written.scopes.unwrap_or_else(|| default.scopes.clone()),
        names: written.names,
        domains: domains(&written.domains)?,
        acr: acr(written.acr)?,
        roles: role_map(written.roles_claim, written.roles)?,
        just_in_time: written.just_in_time,
        claims: written.claims.unwrap_or_else(|| default.claims.clone()),
        userinfo: written.userinfo.unwrap_or(true),
        hidden: written.hidden,
        algorithms: match written.algorithms {
            None => default.algorithms.clone(),
            Some(names) => names
                .iter()
                .map(|name| algorithm("algorithms", name).map(Into::into))
                .collect::<Result<_, _>>()?,
        },
        assume_auth_time: written.assume_auth_time,
        logout: written.logout.unwrap_or(true),
        origins: origins(written.origins)?,
        ..default
    })
}

fn algorithm(key: &'static str, name: &str) -> Result<Algorithm, Wrong> {
    name.parse().map_err(|_| {
        let remedy = "Write \"RS256\", \"PS256\", \"ES256\" or \"EdDSA\".";
        (key, format!("`{name}` is not an algorithm that is accepted"), remedy.to_owned())
    })
}

/// `private_key_jwt` unless a secret is given.
fn proof(written: &Written, directory: Option<&Path>, own: &[Algorithm]) -> Result<ClientProof, Wrong> {
    let placed = |file: &Path| directory.map_or_else(|| file.to_owned(), |directory| directory.join(file));
    let content = |key: &'static str, file: &Path| {
        let file = placed(file);
        fs::read(&file).map(Zeroizing::new).map_err(|error| {
            let problem = format!("the file {} cannot be read: {error}", file.display());
            (key, problem, "Make the file readable for the server.".to_owned())
        })
    };
    let only = "Give client_secret_file, key_file or own_key: one of the three.";
    let given = [written.client_secret_file.is_some(), written.key_file.is_some(), written.own_key.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        return wrong("", "does not say once how this server proves who it is", only);
    }
    let method = written.client_auth.as_deref();
    if let Some(file) = &written.client_secret_file {
        let bytes = content("client_secret_file", file)?;
        let secret = std::str::from_utf8(&bytes).unwrap_or_default().trim();
        if secret.is_empty() {
            return wrong("client_secret_file", "the file holds no text", "Write the secret into it.");
        }
        let secret = ClientSecret::new(secret);
        return match method {
            None | Some("client_secret_basic") => Ok(ClientProof::SecretBasic(secret)),
            Some("client_secret_post") => Ok(ClientProof::SecretPost(secret)),
            Some(_) => wrong(
                "client_auth",
                "does not fit a secret",
                "Write client_secret_basic or client_secret_post.",
            ),
        };
    }
    if method.is_some_and(|method| method != "private_key_jwt") {
        return wrong("client_auth", "does not fit a key", "Write private_key_jwt, or leave it out.");
    }
    if let Some(file) = &written.key_file {
        let key = PrivateKey::from_json(content("key_file", file)?).and_then(|key| SigningKey::new(&key));
        return key.map(ClientProof::Key).map_err(|fault| {
            let remedy = "Write a private JWK with alg into the file (RFC 7517).".to_owned();
            ("key_file", format!("holds no usable key: {fault}"), remedy)
        });
    }
    let own_key = algorithm("own_key", written.own_key.as_deref().unwrap_or_default())?;
    if !own.contains(&own_key) {
        let problem = format!("{} is not among keys.algorithms", own_key.as_str());
        return wrong("own_key", problem, "Name an algorithm that this server has a key for.");
    }
    Ok(ClientProof::OwnKey(own_key))
}

fn domains(written: &[String]) -> Result<Vec<String>, Wrong> {
    let plain = |domain: &String| {
        !domain.is_empty() && !domain.contains(['@', '/', ':', '*']) && !domain.contains(char::is_whitespace)
    };
    match written.iter().find(|domain| !plain(domain)) {
        Some(odd) => {
            wrong("domains", format!("`{odd}` is no domain"), "Write domains such as \"north.example\".")
        }
        None => Ok(written.iter().map(|domain| domain.to_lowercase()).collect()),
    }
}

fn acr(written: BTreeMap<String, String>) -> Result<BTreeMap<String, Acr>, Wrong> {
    let worth = |(value, worth): (String, String)| match worth.as_str() {
        "one-factor" => Ok((value, Acr::CustomerAuthentication)),
        "two-factors" => Ok((value, Acr::StrongCustomerAuthentication)),
        other => wrong("acr", format!("`{other}` is no worth"), "Write \"one-factor\" or \"two-factors\"."),
    };
    written.into_iter().map(worth).collect()
}

fn role_map(claim: Option<String>, roles: BTreeMap<String, String>) -> Result<RoleMap, Wrong> {
    match (&claim, roles.is_empty()) {
        (None, false) => wrong("roles", "is given without roles_claim", "Name the claim in roles_claim."),
        (Some(_), true) => {
            wrong("roles_claim", "is given without roles", "Write a table roles: value = role.")
        }
        _ => Ok(RoleMap { claim, roles }),
    }
}

fn origins(written: Vec<String>) -> Result<Vec<String>, Wrong> {
    let plain = |origin: &String| {
        Url::parse(origin)
            .is_ok_and(|url| url.scheme() == "https" && url.origin().ascii_serialization() == *origin)
    };
    match written.iter().find(|origin| !plain(origin)) {
        Some(odd) => {
            wrong("origins", format!("`{odd}` is no origin"), "Write such as \"https://sso.example\".")
        }
        None => Ok(written),
    }
}

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod tests;
