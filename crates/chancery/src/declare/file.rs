//! Reading the file. Mistakes name file and line; secrets may stand in files or in the environment.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use consent::{
    BankAccount, DetailTypeDefinition, IntrospectionAnswer, IntrospectionCredential, ResourceServer, Role,
    ScopeDefinition, details::PAYMENT_INITIATION,
};
use jose::digest::{Digest, sha256};
use mfa::{PasswordHash, SecondFactorPolicy, Username};
use protocol::{
    ClientId, Scope, ScopeToken,
    claims::StandardClaims,
    client::{ClientMetadata, Profile, TokenFormat},
    secret::{ClientSecret, Password},
};
use serde::Deserialize;
use serde_json::Value;
use store::DeclaredRole;
use tokens::{
    assertion_grant::{AssertionRule, SubjectMapping},
    client::ClientSettings,
    exchange::ExchangeRule,
};
use toml::Spanned;

use crate::{
    config::{Span, mistake::did_you_mean},
    declare::{Declared, DeclaredClient, DeclaredPassword, DeclaredUser, Texts},
};

/// The shortest secret of a client or resource server, in characters: 128 bits in base64url (F2-36).
const MIN_SECRET: usize = 22;

/// A mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {problem}", .file.display(), .line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct FileFault {
    /// The file.
    pub file: PathBuf,
    /// The line at which the resource begins, or of the mistake itself if it is known.
    pub line: Option<usize>,
    /// What is wrong, and what to do about it.
    pub problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    role: Vec<Spanned<DeclaredRole>>,
    #[serde(default)]
    resource_server: Vec<Spanned<ResourceServerTable>>,
    #[serde(default)]
    scope: Vec<Spanned<ScopeTable>>,
    #[serde(default)]
    authorization_details_type: Vec<Spanned<DetailTypeTable>>,
    #[serde(default)]
    client: Vec<Spanned<ClientTable>>,
    #[serde(default)]
    user: Vec<Spanned<UserTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceServerTable {
    audience: String,
    name: String,
    #[serde(default)]
    token_format: TokenFormat,
    access_token_lifetime: Option<Span>,
    introspection: Option<IntrospectionTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IntrospectionTable {
    id: ClientId,
    secret: Option<ClientSecret>,
    secret_file: Option<PathBuf>,
    secret_env: Option<String>,
    signed_response_alg: Option<String>,
    encrypted_response_alg: Option<String>,
    encrypted_response_enc: Option<String>,
    jwks: Option<Value>,
    jwks_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeTable {
    name: ScopeToken,
    title: String,
    description: String,
    audience: Option<String>,
    #[serde(default)]
    roles: BTreeSet<Role>,
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    financial: bool,
    #[serde(default)]
    second_factor_required: bool,
    max_lifetime: Option<Span>,
    #[serde(default)]
    text: Texts,
}

/// A type of authorization details (RFC 9396 §2).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DetailTypeTable {
    r#type: String,
    title: String,
    #[serde(default)]
    description: String,
    locations: Vec<String>,
    #[serde(default)]
    roles: BTreeSet<Role>,
    #[serde(default)]
    always_ask: bool,
    second_factor_required: Option<bool>,
    #[serde(default)]
    financial: bool,
    #[serde(default)]
    client_credentials: bool,
    schema_file: Option<PathBuf>,
    #[serde(default)]
    text: Texts,
}

/// One account of a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    id: Option<String>,
    name: String,
    iban: Option<String>,
}

/// An issuer of assertions that a client may bring (RFC 7523).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AssertionIssuerTable {
    issuer: String,
    jwks: Option<Value>,
    jwks_file: Option<PathBuf>,
    jwks_uri: Option<String>,
    subject_claim: Option<String>,
    #[serde(default)]
    subject: SubjectMapping,
    scope: Scope,
    max_lifetime: Option<Span>,
}

/// RFC 7591's members stand beside our own, so unknown ones are caught by `rest`.
#[derive(Deserialize)]
struct ClientTable {
    client_id: ClientId,
    client_secret: Option<ClientSecret>,
    client_secret_file: Option<PathBuf>,
    client_secret_env: Option<String>,
    jwks_file: Option<PathBuf>,
    require_pkce: Option<bool>,
    access_token_format: Option<TokenFormat>,
    second_factor: Option<SecondFactorPolicy>,
    consent_lifetime: Option<Span>,
    #[serde(default)]
    first_party: bool,
    #[serde(default)]
    exchange: Vec<ExchangeRule>,
    may_act: Option<ClientId>,
    #[serde(default)]
    assertion_issuer: Vec<AssertionIssuerTable>,
    profile: Option<Profile>,
    #[serde(default)]
    device_grant: bool,
    #[serde(default)]
    pushed_redirect_hosts: Vec<String>,
    refresh_rotation_grace: Option<Span>,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// The members of [`ClientTable`] by name, for suggestions.
const OWN_MEMBERS: [&str; 17] = [
    "client_id",
    "client_secret",
    "client_secret_file",
    "client_secret_env",
    "jwks_file",
    "require_pkce",
    "access_token_format",
    "second_factor",
    "consent_lifetime",
    "first_party",
    "exchange",
    "may_act",
    "assertion_issuer",
    "profile",
    "device_grant",
    "pushed_redirect_hosts",
    "refresh_rotation_grace",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserTable {
    username: Username,
    password: Option<Password>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    password_hash: Option<String>,
    #[serde(default)]
    roles: Vec<Role>,
    second_factor: Option<SecondFactorPolicy>,
    #[serde(default)]
    claims: StandardClaims,
    #[serde(default)]
    accounts: Vec<AccountTable>,
}

/// Reads a file.
///
/// # Errors
/// Every mistake; or the first one, if the file is not TOML.
pub fn read(path: &Path) -> Result<Declared, Vec<FileFault>> {
    let text = fs::read_to_string(path).map_err(|error| {
        vec![FileFault { file: path.to_owned(), line: None, problem: format!("cannot be read: {error}") }]
    })?;
    parse(&text, path, |name| std::env::var(name).ok())
}

/// Reads the text of a file. Files that it names are looked for beside `path`; `environment`
/// looks up variables.
///
/// # Errors
/// Like [`read`].
pub fn parse(
    text: &str,
    path: &Path,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Declared, Vec<FileFault>> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_at(text, span.start));
        vec![FileFault { file: path.to_owned(), line, problem: error.message().to_owned() }]
    })?;
    let sources = Sources { directory: path.parent().unwrap_or(Path::new("")), environment: &environment };
    let mut reader = Reader { text, path, faults: Vec::new() };
    let mut declared = Declared {
        roles: reader.all(file.role, Ok),
        resource_servers: reader.all(file.resource_server, |table| table.resource_server(&sources)),
        scopes: reader.all(file.scope, |table| Ok(table.scope())),
        detail_types: reader.all(file.authorization_details_type, |table| table.detail_type(&sources)),
        clients: reader.all(file.client, |table| table.client(&sources)),
        users: reader.all(file.user, |table| table.user(&sources)),
    };
    reader.unique("role", &mut declared.roles, |role| role.name.as_str().to_owned());
    reader.unique("resource_server", &mut declared.resource_servers, |server| server.audience.clone());
    reader.unique("scope", &mut declared.scopes, |scope| scope.name.as_str().to_owned());
    reader.unique("authorization_details_type", &mut declared.detail_types, |kind| kind.name.clone());
    reader.unique("client", &mut declared.clients, |client| client.id.as_str().to_owned());
    reader.unique("user", &mut declared.users, |user| user.username.as_str().to_owned());
    if reader.faults.is_empty() { Ok(declared) } else { Err(reader.faults) }
}
struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    faults: Vec<FileFault>,
}

impl Reader<'_> {
    fn all<T, U>(&mut self, tables: Vec<Spanned<T>>, convert: impl Fn(T) -> Result<U, String>) -> Vec<U> {
        let mut converted = Vec::with_capacity(tables.len());
        for table in tables {
            let line = line_at(self.text, table.span().start);
            match convert(table.into_inner()) {
                Ok(value) => converted.push(value),
                Err(problem) => {
                    self.faults.push(FileFault { file: self.path.to_owned(), line: Some(line), problem });
                }
            }
        }
        converted
    }

    fn unique<T>(&mut self, kind: &str, items: &mut [T], name: impl Fn(&T) -> String) {
        let mut seen = BTreeSet::new();
        for item in items.iter() {
            let name = name(item);
            if !seen.insert(name.clone()) {
                let problem = format!("{kind} `{name}` is declared twice");
                self.faults.push(FileFault { file: self.path.to_owned(), line: None, problem });
            }
        }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Where secrets and keys come from.
struct Sources<'a> {
    directory: &'a Path,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

impl Sources<'_> {
    fn file(&self, path: &Path) -> Result<String, String> {
        let path = self.directory.join(path);
        fs::read_to_string(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
    }

    /// At most one of the two ways to give public keys.
    fn keys(&self, inline: Option<Value>, file: Option<PathBuf>) -> Result<Option<Value>, String> {
        match (inline, file) {
            (Some(_), Some(_)) => Err("keep one of jwks and jwks_file".to_owned()),
            (inline, None) => Ok(inline),
            (None, Some(path)) => protocol::json::from_slice(self.file(&path)?.as_bytes())
                .map(Some)
                .map_err(|error| format!("{} is not JSON: {error}", path.display())),
        }
    }

    /// At most one of the three ways to give the secret called `name`.
    fn secret(
        &self,
        name: &str,
        inline: Option<String>,
        file: Option<PathBuf>,
        variable: Option<String>,
    ) -> Result<Option<String>, String> {
        if [inline.is_some(), file.is_some(), variable.is_some()].iter().filter(|given| **given).count() > 1 {
            return Err(format!("keep one of {name}, {name}_file and {name}_env"));
        }
        let secret = match (inline, file, variable) {
            (Some(secret), ..) => Some(secret),
            (_, Some(file), _) => Some(self.file(&file)?.trim_end_matches(['\r', '\n']).to_owned()),
            (.., Some(variable)) => Some(
                (self.environment)(&variable)
                    .ok_or_else(|| format!("the environment variable {variable} of {name}_env is not set"))?,
            ),
            _ => None,
        };
        match secret {
            Some(empty) if empty.is_empty() => Err(format!("{name} is empty")),
            secret => Ok(secret),
        }
    }
}

/// The digest of a secret that is long enough to be kept as a digest only.
fn digest(name: &str, secret: &str) -> Result<Digest, String> {
    if secret.len() < MIN_SECRET {
        return Err(format!(
            "{name} is shorter than {MIN_SECRET} characters; generate one: openssl rand -hex 32"
        ));
    }
    Ok(sha256(secret))
}

fn exposed(secret: Option<ClientSecret>) -> Option<String> {
    secret.map(|secret| secret.expose().to_owned())
}

fn seconds(span: Option<Span>) -> Option<i64> {
    span.map(|span| span.as_seconds().into())
}

impl ResourceServerTable {
    fn resource_server(self, sources: &Sources<'_>) -> Result<ResourceServer, String> {
        let named = |problem| format!("resource_server `{}`: {problem}", self.audience);
        let introspection = match self.introspection {
            None => None,
            Some(table) => {
                let secret = sources
                    .secret("secret", exposed(table.secret), table.secret_file, table.secret_env)
                    .and_then(|secret| secret.ok_or_else(|| "introspection needs a secret".to_owned()))
                    .and_then(|secret| digest("secret", &secret))
                    .map_err(named)?;
                let answer = IntrospectionAnswer {
                    signed_response_alg: table.signed_response_alg,
                    encrypted_response_alg: table.encrypted_response_alg,
                    encrypted_response_enc: table.encrypted_response_enc,
                    jwks: sources.keys(table.jwks, table.jwks_file).map_err(named)?,
                };
                Some(IntrospectionCredential { id: table.id, secret, former: None, answer })
            }
        };
        Ok(ResourceServer {
            audience: self.audience,
            name: self.name,
            token_format: self.token_format,
            introspection,
            access_token_lifetime: seconds(self.access_token_lifetime),
        })
    }
}

impl ScopeTable {
    fn scope(self) -> ScopeDefinition {
        ScopeDefinition {
            name: self.name,
            title: self.title,
            description: self.description,
            audience: self.audience,
            roles: self.roles,
            sensitive: self.sensitive,
            financial: self.financial,
            second_factor_required: self.second_factor_required,
            max_lifetime: seconds(self.max_lifetime),
            translations: self.text,
        }
    }
}

impl DetailTypeTable {
    fn detail_type(self, sources: &Sources<'_>) -> Result<DetailTypeDefinition, String> {
        let named = |problem: String| format!("authorization_details_type `{}`: {problem}", self.r#type);
        let schema = match &self.schema_file {
            None => None,
            Some(path) => Some(
                protocol::json::from_slice(sources.file(path).map_err(named)?.as_bytes())
                    .map_err(|error| named(format!("{} is not JSON: {error}", path.display())))?,
            ),
        };
        if self.client_credentials && !self.roles.is_empty() {
            let why = "roles are people's, and client_credentials asks no person: one of them has to go";
            return Err(named(why.to_owned()));
        }
        let definition = DetailTypeDefinition {
            // PSD2 article 97: who pays shows two factors, unless the bank says otherwise.
            second_factor_required: self.second_factor_required.unwrap_or(self.r#type == PAYMENT_INITIATION),
            name: self.r#type,
            title: self.title,
            description: self.description,
            locations: self.locations,
            roles: self.roles,
            always_ask: self.always_ask,
            financial: self.financial,
            client_credentials: self.client_credentials,
            schema,
            translations: self.text,
        };
        consent::DetailType::new(definition.clone()).map_err(|fault| fault.to_string())?;
        Ok(definition)
    }
}

impl AccountTable {
    fn account(self) -> Result<BankAccount, String> {
        let Self { id, name, iban } = self;
        let iban = iban.map(|iban| iban.replace(' ', ""));
        let id = id.or_else(|| iban.clone()).ok_or("accounts: an account needs an id or an iban")?;
        Ok(BankAccount { id, name, iban })
    }
}

impl ClientTable {
    fn client(mut self, sources: &Sources<'_>) -> Result<DeclaredClient, String> {
        let id = self.client_id.clone();
        let named = |problem: String| format!("client `{id}`: {problem}");
        if let Some(keys) = sources.keys(None, self.jwks_file.take()).map_err(named)?
            && self.rest.insert("jwks".to_owned(), keys).is_some()
        {
            return Err(named("keep one of jwks and jwks_file".to_owned()));
        }
        let members = serde_aux::serde_introspection::serde_introspect::<ClientMetadata>();
        if let Some(unknown) = self.rest.keys().find(|member| !members.contains(&member.as_str())) {
            let known = members.iter().copied().chain(OWN_MEMBERS);
            let near = did_you_mean(unknown, known).map(|near| format!("; did you mean `{near}`?"));
            return Err(named(format!("there is no member `{unknown}`{}", near.unwrap_or_default())));
        }
        let metadata: ClientMetadata =
            serde_json::from_value(Value::Object(self.rest)).map_err(|error| named(error.to_string()))?;
        let secret = sources
            .secret(
                "client_secret",
                exposed(self.client_secret),
                self.client_secret_file,
                self.client_secret_env,
            )
            .and_then(|secret| secret.map(|secret| digest("client_secret", &secret)).transpose())
            .map_err(named)?;
        let assertion_issuer = self.assertion_issuer.into_iter().map(|table| table.rule(sources));
        let assertion_issuer = assertion_issuer.collect::<Result<_, _>>().map_err(named)?;
        let settings = ClientSettings {
            require_pkce: self.require_pkce.unwrap_or(ClientSettings::default().require_pkce),
            access_token_format: self.access_token_format,
            second_factor: self.second_factor,
            consent_lifetime: seconds(self.consent_lifetime),
            first_party: self.first_party,
            exchange: self.exchange,
            may_act: self.may_act,
            assertion_issuer,
            profile: self.profile,
            device_grant: self.device_grant,
            pushed_redirect_hosts: self.pushed_redirect_hosts,
            refresh_rotation_grace: seconds(self.refresh_rotation_grace),
        };
        Ok(DeclaredClient { id: self.client_id, metadata, settings, secret })
    }
}

impl AssertionIssuerTable {
    fn rule(self, sources: &Sources<'_>) -> Result<AssertionRule, String> {
        let jwks = sources.keys(self.jwks, self.jwks_file)?;
        Ok(AssertionRule {
            issuer: self.issuer,
            jwks,
            jwks_uri: self.jwks_uri,
            subject_claim: self.subject_claim,
            subject: self.subject,
            scope: self.scope,
            max_lifetime: seconds(self.max_lifetime),
        })
    }
}

impl UserTable {
    fn user(self, sources: &Sources<'_>) -> Result<DeclaredUser, String> {
        let named = |problem: String| format!("user `{}`: {problem}", self.username);
        let inline = self.password.map(|password| password.expose().to_owned());
        let plain =
            sources.secret("password", inline, self.password_file, self.password_env).map_err(named)?;
        let password = match (plain, self.password_hash) {
            (Some(_), Some(_)) => return Err(named("keep one of password and password_hash".to_owned())),
            (Some(plain), None) => Some(DeclaredPassword::Plain(Password::new(plain))),
            (None, Some(hash)) => Some(DeclaredPassword::Hash(
                PasswordHash::from_phc(hash).map_err(|fault| named(format!("password_hash is {fault}")))?,
            )),
            (None, None) => None,
        };
        let accounts = self.accounts.into_iter().map(AccountTable::account).collect::<Result<_, _>>();
        Ok(DeclaredUser {
            accounts: accounts.map_err(named)?,
            password,
            roles: self.roles,
            claims: self.claims,
            second_factor: self.second_factor,
            username: self.username,
        })
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
pub(crate) mod tests;
