//! The scope catalogue: which scopes there are, what they mean to a customer, which resource server
//! understands them and which roles they stand for. An operator declares it; it is read-only here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use chrono::{DateTime, TimeDelta, Utc};
use jose::digest::Digest;
use protocol::{
    ClientId, Scope, ScopeToken, claims::is_claim_entry, client::TokenFormat, uri::is_resource_indicator,
};
use serde::{Deserialize, Serialize};

use crate::{
    detail_types::{DetailType, DetailTypeDefinition, DetailTypes, TypeFault},
    introspection_answer::{AnswerMetadataFault, IntrospectionAnswer},
    openid,
};

/// A role of the bank's own access control, such as `account-viewer`. Scopes map to roles, people
/// hold roles, and tokens carry those in both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Role(String);

/// The text names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role has 1 to 100 visible ASCII characters")]
pub struct MalformedRole;

impl Role {
    /// The role's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Role {
    type Error = MalformedRole;
    fn try_from(text: String) -> Result<Self, MalformedRole> {
        if text.is_empty() || text.len() > 100 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(MalformedRole);
        }
        Ok(Self(text))
    }
}

impl FromStr for Role {
    type Err = MalformedRole;
    fn from_str(text: &str) -> Result<Self, MalformedRole> {
        text.to_owned().try_into()
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.0
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Title and description of a scope in one language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeText {
    /// A few words, such as "Your account balances".
    pub title: String,
    /// One or two sentences: what the app will see or do.
    pub description: String,
}

/// One scope, in the customer's words and in the bank's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeDefinition {
    /// The value on the wire.
    pub name: ScopeToken,
    /// The title in the bank's default language.
    pub title: String,
    /// The description in the bank's default language.
    pub description: String,
    /// The resource server that understands the scope; `None` for the scopes of OpenID Connect,
    /// which are about the person.
    #[serde(default)]
    pub audience: Option<String>,
    /// The roles it stands for. A person may consent only if they hold all of them.
    #[serde(default)]
    pub roles: BTreeSet<Role>,
    /// Whether the page shall draw attention to it (it moves money, say).
    #[serde(default)]
    pub sensitive: bool,
    /// Whether it reaches accounts or payments of customers: a new client that may ask for it lives under
    /// FAPI 2.0 unless somebody chooses otherwise.
    #[serde(default)]
    pub financial: bool,
    /// Whether it takes two factors to authorize it (PSD2 article 97).
    #[serde(default)]
    pub second_factor_required: bool,
    /// The longest that a consent with this scope may live, in seconds (180 days, say).
    #[serde(default)]
    pub max_lifetime: Option<i64>,
    /// Title and description by language tag, such as `zh-Hant`.
    #[serde(default)]
    pub translations: BTreeMap<String, ScopeText>,
}

impl ScopeDefinition {
    /// Title and description in the first of `languages` (BCP 47 tags, preferred first) that there
    /// is a translation for, else in the bank's default language, which is taken to be English.
    /// `zh-TW` is served by `zh-TW`, else by any `zh`.
    pub fn text<'a>(&'a self, languages: &[&str]) -> (&'a str, &'a str) {
        text_in(languages, &self.translations, (&self.title, &self.description))
    }

    /// The longest life of a consent with this scope.
    pub fn longest(&self) -> Option<TimeDelta> {
        self.max_lifetime.and_then(TimeDelta::try_seconds)
    }
}

/// Title and description in the first of `languages` that there is a translation for, else the default.
pub(crate) fn text_in<'a>(
    languages: &[&str],
    translations: &'a BTreeMap<String, ScopeText>,
    default: (&'a str, &'a str),
) -> (&'a str, &'a str) {
    for wanted in languages {
        let exact = translations.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(wanted));
        let similar =
            || translations.iter().find(|(tag, _)| primary(tag).eq_ignore_ascii_case(primary(wanted)));
        if let Some((_, text)) = exact.or_else(similar) {
            return (&text.title, &text.description);
        }
        if primary(wanted).eq_ignore_ascii_case("en") {
            break;
        }
    }
    default
}

fn primary(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

/// What a resource server shows at the introspection endpoint (RFC 7662 §2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionCredential {
    /// Its identifier, of the same form as a client's but in a name space of its own.
    pub id: ClientId,
    /// The SHA-256 digest of its secret, which is random.
    pub secret: Digest,
    /// The secret before that, while it is being replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<FormerSecret>,
    /// How it wants answers as JWTs (RFC 9701 §6).
    #[serde(default, skip_serializing_if = "IntrospectionAnswer::is_default")]
    pub answer: IntrospectionAnswer,
}

/// A secret that was replaced and counts for a while yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormerSecret {
    /// Its SHA-256 digest.
    pub secret: Digest,
    /// When it stops to count.
    pub expires_at: DateTime<Utc>,
}

impl IntrospectionCredential {
    /// Whether a secret with this digest proves the resource server now. Both are compared, so that
    /// time says nothing about which one matched.
    pub fn accepts(&self, digest: Digest, now: DateTime<Utc>) -> bool {
        let former = self.former.as_ref();
        let by_former = former.is_some_and(|former| (former.secret == digest) & (now < former.expires_at));
        (self.secret == digest) | by_former
    }
}

/// An API of the bank that takes our access tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceServer {
    /// Its identifier: the `aud` of its tokens and the `resource` of RFC 8707, compared as text.
    pub audience: String,
    /// The name that customers read.
    pub name: String,
    /// The form of its tokens.
    #[serde(default)]
    pub token_format: TokenFormat,
    /// How it proves itself at introspection; without, it may not introspect.
    #[serde(default)]
    pub introspection: Option<IntrospectionCredential>,
    /// The life of its access tokens in seconds, where it differs from the server's default.
    #[serde(default)]
    pub access_token_lifetime: Option<i64>,
}

/// Why declarations make no catalogue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueFault {
    /// One of OpenID Connect's own scopes was declared.
    #[error("scope `{0}` belongs to OpenID Connect and cannot be declared")]
    ReservedScope(ScopeToken),
    /// The scope was declared twice.
    #[error("scope `{0}` is declared twice")]
    DuplicateScope(ScopeToken),
    /// The resource server was declared twice.
    #[error("resource server `{0}` is declared twice")]
    DuplicateResourceServer(String),
    /// Two resource servers share an introspection identifier.
    #[error("introspection id `{0}` is declared twice")]
    DuplicateIntrospectionId(ClientId),
    /// The scope names a resource server that there is none of.
    #[error("scope `{scope}` names the unknown resource server `{audience}`")]
    UnknownResourceServer {
        /// The scope.
        scope: ScopeToken,
        /// What it names.
        audience: String,
    },
    /// The type of authorization details was declared twice.
    #[error("authorization details of type `{0}` are declared twice")]
    DuplicateDetailType(String),
    /// The type of authorization details names a resource server that there is none of.
    #[error("authorization details of type `{name}` name the unknown resource server `{audience}`")]
    UnknownLocation {
        /// The type.
        name: String,
        /// What it names.
        audience: String,
    },
    /// The declaration makes no type of authorization details.
    #[error(transparent)]
    DetailType(#[from] TypeFault),
    /// The identifier is no absolute URI, or has a fragment (RFC 8707 §2).
    #[error("resource server `{0}` must be identified by an absolute URI without fragment")]
    MalformedAudience(String),
    /// Access tokens live at most a day, and signing keys stay published for at least as long (OC-22).
    #[error("access_token_lifetime of `{0}` must be positive and at most a day")]
    TokenLifetime(String),
    /// Answers of introspection can't be made as it wants them (IN-07).
    #[error("introspection of `{audience}`: {fault}")]
    IntrospectionAnswer {
        /// The resource server.
        audience: String,
        /// Why not.
        fault: AnswerMetadataFault,
    },
    /// Lifetimes are positive and at most a hundred years.
    #[error("the lifetime of `{0}` must be positive and at most a hundred years")]
    Lifetime(String),
}

/// Every scope, resource server and type of authorization details, looked up by name.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    scopes: BTreeMap<ScopeToken, ScopeDefinition>,
    resource_servers: BTreeMap<String, ResourceServer>,
    detail_types: DetailTypes,
}

const DAY_SECONDS: i64 = 24 * 3600;
const CENTURY_SECONDS: i64 = 100 * 365 * 24 * 3600;

impl Catalogue {
    /// Puts declarations together and checks that they fit. OpenID Connect's own scopes need no
    /// declaration and take none.
    ///
    /// # Errors
    /// The first [`CatalogueFault`] that is found.
    pub fn new(
        scopes: impl IntoIterator<Item = ScopeDefinition>,
        resource_servers: impl IntoIterator<Item = ResourceServer>,
    ) -> Result<Self, CatalogueFault> {
        let mut catalogue = Self::default();
        let lifetime = |name: &str, seconds: Option<i64>| match seconds {
            Some(seconds) if !(1..=CENTURY_SECONDS).contains(&seconds) => {
                Err(CatalogueFault::Lifetime(name.to_owned()))
            }
            _ => Ok(()),
        };
        for server in resource_servers {
            if !is_resource_indicator(&server.audience) {
                return Err(CatalogueFault::MalformedAudience(server.audience));
            }
            if server.access_token_lifetime.is_some_and(|seconds| !(1..=DAY_SECONDS).contains(&seconds)) {
                return Err(CatalogueFault::TokenLifetime(server.audience));
            }
            if let Some(credential) = &server.introspection
                && catalogue.introspecting(&credential.id).is_some()
            {
                return Err(CatalogueFault::DuplicateIntrospectionId(credential.id.clone()));
            }
            let answer = server.introspection.as_ref().map(|credential| &credential.answer);
            if let Some(answer) = answer
                && let Err(fault) = answer.algorithm().and(answer.encryption().map(drop))
            {
                return Err(CatalogueFault::IntrospectionAnswer { audience: server.audience, fault });
            }
            if let Some(twice) = catalogue.resource_servers.insert(server.audience.clone(), server) {
                return Err(CatalogueFault::DuplicateResourceServer(twice.audience));
            }
        }
        for scope in scopes {
            if openid::definition(scope.name.as_str()).is_some() || is_claim_entry(scope.name.as_str()) {
                return Err(CatalogueFault::ReservedScope(scope.name));
            }
            lifetime(scope.name.as_str(), scope.max_lifetime)?;
            if let Some(audience) = &scope.audience
                && !catalogue.resource_servers.contains_key(audience)
            {
                return Err(CatalogueFault::UnknownResourceServer {
                    audience: audience.clone(),
                    scope: scope.name,
                });
            }
            if let Some(twice) = catalogue.scopes.insert(scope.name.clone(), scope) {
                return Err(CatalogueFault::DuplicateScope(twice.name));
            }
        }
        Ok(catalogue)
    }

    /// The same with these types of authorization details, which name its resource servers.
    ///
    /// # Errors
    /// The first [`CatalogueFault`] that is found.
    pub fn with_detail_types(
        mut self,
        types: impl IntoIterator<Item = DetailTypeDefinition>,
    ) -> Result<Self, CatalogueFault> {
        let mut compiled: Vec<DetailType> = Vec::new();
        for definition in types {
            let name = &definition.name;
            if compiled.iter().any(|known| known.definition().name == *name) {
                return Err(CatalogueFault::DuplicateDetailType(name.clone()));
            }
            let known = |location: &&String| self.resource_servers.contains_key(*location);
            if let Some(unknown) = definition.locations.iter().find(|location| !known(location)) {
                let audience = unknown.clone();
                return Err(CatalogueFault::UnknownLocation { name: name.clone(), audience });
            }
            compiled.push(DetailType::new(definition)?);
        }
        self.detail_types = compiled.into_iter().collect();
        Ok(self)
    }

    /// The types of authorization details.
    pub const fn detail_types(&self) -> &DetailTypes {
        &self.detail_types
    }

    /// The definition of a scope, declared or of OpenID Connect.
    pub fn scope(&self, name: &str) -> Option<&ScopeDefinition> {
        self.scopes.get(name).or_else(|| openid::definition(name))
    }

    /// The definition of what a consent may hold: a scope, or a single claim (OC-18).
    pub fn entry(&self, name: &str) -> Option<&ScopeDefinition> {
        self.scope(name).or_else(|| openid::claim_definition(name))
    }

    /// The resource server with exactly this identifier.
    pub fn resource_server(&self, audience: &str) -> Option<&ResourceServer> {
        self.resource_servers.get(audience)
    }

    /// The resource server that introspects under this identifier.
    pub fn introspecting(&self, id: &ClientId) -> Option<&ResourceServer> {
        let has_id =
            |server: &&ResourceServer| server.introspection.as_ref().is_some_and(|has| has.id == *id);
        self.resource_servers.values().find(has_id)
    }

    /// Every declared scope, by name.
    pub fn scopes(&self) -> impl Iterator<Item = &ScopeDefinition> {
        self.scopes.values()
    }

    /// Every scope that metadata may list: OpenID Connect's, then the declared ones.
    pub fn supported(&self) -> impl Iterator<Item = &ScopeToken> {
        openid::definitions().iter().map(|scope| &scope.name).chain(self.scopes.keys())
    }

    /// Every resource server, by identifier.
    pub fn resource_servers(&self) -> impl Iterator<Item = &ResourceServer> {
        self.resource_servers.values()
    }

    /// The tokens of `scope` that the catalogue does not know.
    pub fn unknown(&self, scope: &Scope) -> Scope {
        scope.filtered(|name| self.scope(name).is_none())
    }

    /// Whether some scope takes two factors to authorize.
    pub fn demands_second_factor(&self, scope: &Scope) -> bool {
        self.definitions(scope).any(|scope| scope.second_factor_required)
    }

    /// The longest that a consent with this scope may live: the least limit of its parts.
    pub fn longest(&self, scope: &Scope) -> Option<TimeDelta> {
        self.definitions(scope).filter_map(ScopeDefinition::longest).min()
    }

    /// The definitions of those tokens of `scope` that are known, single claims among them.
    pub fn definitions<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a ScopeDefinition> {
        scope.iter().filter_map(|token| self.entry(token.as_str()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;
    use crate::testing::{BANK, catalogue, define, scope, server};

    #[test]
    fn declarations_must_fit_together() {
        let scope = |name: &str, audience| define(name, audience, &[]);
        let fault = |scopes: Vec<ScopeDefinition>, servers: Vec<ResourceServer>| {
            Catalogue::new(scopes, servers).unwrap_err()
        };
        assert!(matches!(fault(vec![scope("email", None)], vec![]), CatalogueFault::ReservedScope(_)));
        let twice = vec![scope("a", None), scope("a", None)];
        assert!(matches!(fault(twice, vec![]), CatalogueFault::DuplicateScope(_)));
        let nowhere = vec![scope("a", Some(BANK))];
        assert!(matches!(fault(nowhere, vec![]), CatalogueFault::UnknownResourceServer { .. }));
        let twice = vec![server(BANK), server(BANK)];
        assert!(matches!(fault(vec![], twice), CatalogueFault::DuplicateResourceServer(_)));
        for malformed in ["api.meridian.example", "https://api.example/#top", ""] {
            assert!(matches!(fault(vec![], vec![server(malformed)]), CatalogueFault::MalformedAudience(_)));
        }
        let mut endless = scope("a", None);
        endless.max_lifetime = Some(0);
        assert!(matches!(fault(vec![endless], vec![]), CatalogueFault::Lifetime(_)));
        let introspecting = |audience: &str| ResourceServer {
            introspection: Some(IntrospectionCredential {
                id: "bank-api".parse().unwrap(),
                secret: jose::digest::sha256("secret"),
                former: None,
                answer: IntrospectionAnswer::default(),
            }),
            ..server(audience)
        };
        let twice = vec![introspecting(BANK), introspecting("https://other.example")];
        assert!(matches!(fault(vec![], twice), CatalogueFault::DuplicateIntrospectionId(_)));
        let one = Catalogue::new([], [introspecting(BANK)]).unwrap();
        assert_eq!(
            one.introspecting(&"bank-api".parse().unwrap()).map(|server| &*server.audience),
            Some(BANK)
        );
    }

    #[test]
    fn in_01_a_replaced_secret_counts_for_a_while() {
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let digest = |text: &str| jose::digest::sha256(text);
        let former = FormerSecret { secret: digest("old"), expires_at: at(10) };
        let credential = IntrospectionCredential {
            id: "bank-api".parse().unwrap(),
            secret: digest("new"),
            former: Some(former),
            answer: IntrospectionAnswer::default(),
        };
        let accepted = |text, seconds| credential.accepts(digest(text), at(seconds));
        assert!(accepted("new", 9) && accepted("old", 9) && accepted("new", 10));
        assert!(!accepted("old", 10) && !accepted("other", 9));
    }

    #[test]
    fn oc_17_the_scopes_of_openid_connect_are_always_there() {
        let catalogue = Catalogue::default();
        let names: Vec<_> = catalogue.supported().map(ScopeToken::as_str).collect();
        assert_eq!(names, ["openid", "profile", "email", "address", "phone", "offline_access"]);
        let all = scope("openid profile email address phone offline_access");
        assert!(catalogue.unknown(&all).is_empty());
        assert!(catalogue.definitions(&all).all(|scope| scope.audience.is_none() && scope.roles.is_empty()));
        assert_eq!(catalogue.unknown(&scope("openid made:up")), scope("made:up"));
    }

    #[rstest]
    #[case(&[], "Title of accounts:read")]
    #[case(&["zh-TW", "en"], "您的帳戶")]
    #[case(&["ZH-hant"], "您的帳戶")]
    #[case(&["en-GB", "zh-TW"], "Title of accounts:read")]
    #[case(&["fr", "zh-TW"], "您的帳戶")]
    #[case(&["fr"], "Title of accounts:read")]
    fn a_customer_reads_their_own_language(#[case] languages: &[&str], #[case] expected: &str) {
        let catalogue = catalogue();
        assert_eq!(catalogue.scope("accounts:read").unwrap().text(languages).0, expected);
    }

    #[test]
    fn demands_and_limits_add_up() {
        let catalogue = catalogue();
        assert!(catalogue.demands_second_factor(&scope("openid payments:write")));
        assert!(!catalogue.demands_second_factor(&scope("openid accounts:read")));
        assert_eq!(catalogue.longest(&scope("accounts:read payments:write")), Some(TimeDelta::days(30)));
        assert_eq!(catalogue.longest(&scope("openid")), None);
    }

    #[test]
    fn declarations_are_read_strictly() {
        let text =
            r#"{"name": "accounts:read", "title": "T", "description": "D", "roles": ["account-viewer"]}"#;
        let scope: ScopeDefinition = serde_json::from_str(text).unwrap();
        assert_eq!(
            serde_json::from_value::<ScopeDefinition>(serde_json::to_value(&scope).unwrap()).unwrap(),
            scope
        );
        assert!(serde_json::from_str::<ScopeDefinition>(&text.replace("title", "titel")).is_err());
        assert!(
            serde_json::from_str::<ScopeDefinition>(&text.replace("account-viewer", "two words")).is_err()
        );
    }
}
