//! Records to store. Times have microseconds, so that they come back as they went.

use audit::{Event, EventKind};
use chrono::{DateTime, TimeDelta, Utc};
use consent::{Catalogue, ConsentRecord, ConsentUpsert, ResourceServer, ScopeDefinition};
use jose::{Digest, Mark, digest::sha256};
use keys::{KeyState, SigningKeyRecord};
use mfa::{
    PasswordHash, User,
    session::{NewSession, Session},
};
use protocol::{
    ClientId, ConsentId, GrantId, InteractionId, SessionId, TokenId, UserId,
    acr::{Acr, Amr},
    authorization::AuthorizationRequest,
    claims::StandardClaims,
    client::ClientMetadata,
    params::Params,
};
use tokens::{
    client::{ClientRecord, ClientSettings, SecretDigest},
    grant::{AccessTokenRecord, CodeRecord, GrantRecord, RefreshKind, RefreshRecord},
    interaction::{InteractionRecord, Purpose},
    mint::AccessTokenClaims,
    pushed::PushedRecord,
};
use uuid::Uuid;

use super::{Bench, commit};

pub(crate) const ALICE: UserId = UserId(Uuid::from_u128(1));
pub(crate) const PHC: &str = "$argon2id$v=19$m=19456,t=2,p=1$MTIzNDU2Nzg5MDEyMzQ1Ng$\
                              b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q";

/// A lasting copy, so that racing tasks can share it.
pub(crate) fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 123_456_000).unwrap()
}

pub(crate) fn digest(text: &str) -> Digest {
    sha256(text)
}

/// What the replay table keeps of a proof.
pub(crate) fn mark(kind: &'static str, jti: &str, expires_at: DateTime<Utc>) -> Mark {
    Mark { kind, digest: digest(jti), expires_at }
}

/// A request that was pushed, whose reference has this number.
pub(crate) fn pushed(number: u128) -> PushedRecord {
    let params =
        Params::parse(b"response_type=code&client_id=ledgerline&redirect_uri=https://app.example/cb");
    PushedRecord {
        digest: digest(&number.to_string()),
        client: app(),
        request: AuthorizationRequest::parse(&params.unwrap()).unwrap(),
        created_at: at(0),
        expires_at: at(60),
        keep_until: at(600),
        consumed_at: None,
    }
}

pub(crate) fn app() -> ClientId {
    "ledgerline".parse().unwrap()
}

pub(crate) fn client() -> ClientRecord {
    ClientRecord {
        id: app(),
        metadata: ClientMetadata {
            client_name: Some("Ledgerline".to_owned()),
            redirect_uris: vec!["https://app.example/callback".to_owned()],
            scope: Some("openid accounts:read".parse().unwrap()),
            ..ClientMetadata::default()
        },
        settings: ClientSettings::default(),
        secrets: vec![SecretDigest { digest: digest("secret"), expires_at: Some(at(9)) }],
        disabled: false,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) fn scope() -> ScopeDefinition {
    serde_json::from_value(serde_json::json!({
        "name": "accounts:read", "title": "Your accounts", "description": "Names and numbers",
        "audience": "https://api.example", "roles": ["account-viewer"], "max_lifetime": 3600
    }))
    .unwrap()
}

pub(crate) fn resource_server() -> ResourceServer {
    serde_json::from_value(serde_json::json!({
        "audience": "https://api.example", "name": "Accounts API", "token_format": "opaque",
        "introspection": { "id": "accounts-api", "secret": digest("api secret") }
    }))
    .unwrap()
}

pub(crate) fn catalogue() -> Catalogue {
    Catalogue::new([scope()], [resource_server()]).unwrap()
}

pub(crate) fn user(id: UserId, name: &str) -> User {
    User {
        id,
        username: name.parse().unwrap(),
        password: Some(PasswordHash::from_phc(PHC).unwrap()),
        claims: StandardClaims { name: Some("Alice \u{98a8}".to_owned()), ..StandardClaims::default() },
        roles: vec!["account-viewer".to_owned()],
        second_factor: Some(mfa::SecondFactorPolicy::IfEnrolled),
        created_at: at(0),
        password_changed_at: None,
        disabled_at: None,
    }
}

pub(crate) fn session(id: u128) -> NewSession {
    let session = Session {
        id: SessionId(Uuid::from_u128(id)),
        digest: digest(&format!("session {id}")),
        user: ALICE,
        created_at: at(0),
        auth_time: at(0),
        last_seen_at: at(0),
        expires_at: at(7200),
        acr: Acr::CustomerAuthentication,
        amr: vec![Amr::Pwd],
        ended_at: None,
        address: Some("2001:db8::1".parse().unwrap()),
        user_agent: Some("Mozilla/5.0".to_owned()),
    };
    NewSession { session }
}

pub(crate) fn interaction() -> InteractionRecord {
    InteractionRecord {
        id: InteractionId(Uuid::from_u128(20)),
        client: Some(app()),
        purpose: Purpose::Account,
        browser: digest("browser"),
        version: 1,
        created_at: at(0),
        expires_at: at(600),
        completed_at: None,
        chosen_session: None,
    }
}

pub(crate) fn consent(id: u128) -> ConsentRecord {
    ConsentRecord {
        id: ConsentId(Uuid::from_u128(id)),
        user: ALICE,
        client: app(),
        scope: "openid accounts:read".parse().unwrap(),
        resources: vec!["https://api.example".to_owned()],
        details: details(),
        granted_at: at(0),
        updated_at: at(0),
        expires_at: Some(at(5000)),
        withdrawn_at: None,
        version: 1,
    }
}

/// One detail with accounts.
pub(crate) fn details() -> protocol::authorization_details::AuthorizationDetails {
    let text = r#"[{"type":"account_information","actions":["read_balances"],"accounts":["1","2"]}]"#;
    protocol::authorization_details::AuthorizationDetails::parse(text).unwrap()
}

pub(crate) fn create(record: ConsentRecord) -> ConsentUpsert {
    ConsentUpsert::Create { record, supersedes: None }
}

pub(crate) fn grant() -> GrantRecord {
    GrantRecord {
        id: GrantId(Uuid::from_u128(40)),
        consent: consent(30).id,
        client: app(),
        user: ALICE,
        session: session(10).session.id,
        session_bound: true,
        claims: tokens::disclosed::GrantedClaims::default(),
        details: details(),
        scope: "openid accounts:read".parse().unwrap(),
        audience: vec!["https://api.example".to_owned()],
        auth_time: at(0),
        acr: Acr::StrongCustomerAuthentication,
        amr: vec![Amr::Pwd, Amr::Otp, Amr::Mfa],
        created_at: at(0),
        revoked_at: None,
        expires_at: at(4000),
    }
}

pub(crate) fn code() -> CodeRecord {
    CodeRecord {
        digest: digest("code"),
        grant: grant().id,
        client: app(),
        redirect_uri: "https://app.example/callback".to_owned(),
        code_challenge: Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned().try_into().unwrap()),
        nonce: Some("n-0S6_WzA2Mj".to_owned()),
        issued_at: at(0),
        expires_at: at(60),
        keep_until: at(660),
        consumed_at: None,
        dpop_jkt: None,
    }
}

pub(crate) fn refresh(kind: RefreshKind) -> RefreshRecord {
    RefreshRecord {
        digest: digest("refresh"),
        grant: grant().id,
        client: app(),
        kind,
        issued_at: at(0),
        idle_expires_at: at(1000),
        expires_at: at(3000),
        consumed_at: None,
        bound_to: None,
    }
}

pub(crate) fn access_token(grant: Option<GrantId>) -> AccessTokenRecord {
    let id = TokenId(Uuid::from_u128(50));
    AccessTokenRecord {
        digest: digest("access"),
        id,
        grant,
        client: app(),
        claims: AccessTokenClaims {
            iss: "https://bank.example".to_owned(),
            sub: ALICE.to_string(),
            aud: vec!["https://api.example".to_owned()],
            client_id: app(),
            jti: id,
            iat: 0,
            exp: 300,
            scope: "accounts:read".parse().unwrap(),
            grant_id: grant,
            auth_time: Some(0),
            acr: Some(Acr::CustomerAuthentication),
            amr: vec![Amr::Pwd],
            roles: vec!["account-viewer".to_owned()],
            authorization_details: details(),
            cnf: None,
            delegation: tokens::exchange::Delegation::default(),
        },
        issued_at: at(0),
        expires_at: at(300),
        revoked_at: None,
    }
}

pub(crate) fn key(kid: &str) -> SigningKeyRecord {
    SigningKeyRecord {
        kid: kid.to_owned(),
        algorithm: jose::Algorithm::Es256.into(),
        state: KeyState::Active,
        created_at: at(0),
        activates_at: at(0),
        retires_at: None,
        destroys_at: None,
        sealed_private: vec![1, 2, 0, 255],
        public_jwk: serde_json::json!({ "kty": "EC", "kid": kid }),
    }
}

pub(crate) fn event(id: u128, kind: EventKind) -> Event {
    Event::new(kind, at(i64::try_from(id).unwrap()), Uuid::from_u128(id))
}

/// What a customer who connected an app leaves: client, user, session, consent, grant, code.
pub(crate) async fn connected(bench: &Bench) {
    let store = &bench.one;
    commit!(store, tx => async {
        tx.put_client(&client()).await?;
        tx.put_user(&user(ALICE, "alice")).await?;
        tx.insert_session(&session(10)).await?;
        assert_eq!(tx.put_consent(&create(consent(30))).await?, 1);
        tx.insert_grant(&grant()).await?;
        tx.insert_code(&code()).await
    });
}

pub(crate) fn later(time: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    time + TimeDelta::seconds(seconds)
}
