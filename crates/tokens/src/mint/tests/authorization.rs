//! What the mint makes for the authorization endpoint.

use consent::GrantedConsent;
use mfa::{Authentication, SessionPolicy};
use protocol::{authorization::AuthorizationRequest, client::ResponseType};

use super::*;
use crate::{
    checks::{
        Hint, ValidatedAuthorization,
        tests::{request, trusted, validate},
    },
    client::tests::record,
    issue::{IssuedCode, issue_code},
    step::tests::{consent_record, session},
};

fn hybrid(change: impl FnOnce(&mut AuthorizationRequest)) -> (ValidatedAuthorization, IssuedCode) {
    let mut record = record();
    record.metadata.response_types = Some(vec![ResponseType::Code, ResponseType::CodeIdToken]);
    let mut request = AuthorizationRequest { response_type: ResponseType::CodeIdToken, ..request() };
    change(&mut request);
    let validated = validate(trusted(Client::parse(&record).unwrap()), request, Hint::Absent).unwrap();
    let authentication = Authentication::from_session(&session(), &SessionPolicy::default(), now()).unwrap();
    let consent = GrantedConsent::from_live(&consent_record(), now()).unwrap();
    let fresh = (GrantId(Uuid::from_u128(9)), [5; 32]);
    let issued = issue_code(&validated, &authentication, &consent, fresh, &POLICY, now()).unwrap();
    (validated, issued)
}

fn beside_code(change: impl FnOnce(&mut AuthorizationRequest)) -> Option<Value> {
    let (validated, issued) = hybrid(change);
    let token =
        mint().id_token_beside(&issued, &validated, &Map::new(), now()).unwrap()?.sealed(None).unwrap();
    Some(says(verify_id_token_hint(&token, keyring().verification_keys(), ISSUER).unwrap()))
}

#[test]
fn oc_13_oc_30_the_id_token_beside_a_code_is_tied_to_code_and_state() {
    let said = beside_code(|_| ()).unwrap();
    let (_, issued) = hybrid(|_| ());
    assert_eq!(said["c_hash"], half_hash(Algorithm::Rs256, issued.code.expose()));
    assert_eq!(said["s_hash"], half_hash(Algorithm::Rs256, "s"));
    assert_eq!((&said["nonce"], &said["aud"], &said["iss"]), (&json!("n"), &json!("app"), &json!(ISSUER)));
    let mut names: Vec<&str> = said.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected =
        ["acr", "amr", "aud", "auth_time", "c_hash", "exp", "iat", "iss", "nonce", "s_hash", "sid", "sub"];
    assert_eq!(names, expected, "nothing about the person, and no at_hash without an access token");
    let stateless = beside_code(|request| request.state = None).unwrap();
    assert_eq!(stateless.get("s_hash"), None);
}

#[test]
fn oc_13_both_id_tokens_are_about_the_same_person_and_login() {
    let front = beside_code(|_| ()).unwrap();
    let back = says(id_token(client(), Some("n"), now()));
    for claim in ["iss", "sub", "aud", "nonce", "sid"] {
        assert_eq!(front[claim], back[claim], "{claim}");
    }
}

#[test]
fn bcp_07_a_plain_code_response_has_no_id_token() {
    assert_eq!(beside_code(|request| request.response_type = ResponseType::Code), None);
}

#[test]
fn ms_06_ms_07_at_04_a_response_in_a_jwt() {
    let parameters = json!({ "code": "c", "state": "s" });
    let response = |client: &Client| {
        let parameters = parameters.as_object().unwrap();
        mint().authorization_response(client, parameters, now()).unwrap().sealed(None).unwrap()
    };
    let token = response(&client());
    let keys = keyring().verification_keys();
    let said = says(jose::verify(&token, keys, &[Algorithm::Rs256]).unwrap());
    let exp = said["exp"].as_i64().unwrap();
    assert!(exp > now().timestamp() && exp <= now().timestamp() + 600, "{exp}");
    let expected = json!({ "iss": ISSUER, "aud": "app", "exp": exp, "code": "c", "state": "s" });
    assert_eq!(said, expected);
    assert!(verify_access_token(&token, keys, ISSUER, now()).is_err());
    let mut record = record();
    record.metadata.authorization_signed_response_alg = Some("ES256".into());
    let chosen = response(&Client::parse(&record).unwrap());
    assert!(jose::verify(&chosen, keys, &[Algorithm::Es256]).is_ok());
    assert!(jose::verify(&token, keys, &[Algorithm::Es256]).is_err());
}
