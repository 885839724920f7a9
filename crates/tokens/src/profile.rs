//! Profiles: what a client lives under, as values.
//!
//! A profile is a property of a client and nothing else. Whoever checks something asks the client's
//! [`Rules`], never which profile it is, so general clients and financial ones pass through the same
//! lists of checks, with other values.

use consent::Catalogue;
use jose::Algorithm;
use protocol::client::{AuthMethod, ClientMetadata, Profile, ResponseType};

use crate::client::{ClientAuthentication, ClientFault, ClientRecord};

/// What a profile asks of its clients.
#[derive(Debug)]
pub struct Rules {
    /// How they may authenticate (F2-08, F2-10).
    pub methods: &'static [AuthMethod],
    /// What they may sign with, and what is signed for them (F2-34).
    pub algorithms: &'static [Algorithm],
    /// The algorithm of what is signed for them where they registered none (OC-01).
    pub default_algorithm: Algorithm,
    /// What they may ask for (F2-18).
    pub response_types: &'static [ResponseType],
    /// Whether `aud` of their assertions is the issuer, as a plain string, and nothing else (F2-12).
    pub audience_is_issuer: bool,
    /// Whether their authorization requests come by the back channel alone (F2-19).
    pub pushed_requests: bool,
    /// Whether their access tokens are bound to a key of theirs (F2-09).
    pub bound_tokens: bool,
    /// Whether nobody can exempt them from PKCE (F2-21).
    pub pkce: bool,
    /// Whether their authorization requests are signed (MS-01).
    pub signed_requests: bool,
    /// Whether the answers are (MS-05).
    pub signed_responses: bool,
}

/// OAuth 2.1 and OpenID Connect with the security of RFC 9700.
const GENERAL: Rules = Rules {
    methods: AuthMethod::ALL,
    algorithms: &Algorithm::ALL,
    default_algorithm: Algorithm::Rs256,
    response_types: ResponseType::ALL,
    audience_is_issuer: false,
    pushed_requests: false,
    bound_tokens: false,
    pkce: false,
    signed_requests: false,
    signed_responses: false,
};

/// FAPI 2.0 Security Profile §5.3.2, §5.4.
const FAPI2: Rules = Rules {
    methods: &[AuthMethod::PrivateKeyJwt],
    algorithms: &[Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa],
    default_algorithm: Algorithm::Es256,
    response_types: &[ResponseType::Code],
    audience_is_issuer: true,
    pushed_requests: true,
    bound_tokens: true,
    pkce: true,
    signed_requests: false,
    signed_responses: false,
};

/// FAPI 2.0 Message Signing §5.3, §5.4.
const FAPI2_MESSAGE_SIGNING: Rules = Rules { signed_requests: true, signed_responses: true, ..FAPI2 };

impl Rules {
    /// The rules of a profile.
    pub const fn of(profile: Profile) -> &'static Self {
        match profile {
            Profile::General => &GENERAL,
            Profile::Fapi2 => &FAPI2,
            Profile::Fapi2MessageSigning => &FAPI2_MESSAGE_SIGNING,
        }
    }
}

/// What keeps a client from its profile, in words that an operator can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileFault {
    /// F2-08: nothing tells it from somebody else.
    #[error("it is a public client; it must authenticate with private_key_jwt")]
    Public,
    /// F2-10.
    #[error("it authenticates by {0}; only private_key_jwt will do")]
    Method(AuthMethod),
    /// F2-34.
    #[error("{member} is {value}; only PS256, ES256 and EdDSA will do")]
    Algorithm {
        /// The metadata member.
        member: &'static str,
        /// Its value.
        value: String,
    },
    /// F2-18.
    #[error("response_types has {0}; only code will do")]
    ResponseType(ResponseType),
    /// F2-21.
    #[error("require_pkce is off; PKCE can't be waived")]
    WithoutPkce,
}

/// How a client's requests and tokens are protected: its profile, and what it registered beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// The profile.
    pub profile: Profile,
    /// Whether its access tokens are always bound to a key (F2-09, DP-09).
    pub bound_tokens: bool,
    /// Whether its authorization requests are always pushed (F2-19, PAR-07). The server's own policy is
    /// added when the client is loaded.
    pub pushed_requests: bool,
}

impl Protection {
    pub(crate) fn parse(record: &ClientRecord, method: AuthMethod, faults: &mut Vec<ClientFault>) -> Self {
        let profile = record.settings.profile.unwrap_or(Profile::General);
        let rules = Rules::of(profile);
        let metadata = &record.metadata;
        let found = faults_of(record, method, rules);
        faults.extend(found.into_iter().map(|fault| ClientFault::Profile { profile, fault }));
        Self {
            profile,
            bound_tokens: rules.bound_tokens || metadata.dpop_bound_access_tokens,
            pushed_requests: rules.pushed_requests || metadata.require_pushed_authorization_requests,
        }
    }

    /// The rules of its profile.
    pub const fn rules(&self) -> &'static Rules {
        Rules::of(self.profile)
    }

    /// Leaves of the ways to authenticate what the profile allows.
    pub(crate) fn limit(&self, authentication: &mut ClientAuthentication) {
        if let ClientAuthentication::PrivateKeyJwt { algorithms, .. } = authentication {
            algorithms.retain(|algorithm| self.rules().algorithms.contains(algorithm));
        }
    }
}

/// Every rule of the profile that a client breaks.
fn faults_of(record: &ClientRecord, method: AuthMethod, rules: &Rules) -> Vec<ProfileFault> {
    let metadata = &record.metadata;
    let mut faults = Vec::new();
    if !rules.methods.contains(&method) {
        let public = method == AuthMethod::None;
        faults.push(if public { ProfileFault::Public } else { ProfileFault::Method(method) });
    }
    for (member, value) in signatures(metadata) {
        // A name that is no algorithm at all is told of elsewhere.
        let known = value.parse::<Algorithm>();
        if known.is_ok_and(|algorithm| !rules.algorithms.contains(&algorithm)) {
            faults.push(ProfileFault::Algorithm { member, value: value.clone() });
        }
    }
    let types = metadata.response_types.iter().flatten();
    let foreign = types.copied().find(|response| !rules.response_types.contains(response));
    faults.extend(foreign.map(ProfileFault::ResponseType));
    if rules.pkce && !record.settings.require_pkce {
        faults.push(ProfileFault::WithoutPkce);
    }
    faults
}

/// The members that name an algorithm of signatures, with their values.
fn signatures(metadata: &ClientMetadata) -> impl Iterator<Item = (&'static str, &String)> {
    [
        ("token_endpoint_auth_signing_alg", &metadata.token_endpoint_auth_signing_alg),
        ("id_token_signed_response_alg", &metadata.id_token_signed_response_alg),
        ("userinfo_signed_response_alg", &metadata.userinfo_signed_response_alg),
        ("request_object_signing_alg", &metadata.request_object_signing_alg),
        ("authorization_signed_response_alg", &metadata.authorization_signed_response_alg),
    ]
    .into_iter()
    .filter_map(|(member, value)| value.as_ref().map(|value| (member, value)))
}

/// The profile of a new client for which nobody chose one: FAPI 2.0 where it can authenticate and its
/// scope reaches what the catalogue calls financial.
pub fn default_profile(metadata: &ClientMetadata, catalogue: &Catalogue) -> Profile {
    let public = metadata.token_endpoint_auth_method == Some(AuthMethod::None);
    let scope = metadata.scope.clone().unwrap_or_default();
    let financial = catalogue.definitions(&scope).any(|scope| scope.financial);
    if financial && !public { Profile::Fapi2 } else { Profile::General }
}

/// The same as a setting; general is what a client without one is.
pub fn chosen_profile(metadata: &ClientMetadata, catalogue: &Catalogue) -> Option<Profile> {
    Some(default_profile(metadata, catalogue)).filter(|profile| *profile != Profile::General)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::client::{Client, tests::record};

    /// A client that obeys the profile.
    fn financial() -> ClientRecord {
        let key = json!({"keys": [{
            "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
        }]});
        let mut record = record();
        record.secrets.clear();
        record.metadata.token_endpoint_auth_method = Some(AuthMethod::PrivateKeyJwt);
        record.metadata.jwks = Some(key);
        record.settings.profile = Some(Profile::Fapi2);
        record
    }

    fn faults(record: &ClientRecord) -> Vec<ProfileFault> {
        let faults = Client::parse(record).err().unwrap_or_default();
        let of = |fault| if let ClientFault::Profile { fault, .. } = fault { Some(fault) } else { None };
        faults.into_iter().filter_map(of).collect()
    }

    #[test]
    fn f2_34_oc_01_a_client_of_the_profile_gets_its_algorithms() {
        let client = Client::parse(&financial()).unwrap();
        assert_eq!(client.id_token_algorithm, Algorithm::Es256);
        assert!(client.protection.bound_tokens && client.protection.pushed_requests);
        let ClientAuthentication::PrivateKeyJwt { algorithms, .. } = &client.authentication else { panic!() };
        assert_eq!(algorithms, Rules::of(Profile::Fapi2).algorithms);
        let general = ClientRecord {
            settings: crate::client::ClientSettings { profile: None, ..financial().settings },
            ..financial()
        };
        let client = Client::parse(&general).unwrap();
        assert_eq!(client.id_token_algorithm, Algorithm::Rs256);
        assert!(!client.protection.bound_tokens && !client.protection.pushed_requests);
    }

    #[rstest]
    #[case(|r: &mut ClientRecord| r.metadata.token_endpoint_auth_method = Some(AuthMethod::None), ProfileFault::Public)]
    #[case(
        |r: &mut ClientRecord| r.metadata.token_endpoint_auth_method = None,
        ProfileFault::Method(AuthMethod::ClientSecretBasic)
    )]
    #[case(
        |r: &mut ClientRecord| r.metadata.id_token_signed_response_alg = Some("RS256".into()),
        ProfileFault::Algorithm { member: "id_token_signed_response_alg", value: "RS256".into() }
    )]
    #[case(
        |r: &mut ClientRecord| r.metadata.token_endpoint_auth_signing_alg = Some("RS256".into()),
        ProfileFault::Algorithm { member: "token_endpoint_auth_signing_alg", value: "RS256".into() }
    )]
    #[case(
        |r: &mut ClientRecord| r.metadata.response_types = Some(vec![ResponseType::Code, ResponseType::CodeIdToken]),
        ProfileFault::ResponseType(ResponseType::CodeIdToken)
    )]
    #[case(|r: &mut ClientRecord| r.settings.require_pkce = false, ProfileFault::WithoutPkce)]
    fn f2_08_f2_10_f2_18_f2_21_f2_34_what_keeps_a_client_from_the_profile(
        #[case] change: fn(&mut ClientRecord),
        #[case] fault: ProfileFault,
    ) {
        for profile in [Profile::Fapi2, Profile::Fapi2MessageSigning] {
            let mut record = financial();
            record.settings.profile = Some(profile);
            assert_eq!(faults(&record), []);
            change(&mut record);
            assert_eq!(faults(&record), std::slice::from_ref(&fault));
        }
    }

    #[test]
    fn dp_09_par_07_a_general_client_may_ask_for_protection() {
        let mut record = record();
        record.metadata.dpop_bound_access_tokens = true;
        record.metadata.require_pushed_authorization_requests = true;
        let protection = Client::parse(&record).unwrap().protection;
        assert_eq!(
            protection,
            Protection { profile: Profile::General, bound_tokens: true, pushed_requests: true }
        );
    }
}
