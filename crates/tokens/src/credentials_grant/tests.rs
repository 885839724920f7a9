use protocol::client::AuthMethod;
use rstest::rstest;

use super::*;
use crate::{
    checks::tests::{BANK, CARDS, catalogue},
    client::{
        Client,
        tests::{client, confidential},
    },
};

/// A confidential client that is registered for the grant and for `scope`.
fn registered(scope: &str) -> Client {
    let mut client = confidential(AuthMethod::ClientSecretBasic);
    client.grant_types.insert(GrantType::ClientCredentials);
    client.scope = scope.parse().unwrap();
    client
}

fn ask(client: Client, scope: Option<&str>, resources: &[&str]) -> Result<TokenTarget, ClientGrantFault> {
    let request = ClientCredentialsRequest {
        scope: scope.map(|scope| scope.parse().unwrap()),
        resources: resources.iter().map(|&resource| resource.to_owned()).collect(),
        details: None,
    };
    let client = AuthenticatedClient::for_tests(client);
    client_credentials(&client, &request, &catalogue()).map(|grant| grant.target().clone())
}

fn target(audience: &str, scope: &str) -> TokenTarget {
    TokenTarget { audience: Some(audience.to_owned()), scope: scope.parse().unwrap() }
}

#[test]
fn cc_01_only_confidential_clients_that_registered_it() {
    let scope = Some("accounts:read");
    assert_eq!(ask(registered("accounts:read"), scope, &[]), Ok(target(BANK, "accounts:read")));
    let not_registered = confidential(AuthMethod::ClientSecretBasic);
    assert_eq!(ask(not_registered, scope, &[]), Err(ClientGrantFault::GrantNotAllowed));
    // Registration refuses this client; the decision does not rely on it.
    let mut public = client();
    public.grant_types.insert(GrantType::ClientCredentials);
    assert_eq!(ask(public, scope, &[]), Err(ClientGrantFault::GrantNotAllowed));
}

#[rstest]
#[case::openid("openid accounts:read")]
#[case::profile("profile")]
#[case::offline("accounts:read offline_access")]
#[case::not_registered("accounts:read payments:write")]
#[case::unknown("accounts:read gold")]
fn cc_01_no_scope_about_a_person_and_none_beyond_registration(#[case] asked: &str) {
    let client = registered("openid profile offline_access accounts:read gold");
    assert_eq!(ask(client, Some(asked), &[]), Err(ClientGrantFault::ScopeNotAllowed));
}

#[test]
fn without_scope_everything_that_is_about_no_person() {
    let client = registered("openid profile accounts:read payments:write");
    assert_eq!(ask(client, None, &[]), Ok(target(BANK, "accounts:read payments:write")));
    assert_eq!(ask(registered("openid profile"), None, &[]), Err(ClientGrantFault::NoScope));
    assert_eq!(ask(registered("accounts:read"), Some(" "), &[]), Err(ClientGrantFault::NoScope));
}

#[test]
fn at_03_ri_01_one_token_is_for_one_resource_server() {
    let client = registered("accounts:read cards:read");
    let both = Some("accounts:read cards:read");
    let ambiguous = AudienceFault::Ambiguous(vec![BANK.into(), CARDS.into()]);
    assert_eq!(ask(client.clone(), both, &[]), Err(ClientGrantFault::Audience(ambiguous.clone())));
    assert_eq!(ask(client.clone(), None, &[]), Err(ClientGrantFault::Audience(ambiguous.clone())));
    assert_eq!(ask(client.clone(), both, &[BANK, CARDS]), Err(ClientGrantFault::Audience(ambiguous)));
    let outside = AudienceFault::ScopeOutsideResources("accounts:read".parse().unwrap());
    assert_eq!(ask(client.clone(), both, &[CARDS]), Err(ClientGrantFault::Audience(outside)));
    assert_eq!(ask(client.clone(), Some("cards:read"), &[CARDS]), Ok(target(CARDS, "cards:read")));
    assert_eq!(ask(client.clone(), None, &[CARDS]), Ok(target(CARDS, "cards:read")), "the name narrows");
    let useless = AudienceFault::UnknownResource(CARDS.into());
    assert_eq!(ask(registered("accounts:read"), None, &[CARDS]), Err(ClientGrantFault::Audience(useless)));
    let unknown = AudienceFault::UnknownResource("urn:nobody".into());
    assert_eq!(ask(client, None, &["urn:nobody"]), Err(ClientGrantFault::Audience(unknown)));
}
