//! Profiles: what a client lives under, as values.
//!
//! A profile is a property of a client and nothing else. Whoever checks something asks the client's
//! [`Rules`], never which profile it is, so general clients and financial ones pass through the same
//! lists of checks, with other values.

mod fitness;

use consent::{Catalogue, DetailType};
use jose::Algorithm;
use protocol::client::{AuthMethod, ClientMetadata, Profile, ResponseType};

use crate::client::{ClientAuthentication, ClientFault, ClientRecord};

pub use self::fitness::{Finding, ProfileFault, Verdict, fitness};

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
    /// Whether they may use the device grant without an operator saying so for each (DV-06).
    pub device_grant: bool,
    /// Whether their authorization requests are signed (MS-01).
    pub signed_requests: bool,
    /// Whether request objects say when they begin and end, and for whom they are (MS-02, MS-03).
    pub bounded_requests: bool,
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
    device_grant: true,
    signed_requests: false,
    bounded_requests: false,
    signed_responses: false,
};

/// FAPI 2.0 Security Profile §5.3.2, §5.4.
const FAPI2: Rules = Rules {
    methods: &[AuthMethod::PrivateKeyJwt, AuthMethod::TlsClientAuth, AuthMethod::SelfSignedTlsClientAuth],
    algorithms: &[Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa],
    default_algorithm: Algorithm::Es256,
    response_types: &[ResponseType::Code],
    audience_is_issuer: true,
    pushed_requests: true,
    bound_tokens: true,
    pkce: true,
    device_grant: false,
    signed_requests: false,
    bounded_requests: true,
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

/// How a client's requests and tokens are protected: its profile, and what it registered beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// The profile.
    pub profile: Profile,
    /// Whether its access tokens are always bound to a key (F2-09, DP-09).
    pub bound_tokens: bool,
    /// Whether they are bound to the certificate that it shows, where no DPoP proof says otherwise: it
    /// registered so (MT-06), or it must bind them and did not promise DPoP.
    pub certificate_binds: bool,
    /// Whether it registered that they are (RFC 8705 §3.4).
    pub certificate_promised: bool,
    /// Whether its authorization requests are always pushed (F2-19, PAR-07). The server's own policy is
    /// added when the client is loaded.
    pub pushed_requests: bool,
}

impl Protection {
    pub(crate) fn parse(record: &ClientRecord, faults: &mut Vec<ClientFault>) -> Self {
        let profile = record.settings.profile.unwrap_or(Profile::General);
        let rules = Rules::of(profile);
        let metadata = &record.metadata;
        let found = fitness::faults(record, rules);
        faults.extend(found.into_iter().map(|fault| ClientFault::Profile { profile, fault }));
        Self {
            profile,
            bound_tokens: rules.bound_tokens
                || metadata.dpop_bound_access_tokens
                || metadata.tls_client_certificate_bound_access_tokens,
            certificate_binds: metadata.tls_client_certificate_bound_access_tokens
                || (rules.bound_tokens && !metadata.dpop_bound_access_tokens),
            certificate_promised: metadata.tls_client_certificate_bound_access_tokens,
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

/// The profile of a new client for which nobody chose one: FAPI 2.0 where it can authenticate and its
/// scope, or a type of authorization details that it may ask for, reaches what the catalogue calls financial.
pub fn default_profile(metadata: &ClientMetadata, catalogue: &Catalogue) -> Profile {
    let public = metadata.token_endpoint_auth_method == Some(AuthMethod::None);
    let scope = metadata.scope.clone().unwrap_or_default();
    let types = catalogue.detail_types();
    let financial = catalogue.definitions(&scope).any(|scope| scope.financial)
        || metadata
            .authorization_details_types
            .iter()
            .filter_map(|kind| types.get(kind))
            .any(DetailType::is_financial);
    if financial && !public { Profile::Fapi2 } else { Profile::General }
}

/// The same as a setting; general is what a client without one is.
pub fn chosen_profile(metadata: &ClientMetadata, catalogue: &Catalogue) -> Option<Profile> {
    Some(default_profile(metadata, catalogue)).filter(|profile| *profile != Profile::General)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;
    use crate::client::{Client, tests::record};

    /// A client that obeys the profile.
    pub(crate) fn financial() -> ClientRecord {
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

    /// What of its profile it breaks.
    pub(crate) fn faults(record: &ClientRecord) -> Vec<ProfileFault> {
        let faults = Client::parse(record).err().unwrap_or_default();
        let of = |fault| if let ClientFault::Profile { fault, .. } = fault { Some(fault) } else { None };
        faults.into_iter().filter_map(of).collect()
    }

    #[test]
    fn f2_08_types_of_details_that_reach_money_make_a_client_financial() {
        let kind = |name: &str, financial: bool| {
            let shipped = ["payment_initiation", "account_information"].contains(&name);
            let mut kind = json!({"type": name, "title": name, "locations": ["https://api.example"]});
            kind["financial"] = json!(financial);
            if !shipped {
                kind["schema"] = json!({"type": "object", "additionalProperties": false});
            }
            serde_json::from_value(kind).unwrap()
        };
        let server = json!({"audience": "https://api.example", "name": "API"});
        let catalogue = Catalogue::new([], [serde_json::from_value(server).unwrap()]).unwrap();
        let types =
            [("payment_initiation", false), ("account_information", false), ("loan", true), ("menu", false)];
        let catalogue = catalogue.with_detail_types(types.map(|(name, money)| kind(name, money))).unwrap();
        let of = |name: &str, method: AuthMethod| {
            let metadata = ClientMetadata {
                token_endpoint_auth_method: Some(method),
                authorization_details_types: vec![name.to_owned()],
                ..record().metadata
            };
            default_profile(&metadata, &catalogue)
        };
        for name in ["payment_initiation", "account_information", "loan"] {
            assert_eq!(of(name, AuthMethod::ClientSecretBasic), Profile::Fapi2, "{name}");
            assert_eq!(of(name, AuthMethod::None), Profile::General, "{name}");
        }
        assert_eq!(of("menu", AuthMethod::ClientSecretBasic), Profile::General);
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

    #[test]
    fn dp_09_par_07_a_general_client_may_ask_for_protection() {
        let mut record = record();
        record.metadata.dpop_bound_access_tokens = true;
        record.metadata.require_pushed_authorization_requests = true;
        let protection = Client::parse(&record).unwrap().protection;
        assert_eq!(
            protection,
            Protection {
                profile: Profile::General,
                bound_tokens: true,
                certificate_binds: false,
                certificate_promised: false,
                pushed_requests: true
            }
        );
    }
}
