//! What an operator says of an upstream provider.

use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::TimeDelta;
use jose::{Algorithm, SigningKey};
use openidconnect::core::CoreJwsSigningAlgorithm;
use protocol::{acr::Acr, secret::ClientSecret};

/// The name of a provider here: part of URLs, so lower-case letters, digits and hyphens, at most 40.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderId(String);

/// The text is no provider id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upstream id has 1 to 40 lower-case letters, digits and hyphens")]
pub struct ProviderIdFault;

impl ProviderId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProviderId {
    type Err = ProviderIdFault;
    fn from_str(text: &str) -> Result<Self, ProviderIdFault> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        match !text.is_empty() && text.len() <= 40 && text.bytes().all(fits) {
            true => Ok(Self(text.to_owned())),
            false => Err(ProviderIdFault),
        }
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How we prove to the provider which client we are (OpenID Connect Core §9).
#[derive(Clone, Debug)]
pub enum ClientProof {
    /// `client_secret_basic`.
    SecretBasic(ClientSecret),
    /// `client_secret_post`.
    SecretPost(ClientSecret),
    /// `private_key_jwt` with a key of this provider's own.
    Key(SigningKey),
    /// `private_key_jwt` with the signing key that this server publishes at its `jwks_uri`.
    OwnKey(Algorithm),
}

/// An algorithm of the provider's ID tokens. `none` is not among them, nor are shared secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA over P-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl SignatureAlgorithm {
    /// Every one, which is what is allowed where the operator says nothing.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    pub(crate) const fn core(self) -> CoreJwsSigningAlgorithm {
        match self {
            Self::Rs256 => CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            Self::Ps256 => CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            Self::Es256 => CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            Self::EdDsa => CoreJwsSigningAlgorithm::EdDsa,
        }
    }

    pub(crate) const fn jose(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::Rs256,
            Self::Ps256 => Algorithm::Ps256,
            Self::Es256 => Algorithm::Es256,
            Self::EdDsa => Algorithm::EdDsa,
        }
    }
}

impl From<Algorithm> for SignatureAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::Rs256,
            Algorithm::Ps256 => Self::Ps256,
            Algorithm::Es256 => Self::Es256,
            Algorithm::EdDsa => Self::EdDsa,
        }
    }
}

/// Which values of a claim mean which roles here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleMap {
    /// The claim: a name such as `groups`, or a JSON pointer such as `/realm_access/roles`.
    pub claim: Option<String>,
    /// Value of the claim → role.
    pub roles: BTreeMap<String, String>,
}

/// An upstream provider as an operator configured it.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// Its name here.
    pub id: ProviderId,
    /// Its issuer identifier, exactly.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// How we prove it.
    pub proof: ClientProof,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// What customers read, by language tag; `en` or the id where a language is missing.
    pub names: BTreeMap<String, String>,
    /// E-mail domains whose people belong to it, in lower case.
    pub domains: Vec<String>,
    /// What its `acr` values are worth here. Whatever is not in the table is worth one factor.
    pub acr: BTreeMap<String, Acr>,
    /// Which of its claims give which roles to the users that it brings.
    pub roles: RoleMap,
    /// Whether somebody new becomes a user just in time.
    pub just_in_time: bool,
    /// Standard claims that are copied to users that it brings.
    pub claims: Vec<String>,
    /// Whether claims are completed from its userinfo endpoint, if it has one: in the code flow that is
    /// where those of scopes are (OpenID Connect Core §5.4).
    pub userinfo: bool,
    /// Kept out of the list on the sign-in page; found by domain only.
    pub hidden: bool,
    /// Algorithms of its ID tokens.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// A provider that sends no `auth_time` although it was asked: whether the time of the ID token
    /// stands in. Otherwise such an answer is refused.
    pub assume_auth_time: bool,
    /// Whether signing out here leads through its logout.
    pub logout: bool,
    /// Further origins that its sign-in pages redirect through, for the pages' `form-action`.
    pub origins: Vec<String>,
    /// How long its metadata and keys are kept.
    pub keep_metadata: TimeDelta,
}

impl UpstreamConfig {
    /// A provider with everything optional at its default.
    pub fn new(
        id: ProviderId,
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        proof: ClientProof,
    ) -> Self {
        Self {
            id,
            issuer: issuer.into(),
            client_id: client_id.into(),
            proof,
            scopes: ["profile", "email"].map(str::to_owned).to_vec(),
            names: BTreeMap::new(),
            domains: Vec::new(),
            acr: BTreeMap::new(),
            roles: RoleMap::default(),
            just_in_time: false,
            claims: ["name", "given_name", "family_name", "email"].map(str::to_owned).to_vec(),
            userinfo: true,
            hidden: false,
            algorithms: SignatureAlgorithm::ALL.to_vec(),
            assume_auth_time: false,
            logout: true,
            origins: Vec::new(),
            keep_metadata: TimeDelta::hours(1),
        }
    }

    /// What customers read in a language.
    pub fn name(&self, language: &str) -> &str {
        let named = self.names.get(language).or_else(|| self.names.get("en"));
        named.or_else(|| self.names.values().next()).map_or(self.id.as_str(), String::as_str)
    }

    /// Whether a typed user name or e-mail address belongs to it by its domain.
    pub fn answers_for(&self, login: &str) -> bool {
        let domain = login.trim().rsplit_once('@').map(|(_, domain)| domain.to_lowercase());
        domain.is_some_and(|domain| self.domains.contains(&domain))
    }

    /// What an `acr` of its is worth: what the table says, else one factor.
    pub fn worth(&self, acr: Option<&str>) -> Acr {
        acr.and_then(|acr| self.acr.get(acr)).copied().unwrap_or(Acr::CustomerAuthentication)
    }

    /// Its words for two factors, to ask for them.
    pub fn strong_values(&self) -> impl Iterator<Item = &str> {
        let strong = |(_, worth): &(&String, &Acr)| **worth == Acr::StrongCustomerAuthentication;
        self.acr.iter().filter(strong).map(|(value, _)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rstest::rstest;

    use super::*;

    fn config() -> UpstreamConfig {
        let proof = ClientProof::OwnKey(Algorithm::Es256);
        UpstreamConfig::new("north-bank".parse().unwrap(), "https://north.example", "us", proof)
    }

    #[rstest]
    #[case("north-bank", true)]
    #[case("n2", true)]
    #[case("", false)]
    #[case("North", false)]
    #[case("a/b", false)]
    #[case("a b", false)]
    fn an_id_fits_a_url(#[case] text: &str, #[case] fits: bool) {
        assert_eq!(text.parse::<ProviderId>().is_ok(), fits, "{text}");
    }

    #[test]
    fn an_unknown_acr_is_worth_one_factor() {
        let mut config = config();
        config.acr.insert("urn:north:2fa".into(), Acr::StrongCustomerAuthentication);
        assert_eq!(config.worth(Some("urn:north:2fa")), Acr::StrongCustomerAuthentication);
        for unknown in [None, Some("urn:openbanking:psd2:sca"), Some("urn:north:2FA"), Some("")] {
            assert_eq!(config.worth(unknown), Acr::CustomerAuthentication, "{unknown:?}");
        }
        assert_eq!(config.strong_values().collect::<Vec<_>>(), ["urn:north:2fa"]);
    }

    #[rstest]
    #[case("alice@north.example", true)]
    #[case(" Alice@NORTH.example ", true)]
    #[case("alice@evil.example@north.example", true)]
    #[case("alice@sub.north.example", false)]
    #[case("alice@xnorth.example", false)]
    #[case("north.example", false)]
    #[case("alice", false)]
    fn domains_match_as_a_whole(#[case] login: &str, #[case] ours: bool) {
        let config = UpstreamConfig { domains: vec!["north.example".into()], ..config() };
        assert_eq!(config.answers_for(login), ours, "{login}");
    }

    #[test]
    fn names_fall_back() {
        let mut config = config();
        assert_eq!(config.name("en"), "north-bank");
        config.names.insert("en".into(), "North Bank".into());
        assert_eq!(config.name("zh-Hant"), "North Bank");
        config.names.insert("zh-Hant".into(), "北方銀行".into());
        assert_eq!(config.name("zh-Hant"), "北方銀行");
    }
}
