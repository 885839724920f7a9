use protocol::client::{AuthMethod, Profile};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::client::{Client, ClientRecord, tests::record};

/// Its only use is to be encrypted to.
fn encryption_key() -> serde_json::Value {
    json!({"keys": [{
        "kty": "EC", "crv": "P-256", "use": "enc",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    }]})
}

fn encrypted(metadata: &mut ClientMetadata) {
    metadata.authorization_encrypted_response_alg = Some("ECDH-ES".into());
    metadata.authorization_encrypted_response_enc = Some("A256GCM".into());
    metadata.jwks = Some(encryption_key());
}

fn parsed(change: impl FnOnce(&mut ClientMetadata)) -> Result<ResponseRules, Vec<ClientFault>> {
    let mut record = record();
    change(&mut record.metadata);
    Client::parse(&record).map(|client| client.responses)
}

fn rules(change: impl FnOnce(&mut ClientMetadata)) -> ResponseRules {
    parsed(change).unwrap()
}

fn delivered(carrier: Carrier, signed: bool) -> Delivery {
    Delivery { carrier, signed }
}

const CODE: &[GrantType] = &[GrantType::AuthorizationCode];
const BOTH: &[GrantType] = &[GrantType::AuthorizationCode, GrantType::Implicit];
const TYPES: &[ResponseType] = &[ResponseType::Code, ResponseType::CodeIdToken];

#[rstest]
#[case::the_default(CODE, None, None)]
#[case::both_with_both(BOTH, Some(TYPES), None)]
#[case::implicit_may_be_left_out(CODE, Some(TYPES), None)]
#[case::the_hybrid_type_alone(CODE, Some(&TYPES[1..]), None)]
#[case::implicit_for_nothing(BOTH, None, Some(ClientFault::ImplicitAlone))]
#[case::none_at_all(CODE, Some(&TYPES[..0]), Some(ClientFault::ResponseTypes))]
fn dr_04_grant_and_response_types_agree(
    #[case] grants: &[GrantType],
    #[case] types: Option<&[ResponseType]>,
    #[case] fault: Option<ClientFault>,
) {
    let found = parsed(|metadata| {
        metadata.grant_types = Some(grants.to_vec());
        metadata.response_types = types.map(<[_]>::to_vec);
    });
    match fault {
        None => {
            let rules = found.unwrap();
            let expected = types.unwrap_or(&TYPES[..1]);
            assert!(TYPES.iter().all(|kind| rules.admits_type(*kind) == expected.contains(kind)));
        }
        Some(fault) => assert!(found.unwrap_err().contains(&fault)),
    }
}

#[test]
fn dr_04_response_types_without_the_code_flow_are_refused() {
    let mut record = record();
    record.metadata.token_endpoint_auth_method = Some(AuthMethod::ClientSecretBasic);
    record.metadata.grant_types = Some(vec![GrantType::ClientCredentials]);
    record.metadata.response_types = Some(vec![ResponseType::CodeIdToken]);
    assert!(Client::parse(&record).unwrap_err().contains(&ClientFault::ResponseTypes));
}

#[test]
fn ms_07_the_signature_follows_metadata_and_none_cannot_be_registered() {
    assert_eq!(rules(|_| ()).signing, Algorithm::Rs256, "JARM §3");
    let chosen = rules(|metadata| metadata.authorization_signed_response_alg = Some("ES256".into()));
    assert_eq!(chosen.signing, Algorithm::Es256);
    for refused in ["none", "HS256", "none ", "ES256K", ""] {
        let faults = parsed(|m| m.authorization_signed_response_alg = Some(refused.into())).unwrap_err();
        let member = "authorization_signed_response_alg";
        assert_eq!(faults, [ClientFault::Algorithm { member, value: refused.into() }]);
    }
}

#[test]
fn ms_07_encryption_needs_both_members_and_a_key() {
    assert_eq!(rules(|_| ()).encryption, None);
    assert!(rules(encrypted).encryption.is_some());
    let faults = |change: fn(&mut ClientMetadata)| {
        parsed(|metadata| {
            encrypted(metadata);
            change(metadata);
        })
        .unwrap_err()
    };
    let member = "authorization_encrypted_response_enc";
    let half = faults(|metadata| metadata.authorization_encrypted_response_enc = None);
    assert_eq!(half, [ClientFault::EncryptionIncomplete { member }]);
    let keyless = faults(|metadata| metadata.jwks = None);
    assert_eq!(keyless, [ClientFault::NoEncryptionKey(jose::KeyManagement::EcdhEs)]);
}

#[rstest]
#[case::javascript("javascript:alert(1)")]
#[case::http("http://app.example/login")]
#[case::loopback("http://127.0.0.1/login")]
#[case::relative("/login")]
fn oc_27_initiate_login_uri_is_https(#[case] refused: &str) {
    let faults = parsed(|metadata| metadata.initiate_login_uri = Some(refused.into())).unwrap_err();
    assert_eq!(faults, [ClientFault::Link("initiate_login_uri")]);
    parsed(|metadata| metadata.initiate_login_uri = Some("https://app.example/login".into())).unwrap();
}

#[rstest]
#[case(None, Ok(()))]
#[case(Some(ResponseMode::Query), Err(ModeFault::TokenInQuery))]
#[case(Some(ResponseMode::QueryJwt), Err(ModeFault::TokenInQuery))]
#[case(Some(ResponseMode::Fragment), Ok(()))]
#[case(Some(ResponseMode::FormPost), Ok(()))]
#[case(Some(ResponseMode::Jwt), Ok(()))]
#[case(Some(ResponseMode::FragmentJwt), Ok(()))]
#[case(Some(ResponseMode::FormPostJwt), Ok(()))]
fn ms_08_a_token_is_never_readable_in_a_query(
    #[case] mode: Option<ResponseMode>,
    #[case] expected: Result<(), ModeFault>,
) {
    assert_eq!(rules(|_| ()).admits_mode(mode, true), expected);
    assert_eq!(rules(|_| ()).admits_mode(mode, false), Ok(()), "a code alone may");
    let hidden = if mode == Some(ResponseMode::Query) { expected } else { Ok(()) };
    assert_eq!(rules(encrypted).admits_mode(mode, true), hidden, "encrypted, nobody reads it");
}

#[test]
fn ms_09_the_client_asks_only_for_modes_that_it_registered() {
    let rules = rules(|m| m.response_modes = Some(vec![ResponseMode::Query, ResponseMode::FragmentJwt]));
    let admits = |mode, front_channel| rules.admits_mode(mode, front_channel).is_ok();
    assert!(admits(None, false) && admits(Some(ResponseMode::Query), false));
    assert!(admits(Some(ResponseMode::FragmentJwt), false));
    assert!(!admits(Some(ResponseMode::FormPost), false) && !admits(Some(ResponseMode::Jwt), false));
    assert!(admits(Some(ResponseMode::Jwt), true), "there it stands for fragment.jwt");
    assert!(!admits(None, true) && !admits(Some(ResponseMode::Fragment), true));
    let empty = parsed(|metadata| metadata.response_modes = Some(Vec::new()));
    assert_eq!(empty.unwrap_err(), [ClientFault::NoResponseMode]);
}

#[rstest]
#[case(Some(ResponseMode::FormPost), false, delivered(Carrier::FormPost, false))]
#[case(Some(ResponseMode::Query), true, delivered(Carrier::Fragment, false))]
#[case(Some(ResponseMode::QueryJwt), true, delivered(Carrier::Fragment, false))]
#[case(None, true, delivered(Carrier::Fragment, false))]
fn ms_05_errors_travel_in_the_requested_mode_where_that_may_be(
    #[case] asked: Option<ResponseMode>,
    #[case] front_channel: bool,
    #[case] expected: Delivery,
) {
    assert_eq!(rules(|_| ()).delivery(asked, front_channel), expected);
}

#[test]
fn ms_05_with_response_signing_on_no_answer_is_unsigned() {
    let registered = |modes: &[ResponseMode]| rules(|m| m.response_modes = Some(modes.to_vec()));
    let mut financial: ClientRecord = record();
    financial.metadata.token_endpoint_auth_method = Some(AuthMethod::PrivateKeyJwt);
    let mut keys = encryption_key();
    keys["keys"][0].as_object_mut().unwrap().remove("use");
    financial.metadata.jwks = Some(keys);
    financial.settings.profile = Some(Profile::Fapi2MessageSigning);
    let financial = Client::parse(&financial).unwrap().responses;
    assert_eq!(financial.signing, Algorithm::Es256, "F2-34");
    assert_eq!(financial.admits_mode(None, false), Err(ModeFault::Unsigned));
    assert_eq!(financial.admits_mode(Some(ResponseMode::Jwt), false), Ok(()));
    let rules = [
        registered(&[ResponseMode::Jwt]),
        registered(&[ResponseMode::QueryJwt]),
        registered(&[ResponseMode::FormPostJwt]),
        registered(&[ResponseMode::FormPostJwt, ResponseMode::FragmentJwt]),
        financial,
    ];
    let asked = ResponseMode::ALL.iter().copied().map(Some).chain([None]);
    for (mode, front_channel) in asked.flat_map(|mode| [(mode, true), (mode, false)]) {
        for rules in &rules {
            assert!(rules.delivery(mode, front_channel).signed, "{rules:?} {mode:?} {front_channel}");
        }
    }
    let only_posted = registered(&[ResponseMode::FormPostJwt]);
    assert_eq!(only_posted.delivery(Some(ResponseMode::Query), false), delivered(Carrier::FormPost, true));
}
