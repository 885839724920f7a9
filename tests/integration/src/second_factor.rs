//! The second factor: setting it up, showing it, its codes and what stands in for them, and who asks for it.

use audit::EventKind;
use chrono::TimeDelta;
use mfa::{SecondFactorPolicy, Username};
use testkit::{Browser, Page, Person, claims_of, totp};

use crate::bank::{Bank, ENGINES, Engine};
use crate::visits::{enrol, is_signed_in, sign_in, type_password, with_session};

/// Signs in as far as the page that asks for the second factor.
async fn to_the_challenge(bank: &Bank, person: &Person, browser: &Browser) -> Page {
    let page = browser.open(bank.url("/account")).await;
    let page = type_password(browser, &page, &person.username, &person.password).await.expect(200);
    assert!(page.has("otp-submit"), "{}", page.text());
    page
}

async fn type_code(browser: &Browser, page: &Page, code: &str) -> Page {
    browser.submit(page, "otp-submit", &[("otp", code)]).await
}

async fn type_recovery_code(browser: &Browser, page: &Page, code: &str) -> Page {
    browser.submit(page, "recovery-submit", &[("recovery_code", code)]).await
}

/// The code of the step that is so many steps away from now.
fn code_at(bank: &Bank, person: &Person, steps: i64) -> String {
    let at = bank.now() + TimeDelta::seconds(30 * steps);
    totp::code(person.secret.as_ref().unwrap(), at.timestamp().try_into().unwrap())
}

/// Six digits that are right at no step near now.
fn wrong_code(bank: &Bank, person: &Person) -> String {
    let near: Vec<String> = (-3..=3).map(|steps| code_at(bank, person, steps)).collect();
    let candidates = ["000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777"];
    candidates.into_iter().find(|code| !near.contains(&(*code).to_owned())).unwrap().to_owned()
}

#[tokio::test]
async fn se_03_enrolment_wants_a_first_code_and_shows_recovery_codes_once() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (mut carol, browser) = (bank.person("carol"), Browser::new());
        let page = browser.open(bank.url("/account")).await;
        let page = carol.walk(&browser, page, "enrol-submit", bank.now()).await.expect(200);
        carol.secret = page.texts("#secret").pop();
        assert!(page.attributes("img.qr", "src")[0].starts_with("data:image/png;base64,"));
        assert!(!is_signed_in(&bank, &browser).await, "until then there is no second factor");

        let wrong = wrong_code(&bank, &carol);
        let again = browser.submit(&page, "enrol-submit", &[("otp", &wrong)]).await.expect(403);
        assert_eq!(again.texts("#secret").pop(), carol.secret, "who scanned it need not scan again");
        let reloaded = browser.open(&page.url).await.expect(200);
        assert_eq!(reloaded.texts("#secret").pop(), carol.secret);

        let code = carol.code(bank.now());
        let codes = browser.submit(&again, "enrol-submit", &[("otp", &code)]).await.expect(200);
        let shown = codes.texts("#recovery-codes li");
        assert_eq!(shown.len(), 10);
        assert_eq!(shown.iter().collect::<std::collections::BTreeSet<_>>().len(), 10);
        assert_eq!(codes.header("cache-control"), Some("no-store"));
        let account = browser.submit(&codes, "codes-saved", &[]).await.expect(200);
        assert!(account.has("sign-out"));
        // They are never shown again.
        let reloaded = browser.open(&page.url).await;
        assert!(shown.iter().all(|code| !reloaded.body.contains(code.as_str())));
        assert_eq!(bank.audited(EventKind::SecondFactorEnrolled).await, 1);
        assert_eq!(bank.audited(EventKind::SecondFactorFailed).await, 1);
    }
}

#[tokio::test]
async fn se_03_a_code_counts_once() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let mut alice = bank.person("alice");
        enrol(&bank, &mut alice, &Browser::new()).await;
        bank.advance(TimeDelta::minutes(5));

        let (first, second) = (Browser::new(), Browser::new());
        let challenges =
            [to_the_challenge(&bank, &alice, &first).await, to_the_challenge(&bank, &alice, &second).await];
        let code = alice.code(bank.now());
        assert!(type_code(&first, &challenges[0], &code).await.expect(200).has("sign-out"));
        // Whoever looked over the shoulder comes too late.
        let refused = type_code(&second, &challenges[1], &code).await;
        assert_eq!((refused.status, refused.has("otp-submit")), (403, true));
        let refused = type_code(&second, &challenges[1], &code_at(&bank, &alice, -1)).await;
        assert_eq!(refused.status, 403, "nor does the code before it");
        let next = alice.code(bank.now());
        assert!(type_code(&second, &refused, &next).await.expect(200).has("sign-out"));
    }
}

#[tokio::test]
async fn se_03_clocks_may_differ_by_one_step() {
    let bank = Bank::open().await;
    let mut alice = bank.person("alice");
    enrol(&bank, &mut alice, &Browser::new()).await;
    // Far enough apart that none is refused as a replay.
    for (steps, accepted) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
        bank.advance(TimeDelta::minutes(10));
        let browser = Browser::new();
        let page = to_the_challenge(&bank, &alice, &browser).await;
        let answer = type_code(&browser, &page, &code_at(&bank, &alice, steps)).await;
        assert_eq!(answer.has("sign-out"), accepted, "{steps} steps away");
        if accepted {
            continue;
        }
        assert_eq!(answer.status, 403);
        bank.advance(TimeDelta::minutes(1));
        assert!(type_code(&browser, &answer, &code_at(&bank, &alice, 0)).await.has("sign-out"));
    }
    // Spaces are how people read codes; anything else is none.
    bank.advance(TimeDelta::minutes(10));
    let browser = Browser::new();
    let page = to_the_challenge(&bank, &alice, &browser).await;
    for malformed in ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦"] {
        assert_eq!(type_code(&browser, &page, malformed).await.status, 403, "{malformed}");
        bank.advance(TimeDelta::minutes(1));
    }
    let code = code_at(&bank, &alice, 0);
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    assert!(type_code(&browser, &page, &spaced).await.expect(200).has("sign-out"));
}

#[tokio::test]
async fn se_03_attempts_are_limited_for_codes_and_recovery_codes_together() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let mut alice = bank.person("alice");
        enrol(&bank, &mut alice, &Browser::new()).await;
        bank.advance(TimeDelta::minutes(5));
        let browser = Browser::new();
        let page = to_the_challenge(&bank, &alice, &browser).await;
        let wrong = wrong_code(&bank, &alice);
        for _ in 0..3 {
            assert_eq!(type_code(&browser, &page, &wrong).await.status, 403);
        }
        for code in ["AAAA-AAAA-AAAA-AAAA", "nonsense"] {
            assert_eq!(type_recovery_code(&browser, &page, code).await.status, 403);
        }
        let right = code_at(&bank, &alice, 0);
        let refused = type_code(&browser, &page, &right).await.expect(429);
        assert_eq!(refused.header("retry-after"), Some("2"));
        assert!(refused.has("otp-submit"), "the person may try again on the same page");
        let recovery = alice.recovery_codes[0].clone();
        assert_eq!(type_recovery_code(&browser, &page, &recovery).await.status, 429);
        // A new browser and a new login do not help a guesser.
        let other = Browser::new();
        let elsewhere = to_the_challenge(&bank, &alice, &other).await;
        assert_eq!(type_code(&other, &elsewhere, &right).await.status, 429);

        bank.advance(TimeDelta::seconds(2));
        assert_eq!(type_code(&browser, &page, &wrong).await.status, 403);
        let refused = type_code(&browser, &page, &right).await.expect(429);
        assert_eq!(refused.header("retry-after"), Some("4"), "the delay grows");
        bank.advance(TimeDelta::seconds(4));
        assert!(type_code(&browser, &page, &code_at(&bank, &alice, 0)).await.expect(200).has("sign-out"));
    }
}

#[tokio::test]
async fn se_03_enrolment_attempts_are_limited() {
    let bank = Bank::open().await;
    let (mut carol, browser) = (bank.person("carol"), Browser::new());
    let page = browser.open(bank.url("/account")).await;
    let page = carol.walk(&browser, page, "enrol-submit", bank.now()).await;
    carol.secret = page.texts("#secret").pop();
    let wrong = wrong_code(&bank, &carol);
    for _ in 0..5 {
        assert_eq!(browser.submit(&page, "enrol-submit", &[("otp", &wrong)]).await.status, 403);
    }
    let right = code_at(&bank, &carol, 0);
    let refused = browser.submit(&page, "enrol-submit", &[("otp", &right)]).await.expect(429);
    assert_eq!(refused.header("retry-after"), Some("2"));
    bank.advance(TimeDelta::seconds(2));
    let right = code_at(&bank, &carol, 0);
    browser.submit(&page, "enrol-submit", &[("otp", &right)]).await.expect(200);
}

#[tokio::test]
async fn se_03_recovery_codes_count_once_and_replaced_ones_not_at_all() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let (mut alice, home) = (bank.person("alice"), Browser::new());
        let account = enrol(&bank, &mut alice, &home).await;
        let old = alice.recovery_codes.clone();
        bank.advance(TimeDelta::minutes(1));

        // One signs in; typed as people type, without dashes and in small letters.
        let browser = Browser::new();
        let page = to_the_challenge(&bank, &alice, &browser).await;
        let typed = old[0].to_lowercase().replace('-', "");
        let opened = type_recovery_code(&browser, &page, &typed).await.expect(200);
        assert!(opened.has("sign-out"));
        assert!(opened.text().contains('9'), "nine are left: {}", opened.text());
        assert_eq!(bank.audited(EventKind::RecoveryCodeUsed).await, 1);
        // And never again.
        let other = Browser::new();
        let page = to_the_challenge(&bank, &alice, &other).await;
        assert_eq!(type_recovery_code(&other, &page, &old[0]).await.status, 403);

        // Another person's are worth nothing.
        let (mut carol, hers) = (bank.person("carol"), Browser::new());
        sign_in(&bank, &mut carol, &hers).await;
        bank.advance(TimeDelta::minutes(1));
        assert_eq!(type_recovery_code(&other, &page, &carol.recovery_codes[0]).await.status, 403);

        // A new set kills the old one.
        let codes = home.submit(&account, "totp-recovery-codes", &[]).await.expect(200);
        let new = codes.texts("#recovery-codes li");
        assert_eq!(new.len(), 10);
        assert!(new.iter().all(|code| !old.contains(code)));
        assert_eq!(type_recovery_code(&other, &page, &old[1]).await.status, 403);
        assert!(type_recovery_code(&other, &page, &new[1]).await.expect(200).has("sign-out"));
    }
}

#[tokio::test]
async fn se_03_nothing_that_opens_an_account_is_stored_in_clear() {
    let bank = Bank::open().await;
    let (mut alice, browser) = (bank.person("alice"), Browser::new());
    enrol(&bank, &mut alice, &browser).await;
    let app = bank.app("web-app");
    let attempt = app.attempt("openid offline_access cards:read");
    let departure = bank.connect(&mut alice, &browser, attempt.url()).await;
    let code = attempt.code(&departure);
    let tokens = app.redeem(&attempt, &code).await.expect(200);

    let stored = bank.database_bytes();
    let holds = |text: &[u8]| stored.windows(text.len()).any(|window| window == text);
    assert!(holds(b"Alice Example") && holds(b"web-app"), "the search finds what is there");
    let secret = alice.secret.clone().unwrap().replace(' ', "");
    let store = bank.service.store();
    let user = store.user_by_name(&"alice".parse::<Username>().unwrap()).await.unwrap().unwrap();
    assert!(store.totp(user.id).await.unwrap().unwrap().is_enrolled());
    let mut secrets = vec![
        alice.password.clone(),
        secret.clone(),
        code,
        tokens.str("access_token").to_owned(),
        tokens.str("refresh_token").to_owned(),
        tokens.str("id_token").to_owned(),
        crate::visits::session(&bank, &browser),
        browser.cookie(&bank.issuer, "chancery-browser-dev").unwrap(),
        "web-app-secret-0123456789abcd".to_owned(),
        "accounts-api-secret-0123456789".to_owned(),
    ];
    for code in &alice.recovery_codes {
        secrets.extend([code.clone(), code.replace('-', "")]);
    }
    for text in secrets {
        assert!(!holds(text.as_bytes()), "{text} is stored in clear");
    }
    assert!(!holds(totp_rs::Secret::try_from_base32(secret).unwrap().as_bytes()), "the seed itself");
}

/// What a request asks of the person after the password: `otp-submit`, `enrol-submit`, or nothing.
async fn asked(bank: &Bank, person: &Person, app: &str, scope: &str, more: &[(&str, &str)]) -> &'static str {
    let browser = Browser::new();
    let attempt = bank.app(app).attempt(scope);
    let attempt = more.iter().fold(attempt, |attempt, (name, value)| attempt.with(name, value));
    let page = browser.open(attempt.url()).await;
    let page = type_password(&browser, &page, &person.username, &person.password).await;
    let ids = ["otp-submit", "enrol-submit"];
    let asked = ids.into_iter().find(|id| page.has(id));
    assert!(asked.is_some() || page.departure.is_some() || page.has("consent-allow"), "{}", page.text());
    asked.unwrap_or("nothing")
}

const SCA: &str = "urn:openbanking:psd2:sca";
const CA: &str = "urn:openbanking:psd2:ca";

#[tokio::test]
async fn oc_29_a_password_alone_signs_in_where_every_policy_allows_and_nowhere_else() {
    let bank = Bank::open().await;
    let (alice, bob, carol) = (bank.person("alice"), bank.person("bob"), bank.person("carol"));
    let both = format!("{SCA} {CA}");
    for (person, app, scope, acr, expected) in [
        (&bob, "web-app", "openid accounts:read", None, "nothing"),
        (&bob, "own-app", "openid accounts:read", None, "nothing"),
        // By account, client, scope, acr_values, and the client's default for them.
        (&carol, "web-app", "openid accounts:read", None, "enrol-submit"),
        (&bob, "strict-app", "openid accounts:read", None, "enrol-submit"),
        (&alice, "web-app", "openid payments:write", None, "enrol-submit"),
        (&alice, "web-app", "openid accounts:read", None, "nothing"),
        (&bob, "web-app", "openid", Some(SCA), "enrol-submit"),
        (&bob, "web-app", "openid", Some(CA), "nothing"),
        (&bob, "web-app", "openid", Some(both.as_str()), "nothing"),
        (&bob, "web-app", "openid", Some("urn:nobody:knows"), "nothing"),
        (&bob, "fresh-app", "openid", None, "enrol-submit"),
        // What an account or a client demands, acr_values do not lower.
        (&carol, "web-app", "openid", Some(CA), "enrol-submit"),
        (&bob, "strict-app", "openid accounts:read", Some(CA), "enrol-submit"),
    ] {
        let more: Vec<_> = acr.map(|acr| ("acr_values", acr)).into_iter().collect();
        assert_eq!(
            asked(&bank, person, app, scope, &more).await,
            expected,
            "{} {app} {scope} {acr:?}",
            person.username
        );
    }
}

#[tokio::test]
async fn oc_29_who_has_a_second_factor_shows_it_and_tokens_say_so() {
    let bank = Bank::open().await;
    let (mut alice, mut bob) = (bank.person("alice"), bank.person("bob"));
    enrol(&bank, &mut alice, &Browser::new()).await;
    bank.advance(TimeDelta::minutes(1));
    assert_eq!(asked(&bank, &alice, "web-app", "openid", &[]).await, "otp-submit", "if enrolled");
    let app = bank.app("web-app");
    let browser = Browser::new();
    for (person, browser, acr, amr) in
        [(&mut alice, &browser, SCA, vec!["pwd", "otp", "mfa"]), (&mut bob, &Browser::new(), CA, vec!["pwd"])]
    {
        let attempt = app.attempt("openid");
        let departure = bank.connect(person, browser, attempt.url()).await;
        let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
        let claims = claims_of(tokens.str("id_token"));
        assert_eq!(claims["acr"], acr);
        assert_eq!(claims["amr"], serde_json::json!(amr));
    }
    // prompt=none cannot ask: it refuses.
    let bobs = Browser::new();
    sign_in(&bank, &mut bob, &bobs).await;
    let silent = app.attempt("openid").with("prompt", "none").with("acr_values", SCA);
    assert_eq!(bobs.open(silent.url()).await.departed().error(), "interaction_required");
}

#[tokio::test]
async fn a_bank_that_requires_two_factors_exempts_only_whom_it_names() {
    let bank =
        Bank::with(Engine::Sqlite, |policies| policies.second_factor = SecondFactorPolicy::Required).await;
    let exempt = "[[user]]\nusername = \"erin\"\npassword = \"granite-teapot-orbit\"\nsecond_factor = \"if-enrolled\"\nroles = [\"account-viewer\"]\n";
    bank.declare(exempt).await.unwrap();
    let (bob, erin) = (bank.person("bob"), Person::new("erin", "granite-teapot-orbit"));
    assert_eq!(asked(&bank, &bob, "web-app", "openid", &[]).await, "enrol-submit");
    assert_eq!(asked(&bank, &erin, "web-app", "openid accounts:read", &[]).await, "nothing");
    assert_eq!(asked(&bank, &erin, "strict-app", "openid accounts:read", &[]).await, "enrol-submit");
    // The account pages follow the same policy.
    let browser = Browser::new();
    let page = browser.open(bank.url("/account")).await;
    assert!(type_password(&browser, &page, "bob", &bob.password).await.has("enrol-submit"));
    let page = Browser::new().open(bank.url("/account")).await;
    assert!(page.has("login-submit"));
}

#[tokio::test]
async fn replacing_an_authenticator_wants_a_fresh_login() {
    let bank = Bank::open().await;
    let (mut alice, browser) = (bank.person("alice"), Browser::new());
    enrol(&bank, &mut alice, &browser).await;
    let (old_secret, old_codes) = (alice.secret.clone(), alice.recovery_codes.clone());
    bank.advance(TimeDelta::minutes(5));
    let other = Browser::new();
    let page = to_the_challenge(&bank, &alice, &other).await;
    let code = alice.code(bank.now());
    assert!(type_code(&other, &page, &code).await.has("sign-out"));

    // A session of two factors is not enough: whoever finds an open browser replaces nothing.
    bank.advance(TimeDelta::minutes(5));
    let account = browser.open(bank.url("/account")).await.expect(200);
    let page = browser.submit(&account, "totp-replace", &[]).await.expect(200);
    assert!(page.has("login-submit"), "{}", page.text());
    let page = type_password(&browser, &page, "alice", &alice.password).await.expect(200);
    assert!(page.has("otp-submit"), "the old authenticator is shown a last time");
    let code = alice.code(bank.now());
    let page = type_code(&browser, &page, &code).await.expect(200);
    assert!(page.has("enrol-submit"), "{}", page.text());
    assert_ne!(page.texts("#secret").pop(), old_secret);
    // Until the new one is confirmed, the old one is the one: who gives up here has lost nothing.
    bank.advance(TimeDelta::minutes(1));
    let meanwhile = Browser::new();
    let challenge = to_the_challenge(&bank, &alice, &meanwhile).await;
    let code = alice.code(bank.now());
    assert!(type_code(&meanwhile, &challenge, &code).await.expect(200).has("sign-out"));
    alice.walk(&browser, page, "sign-out", bank.now()).await.expect(200);
    assert_ne!(alice.secret, old_secret);

    // What rested on the old one is over.
    assert!(!is_signed_in(&bank, &other).await);
    bank.advance(TimeDelta::minutes(5));
    let fresh = Browser::new();
    let page = to_the_challenge(&bank, &alice, &fresh).await;
    let mut old = alice.clone();
    old.secret = old_secret;
    assert_eq!(type_code(&fresh, &page, &code_at(&bank, &old, 0)).await.status, 403);
    assert_eq!(type_recovery_code(&fresh, &page, &old_codes[1]).await.status, 403);
    let code = alice.code(bank.now());
    assert!(type_code(&fresh, &page, &code).await.expect(200).has("sign-out"));
}

#[tokio::test]
async fn se_01_one_factor_does_not_pass_for_two() {
    let bank = Bank::open().await;
    let mut alice = bank.person("alice");
    enrol(&bank, &mut alice, &Browser::new()).await;
    bank.advance(TimeDelta::minutes(1));
    let browser = Browser::new();
    let page = to_the_challenge(&bank, &alice, &browser).await;
    // With the password alone: no account page, no code, no consent, whatever is posted.
    assert!(!is_signed_in(&bank, &browser).await);
    let cookie = crate::visits::session(&bank, &browser);
    assert!(!is_signed_in(&bank, &with_session(&bank, &cookie)).await);
    let id = page.url.path().trim_start_matches("/interaction/").to_owned();
    let csrf = page.form("otp-submit").value("csrf").unwrap().to_owned();
    for (path, fields) in [
        ("consent", vec![("decision", "allow")]),
        ("enrol", vec![("otp", "123456")]),
        ("recovery-codes", vec![]),
    ] {
        let mut form = page.form("otp-submit").without("otp");
        form.action = bank.url(&format!("/interaction/{id}/{path}")).parse().unwrap();
        let form = fields.into_iter().fold(form, |form, (name, value)| form.also(name, value));
        assert_eq!(form.value("csrf"), Some(csrf.as_str()));
        let answer = browser.send(form).await;
        assert!(answer.has("otp-submit"), "{path}: {} {}", answer.status, answer.text());
    }
}

/// A seed that was shown in one browser is worth nothing in another: it is derived from the session
/// and the interaction that show it.
#[tokio::test]
async fn se_03_each_browser_is_shown_a_seed_of_its_own() {
    let bank = Bank::open().await;
    let mut seeds = Vec::new();
    for _ in 0..2 {
        let browser = Browser::new();
        let page = browser.open(bank.url("/account")).await;
        let page = bank.person("carol").walk(&browser, page, "enrol-submit", bank.now()).await;
        let seed = page.texts("#secret");
        assert_eq!(browser.open(page.url.as_str()).await.texts("#secret"), seed, "a reload shows the same");
        seeds.push(seed);
    }
    assert_ne!(seeds[0], seeds[1]);
}

/// New recovery codes want a sign-in of the last few minutes.
#[tokio::test]
async fn se_03_old_sign_ins_print_no_recovery_codes() {
    let bank = Bank::open().await;
    let (browser, mut carol) = (Browser::new(), bank.person("carol"));
    let account = sign_in(&bank, &mut carol, &browser).await;
    let fresh = browser.submit(&account, "totp-recovery-codes", &[]).await;
    assert!(fresh.has("codes-saved"));
    bank.advance(TimeDelta::minutes(6));
    let account = browser.open(bank.url("/account")).await;
    let page = browser.submit(&account, "totp-recovery-codes", &[]).await;
    assert!(page.has("login-submit"), "{}", page.text());
    let account = carol.walk(&browser, page, "sign-out", bank.now()).await;
    assert!(browser.submit(&account, "totp-recovery-codes", &[]).await.has("codes-saved"));
}
