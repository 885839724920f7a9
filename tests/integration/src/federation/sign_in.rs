//! A second Chancery as the bank: who gets in, as whom, and as strongly as what.

use audit::EventKind;
use chrono::TimeDelta;
use federation::RoleMap;
use testkit::claims_of;

use super::{Banks, TWO_FACTORS, problem};
use crate::bank::{ENGINES, Engine};

#[tokio::test]
async fn somebody_new_becomes_a_user_just_in_time_on_both_engines() {
    for engine in ENGINES {
        let banks = Banks::open(engine, |config| config.just_in_time = true).await;
        let (browser, there) = (banks.browser(), banks.browser());
        let (app, mut alice) = (banks.app("web-app"), banks.north.person("alice"));
        let attempt = app.attempt("openid profile email");

        let page = banks.arrive(&browser, &there, &mut alice, &attempt.url()).await;
        let page = alice.walk(&browser, page, "", banks.south.now()).await;
        let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
        let id_token = claims_of(tokens.str("id_token"));
        // One factor there is one factor here.
        assert_eq!(id_token["acr"], "urn:openbanking:psd2:ca");
        assert_eq!(id_token["amr"], serde_json::json!(["pwd"]));
        assert_eq!(id_token["auth_time"], banks.north.now().timestamp());
        let userinfo = app.userinfo(tokens.str("access_token")).await.expect(200);
        assert_eq!(userinfo.str("name"), "Alice Example");
        assert_eq!(userinfo.str("email"), "alice@bank.example");

        // The local alice has the same name and the same verified address, and is somebody else.
        let local =
            banks.south.service.store().user_by_name(&"alice".parse().unwrap()).await.unwrap().unwrap();
        assert_ne!(userinfo.str("sub"), local.id.to_string());
        assert_eq!(banks.audited(EventKind::UpstreamUserCreated).await, 1);

        // The second time they are the same person.
        let (again, there) = (banks.browser(), banks.browser());
        let attempt = app.attempt("openid");
        let page = banks.arrive(&again, &there, &mut alice, &attempt.url()).await;
        let page = alice.walk(&again, page, "", banks.south.now()).await;
        let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
        assert_eq!(claims_of(tokens.str("id_token"))["sub"], id_token["sub"]);
        assert_eq!(banks.audited(EventKind::UpstreamUserCreated).await, 1);
    }
}

#[tokio::test]
async fn an_account_that_is_not_linked_opens_nothing() {
    let banks = Banks::open(Engine::Sqlite, |_| {}).await;
    let (browser, there) = (banks.browser(), banks.browser());
    let mut alice = banks.north.person("alice");
    let url = banks.app("web-app").attempt("openid").url();
    let page = banks.arrive(&browser, &there, &mut alice, &url).await;
    assert!(problem(&page).contains("not connected"), "{}", page.text());
    assert_eq!(banks.audited(EventKind::SessionStarted).await, 0);
    // The password still works, in the same interaction.
    let mut local = banks.south.person("alice");
    assert!(!local.walk(&browser, page, "", banks.south.now()).await.departed().code().is_empty());
}

#[tokio::test]
async fn a_linked_account_signs_its_owner_in() {
    for engine in ENGINES {
        let banks = Banks::open(engine, |_| {}).await;
        let (browser, there) = (banks.browser(), banks.browser());
        let (mut bob, mut alice) = (banks.south.person("bob"), banks.north.person("alice"));
        let page = banks.link(&browser, &there, &mut bob, &mut alice).await;
        assert!(page.has("unlink-north"), "{} {}", page.url, page.text());
        assert_eq!(banks.audited(EventKind::UpstreamLinked).await, 1);

        let (browser, there) = (banks.browser(), banks.browser());
        let app = banks.app("web-app");
        let attempt = app.attempt("openid profile");
        let page = banks.arrive(&browser, &there, &mut alice, &attempt.url()).await;
        let page = alice.walk(&browser, page, "", banks.south.now()).await;
        let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
        // Bob is who he is here: what North says of alice is not copied.
        assert_eq!(app.userinfo(tokens.str("access_token")).await.expect(200).str("name"), "Bob Example");

        // Another account here cannot take the same account there.
        let (other, there) = (banks.browser(), banks.browser());
        let mut dave = banks.south.person("dave");
        let page = banks.link(&other, &there, &mut dave, &mut alice).await;
        assert!(page.has("link-north") && page.text().contains("Nothing was connected"), "{}", page.text());
        assert_eq!(banks.audited(EventKind::UpstreamLinkRefused).await, 1);

        // Disconnected, it opens nothing any more, and what it opened elsewhere is closed.
        let (elsewhere, there) = (banks.browser(), banks.browser());
        banks.arrive(&elsewhere, &there, &mut alice, &banks.south.url("/account")).await;
        assert!(elsewhere.open(banks.south.url("/account")).await.has("unlink-north"));
        let page = browser.open(banks.south.url("/account")).await;
        let page = browser.submit(&page, "unlink-north", &[]).await;
        assert!(page.has("link-north"), "{} {}", page.url, page.text());
        assert!(browser.open(banks.south.url("/account")).await.has("link-north"), "the one at hand goes on");
        assert!(elsewhere.open(banks.south.url("/account")).await.has("login-submit"));
        let (browser, there) = (banks.browser(), banks.browser());
        let page = banks.arrive(&browser, &there, &mut alice, &attempt.url()).await;
        assert!(problem(&page).contains("not connected"));
    }
}

#[tokio::test]
async fn links_are_made_after_a_fresh_sign_in_only() {
    let banks = Banks::open(Engine::Sqlite, |_| {}).await;
    let (browser, mut bob) = (banks.browser(), banks.south.person("bob"));
    let page = browser.open(banks.south.url("/account")).await;
    let page = bob.walk(&browser, page, "link-north", banks.south.now()).await;
    banks.south.advance(TimeDelta::minutes(6));
    banks.north.advance(TimeDelta::minutes(6));
    // Whoever finds the open browser is asked for the password first.
    let page = browser.submit(&page, "link-north", &[]).await;
    assert!(page.has("login-submit"), "{} {}", page.url, page.text());
    assert!(page.departure.is_none());
}

#[tokio::test]
async fn a_disabled_user_stays_out() {
    let banks = Banks::open(Engine::Sqlite, |config| config.just_in_time = true).await;
    let (browser, there) = (banks.browser(), banks.browser());
    let (mut bob, mut alice) = (banks.south.person("bob"), banks.north.person("alice"));
    banks.link(&browser, &there, &mut bob, &mut alice).await;
    let store = banks.south.service.store();
    let user = store.user_by_name(&"bob".parse().unwrap()).await.unwrap().unwrap();
    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.disable_user(user.id, banks.south.now()).await.unwrap(), 1);
    tx.commit().await.unwrap();
    let (browser, there) = (banks.browser(), banks.browser());
    let url = banks.app("web-app").attempt("openid").url();
    let page = banks.arrive(&browser, &there, &mut alice, &url).await;
    assert!(problem(&page).contains("not connected"));
    // Nor does the person come in as somebody new.
    assert_eq!(banks.audited(EventKind::UpstreamUserCreated).await, 0);
}

#[tokio::test]
async fn two_factors_there_count_here_by_the_table_only() {
    for (known, expected) in [(true, "urn:openbanking:psd2:sca"), (false, "urn:openbanking:psd2:ca")] {
        let banks = Banks::open(Engine::Sqlite, |config| {
            config.just_in_time = true;
            if !known {
                config.acr.clear();
            }
        })
        .await;
        let (browser, there) = (banks.browser(), banks.browser());
        // Carol has two factors at North, always.
        let mut carol = banks.north.person("carol");
        let app = banks.app("web-app");
        let attempt = app.attempt("openid");
        let page = banks.arrive(&browser, &there, &mut carol, &attempt.url()).await;
        let page = carol.walk(&browser, page, "", banks.south.now()).await;
        let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
        let id_token = claims_of(tokens.str("id_token"));
        assert_eq!(id_token["acr"], expected);
        let says_mfa = id_token["amr"].as_array().unwrap().contains(&"mfa".into());
        assert_eq!(says_mfa, known, "{id_token}");
    }
}

#[tokio::test]
async fn a_second_factor_of_our_own_is_asked_where_theirs_is_not_enough() {
    let banks = Banks::open(Engine::Sqlite, |config| config.just_in_time = true).await;
    let (browser, there) = (banks.browser(), banks.browser());
    let mut bob = banks.north.person("bob");
    let app = banks.app("strict-app");
    let attempt = app.attempt("openid");
    let page = browser.open(attempt.url()).await;
    let to = banks.to_north(&browser, &page).await;
    // North is asked for two factors in its own words, and for the time of the sign-in.
    assert_eq!(to.parameter("acr_values"), Some(TWO_FACTORS));
    assert_eq!(to.parameter("max_age"), Some("43200"));
    assert_eq!(to.parameter("code_challenge_method"), Some("S256"));
    // Bob gives one there and another one here.
    let back = banks.through_north(&there, &mut bob, &to.clone()).await;
    let page = browser.open(back.url.as_str()).await;
    let mut here = bob.clone();
    here.secret = None;
    let page = here.walk(&browser, page, "", banks.south.now()).await;
    let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    assert_eq!(claims_of(tokens.str("id_token"))["acr"], "urn:openbanking:psd2:sca");
}

/// What the app asks for in detail is heard as its scope is.
#[tokio::test]
async fn rar_02_details_that_want_two_factors_are_asked_of_the_provider() {
    let banks = Banks::open(Engine::Sqlite, |config| config.just_in_time = true).await;
    let declared = r#"
        [[authorization_details_type]]
        type = "payment_initiation"
        title = "Make a payment"
        locations = ["https://api.bank.example"]
        [[client]]
        client_id = "payer"
        profile = "general"
        client_secret = "payer-secret-0123456789abcdefg"
        redirect_uris = ["https://web.example/cb"]
        scope = "openid"
        authorization_details_types = ["payment_initiation"]
    "#;
    banks.south.declare(declared).await.unwrap();
    let payment = serde_json::json!([{
        "type": "payment_initiation",
        "instructedAmount": { "currency": "EUR", "amount": "12.50" },
        "creditorName": "Cafe",
        "creditorAccount": { "iban": "DE02100100109307118603" },
    }]);
    let attempt = banks.app("web-app").attempt("openid").with("client_id", "payer");
    for (attempt, asked) in [
        (attempt.clone(), None),
        (attempt.with("authorization_details", &payment.to_string()), Some(TWO_FACTORS)),
    ] {
        let browser = banks.browser();
        let page = browser.open(attempt.url()).await;
        let to = banks.to_north(&browser, &page).await;
        assert_eq!(to.parameter("acr_values"), asked);
    }
}

#[tokio::test]
async fn oc_06_prompt_login_is_passed_on() {
    let banks = Banks::open(Engine::Sqlite, |config| config.just_in_time = true).await;
    let (browser, there) = (banks.browser(), banks.browser());
    let (app, mut alice) = (banks.app("web-app"), banks.north.person("alice"));
    let attempt = app.attempt("openid");
    let page = banks.arrive(&browser, &there, &mut alice, &attempt.url()).await;
    alice.walk(&browser, page, "", banks.south.now()).await;
    let first = banks.north.now();
    banks.north.advance(TimeDelta::minutes(3));
    banks.south.advance(TimeDelta::minutes(3));
    let attempt = app.attempt("openid").with("prompt", "login").with("login_hint", "a@north.example");
    let page = browser.open(attempt.url()).await;
    let to = banks.to_north(&browser, &page).await;
    assert_eq!(to.parameter("prompt"), Some("login"));
    assert_eq!(to.parameter("login_hint"), Some("a@north.example"));
    // The person is signed in there, and types the password again all the same.
    let page = there.open(to.url.as_str()).await;
    assert!(page.has("login-submit"), "{}", page.text());
    let back = alice.walk(&there, page, "", banks.north.now()).await.departed().clone();
    let page = browser.open(back.url.as_str()).await;
    let page = alice.walk(&browser, page, "", banks.south.now()).await;
    let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    let auth_time = claims_of(tokens.str("id_token"))["auth_time"].as_i64().unwrap();
    assert_eq!(auth_time, (first + TimeDelta::minutes(3)).timestamp());
}

#[tokio::test]
async fn roles_of_a_user_who_was_brought_follow_the_provider() {
    let roles = |to: &str| RoleMap {
        claim: Some("name".into()),
        roles: [("Alice Example".to_owned(), to.to_owned())].into(),
    };
    let banks = Banks::open(Engine::Sqlite, |config| {
        config.just_in_time = true;
        config.roles = roles("account-viewer");
    })
    .await;
    let (app, mut alice) = (banks.app("web-app"), banks.north.person("alice"));
    let attempt = app.attempt("openid accounts:read");
    let (browser, there) = (banks.browser(), banks.browser());
    let page = banks.arrive(&browser, &there, &mut alice, &attempt.url()).await;
    let page = alice.walk(&browser, page, "", banks.south.now()).await;
    let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    assert_eq!(claims_of(tokens.str("access_token"))["roles"], serde_json::json!(["account-viewer"]));

    // North calls her by another name now, and the role is gone with the next sign-in.
    let north = banks.north.service.store();
    let mut user = north.user_by_name(&"alice".parse().unwrap()).await.unwrap().unwrap();
    user.claims.name = Some("Alice Moreau".into());
    let mut tx = north.begin().await.unwrap();
    tx.put_user(&user).await.unwrap();
    tx.commit().await.unwrap();
    let attempt = app.attempt("openid profile accounts:read").with("prompt", "login");
    let page = banks.arrive(&banks.browser(), &banks.browser(), &mut alice, &attempt.url()).await;
    assert!(!page.has("login-submit"), "{}", page.text());
    let sub = claims_of(tokens.str("id_token"))["sub"].as_str().unwrap().parse().unwrap();
    let user = banks.south.service.store().user(sub).await.unwrap().unwrap();
    assert_eq!((user.roles, user.claims.name.as_deref()), (vec![], Some("Alice Moreau")));
}

#[tokio::test]
async fn the_list_and_the_address_lead_to_the_provider() {
    let banks = Banks::open(Engine::Sqlite, |config| config.hidden = true).await;
    let browser = banks.browser();
    let page = browser.open(banks.app("web-app").attempt("openid").url()).await;
    assert!(!page.has("upstream-north"), "hidden ones are not listed");
    // Forms of the page lead to North and to the app, and nowhere else.
    let policy = page.header("content-security-policy").unwrap();
    let targets = policy.split("form-action ").nth(1).unwrap();
    assert_eq!(targets, format!("'self' https://web.example {}", banks.north.issuer));
    let lost = browser.submit(&page, "realm-submit", &[("realm", "alice@elsewhere.example")]).await;
    assert!(problem(&lost).contains("No bank or employer"));
    let to = browser.submit(&page, "realm-submit", &[("realm", "alice@North.example")]).await;
    assert_eq!(to.departed().parameter("login_hint"), Some("alice@North.example"));
    // With the address as a hint of the app, the provider is offered.
    let hinted = banks.app("web-app").attempt("openid").with("login_hint", "a@north.example").url();
    assert!(browser.open(hinted).await.has("upstream-north"));
}

#[tokio::test]
async fn a_refusal_there_leads_back_to_the_sign_in_page() {
    let banks = Banks::open(Engine::Sqlite, |_| {}).await;
    let (browser, there) = (banks.browser(), banks.browser());
    let page = browser.open(banks.app("web-app").attempt("openid").url()).await;
    let to = banks.to_north(&browser, &page).await;
    let page = there.open(to.url.as_str()).await;
    let back = there.submit(&page, "cancel", &[]).await.departed().clone();
    assert_eq!(back.error(), "access_denied");
    let page = browser.open(back.url.as_str()).await;
    assert!(problem(&page).contains("You were not signed in there"), "{}", page.text());
    // And once more in another language.
    let zh = browser.client().get(page.url.clone()).header("accept-language", "zh-TW");
    assert!(zh.send().await.unwrap().text().await.unwrap().contains("您未在該機構完成登入"));
}
