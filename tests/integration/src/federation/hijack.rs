//! Nobody gets into an account that is not theirs: what a hostile provider, app or browser may try.

use audit::EventKind;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use federation::UpstreamConfig;
use serde_json::{Value, json};
use testkit::{Browser, Departure, Page};
use tokio::task::JoinSet;

use super::{
    forger::{Forger, LOGIN_ORIGIN, key},
    front::Pair,
    problem, upstream,
};
use crate::bank::{Bank, ENGINES, Engine};

/// South, and a provider that forges.
struct Scene {
    south: Bank,
    forger: Forger,
    fronts: Pair,
}

impl Scene {
    async fn open(iss_promised: bool, change: impl FnOnce(&mut UpstreamConfig)) -> Self {
        Self::on(Engine::Sqlite, iss_promised, change).await
    }

    async fn on(engine: Engine, iss_promised: bool, change: impl FnOnce(&mut UpstreamConfig)) -> Self {
        let fronts = Pair::open().await;
        let forger = Forger::open(&fronts.north, iss_promised);
        let mut config = upstream(&forger.issuer);
        change(&mut config);
        // The same provider's neighbour: honest, elsewhere, and never asked anything here.
        let mut other = upstream("https://honest.example");
        other.id = "honest".parse().unwrap();
        let outbound = fronts.outbound();
        let south = fronts.south.bank(engine, |policies| {
            policies.upstreams = vec![config, other];
            policies.outbound = outbound;
        });
        let south = south.await;
        Self { south, forger, fronts }
    }

    fn browser(&self) -> Browser {
        self.fronts.browser()
    }

    /// Sends a browser to the provider.
    async fn begin(&self, browser: &Browser) -> Departure {
        let page = browser.open(self.south.url("/account")).await;
        browser.submit(&page, "upstream-north", &[]).await.departed().clone()
    }

    fn callback(&self, provider: &str, to: &Departure, more: &str) -> String {
        let state = to.parameter("state").unwrap();
        self.south.url(&format!("/federation/callback/{provider}?code=c&state={state}{more}"))
    }

    /// A whole attempt whose ID token is changed; gives the page that follows.
    async fn forge(&self, forgery: impl FnOnce(&mut Value) -> Option<String> + Send + 'static) -> Page {
        let browser = self.browser();
        let to = self.begin(&browser).await;
        let now = self.south.now().timestamp();
        self.forger.next(to.parameter("nonce").unwrap(), now, forgery);
        browser.open(self.callback("north", &to, "")).await
    }

    async fn nobody_is_in(&self) {
        assert_eq!(self.south.audited(EventKind::SessionStarted).await, 0);
    }
}

#[tokio::test]
async fn an_address_that_equals_a_local_users_opens_nothing() {
    // Even verified, even with the same user name.
    let scene = Scene::open(false, |_| {}).await;
    let page = scene.forge(|_| None).await;
    assert!(problem(&page).contains("not connected"));
    scene.nobody_is_in().await;

    let scene = Scene::open(false, |config| config.just_in_time = true).await;
    for verified in [true, false] {
        let page = scene.forge(move |claims| {
            claims["email_verified"] = json!(verified);
            None
        });
        assert!(page.await.has("sign-out"));
    }
    let store = scene.south.service.store();
    let link = store.upstream_link(&scene.forger.issuer, "mallory").await.unwrap().unwrap();
    let alice = store.user_by_name(&"alice".parse().unwrap()).await.unwrap().unwrap();
    assert_ne!(link.user, alice.id);
    assert_eq!(scene.south.audited(EventKind::UpstreamUserCreated).await, 1);
    assert!(store.user(link.user).await.unwrap().unwrap().roles.is_empty());
}

#[tokio::test]
async fn a_state_counts_once() {
    let scene = Scene::open(false, |config| config.just_in_time = true).await;
    let browser = scene.browser();
    let to = scene.begin(&browser).await;
    scene.forger.next(to.parameter("nonce").unwrap(), scene.south.now().timestamp(), |_| None);
    let url = scene.callback("north", &to, "");
    assert!(browser.open(&url).await.has("sign-out"));
    assert_eq!(browser.open(&url).await.status, 403);
    assert_eq!(scene.forger.redeemed(), 1);
    assert_eq!(scene.south.audited(EventKind::ForgeryRefused).await, 1);
}

#[tokio::test]
async fn of_many_at_once_one_answer_counts() {
    for engine in ENGINES {
        let scene = Scene::on(engine, false, |config| config.just_in_time = true).await;
        let browser = scene.browser();
        let to = scene.begin(&browser).await;
        scene.forger.next(to.parameter("nonce").unwrap(), scene.south.now().timestamp(), |_| None);
        let url = scene.callback("north", &to, "");
        let mut answers = JoinSet::new();
        for _ in 0..20 {
            answers.spawn(browser.client().get(&url).send());
        }
        let answers = answers.join_all().await;
        let accepted = answers.into_iter().filter(|answer| answer.as_ref().unwrap().status() == 303).count();
        assert_eq!((accepted, scene.forger.redeemed()), (1, 1), "{engine:?}");
    }
}

#[tokio::test]
async fn somebody_new_in_many_browsers_at_once_becomes_one_user() {
    for engine in ENGINES {
        let scene = Scene::on(engine, false, |config| config.just_in_time = true).await;
        scene.forger.repeat_nonces(scene.south.now().timestamp());
        let mut begun = Vec::new();
        for _ in 0..8 {
            let browser = scene.browser();
            let to = scene.begin(&browser).await;
            let url = scene.callback("north", &to, "").replace("code=c", &code_of(&to));
            begun.push((browser, url));
        }
        let mut answers = JoinSet::new();
        for (browser, url) in begun {
            answers.spawn(async move { browser.open(url).await.has("sign-out") });
        }
        assert_eq!(answers.join_all().await, [true; 8], "{engine:?}: everybody is in");
        assert_eq!(scene.south.audited(EventKind::UpstreamUserCreated).await, 1, "{engine:?}");
        assert_eq!(scene.south.audited(EventKind::SessionStarted).await, 8, "{engine:?}");
    }
}

/// A code that tells the forger which nonce to say.
fn code_of(to: &Departure) -> String {
    format!("code={}", to.parameter("nonce").unwrap())
}

#[tokio::test]
async fn bcp_22_the_first_page_of_all_leads_to_the_provider() {
    let scene = Scene::open(false, |_| {}).await;
    // Nobody asked the provider for anything yet, and its sign-in page has an origin of its own.
    let page = scene.browser().open(scene.south.url("/account")).await;
    let policy = page.header("content-security-policy").unwrap();
    let actions = policy.split("form-action").nth(1).unwrap();
    assert!(actions.contains(LOGIN_ORIGIN), "{policy}");
}

#[tokio::test]
async fn another_browser_cannot_finish_what_this_one_began() {
    let scene = Scene::open(false, |config| config.just_in_time = true).await;
    let (attacker, victim) = (scene.browser(), scene.browser());
    let to = scene.begin(&attacker).await;
    // The victim's browser has cookies of its own.
    let begun = scene.begin(&victim).await;
    scene.forger.next(to.parameter("nonce").unwrap(), scene.south.now().timestamp(), |_| None);
    for browser in [victim, scene.browser()] {
        assert_eq!(browser.open(scene.callback("north", &to, "")).await.status, 403);
    }
    assert_eq!(scene.forger.redeemed(), 0);
    scene.nobody_is_in().await;
    drop(begun);
    // The state was not used up by that.
    assert!(attacker.open(scene.callback("north", &to, "")).await.has("sign-out"));
}

#[tokio::test]
async fn another_providers_answer_is_not_redeemed() {
    let scene = Scene::open(true, |config| config.just_in_time = true).await;
    let browser = scene.browser();
    // The state was made for the one, the answer comes to the other.
    let to = scene.begin(&browser).await;
    assert_eq!(browser.open(scene.callback("honest", &to, "")).await.status, 403);
    assert_eq!(browser.open(scene.callback("nobody", &to, "")).await.status, 403);
    // RFC 9207: somebody else's iss, and none where it was promised.
    for iss in ["&iss=https%3A%2F%2Fhonest.example", "", "&iss="] {
        let to = scene.begin(&browser).await;
        let page = browser.open(scene.callback("north", &to, iss)).await;
        assert!(problem(&page).contains("not accepted"), "{iss}");
    }
    assert_eq!(scene.forger.redeemed(), 0);
    scene.nobody_is_in().await;
    let to = scene.begin(&browser).await;
    scene.forger.next(to.parameter("nonce").unwrap(), scene.south.now().timestamp(), |_| None);
    let iss: String = url::form_urlencoded::byte_serialize(scene.forger.issuer.as_bytes()).collect();
    assert!(browser.open(scene.callback("north", &to, &format!("&iss={iss}"))).await.has("sign-out"));
}

#[tokio::test]
async fn id_tokens_that_break_a_rule_are_not_believed() {
    let scene = Scene::open(false, |config| config.just_in_time = true).await;
    let now = scene.south.now().timestamp();
    let other = key();
    let unsigned = |claims: &Value| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({"alg": "none"})), part(claims))
    };
    type Change = Box<dyn FnOnce(&mut Value) -> Option<String> + Send>;
    fn set(name: &'static str, value: Value) -> Change {
        Box::new(move |claims: &mut Value| {
            claims[name] = value;
            None
        })
    }
    let changes: Vec<(&str, Change)> = vec![
        ("another issuer", set("iss", json!("https://honest.example"))),
        ("another audience", set("aud", json!("somebody"))),
        ("a further audience", set("aud", json!(["south", "somebody"]))),
        ("another party", set("azp", json!("somebody"))),
        ("another nonce", set("nonce", json!("other"))),
        ("no nonce", set("nonce", Value::Null)),
        ("expired", set("exp", json!(now - 120))),
        ("from the future", set("iat", json!(now + 600))),
        ("from long ago", set("iat", json!(now - 3600))),
        ("another access token", set("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"))),
        ("no subject", set("sub", json!(""))),
        ("signed in tomorrow", set("auth_time", json!(now + 600))),
        ("unsigned", Box::new(move |claims| Some(unsigned(claims)))),
        ("another key", Box::new(move |claims| Some(other.sign("JWT", claims).unwrap()))),
    ];
    for (what, change) in changes {
        let page = scene.forge(change).await;
        assert!(problem(&page).contains("not accepted"), "{what}: {}", page.text());
    }
    for (what, change) in [
        ("nobody says when", set("auth_time", Value::Null)),
        ("too long ago", set("auth_time", json!(now - 13 * 3600))),
    ] {
        let page = scene.forge(change).await;
        assert!(problem(&page).contains("once more"), "{what}: {}", page.text());
    }
    scene.nobody_is_in().await;
    assert!(scene.forge(|_| None).await.has("sign-out"), "and without a change it is believed");
}

#[tokio::test]
async fn bcp_16_a_post_without_its_token_leads_nowhere() {
    let scene = Scene::open(false, |_| {}).await;
    let browser = scene.browser();
    let page = browser.open(scene.south.url("/account")).await;
    let form = page.form("upstream-north").with("csrf", "forged");
    assert_eq!(browser.send(form).await.status, 403);
    let form = page.form("upstream-north");
    assert_eq!(scene.browser().send(form).await.status, 403, "another browser");
}
