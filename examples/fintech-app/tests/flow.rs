//! The apps against a small bank of their own: code flow, refresh, withdrawal, revocation, logout, and answers
//! that must not be believed.

#![allow(clippy::unwrap_used, missing_docs)]

mod bank;

use bank::{StubBank, Visitor, parameter};
use reqwest::StatusCode;
use url::Url;

#[tokio::test]
async fn a_customer_connects_refreshes_and_the_bank_withdraws() {
    let bank = StubBank::start().await;
    let visitor = Visitor::of(&bank).await;
    assert!(visitor.page("/").await.contains("open-pocketwise"));
    assert!(visitor.page("/ledgerline").await.contains("connect-ledgerline"));

    let carried = visitor.connect("ledgerline", true).await;
    assert_eq!(parameter(&carried, "client_id"), "ledgerline");
    assert_eq!(Url::parse(&carried).unwrap().query_pairs().count(), 2, "the rest was pushed: {carried}");
    let request = bank.pushed(&carried);
    assert_eq!(parameter(&request, "client_id"), "ledgerline");
    assert_eq!(parameter(&request, "code_challenge_method"), "S256");
    assert_eq!(parameter(&request, "redirect_uri"), visitor.url("/ledgerline/callback"));
    let scope = parameter(&request, "scope");
    for wanted in ["openid", "accounts:read", "offline_access", "payments:write"] {
        assert!(scope.split(' ').any(|part| part == wanted), "{scope}");
    }

    let before = visitor.cookie();
    let answer = visitor.get(&bank.approve(&carried)).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{}", answer.text().await.unwrap());
    assert_ne!(visitor.cookie(), before, "the session id changes when something is connected");

    let page = visitor.page("/ledgerline").await;
    for expected in
        ["Hello, Alice Example", "2841.17", "urn:openbanking:psd2:sca", "account-viewer", "id=\"pay\""]
    {
        assert!(page.contains(expected), "{expected} is not in {page}");
    }
    assert!(visitor.page("/pocketwise").await.contains("connect-pocketwise"), "apps share no connection");

    visitor.post("/ledgerline/refresh", "").await;
    assert!(visitor.page("/ledgerline").await.contains("Refreshed: the bank has issued"));

    bank.withdraw();
    let page = visitor.page("/ledgerline").await;
    assert!(page.contains("The bank says access was withdrawn"), "{page}");
    assert!(!visitor.page("/ledgerline").await.contains("refresh"), "the connection is forgotten");
}

#[tokio::test]
async fn rar_05_one_payment_is_approved_at_the_bank_and_paid_once() {
    const ORDER: &str =
        "from_account=a-1&creditor=+Rent&creditor_account=de02+1001&amount=45.00&currency=EUR";
    let bank = StubBank::start().await;
    let visitor = Visitor::of(&bank).await;
    visitor.connected("ledgerline", &bank).await;
    let carried = visitor.post("/ledgerline/approve", ORDER).await;
    assert!(!carried.contains("authorization_details"), "the browser carries a reference: {carried}");
    let request = bank.pushed(&carried);
    let details: serde_json::Value =
        serde_json::from_str(&parameter(&request, "authorization_details")).unwrap();
    let expected = serde_json::json!([{
        "type": "payment_initiation", "instructedAmount": { "currency": "EUR", "amount": "45.00" },
        "creditorName": "Rent", "creditorAccount": { "iban": "DE021001" }, "debtorAccount": { "iban": "DE1" },
    }]);
    assert_eq!(details, expected);
    assert!(!parameter(&request, "scope").contains("offline_access"), "the token is for one use");
    let answer = bank.approve(&carried);
    assert_eq!(visitor.get(&answer).await.status(), StatusCode::SEE_OTHER);
    let page = visitor.page("/ledgerline").await;
    assert!(page.contains("Paid 45.00 EUR to Rent") && page.contains("id=\"refresh\""), "{page}");
    assert_eq!(visitor.get(&answer).await.status(), StatusCode::BAD_REQUEST, "the answer counts once");
    let nothing = visitor
        .post("/ledgerline/approve", "from_account=a-2&creditor=x&creditor_account=x&amount=1&currency=EUR");
    assert_eq!(nothing.await, "/ledgerline");
    assert!(visitor.page("/ledgerline").await.contains("there is no such account"));
}

#[tokio::test]
async fn a_bearer_token_is_nothing_for_an_app_with_keys() {
    let bank = StubBank::start().await;
    let visitor = Visitor::of(&bank).await;
    bank.issue_bearer_tokens();
    let answer = visitor.get(&bank.approve(&visitor.connect("ledgerline", false).await)).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.text().await.unwrap().contains("not bound"));
    visitor.connected("pocketwise", &bank).await;
}

#[tokio::test]
async fn a_public_client_connects_and_disconnects() {
    let bank = StubBank::start().await;
    let visitor = Visitor::of(&bank).await;
    visitor.connected("pocketwise", &bank).await;
    visitor.post("/pocketwise/disconnect", "").await;
    assert!(bank.was_revoked());
    assert!(visitor.page("/pocketwise").await.contains("Disconnected: the bank has revoked"));
}

#[tokio::test]
async fn signing_out_goes_to_the_bank_and_comes_back() {
    let bank = StubBank::start().await;
    let visitor = Visitor::of(&bank).await;
    visitor.connected("ledgerline", &bank).await;
    let logout = visitor.post("/ledgerline/sign-out", "").await;
    assert!(logout.starts_with(&format!("{}/end-session?", bank.issuer)));
    assert!(parameter(&logout, "id_token_hint").starts_with("ey"));
    let back = parameter(&logout, "post_logout_redirect_uri");
    assert_eq!(back, visitor.url("/ledgerline/signed-out"));
    visitor.get(&format!("{back}?state=guess")).await;
    assert!(visitor.page("/ledgerline").await.contains("You may still be signed in"));
    visitor.get(&format!("{back}?state={}", parameter(&logout, "state"))).await;
    assert!(visitor.page("/ledgerline").await.contains("Signed out of Ledgerline and of the bank"));
}

#[tokio::test]
async fn answers_that_do_not_add_up_connect_nothing() {
    let bank = StubBank::start().await;
    let visitor = Visitor::of(&bank).await;
    let iss = format!("iss={}", bank.issuer);
    type Twist = fn(String, &str) -> String;
    let table: [(&str, Twist, StatusCode); 7] = [
        (
            "this browser did not ask",
            |answer, _| answer.replace("state=", "state=x"),
            StatusCode::BAD_REQUEST,
        ),
        ("does not say who sent it", |answer, iss| answer.replace(iss, ""), StatusCode::BAD_REQUEST),
        (
            "another issuer",
            |answer, iss| answer.replace(iss, "iss=https://evil.example"),
            StatusCode::BAD_REQUEST,
        ),
        ("malformed", |answer, _| format!("{answer}&code=second"), StatusCode::BAD_REQUEST),
        ("neither a code nor an error", |answer, _| answer.replace("code=", "cod="), StatusCode::BAD_REQUEST),
        ("no longer honours", |answer, _| answer.replace("code=", "code=x"), StatusCode::BAD_REQUEST),
        (
            "access_denied: no",
            |answer, _| answer.replace("code=", "error=access_denied&error_description=no&x="),
            StatusCode::OK,
        ),
    ];
    for (reason, twist, status) in table {
        let request = visitor.connect("ledgerline", false).await;
        let answer = visitor.get(&twist(bank.approve(&request), &iss)).await;
        assert_eq!(answer.status(), status, "{reason}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(reason) && page.contains("id=\"retry\""), "{reason} is not in {page}");
        assert!(visitor.page("/ledgerline").await.contains("connect-ledgerline"));
    }
}

#[tokio::test]
async fn an_answer_counts_once_and_only_in_the_browser_that_asked() {
    let bank = StubBank::start().await;
    let (visitor, stranger) = (Visitor::of(&bank).await, Visitor::of(&bank).await);
    let answer = bank.approve(&visitor.connect("ledgerline", false).await);
    let elsewhere = answer.replace(&visitor.url(""), &stranger.url(""));
    assert_eq!(stranger.get(&elsewhere).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(visitor.get(&answer).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(visitor.get(&answer).await.status(), StatusCode::BAD_REQUEST, "replayed");
}

#[tokio::test]
async fn an_id_token_must_hold() {
    let table: [(&str, &str, serde_json::Value); 5] = [
        ("nonce", "nonce", "another".into()),
        ("issuer", "iss", "https://evil.example".into()),
        ("audience", "aud", "somebody-else".into()),
        ("expired", "exp", 1_000_000_000.into()),
        ("another access token", "at_hash", "AAAAAAAAAAAAAAAAAAAAAA".into()),
    ];
    let bank = StubBank::start().await;
    let visitor = Visitor::of(&bank).await;
    for (reason, claim, value) in table {
        bank.forge_claim(claim, value);
        let answer = visitor.get(&bank.approve(&visitor.connect("ledgerline", false).await)).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{reason}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(reason), "{reason} is not in {page}");
    }
}

#[tokio::test]
async fn a_rotated_key_is_fetched_and_a_foreign_one_refused() {
    let bank = StubBank::start().await;
    let visitor = Visitor::of(&bank).await;
    visitor.connected("ledgerline", &bank).await;
    bank.rotate(true);
    visitor.connected("ledgerline", &bank).await;
    bank.rotate(false);
    let answer = visitor.get(&bank.approve(&visitor.connect("ledgerline", false).await)).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "a key that the bank never published");
}

#[tokio::test]
async fn the_bank_may_come_up_after_the_app() {
    let (bank, listener) = StubBank::prepared().await;
    let port = listener.local_addr().unwrap();
    drop(listener);
    let visitor = Visitor::of(&bank).await;
    let (status, page) = visitor.try_connect("ledgerline").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(page.contains("The bank cannot be reached") && page.contains("retry"));
    bank.serve(tokio::net::TcpListener::bind(port).await.unwrap());
    visitor.connected("ledgerline", &bank).await;
}

#[tokio::test]
async fn forms_of_other_sites_do_nothing_and_pages_keep_to_themselves() {
    let bank = StubBank::start().await;
    let visitor = Visitor::of(&bank).await;
    visitor.connected("ledgerline", &bank).await;
    let post =
        visitor.client.post(visitor.url("/ledgerline/disconnect")).header("sec-fetch-site", "cross-site");
    assert_eq!(post.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert!(!bank.was_revoked());
    let page = visitor.get(&visitor.url("/ledgerline")).await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains(&format!("form-action 'self' {};", bank.issuer))
    );
    assert_eq!(page.headers()["cache-control"], "no-store");
    assert_eq!(visitor.get(&visitor.url("/nowhere")).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        visitor.get(&visitor.url("/assets/app.css")).await.headers()["content-type"],
        "text/css; charset=utf-8"
    );
}
