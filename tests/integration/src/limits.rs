//! Limits: how much one address and one client may ask for, and that a stranger who fails on purpose
//! slows down strangers, not the customer.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::TimeDelta;
use testkit::{Answer, Browser, ClientAuth, Page, RelyingParty};
use web::limits::LimitPolicy;

use crate::bank::{Bank, ENGINES, Node};
use crate::visits::{enrol, sign_in, type_password};

const DEVICE: &str = "chancery-device-dev";

fn per_minute(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number)
}

fn batch_job(node: &Node) -> RelyingParty {
    let auth = ClientAuth::Basic("batch-job-secret-0123456789ab".into());
    RelyingParty::new(&node.address, "batch-job", auth, "https://unused.example/cb")
}

/// A refusal as RFC 6585 §4 has it, which says when to come again.
fn too_many(answer: &Answer, seconds: &str) {
    answer.expect_error(429, "temporarily_unavailable");
    assert_eq!(answer.header("retry-after"), Some(seconds));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn endpoints_count_an_address_before_anybody_is_authenticated() {
    let bank = Bank::open().await;
    let policy = LimitPolicy { endpoints: per_minute(4), ..LimitPolicy::default() };
    let (node, clock) = bank.limited(policy).await;
    let job = batch_job(&node);
    let token = job.client_credentials("accounts:read").await.expect(200);
    assert_eq!(token.header("ratelimit-policy"), Some("\"endpoint\";q=4;w=60"));
    assert_eq!(token.header("ratelimit"), Some("\"endpoint\";r=3;t=15"));
    let stranger =
        RelyingParty::new(&node.address, "nobody", ClientAuth::Basic("x".into()), "https://x.example/cb");
    stranger.client_credentials("accounts:read").await.expect_error(401, "invalid_client");
    let userinfo = job.userinfo("nothing").await.expect(401);
    assert_eq!(userinfo.header("ratelimit"), Some("\"endpoint\";r=1;t=15"));
    job.revoke("nothing").await.expect(200);

    for path in ["/token", "/revoke", "/introspect", "/userinfo"] {
        let answer = job.post(path, &[]).await;
        too_many(&answer, "15");
        assert_eq!(answer.header("ratelimit"), Some("\"endpoint\";r=0;t=15"), "{path}");
    }
    // What costs nothing is never refused.
    job.get("/jwks").await.expect(200);
    job.get("/.well-known/openid-configuration").await.expect(200);
    clock.advance(Duration::from_secs(15));
    job.client_credentials("accounts:read").await.expect(200);
    too_many(&job.client_credentials("accounts:read").await, "15");
}

#[tokio::test]
async fn a_refusal_can_be_read_by_a_browser_app() {
    let bank = Bank::open().await;
    let policy = LimitPolicy { endpoints: per_minute(1), ..LimitPolicy::default() };
    let (node, _) = bank.limited(policy).await;
    let ask = || async { batch_job(&node).get("/userinfo").await };
    ask().await.expect(401);
    let refused = ask().await;
    too_many(&refused, "60");
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
    let exposed = refused.header("access-control-expose-headers").unwrap();
    assert!(
        ["retry-after", "ratelimit", "ratelimit-policy"].iter().all(|name| exposed.contains(name)),
        "{exposed}"
    );
}

#[tokio::test]
async fn a_client_is_counted_only_when_it_has_proved_who_it_is() {
    let bank = Bank::open().await;
    let policy = LimitPolicy { clients: per_minute(2), ..LimitPolicy::default() };
    let (node, clock) = bank.limited(policy).await;
    let job = batch_job(&node);
    // A stranger who names the client uses up nothing of its share.
    let stranger = RelyingParty::new(
        &node.address,
        "batch-job",
        ClientAuth::Basic("guess".into()),
        "https://x.example/cb",
    );
    for _ in 0..5 {
        let refused = stranger.client_credentials("accounts:read").await;
        refused.expect_error(401, "invalid_client");
        assert_eq!(refused.header("ratelimit"), None);
    }
    let token = job.client_credentials("accounts:read").await.expect(200);
    assert_eq!(token.header("ratelimit"), Some("\"client\";r=1;t=30"));
    assert_eq!(token.header("ratelimit-policy"), Some("\"client\";q=2;w=60"));
    job.revoke(token.str("access_token")).await.expect(200);
    too_many(&job.client_credentials("accounts:read").await, "30");
    too_many(&job.revoke(token.str("access_token")).await, "30");
    // Neither another client nor one without credentials is touched by that.
    let auth = ClientAuth::Basic("web-app-secret-0123456789abcd".into());
    let other = RelyingParty::new(&node.address, "web-app", auth, "https://web.example/cb");
    other.refresh("nothing").await.expect_error(400, "invalid_grant");
    let public = RelyingParty::new(&node.address, "native-app", ClientAuth::None, "http://127.0.0.1:4711/cb");
    for _ in 0..5 {
        public.refresh("nothing").await.expect_error(400, "invalid_grant");
    }
    clock.advance(Duration::from_secs(30));
    job.client_credentials("accounts:read").await.expect(200);
}

#[tokio::test]
async fn people_read_a_page_and_guesses_have_a_limit_of_their_own() {
    let bank = Bank::open().await;
    let policy = LimitPolicy { guesses: per_minute(2), pages: per_minute(6), ..LimitPolicy::default() };
    let (node, clock) = bank.limited(policy).await;
    let browser = Browser::new();
    // Two pages: the account leads to an interaction.
    let page = browser.open(format!("{}/account", node.address)).await.expect(200);
    assert_eq!(page.header("ratelimit"), Some("\"page\";r=4;t=10"));
    // Two guesses, at whichever accounts.
    type_password(&browser, &page, "alice", "wrong").await.expect(403);
    let second = type_password(&browser, &page, "bob", "wrong").await.expect(403);
    assert_eq!(second.header("ratelimit"), Some("\"guess\";r=0;t=30"));
    let refused = type_password(&browser, &page, "carol", "wrong").await.expect(429);
    assert_eq!(refused.header("retry-after"), Some("30"));
    assert!(refused.header("content-type").unwrap().starts_with("text/html"));
    assert!(refused.header("content-security-policy").is_some());
    assert!(refused.text().contains("30 seconds"), "{}", refused.text());
    // Pages go on, up to their own limit; what reads nothing but the program goes on after it.
    for _ in 0..4 {
        browser.open(page.url.as_str()).await.expect(200);
    }
    browser.open(page.url.as_str()).await.expect(429);
    browser.open(format!("{}/authorize", node.address)).await.expect(429);
    browser.open(format!("{}/signed-out", node.address)).await.expect(200);
    clock.advance(Duration::from_secs(60));
    let accepted = type_password(&browser, &page, "bob", "granite-teapot-orbit").await.expect(200);
    assert!(accepted.has("sign-out"), "{}", accepted.text());
}

/// Fails at an account until it answers nobody that it does not know.
async fn hammer(bank: &Bank, username: &str) -> (Browser, Page) {
    let stranger = Browser::new();
    let page = stranger.open(bank.url("/account")).await.expect(200);
    for _ in 0..20 {
        if type_password(&stranger, &page, username, "wrong-password").await.status == 429 {
            return (stranger, page);
        }
    }
    panic!("{username} may be guessed at for ever");
}

#[tokio::test]
async fn se_03_a_stranger_cannot_lock_a_customer_out_on_both_engines() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (home, mut alice) = (Browser::new(), bank.person("alice"));
        sign_in(&bank, &mut alice, &home).await;
        let kept = home.cookie(&bank.issuer, DEVICE).expect("the browser keeps a mark");
        let page = home.open(bank.url("/account")).await;
        home.submit(&page, "sign-out", &[]).await.expect(200);

        let (stranger, guess) = hammer(&bank, "alice").await;
        // At home, at once.
        sign_in(&bank, &mut alice, &home).await;
        assert_eq!(home.cookie(&bank.issuer, DEVICE), Some(kept), "the same mark, and so the same count");
        // That does nothing for the stranger, who may even have the right password by now.
        type_password(&stranger, &guess, "alice", &alice.password).await.expect(429);
        // A browser that the account does not know waits like everybody.
        let away = Browser::new();
        let page = away.open(bank.url("/account")).await.expect(200);
        type_password(&away, &page, "alice", &alice.password).await.expect(429);
        bank.advance(TimeDelta::hours(1));
        let page = away.open(bank.url("/account")).await.expect(200);
        let page = type_password(&away, &page, "alice", &alice.password).await.expect(200);
        assert!(page.has("sign-out"), "{}", page.text());
    }
}

#[tokio::test]
async fn se_03_a_known_browser_has_a_count_of_its_own_and_waits_for_it() {
    let bank = Bank::open().await;
    let (home, mut alice) = (Browser::new(), bank.person("alice"));
    let page = sign_in(&bank, &mut alice, &home).await;
    home.submit(&page, "sign-out", &[]).await.expect(200);
    let page = home.open(bank.url("/account")).await.expect(200);
    for _ in 0..5 {
        type_password(&home, &page, "alice", "wrong-password").await.expect(403);
    }
    type_password(&home, &page, "alice", "wrong-password").await.expect(429);
    // Its mark is worth nothing at another account: there it is a stranger.
    let (_, _) = hammer(&bank, "bob").await;
    type_password(&home, &page, "bob", "granite-teapot-orbit").await.expect(429);
}

#[tokio::test]
async fn se_03_a_password_alone_earns_no_mark_where_a_second_factor_is_set_up() {
    let bank = Bank::open().await;
    let (home, mut alice) = (Browser::new(), bank.person("alice"));
    sign_in(&bank, &mut alice, &home).await;
    let before = home.cookie(&bank.issuer, DEVICE).unwrap();
    enrol(&bank, &mut alice, &home).await;
    let marked = home.cookie(&bank.issuer, DEVICE).unwrap();
    assert_ne!(
        before, marked,
        "an authenticator makes former marks worthless, and this browser gets a new one"
    );

    // A thief with the password gets no mark, and so no fresh attempts at the second factor.
    let thief = Browser::new();
    let page = thief.open(bank.url("/account")).await.expect(200);
    let page = type_password(&thief, &page, "alice", &alice.password).await.expect(200);
    assert!(page.has("otp-submit"), "{}", page.text());
    assert_eq!(thief.cookie(&bank.issuer, DEVICE), None);
    let mut refused = page;
    for _ in 0..10 {
        refused = thief.submit(&refused, "otp-submit", &[("otp", "000000")]).await;
    }
    assert_eq!(refused.status, 429);
    // Nor does a mark from before the authenticator help.
    thief.plant_cookie(&bank.issuer, &format!("{DEVICE}={before}; Path=/"));
    let page = thief.open(bank.url("/account")).await;
    thief.submit(&page, "otp-submit", &[("otp", "000000")]).await.expect(429);

    // At home nothing of that is felt: password, code, done.
    let page = home.open(bank.url("/account")).await;
    home.submit(&page, "sign-out", &[]).await.expect(200);
    bank.advance(TimeDelta::seconds(60));
    sign_in(&bank, &mut alice, &home).await;
}

#[tokio::test]
async fn se_03_a_new_password_forgets_other_browsers_and_keeps_this_one() {
    let bank = Bank::open().await;
    let (home, other, mut alice) = (Browser::new(), Browser::new(), bank.person("alice"));
    sign_in(&bank, &mut alice, &other).await;
    let account = sign_in(&bank, &mut alice, &home).await;
    // Strangers keep nobody who is signed in from changing the password.
    hammer(&bank, "alice").await;
    let fresh = "copper-thimble-garden";
    let fields = [("current_password", alice.password.as_str()), ("new_password", fresh)];
    let changed = home.submit(&account, "password-submit", &fields).await.expect(200);
    home.submit(&changed, "sign-out", &[]).await.expect(200);
    let page = other.open(bank.url("/account")).await.expect(200);
    type_password(&other, &page, "alice", fresh).await.expect(429);
    let page = home.open(bank.url("/account")).await.expect(200);
    let page = type_password(&home, &page, "alice", fresh).await.expect(200);
    assert!(page.has("sign-out"), "{}", page.text());
}
