use chrono::Duration;
use protocol::{
    GrantId, TokenId, UserId,
    acr::{Acr, Amr},
    client::AuthMethod,
    exchange::TypedToken,
    secret::PresentedToken,
};
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::{
    checks::tests::{BANK, CARDS, VAULT, catalogue, trusted},
    client::tests::{client, confidential},
    grant::tests::{line, now},
    presented::{Above, ClientRights},
    sender::Sender,
};

/// A gateway that speaks for the bank's API and may call cards and the vault.
fn gateway() -> Client {
    let mut client = trusted(confidential(AuthMethod::ClientSecretBasic));
    client.id = "gateway".parse().unwrap();
    client.grant_types.insert(GrantType::TokenExchange);
    client.settings.exchange = vec![rule(CARDS), rule(VAULT)];
    client
}

fn rule(audience: &str) -> ExchangeRule {
    ExchangeRule {
        from_audience: Some(BANK.into()),
        from_clients: ["app".parse().unwrap()].into(),
        audience: audience.into(),
        scope: "openid accounts:read cards:read".parse().unwrap(),
        actor_required: false,
    }
}

fn claims(grant: Option<GrantId>, user: UserId) -> AccessTokenClaims {
    AccessTokenClaims {
        iss: "https://as.example".into(),
        sub: user.to_string(),
        aud: vec![BANK.into(), "https://as.example".into()],
        client_id: "app".parse().unwrap(),
        jti: TokenId(Uuid::from_u128(8)),
        iat: now().timestamp() - 10,
        exp: now().timestamp() + 100,
        scope: "openid accounts:read".parse().unwrap(),
        grant_id: grant,
        auth_time: Some(now().timestamp() - 60),
        acr: Some(Acr::CustomerAuthentication),
        amr: vec![Amr::Pwd],
        roles: vec!["account-viewer".into()],
        authorization_details: AuthorizationDetails::default(),
        cnf: None,
        delegation: Delegation::default(),
    }
}

/// A customer's token of the client `app` for the bank's API.
fn found() -> FoundAccessToken {
    let line = line();
    let claims = claims(Some(line.grant.id), line.grant.user);
    FoundAccessToken { claims, digest: None, revoked: false, above: Above::Grant(Box::new(line)) }
}

/// The gateway's own.
fn own() -> FoundAccessToken {
    let mut claims = claims(None, UserId(Uuid::from_u128(0)));
    (claims.sub, claims.client_id) = ("gateway".into(), "gateway".parse().unwrap());
    let rights =
        ClientRights { client_credentials: true, scope: claims.scope.clone(), detail_types: Vec::new() };
    FoundAccessToken { claims, digest: None, revoked: false, above: Above::Client(Some(rights)) }
}

fn request(targets: &[&str], scope: Option<&str>) -> TokenExchangeRequest {
    TokenExchangeRequest {
        subject: TypedToken { token: PresentedToken::new("t"), kind: TokenType::AccessToken },
        actor: None,
        requested: None,
        targets: targets.iter().map(|&target| target.to_owned()).collect(),
        scope: scope.map(|scope| scope.parse().unwrap()),
        details: None,
    }
}

fn ask(
    client: Client,
    request: &TokenExchangeRequest,
    subject: FoundAccessToken,
    actor: Option<FoundAccessToken>,
) -> Result<ExchangeGrant, ExchangeFault> {
    exchange(&Sender::for_tests(client), request, Some(subject), actor.map(Some), &catalogue(), now())
}

#[test]
fn tx_04_tx_05_the_new_token_is_a_shadow_of_the_old() {
    let granted = ask(gateway(), &request(&[CARDS], None), found(), None).unwrap();
    assert_eq!(granted.target().audience.as_deref(), Some(CARDS));
    // Nothing about the person themselves, and nothing that the old token did not carry.
    assert_eq!(granted.target().scope, "accounts:read".parse().unwrap());
    assert_eq!(granted.ends_at(), now() + Duration::seconds(100));
    let new = granted.shadow(AccessTokenClaims { client_id: "gateway".parse().unwrap(), ..own().claims });
    assert_eq!(new.sub, found().claims.sub);
    assert_eq!((new.acr, new.auth_time), (found().claims.acr, found().claims.auth_time));
    assert_eq!(new.roles, ["account-viewer"]);
    assert_eq!(new.delegation.act, Some(Actor { sub: "gateway".into(), act: None }));
    assert_eq!(new.delegation.origin_client_id, Some("app".parse().unwrap()));
}

#[rstest]
#[case::unknown(&["https://unknown.example"], ExchangeFault::Target)]
#[case::not_listed(&[BANK], ExchangeFault::Target)]
#[case::one_of_two(&[BANK, CARDS], ExchangeFault::Target)]
#[case::two(&[CARDS, VAULT], ExchangeFault::Ambiguous)]
#[case::none(&[], ExchangeFault::Ambiguous)]
fn tx_03_only_listed_targets_and_one_of_them(#[case] targets: &[&str], #[case] fault: ExchangeFault) {
    assert_eq!(ask(gateway(), &request(targets, None), found(), None).unwrap_err(), fault);
}

#[rstest]
#[case::not_registered(|c: &mut Client| _ = c.grant_types.remove(&GrantType::TokenExchange), ExchangeFault::GrantNotAllowed)]
#[case::no_rule(|c: &mut Client| c.settings.exchange.clear(), ExchangeFault::NoRule)]
#[case::other_client(|c: &mut Client| c.settings.exchange[0].from_clients = ["other".parse().unwrap()].into(), ExchangeFault::Target)]
#[case::other_recipient(|c: &mut Client| c.settings.exchange[0].from_audience = Some(VAULT.into()), ExchangeFault::Target)]
#[case::own_tokens_only(|c: &mut Client| { c.settings.exchange.truncate(1); c.settings.exchange[0].from_audience = None }, ExchangeFault::NoRule)]
#[case::actor(|c: &mut Client| c.settings.exchange[0].actor_required = true, ExchangeFault::ActorMissing)]
#[case::scope(|c: &mut Client| c.settings.exchange[0].scope = "cards:read".parse().unwrap(), ExchangeFault::Scope)]
fn tx_03_only_what_an_operator_wrote_down(#[case] change: fn(&mut Client), #[case] fault: ExchangeFault) {
    let mut client = gateway();
    change(&mut client);
    assert_eq!(ask(client, &request(&[CARDS], None), found(), None).unwrap_err(), fault);
}

#[test]
fn tx_03_a_public_client_exchanges_nothing() {
    let mut public = client();
    public.grant_types.insert(GrantType::TokenExchange);
    public.settings.exchange = vec![rule(CARDS)];
    let fault = ask(public, &request(&[CARDS], None), found(), None).unwrap_err();
    assert_eq!(fault, ExchangeFault::GrantNotAllowed);
}

#[rstest]
#[case::wider("accounts:read payments:write")]
#[case::of_the_rule_only("cards:read")]
#[case::about_the_person("openid accounts:read")]
fn tx_04_no_scope_beyond_the_old_token(#[case] scope: &str) {
    let fault = ask(gateway(), &request(&[CARDS], Some(scope)), found(), None).unwrap_err();
    assert_eq!(fault, ExchangeFault::Scope);
}

#[rstest]
#[case::expired(|f: &mut FoundAccessToken| f.claims.exp = now().timestamp(), ExchangeFault::Subject(DeadToken::Expired))]
#[case::revoked(|f: &mut FoundAccessToken| f.revoked = true, ExchangeFault::Subject(DeadToken::Revoked))]
#[case::orphan(|f: &mut FoundAccessToken| f.above = Above::Nothing, ExchangeFault::Subject(DeadToken::Unknown))]
#[case::bound(|f: &mut FoundAccessToken| f.claims.cnf = Some(protocol::token::Confirmation { jkt: Some("key".into()), x5t_s256: None }), ExchangeFault::Bound)]
fn tx_06_only_a_living_unbound_token(
    #[case] change: fn(&mut FoundAccessToken),
    #[case] fault: ExchangeFault,
) {
    let mut subject = found();
    change(&mut subject);
    assert_eq!(ask(gateway(), &request(&[CARDS], None), subject, None).unwrap_err(), fault);
}

#[test]
fn tx_06_a_token_of_no_person_is_no_subject() {
    let mut client = gateway();
    client.settings.exchange[0].from_clients.clear();
    let fault = ask(client, &request(&[CARDS], None), own(), None).unwrap_err();
    assert_eq!(fault, ExchangeFault::NoPerson);
}

#[test]
fn tx_05_actors_nest_and_end() {
    let mut subject = found();
    for depth in 1..=MAX_ACTORS {
        let granted = ask(gateway(), &request(&[CARDS], None), subject.clone(), Some(own())).unwrap();
        let actor = granted.actor().cloned().unwrap();
        assert_eq!((actor.depth(), &*actor.sub), (depth, "gateway"));
        subject.claims.delegation.act = Some(actor);
    }
    let fault = ask(gateway(), &request(&[CARDS], None), subject, None).unwrap_err();
    assert_eq!(fault, ExchangeFault::TooManyActors);
}

#[test]
fn tx_05_may_act_and_the_actors_holder_are_enforced() {
    let mut subject = found();
    subject.claims.delegation.may_act = Some(MayAct { sub: "somebody".into() });
    let refused = |subject: &FoundAccessToken, actor: Option<FoundAccessToken>| {
        ask(gateway(), &request(&[CARDS], None), subject.clone(), actor).unwrap_err()
    };
    assert_eq!(refused(&subject, None), ExchangeFault::MayAct);
    assert_eq!(refused(&subject, Some(own())), ExchangeFault::MayAct);
    subject.claims.delegation.may_act = Some(MayAct { sub: "gateway".into() });
    assert!(ask(gateway(), &request(&[CARDS], None), subject.clone(), Some(own())).is_ok());
    assert_eq!(refused(&subject, Some(found())), ExchangeFault::ForeignActor);
    let dead = FoundAccessToken { revoked: true, ..own() };
    assert_eq!(refused(&subject, Some(dead)), ExchangeFault::Actor(DeadToken::Revoked));
}

#[test]
fn tx_02_a_jwt_only_where_tokens_are_jwts() {
    let jwt = |target| TokenExchangeRequest { requested: Some(TokenType::Jwt), ..request(&[target], None) };
    assert_eq!(ask(gateway(), &jwt(CARDS), found(), None).unwrap().issued(), TokenType::Jwt);
    assert_eq!(ask(gateway(), &jwt(VAULT), found(), None).unwrap_err(), ExchangeFault::Format);
}

/// The new token in its own right: it lives by its origin's grant and dies with it.
#[test]
fn tx_04_rar_05_details_reach_targets_that_understand_them_and_never_grow() {
    let details = |value: serde_json::Value| AuthorizationDetails::from_value(value).unwrap();
    let payment = serde_json::json!({"type": "payment_initiation", "instructedAmount": {"amount": "1.00"}});
    let reading = serde_json::json!({"type": "account_information", "actions": ["list_accounts"]});
    let said = details(serde_json::json!([payment, reading]));
    let subject = || {
        let mut line = line();
        (line.grant.details, line.consent_details) = (said.clone(), said.clone());
        let mut found = found();
        found.claims.authorization_details = said.clone();
        found.above = Above::Grant(Box::new(line));
        found
    };
    let asking = |details| TokenExchangeRequest { details, ..request(&[CARDS], None) };
    let got = |request: &TokenExchangeRequest| {
        ask(gateway(), request, subject(), None).map(|granted| granted.details().clone())
    };
    let one = |detail: &serde_json::Value| details(serde_json::json!([detail]));
    // Only payments mean something at the cards API.
    assert_eq!(got(&asking(None)), Ok(one(&payment)));
    assert_eq!(got(&asking(Some(one(&payment)))), Ok(one(&payment)));
    assert_eq!(got(&asking(Some(one(&reading)))), Err(ExchangeFault::Details));
    let more = serde_json::json!({"type": "payment_initiation", "instructedAmount": {"amount": "2.00"}});
    assert_eq!(got(&asking(Some(one(&more)))), Err(ExchangeFault::Details));
}

#[test]
fn tx_04_what_ends_the_grant_ends_the_new_token() {
    let granted = ask(gateway(), &request(&[CARDS], None), found(), None).unwrap();
    let base = AccessTokenClaims {
        client_id: "gateway".parse().unwrap(),
        aud: vec![CARDS.into()],
        scope: granted.target().scope.clone(),
        ..found().claims
    };
    let token = FoundAccessToken { claims: granted.shadow(base), ..found() };
    let live = token.clone().live(&catalogue(), now()).unwrap();
    assert_eq!(live.claims().aud, [CARDS]);
    let mut line = line();
    line.consent_withdrawn_at = Some(now());
    let withdrawn = FoundAccessToken { above: Above::Grant(Box::new(line)), ..token.clone() };
    assert!(matches!(withdrawn.live(&catalogue(), now()), Err(DeadToken::Grant(_))));
    // Without its origin it would be another client's token under this grant.
    let mut forged = token;
    forged.claims.delegation.origin_client_id = None;
    assert_eq!(forged.live(&catalogue(), now()).unwrap_err(), DeadToken::Unknown);
}
