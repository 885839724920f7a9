//! `[registration]` and `[client_documents]`: what their tables look like, and the rules that they become.

use std::{collections::BTreeSet, fs, path::PathBuf};

use config::{Value, ValueKind};
use flows::{
    client_documents::DocumentRules,
    registration::{RegistrationRules, StatementIssuer, StatementKeys},
};
use jose::KeySet;
use protocol::{
    Scope,
    client::{AuthMethod, GrantType, ResponseType},
    uri::is_https_url,
};
use serde::Deserialize;
use tokens::registration::{HostRule, RegistrationPolicy};

use crate::config::{
    section::Unfit,
    settings::Settings,
    value::{Setting, Span},
};

/// `[[registration.policies]]`: what clients that register themselves may and may never ask for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyTable {
    /// Its name.
    pub name: String,
    /// The scope that they may ask for; absent for everything that is declared.
    pub scopes: Option<Vec<String>>,
    /// The grants that they may use.
    #[serde(default = "usual_grants")]
    pub grant_types: Vec<GrantType>,
    /// The response types that they may use.
    #[serde(default = "usual_responses")]
    pub response_types: Vec<ResponseType>,
    /// How they may authenticate.
    #[serde(default = "usual_methods")]
    pub auth_methods: Vec<AuthMethod>,
    /// The types of authorization details that they may ask for.
    #[serde(default)]
    pub authorization_details_types: Vec<String>,
    /// Hosts of their redirect URIs.
    #[serde(default)]
    pub redirect_hosts: Vec<String>,
    /// Whether they may be native apps.
    #[serde(default)]
    pub native: bool,
    /// Hosts of their pages beside those of their redirect URIs.
    #[serde(default)]
    pub link_hosts: Vec<String>,
    /// Whether confidential ones are exempt from PKCE.
    #[serde(default)]
    pub pkce_exempt: bool,
    /// How long a client secret counts.
    pub secret_lifetime: Option<Span>,
    /// How long a consent to them lasts.
    pub consent_lifetime: Option<Span>,
    /// After so long without use, one that nobody ever consented to is forgotten.
    #[serde(default = "usual_patience")]
    pub unused_lifetime: Span,
}

const fn usual_patience() -> Span {
    Span::days(90)
}

fn usual_grants() -> Vec<GrantType> {
    vec![GrantType::AuthorizationCode, GrantType::RefreshToken]
}

fn usual_responses() -> Vec<ResponseType> {
    vec![ResponseType::Code]
}

fn usual_methods() -> Vec<AuthMethod> {
    vec![
        AuthMethod::None,
        AuthMethod::ClientSecretBasic,
        AuthMethod::ClientSecretPost,
        AuthMethod::PrivateKeyJwt,
    ]
}

/// `[[registration.statement_issuers]]`: whose software statements are believed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerTable {
    /// Their `iss`.
    pub issuer: String,
    /// A file with their JWK set.
    pub jwks_file: Option<PathBuf>,
    /// Where their JWK set is, instead.
    pub jwks_uri: Option<String>,
    /// The policy of clients that bring nothing but a statement of theirs.
    pub policy: Option<String>,
}

fn table<T: for<'de> Deserialize<'de>>(value: &Value, remedy: &str) -> Result<T, Unfit> {
    if !matches!(value.kind, ValueKind::Table(_)) {
        return Err(Unfit { problem: "is not a list of tables".into(), remedy: remedy.into() });
    }
    let read = value.clone().try_deserialize();
    read.map_err(|error| Unfit { problem: error.to_string(), remedy: remedy.into() })
}

impl Setting for PolicyTable {
    const KIND: &'static str = "table";
    fn read(value: &Value) -> Result<Self, Unfit> {
        table(value, "Write [[registration.policies]] in the file; docs/registration.md has an example.")
    }
    fn show(&self) -> Option<String> {
        Some(self.name.clone())
    }
}

impl Setting for IssuerTable {
    const KIND: &'static str = "table";
    fn read(value: &Value) -> Result<Self, Unfit> {
        table(
            value,
            "Write [[registration.statement_issuers]] in the file; docs/registration.md has an example.",
        )
    }
    fn show(&self) -> Option<String> {
        Some(self.issuer.clone())
    }
}

fn hosts(texts: &[String]) -> Result<Vec<HostRule>, String> {
    let rule = |text: &String| {
        HostRule::parse(text)
            .ok_or_else(|| format!("`{text}` is none of `*`, `app.example`, `*.apps.example`"))
    };
    texts.iter().map(rule).collect()
}

fn scope(tokens: &[String]) -> Result<Scope, String> {
    tokens.join(" ").parse().map_err(|_| format!("`{}` is no scope", tokens.join(" ")))
}

impl PolicyTable {
    /// The policy that it describes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn policy(&self) -> Result<RegistrationPolicy, String> {
        if self.name.is_empty() {
            return Err("a policy needs a name".to_owned());
        }
        let named = |fault| format!("{}: {fault}", self.name);
        // Who acts for itself has every role of its scope, and nobody is asked (DR-10).
        if self.scopes.is_none() && self.grant_types.contains(&GrantType::ClientCredentials) {
            return Err(named("a policy with the grant client_credentials must name its scopes".to_owned()));
        }
        Ok(RegistrationPolicy {
            name: self.name.clone(),
            scopes: self.scopes.as_deref().map(scope).transpose().map_err(named)?,
            grant_types: self.grant_types.iter().copied().collect(),
            response_types: self.response_types.iter().copied().collect(),
            auth_methods: self.auth_methods.iter().copied().collect(),
            detail_types: self.authorization_details_types.iter().cloned().collect(),
            redirect_hosts: hosts(&self.redirect_hosts).map_err(named)?,
            native: self.native,
            link_hosts: hosts(&self.link_hosts).map_err(named)?,
            pkce_exempt: self.pkce_exempt,
            secret_lifetime: self.secret_lifetime.map(Span::to_delta),
            consent_lifetime: self.consent_lifetime.map(Span::to_delta),
            unused_lifetime: Some(self.unused_lifetime.to_delta()),
        })
    }
}

impl IssuerTable {
    /// The issuer that it describes, its file read.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn issuer(&self) -> Result<StatementIssuer, String> {
        let named = |fault: String| format!("{}: {fault}", self.issuer);
        let keys = match (&self.jwks_file, &self.jwks_uri) {
            (Some(path), None) => {
                let bytes = fs::read(path)
                    .map_err(|error| named(format!("the file {} cannot be read: {error}", path.display())))?;
                StatementKeys::Known(KeySet::from_slice(&bytes).map_err(|fault| named(fault.to_string()))?)
            }
            (None, Some(url)) if is_https_url(url) => StatementKeys::At(url.clone()),
            (None, Some(url)) => return Err(named(format!("`{url}` is not an https URL"))),
            _ => return Err(named("needs one of jwks_file and jwks_uri".to_owned())),
        };
        Ok(StatementIssuer { issuer: self.issuer.clone(), keys, policy: self.policy.clone() })
    }
}

impl Settings {
    /// Who may register clients, and what clients may be; `None` while it is off.
    ///
    /// # Errors
    /// What is wrong, by key; never for settings that were loaded.
    pub fn registration(&self) -> Result<Option<RegistrationRules>, (&'static str, String)> {
        let settings = &self.registration;
        let policies: Result<Vec<_>, _> = settings.policies.iter().map(PolicyTable::policy).collect();
        let policies = policies.map_err(|fault| ("registration.policies", fault))?;
        let names: BTreeSet<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
        if names.len() != policies.len() {
            return Err(("registration.policies", "two policies have the same name".to_owned()));
        }
        let known = |name: &Option<String>| match name {
            Some(name) if !names.contains(name.as_str()) => Err(format!("there is no policy `{name}`")),
            _ => Ok(()),
        };
        known(&settings.anonymous_policy).map_err(|fault| ("registration.anonymous_policy", fault))?;
        let issuers: Result<Vec<_>, _> = settings
            .statement_issuers
            .iter()
            .map(|table| known(&table.policy).and_then(|()| table.issuer()))
            .collect();
        let issuers = issuers.map_err(|fault| ("registration.statement_issuers", fault))?;
        let anonymous = settings.anonymous_policy.clone();
        Ok(settings.enabled.then_some(RegistrationRules { policies, anonymous, issuers }))
    }

    /// Which documents on the web may be clients; `None` while it is off.
    ///
    /// # Errors
    /// As [`registration`](Self::registration).
    pub fn client_documents(&self) -> Result<Option<DocumentRules>, (&'static str, String)> {
        let settings = &self.client_documents;
        let hosts = hosts(&settings.hosts).map_err(|fault| ("client_documents.hosts", fault))?;
        let scopes = scope(&settings.scopes).map_err(|fault| ("client_documents.scopes", fault))?;
        let policy = RegistrationPolicy {
            name: "client_documents".to_owned(),
            scopes: Some(scopes),
            grant_types: usual_grants().into_iter().collect(),
            response_types: usual_responses().into_iter().collect(),
            auth_methods: [AuthMethod::None, AuthMethod::PrivateKeyJwt].into(),
            detail_types: BTreeSet::new(),
            // A document's answers go to its own host, whichever that is.
            redirect_hosts: vec![HostRule::Any],
            native: true,
            link_hosts: Vec::new(),
            pkce_exempt: false,
            secret_lifetime: None,
            consent_lifetime: settings.consent_lifetime.map(Span::to_delta),
            // Only one that somebody consented to has a row.
            unused_lifetime: None,
        };
        Ok(settings.enabled.then_some(DocumentRules { policy, hosts }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    fn load(text: &str) -> Result<Settings, Vec<String>> {
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        let base = "issuer = 'http://localhost:8400'\n[database]\nurl = 'sqlite:x.db'\n";
        write!(file, "{base}{text}").unwrap();
        let loaded = Settings::load(Some(file.path()), []);
        loaded.map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn dr_01_registration_and_documents_are_off_by_default() {
        let settings = load("").unwrap();
        assert!(settings.registration().unwrap().is_none());
        assert!(settings.client_documents().unwrap().is_none());
        let settings = load("[registration]\nenabled = true").unwrap();
        let rules = settings.registration().unwrap().unwrap();
        assert!(rules.anonymous.is_none() && rules.issuers.is_empty(), "no stranger may register");
    }

    #[test]
    fn dr_10_policies_are_read_from_tables() {
        let settings = load(
            "[registration]\nenabled = true\nanonymous_policy = 'open'\n\
             [[registration.policies]]\nname = 'partners'\nscopes = ['openid']\n\
             redirect_hosts = ['*.partner.example']\nsecret_lifetime = '90d'\n\
             [[registration.policies]]\nname = 'open'\nredirect_hosts = ['*']\npkce_exempt = true\n\
             unused_lifetime = '1d'\n\
             auth_methods = ['client_secret_basic']\n",
        )
        .unwrap();
        let rules = settings.registration().unwrap().unwrap();
        let partners = rules.policy("partners").unwrap();
        assert!(!partners.pkce_exempt && !partners.native && partners.link_hosts.is_empty());
        assert_eq!(partners.scopes.as_ref().unwrap().to_string(), "openid");
        assert_eq!(partners.secret_lifetime, Some(chrono::TimeDelta::days(90)));
        let open = rules.policy("open").unwrap();
        assert!(open.scopes.is_none() && open.auth_methods.len() == 1);
        let days = chrono::TimeDelta::days;
        assert_eq!(partners.unused_lifetime, Some(days(90)), "nothing grows for ever");
        assert_eq!(open.unused_lifetime, Some(days(1)));
    }

    #[test]
    fn dr_10_mistakes_in_policies_are_explained() {
        for (text, expected) in [
            ("[registration]\nanonymous_policy = 'x'", "there is no policy `x`"),
            ("[[registration.policies]]\nname = 'a'\nfirst_party = true", "first_party"),
            ("[[registration.policies]]\nname = 'a'\ngrant_types = ['password']", "password"),
            ("[[registration.policies]]\nname = 'a'\nredirect_hosts = ['https://x']", "`https://x`"),
            ("[[registration.policies]]\nname = 'a'\ngrant_types = ['client_credentials']", "its scopes"),
            ("[[registration.policies]]\nname = 'a'\n[[registration.policies]]\nname = 'a'", "same name"),
            ("[[registration.statement_issuers]]\nissuer = 'https://d.example'", "jwks_file"),
            ("[[registration.statement_issuers]]\nissuer = 'x'\njwks_file = 'absent.json'", "absent.json"),
            ("[client_documents]\nhosts = ['A b']", "`A b`"),
        ] {
            let mistakes = load(text).unwrap_err().join("\n");
            assert!(mistakes.contains(expected), "{text}: {mistakes}");
        }
    }
}
