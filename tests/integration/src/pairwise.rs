//! Pairwise subjects (OpenID Connect Core §8): the same person is somebody else in each sector.

use flows::operate::{ClientDraft, OperateFault};
use protocol::ClientId;
use serde_json::{Value, json};
use testkit::{Browser, ClientAuth, Person, RelyingParty, claims_of};

use crate::{
    bank::{Bank, ENGINES, Engine},
    publisher::Publisher,
};

/// A pairwise client at a host, in TOML.
fn client(id: &str, uris: &[&str], more: &str) -> String {
    format!(
        "[[client]]\nclient_id = '{id}'\ntoken_endpoint_auth_method = 'none'\nsubject_type = 'pairwise'\n\
         redirect_uris = {uris:?}\ngrant_types = ['authorization_code', 'refresh_token']\n\
         scope = 'openid email accounts:read cards:read'\n{more}\n"
    )
}

fn party(bank: &Bank, id: &str, uri: &str) -> RelyingParty {
    RelyingParty::new(&bank.issuer, id, ClientAuth::None, uri)
}

/// One person at one browser, and what each app learns.
struct Visit<'a> {
    bank: &'a Bank,
    browser: Browser,
    person: Person,
}

struct Told {
    id_token: String,
    access: String,
    userinfo: Value,
}

impl<'a> Visit<'a> {
    fn of(bank: &'a Bank, username: &str) -> Self {
        Self { bank, browser: Browser::new(), person: bank.person(username) }
    }

    async fn told(&mut self, party: &RelyingParty, scope: &str) -> Told {
        let attempt = party.attempt(scope);
        let departure = self.bank.connect(&mut self.person, &self.browser, attempt.url()).await;
        let tokens = party.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        let access = tokens.str("access_token").to_owned();
        let userinfo = party.userinfo(&access).await.expect(200).json;
        Told { id_token: tokens.str("id_token").to_owned(), access, userinfo }
    }

    async fn sub(&mut self, party: &RelyingParty) -> String {
        let told = self.told(party, "openid").await;
        claims_of(&told.id_token)["sub"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn oc_21_a_subject_is_per_sector_and_stable() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        for declared in [
            client("one", &["https://app.example/cb"], ""),
            client("two", &["https://app.example/other"], ""),
            client("three", &["https://elsewhere.example/cb"], ""),
        ] {
            bank.declare(&declared).await.unwrap();
        }
        let one = party(&bank, "one", "https://app.example/cb");
        let two = party(&bank, "two", "https://app.example/other");
        let three = party(&bank, "three", "https://elsewhere.example/cb");
        let mut alice = Visit::of(&bank, "alice");
        let public = alice.sub(&bank.app("web-app")).await;
        let own = alice.sub(&one).await;
        assert_eq!(own, alice.sub(&two).await, "one host, one sector");
        assert_ne!(own, alice.sub(&three).await);
        assert_ne!(own, public);
        assert_ne!(own, Visit::of(&bank, "bob").sub(&one).await);
        // Another server of the deployment says the same, and so does this one after a restart.
        let node = bank.another_node().await;
        let mut elsewhere = one.clone();
        elsewhere.issuer = node.address.parse().unwrap();
        let attempt = one.attempt("openid");
        let departure = bank.connect(&mut alice.person, &alice.browser, attempt.url()).await;
        let tokens = elsewhere.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        assert_eq!(claims_of(tokens.str("id_token"))["sub"], own.as_str());
    }
}

#[tokio::test]
async fn oc_21_the_client_finds_the_real_subject_nowhere() {
    let bank = Bank::open().await;
    bank.declare(&client("one", &["https://app.example/cb"], "")).await.unwrap();
    let one = party(&bank, "one", "https://app.example/cb");
    let mut alice = Visit::of(&bank, "alice");
    let public = alice.sub(&bank.app("web-app")).await;
    let told = alice.told(&one, "openid email accounts:read").await;
    let own = claims_of(&told.id_token)["sub"].clone();
    // OC-16: the same at userinfo, and in the access token, which the client can read.
    assert_eq!(told.userinfo["sub"], own);
    assert_eq!(claims_of(&told.access)["sub"], own);
    for text in [&told.id_token, &told.access] {
        assert!(!claims_of(text).to_string().contains(&public));
    }
    // The bank's API has to find the account, and asks who it is.
    let answer = bank.api("accounts-api").introspect(&told.access).await.expect(200);
    assert_eq!((answer["active"].clone(), answer["sub"].clone()), (json!(true), json!(public)));
}

#[tokio::test]
async fn oc_21_oc_09_oc_18_hints_and_demands_speak_of_the_pairwise_subject() {
    let bank = Bank::open().await;
    bank.declare(&client("one", &["https://app.example/cb"], "")).await.unwrap();
    let one = party(&bank, "one", "https://app.example/cb");
    let mut alice = Visit::of(&bank, "alice");
    let told = alice.told(&one, "openid").await;
    let own = claims_of(&told.id_token)["sub"].as_str().unwrap().to_owned();
    let public = alice.sub(&bank.app("web-app")).await;
    let browser = &alice.browser;
    let silently = |attempt: testkit::Attempt| async move {
        browser.open(attempt.with("prompt", "none").url()).await.departed().clone()
    };
    let hinted = silently(one.attempt("openid").with("id_token_hint", &told.id_token)).await;
    assert!(hinted.parameter("code").is_some(), "{:?}", hinted.parameters);
    let demand = |sub: &str| json!({"id_token": {"sub": {"value": sub}}}).to_string();
    let demanded = silently(one.attempt("openid").with("claims", &demand(&own))).await;
    assert!(demanded.parameter("code").is_some(), "{:?}", demanded.parameters);
    // Who knows somebody's public subject can't find out that it is the same person.
    let guessed = silently(one.attempt("openid").with("claims", &demand(&public))).await;
    assert_eq!(guessed.error(), "login_required");
    // Bob is not meant.
    let mut bob = Visit::of(&bank, "bob");
    bob.sub(&one).await;
    let attempt = one.attempt("openid").with("id_token_hint", &told.id_token).with("prompt", "none");
    assert_eq!(bob.browser.open(attempt.url()).await.departed().error(), "login_required");
}

#[tokio::test]
async fn oc_21_the_sector_document_lists_every_redirect_uri() {
    let publisher = Publisher::open().await;
    let policy = publisher.policy();
    let bank = Bank::with(Engine::Sqlite, |policies| policies.outbound = policy).await;
    let uris = ["https://one.example/cb", "https://two.example/cb"];
    let refused = bank.declare(&client("wide", &uris, "")).await.unwrap_err();
    assert!(refused.contains("sector_identifier_uri"), "{refused}");
    // The hosts of the URIs differ, so a document must say that they belong together.
    let sector = |path: &str| format!("sector_identifier_uri = '{}'", publisher.url(path));
    publisher.publish("/short", &json!([uris[0]]));
    let refused = bank.declare(&client("wide", &uris, &sector("/short"))).await.unwrap_err();
    assert!(refused.contains("does not list https://two.example/cb"), "{refused}");
    publisher.put("/page", 200, "Content-Type: text/html\r\n", "<html>");
    let refused = bank.declare(&client("wide", &uris, &sector("/page"))).await.unwrap_err();
    assert!(refused.contains("sector_identifier_uri"), "{refused}");
    let refused = bank.declare(&client("wide", &uris, &sector("/nowhere"))).await.unwrap_err();
    assert!(refused.contains("404"), "{refused}");
    publisher.publish("/sector", &json!([uris[1], uris[0], "https://three.example/"]));
    let wide = client("wide", &uris, &sector("/sector"));
    bank.declare(&wide).await.unwrap();
    assert_eq!(publisher.read("/sector"), 1);
    // Unchanged, it is not fetched again: nothing depends on that server being up.
    bank.declare(&wide.replace("email ", "")).await.unwrap();
    let mut alice = Visit::of(&bank, "alice");
    let (one, two) = (party(&bank, "wide", uris[0]), party(&bank, "wide", uris[1]));
    assert_eq!(alice.sub(&one).await, alice.sub(&two).await);
    assert_eq!(publisher.read("/sector"), 1);
    // Another client of the sector knows her by the same name.
    bank.declare(&client("peer", &uris[..1], &sector("/sector"))).await.unwrap();
    let peer = party(&bank, "peer", uris[0]);
    assert_eq!(alice.sub(&peer).await, alice.sub(&one).await);
}

/// An operator's command is held to what a file is held to.
#[tokio::test]
async fn oc_21_an_operators_client_is_vouched_for_too() {
    for engine in ENGINES {
        let publisher = Publisher::open().await;
        let policy = publisher.policy();
        let bank = Bank::with(engine, |policies| policies.outbound = policy).await;
        let operate = bank.service.operate("alex");
        let uris = |uris: &[&str]| uris.iter().map(|uri| (*uri).to_owned()).collect::<Vec<_>>();
        let (one, two) = ("https://one.example/cb", "https://two.example/cb");
        let id: ClientId = "wide".parse().unwrap();
        let mut draft = ClientDraft::default();
        draft.metadata.redirect_uris = uris(&[one, two]);
        draft.metadata.sector_identifier_uri = Some(publisher.url("/sector"));
        publisher.publish("/sector", &json!([one]));
        let refused = operate.create_client(id.clone(), draft.clone(), None).await.unwrap().unwrap_err();
        assert!(refused.to_string().contains("does not list https://two.example/cb"), "{refused}");
        draft.metadata.redirect_uris = uris(&[one]);
        operate.create_client(id.clone(), draft, None).await.unwrap().unwrap();
        let named = |name: &'static str| {
            move |mut draft: ClientDraft| {
                draft.metadata.client_name = Some(name.to_owned());
                Ok(draft)
            }
        };
        operate.update_client(&id, named("Wide")).await.unwrap().unwrap();
        assert_eq!(publisher.read("/sector"), 2, "{engine:?}: what it vouched for stays so");

        let widened = |mut draft: ClientDraft| {
            draft.metadata.redirect_uris = uris(&[one, two]);
            Ok(draft)
        };
        let refused = operate.update_client(&id, widened).await.unwrap().unwrap_err();
        assert!(refused.to_string().contains("does not list https://two.example/cb"), "{refused}");
        // While the sector is asked, nobody waits; and nobody's change is undone unseen.
        publisher.publish("/sector", &json!([one, two]));
        let gate = publisher.hold("/sector");
        let other = async {
            publisher.asked("/sector", 4).await;
            operate.update_client(&id, named("Wider")).await.unwrap().unwrap();
            gate.add_permits(1);
        };
        let (late, ()) = tokio::join!(operate.update_client(&id, widened), other);
        let late = late.unwrap().unwrap_err();
        assert!(matches!(late, OperateFault::State(_)), "{late}");
        let stored = bank.service.store().client(&id).await.unwrap().unwrap().metadata;
        assert_eq!((stored.client_name.as_deref(), stored.redirect_uris), (Some("Wider"), uris(&[one])));
    }
}

#[tokio::test]
async fn oc_21_out_01_no_byte_goes_to_a_private_sector_host() {
    let publisher = Publisher::open().await;
    let bank = Bank::open().await;
    for url in [publisher.url("/sector"), "https://169.254.169.254/sector".into(), "https://[::1]/s".into()] {
        let declared =
            client("wide", &["https://one.example/cb"], &format!("sector_identifier_uri = '{url}'"));
        let refused = bank.declare(&declared).await.unwrap_err();
        assert!(refused.contains("sector_identifier_uri"), "{refused}");
    }
    assert_eq!(publisher.read("/sector"), 0);
}
