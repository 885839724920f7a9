//! Rich authorization requests (RFC 9396): what exactly an app asks for, what the person makes of it, and what
//! reaches tokens and resource servers.

use std::fmt::Write as _;

use audit::EventKind;
use jose::Algorithm;
use rstest::rstest;
use serde_json::{Value, json};
use testkit::{Answer, Attempt, Browser, ClientAuth, Form, Page, Person, RelyingParty, claims_of};

use crate::{
    bank::{Bank, ENGINES, Engine},
    dpop_key::{push, pushed_url},
    steps::{declare_client, new_key},
};

const API: &str = "https://api.bank.example";
const CARDS: &str = "https://cards.bank.example";

/// Both shipped types, a type of the bank's own, an app that may ask for them, and people with accounts.
async fn declare(bank: &Bank) {
    let schema = tempfile::NamedTempFile::new().unwrap();
    let limit = json!({
        "type": "object", "required": ["type", "limit"], "additionalProperties": false,
        "properties": {
            "type": {"const": "card_limit"},
            "limit": {"type": "string", "title": "New limit"},
            "locations": {"type": "array", "items": {"type": "string"}},
        },
    });
    std::fs::write(schema.path(), limit.to_string()).unwrap();
    let mut text = format!(
        r#"
        [[authorization_details_type]]
        type = "account_information"
        title = "See accounts exactly"
        text.zh-Hant = {{ title = "查看帳戶", description = "" }}
        locations = ["{API}"]
        [[authorization_details_type]]
        type = "payment_initiation"
        title = "Make a payment"
        locations = ["{API}"]
        roles = ["payment-initiator"]
        second_factor_required = false
        [[authorization_details_type]]
        type = "card_limit"
        title = "Change a limit"
        schema_file = "{}"
        locations = ["{CARDS}", "{API}"]
        client_credentials = true
        [[client]]
        client_id = "rar-app"
        profile = "general"
        client_name = "RAR App"
        client_secret = "rar-app-secret-0123456789abcde"
        redirect_uris = ["https://rar.example/cb"]
        grant_types = ["authorization_code", "refresh_token", "client_credentials"]
        scope = "openid accounts:read payments:write cards:read"
        authorization_details_types = ["account_information", "payment_initiation", "card_limit"]
        "#,
        schema.path().display()
    );
    for (name, password, roles) in [
        ("alice", "harbour-lantern-violet", r#"["account-viewer", "payment-initiator"]"#),
        ("bob", "granite-teapot-orbit", r#"["account-viewer"]"#),
    ] {
        write!(
            text,
            r#"
            [[user]]
            username = "{name}"
            password = "{password}"
            roles = {roles}
            accounts = [
                {{ id = "everyday", name = "Everyday <b>{name}</b>", iban = "GB33 BUKB 2020 1555 5555 55" }},
                {{ name = "Savings", iban = "GB94BARC10201530093459" }},
                {{ id = "card", name = "Credit card" }},
            ]
            "#
        )
        .unwrap();
    }
    bank.declare(&text).await.unwrap();
}

fn app(bank: &Bank) -> RelyingParty {
    let auth = ClientAuth::Basic("rar-app-secret-0123456789abcde".to_owned());
    RelyingParty::new(&bank.issuer, "rar-app", auth, "https://rar.example/cb")
}

fn payment() -> Value {
    json!({
        "type": "payment_initiation", "instructedAmount": {"currency": "EUR", "amount": "1234.50"},
        "creditorName": "<script>alert(1)</script>", "creditorAccount": {"iban": "DE02100100109307118603"},
        "remittanceInformationUnstructured": "Invoice 7",
    })
}

fn reading(actions: &[&str]) -> Value {
    json!({"type": "account_information", "actions": actions})
}

#[expect(clippy::needless_pass_by_value, reason = "a literal of JSON is written where it is used")]
fn asking(app: &RelyingParty, scope: &str, details: Value) -> Attempt {
    app.attempt(scope).with("authorization_details", &details.to_string())
}

/// One person at one browser, and an app.
struct Visit {
    bank: Bank,
    app: RelyingParty,
    browser: Browser,
    person: Person,
}

impl Visit {
    async fn of(engine: Engine, username: &str) -> Self {
        let bank = Bank::on(engine).await;
        declare(&bank).await;
        let (app, person) = (app(&bank), bank.person(username));
        Self { bank, app, browser: Browser::new(), person }
    }

    /// Goes on until the consent page, or until the app has its answer.
    async fn ask(&mut self, attempt: &Attempt) -> Page {
        self.open(attempt.url()).await
    }

    async fn open(&mut self, url: String) -> Page {
        let page = self.browser.open(url).await;
        self.person.walk(&self.browser, page, "consent-allow", self.bank.now()).await
    }

    /// Allows what a page asks with these accounts chosen; the tokens.
    async fn allow(&self, attempt: &Attempt, page: &Page, chosen: &[(&str, &str)]) -> Answer {
        let form = page.form("consent-allow");
        let form = chosen.iter().fold(form, |form, (name, value)| form.with(name, value));
        let departed = self.browser.send(form).await;
        self.app.redeem(attempt, &attempt.code(departed.departed())).await.expect(200)
    }

    /// From the request to the tokens.
    async fn tokens(&mut self, scope: &str, details: Value, chosen: &[(&str, &str)]) -> Answer {
        let attempt = asking(&self.app, scope, details);
        let page = self.ask(&attempt).await;
        self.allow(&attempt, &page, chosen).await
    }
}

async fn refused(attempt: &Attempt) -> String {
    Browser::new().open(attempt.url()).await.departed().error().to_owned()
}

#[rstest]
#[case::not_json("[{")]
#[case::not_an_array(r#"{"type":"account_information","actions":["read_balances"]}"#)]
#[case::no_type(r#"[{"actions":["read_balances"]}]"#)]
#[case::unknown_type(r#"[{"type":"world_domination"}]"#)]
#[case::unknown_member(r#"[{"type":"account_information","actions":["read_balances"],"more":1}]"#)]
#[case::missing_member(r#"[{"type":"account_information"}]"#)]
#[case::twice(r#"[{"type":"account_information","actions":["list_accounts"],"actions":["read_balances"]}]"#)]
#[case::location(
    r#"[{"type":"account_information","actions":["list_accounts"],"locations":["https://x.example"]}]"#
)]
#[case::exponent(
    r#"[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"1e3"},"creditorName":"M","creditorAccount":{"iban":"DE02100100109307118603"}}]"#
)]
#[case::number(
    r#"[{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":1e3},"creditorName":"M","creditorAccount":{"iban":"DE02100100109307118603"}}]"#
)]
#[tokio::test]
async fn rar_01_rar_07_what_is_no_detail_is_refused_at_every_door(#[case] details: &str) {
    let bank = Bank::open().await;
    declare(&bank).await;
    let app = app(&bank);
    let attempt = app.attempt("openid accounts:read").with("authorization_details", details);
    assert_eq!(refused(&attempt).await, "invalid_authorization_details");
    push(&app, &attempt, None).await.expect_error(400, "invalid_authorization_details");
    let form =
        [("grant_type", "client_credentials"), ("scope", "cards:read"), ("authorization_details", details)];
    app.token(&form).await.expect_error(400, "invalid_authorization_details");
}

#[tokio::test]
async fn rar_02_types_are_declared_advertised_and_listed_for_each_client() {
    let bank = Bank::open().await;
    let supported = "authorization_details_types_supported";
    let before = bank.app("web-app").get("/.well-known/oauth-authorization-server").await;
    assert_eq!(before.json.get(supported), None);
    declare(&bank).await;
    let metadata = bank.app("web-app").get("/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata[supported], json!(["account_information", "card_limit", "payment_initiation"]));
    let unlisted = asking(&bank.app("web-app"), "openid", json!([payment()]));
    assert_eq!(refused(&unlisted).await, "invalid_authorization_details");
    assert_eq!(bank.audited(EventKind::DetailTypeCreated).await, 3);
    for (wrong, says) in [
        (
            "[[authorization_details_type]]\ntype = 'x'\ntitle = 'X'\nlocations = ['https://api.bank.example']",
            "JSON Schema",
        ),
        (
            "[[authorization_details_type]]\ntype = 'payment_initiation'\ntitle = 'X'\nlocations = ['https://x.example']",
            "unknown resource server",
        ),
        (
            "[[user]]\nusername = 'bob'\naccounts = [{ id = 'a', name = 'A' }, { id = 'a', name = 'B' }]",
            "there twice",
        ),
        (
            "[[client]]\nclient_id = 'other'\ntoken_endpoint_auth_method = 'none'\nredirect_uris = ['https://o.example/cb']\nauthorization_details_types = ['unknown']",
            "not declared",
        ),
    ] {
        let fault = bank.declare(wrong).await.unwrap_err();
        assert!(fault.contains(says), "{fault}");
    }
}

#[tokio::test]
async fn rar_03_rar_06_f2_28_a_payment_is_read_chosen_and_granted() {
    let mut visit = Visit::of(Engine::Sqlite, "alice").await;
    let attempt = asking(&visit.app, "openid", json!([payment()]));
    let page = visit.ask(&attempt).await;
    let text = page.text();
    for words in [
        "Make a payment",
        "Acts for you",
        "EUR 1,234.50",
        "<script>alert(1)</script>",
        "DE02 1001 0010 9307 1186 03",
        "Invoice 7",
        "From which account?",
        "Everyday <b>alice</b>",
        "GB33 BUKB 2020 1555 5555 55",
    ] {
        assert!(text.contains(words), "{words:?} is not on the page: {text}");
    }
    assert!(!page.body.contains("<script>alert") && !page.body.contains("<b>alice"));
    assert!(!text.contains("Credit card"), "nothing can be paid from it");
    // Without a choice, or with another's account, the page comes again.
    let again = visit.browser.send(page.form("consent-allow")).await;
    assert!(again.has("account-missing"), "{}", again.text());
    let forged = again.form("consent-allow").without("accounts-0").also("accounts-0", "card");
    let again = visit.browser.send(forged).await;
    assert!(again.has("account-missing"), "{}", again.text());
    let tokens = visit.allow(&attempt, &again, &[("accounts-0", "everyday")]).await;
    let mut granted = payment();
    granted["debtorAccount"] = json!({"iban": "GB33BUKB20201555555555"});
    assert_eq!(tokens["authorization_details"], json!([granted]));
    let claims = claims_of(tokens.str("access_token"));
    assert_eq!(claims["authorization_details"], json!([granted]));
    assert_eq!(claims["aud"], json!([API, visit.bank.issuer]), "openid opens userinfo, too");
    let seen = visit.bank.api("accounts-api").introspect(tokens.str("access_token")).await;
    assert_eq!(seen["authorization_details"], json!([granted]));
}

#[tokio::test]
async fn rar_06_pages_speak_the_readers_language() {
    let mut visit = Visit::of(Engine::Sqlite, "alice").await;
    let attempt =
        asking(&visit.app, "openid", json!([reading(&["read_balances"])])).with("ui_locales", "zh-Hant");
    let page = visit.ask(&attempt).await;
    for words in ["查看帳戶", "查看餘額", "哪些帳戶？"] {
        assert!(page.text().contains(words), "{words:?} is not on the page: {}", page.text());
    }
}

#[tokio::test]
async fn rar_03_oc_33_accounts_are_remembered_and_payments_never() {
    for engine in ENGINES {
        let mut visit = Visit::of(engine, "alice").await;
        let asked = || json!([reading(&["list_accounts", "read_balances"])]);
        let attempt = asking(&visit.app, "openid", asked());
        let page = visit.ask(&attempt).await;
        let form: Form = page.form("consent-allow").with("accounts-0-2", "card");
        let form = form.with("accounts-0-0", "everyday");
        let departed = visit.browser.send(form).await;
        let tokens = visit.app.redeem(&attempt, &attempt.code(departed.departed())).await.expect(200);
        let mut granted = reading(&["list_accounts", "read_balances"]);
        granted["accounts"] = json!(["everyday", "card"]);
        assert_eq!(tokens["authorization_details"], json!([granted]));
        // The same, or less, needs no page and names the accounts that were chosen then.
        let less = asking(&visit.app, "openid", json!([reading(&["read_balances"])]));
        let departed = visit.ask(&less).await;
        let tokens = visit.app.redeem(&less, &less.code(departed.departed())).await.expect(200);
        let mut granted = reading(&["read_balances"]);
        granted["accounts"] = json!(["everyday", "card"]);
        assert_eq!(tokens["authorization_details"], json!([granted]));
        let more = asking(&visit.app, "openid", json!([reading(&["read_transactions"])]));
        assert!(visit.ask(&more).await.has("consent-allow"));
        // Without a page nobody can be asked.
        let silent = more.with("prompt", "none");
        assert_eq!(visit.ask(&silent).await.departed().error(), "consent_required");
        for _ in 0..2 {
            let tokens = visit.tokens("openid", json!([payment()]), &[("accounts-0", "everyday")]).await;
            assert_eq!(tokens["authorization_details"].as_array().map(Vec::len), Some(1));
        }
        assert!(visit.ask(&asking(&visit.app, "openid", json!([payment()]))).await.has("consent-allow"));
    }
}

#[tokio::test]
async fn rar_03_f2_17_nobody_gives_what_is_not_theirs() {
    let mut visit = Visit::of(Engine::Sqlite, "bob").await;
    let mut named = reading(&["read_balances"]);
    named["accounts"] = json!(["everyday", "alices-own"]);
    let attempt = asking(&visit.app, "openid", json!([named]));
    assert_eq!(visit.ask(&attempt).await.departed().error(), "access_denied");
    // Bob may not initiate payments.
    let attempt = asking(&visit.app, "openid", json!([payment()]));
    assert_eq!(visit.ask(&attempt).await.departed().error(), "access_denied");
    let both = asking(&visit.app, "openid", json!([payment(), reading(&["read_balances"])]));
    let page = visit.ask(&both).await;
    assert!(!page.text().contains("Make a payment"));
    let tokens = visit.allow(&both, &page, &[("accounts-0-2", "card")]).await;
    assert_eq!(tokens["authorization_details"][0]["type"], "account_information");
    assert_eq!(tokens["authorization_details"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn rar_04_tokens_and_refreshes_narrow_and_never_widen() {
    for engine in ENGINES {
        let mut visit = Visit::of(engine, "alice").await;
        let asked = json!([reading(&["list_accounts", "read_balances"])]);
        let attempt = asking(&visit.app, "openid", asked);
        let page = visit.ask(&attempt).await;
        let form = page.form("consent-allow").with("accounts-0-2", "card");
        let code = attempt.code(visit.browser.send(form).await.departed());
        let detail = |actions: &[&str]| {
            let mut detail = reading(actions);
            detail["accounts"] = json!(["card"]);
            json!([detail]).to_string()
        };
        let redeem = async |details: &str| {
            let fields = [
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", "https://rar.example/cb"),
                ("code_verifier", &attempt.verifier),
                ("authorization_details", details),
            ];
            visit.app.token(&fields).await
        };
        // A refusal spends nothing.
        let wide = detail(&["list_accounts", "read_transactions"]);
        redeem(&wide).await.expect_error(400, "invalid_authorization_details");
        let tokens = redeem(&detail(&["list_accounts"])).await.expect(200);
        assert_eq!(tokens["authorization_details"][0]["actions"], json!(["list_accounts"]));
        // The grant is as wide as before.
        let refresh = tokens.str("refresh_token").to_owned();
        let again = visit.app.refresh(&refresh).await.expect(200);
        assert_eq!(again["authorization_details"][0]["actions"], json!(["list_accounts", "read_balances"]));
        let refresh_with = async |details: &str| {
            let fields = [
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh.as_str()),
                ("authorization_details", details),
            ];
            visit.app.token(&fields).await
        };
        let narrow = refresh_with(&detail(&["read_balances"])).await.expect(200);
        let claims = claims_of(narrow.str("access_token"));
        assert_eq!(claims["authorization_details"][0]["actions"], json!(["read_balances"]));
        refresh_with(&wide).await.expect_error(400, "invalid_authorization_details");
        let other = json!([{"type": "account_information", "actions": ["list_accounts"]}]).to_string();
        refresh_with(&other).await.expect_error(400, "invalid_authorization_details");
    }
}

#[tokio::test]
async fn rar_05_in_04_each_resource_server_sees_its_own() {
    let mut visit = Visit::of(Engine::Sqlite, "alice").await;
    let limit = json!({"type": "card_limit", "limit": "500", "locations": [CARDS]});
    let attempt =
        asking(&visit.app, "openid accounts:read cards:read", json!([limit, reading(&["read_balances"])]));
    let attempt = attempt.with("resource", API).also("resource", CARDS);
    let page = visit.ask(&attempt).await;
    assert!(page.text().contains("New limit") && page.text().contains("500"), "{}", page.text());
    let form = page.form("consent-allow").with("accounts-1-2", "card");
    let code = attempt.code(visit.browser.send(form).await.departed());
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "https://rar.example/cb"),
        ("code_verifier", &attempt.verifier),
        ("resource", CARDS),
    ];
    let cards = visit.app.token(&fields).await.expect(200);
    assert_eq!(cards["authorization_details"], json!([limit]));
    // The tokens of the cards API are opaque.
    let seen = visit.bank.api("cards-api").introspect(cards.str("access_token")).await;
    assert_eq!(seen["authorization_details"], json!([limit]));
    let elsewhere = visit.bank.api("accounts-api").introspect(cards.str("access_token")).await;
    assert_eq!(elsewhere.json, json!({"active": false}));
    let fields =
        [("grant_type", "refresh_token"), ("refresh_token", cards.str("refresh_token")), ("resource", API)];
    let accounts = visit.app.token(&fields).await.expect(200);
    let said = &claims_of(accounts.str("access_token"))["authorization_details"];
    assert_eq!((said.as_array().map(Vec::len), &said[0]["type"]), (Some(1), &json!("account_information")));
}

#[tokio::test]
async fn rar_05_in_03_a_token_of_details_alone_counts_where_they_do() {
    let mut visit = Visit::of(Engine::Sqlite, "alice").await;
    let limit = json!({"type": "card_limit", "limit": "500", "locations": [CARDS]});
    let attempt = asking(&visit.app, "accounts:read", json!([limit]));
    let attempt = attempt.with("resource", API).also("resource", CARDS);
    let page = visit.ask(&attempt).await;
    let code = attempt.code(visit.browser.send(page.form("consent-allow")).await.departed());
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", "https://rar.example/cb"),
        ("code_verifier", &attempt.verifier),
        ("resource", CARDS),
    ];
    let cards = visit.app.token(&fields).await.expect(200);
    assert!(cards.json.get("scope").is_none(), "no scope is empty: {}", cards.json);
    assert_eq!(cards["authorization_details"], json!([limit]));
    let seen = visit.bank.api("cards-api").introspect(cards.str("access_token")).await;
    assert_eq!(seen["active"], json!(true));
    assert_eq!(seen["authorization_details"], json!([limit]));
    assert!(seen.json.get("scope").is_none(), "{}", seen.json);
    visit.app.userinfo(cards.str("access_token")).await.expect_error(403, "insufficient_scope");
}

#[tokio::test]
async fn rar_07_details_travel_in_pushed_and_signed_requests() {
    let mut visit = Visit::of(Engine::Sqlite, "alice").await;
    let attempt = asking(&visit.app, "openid", json!([payment()]));
    let pushed = push(&visit.app, &attempt, None).await.expect(201);
    let page = visit.open(pushed_url(&visit.app, pushed.str("request_uri"))).await;
    assert!(page.text().contains("EUR 1,234.50"));
    let tokens = visit.allow(&attempt, &page, &[("accounts-0", "everyday")]).await;
    assert_eq!(tokens["authorization_details"][0]["creditorName"], payment()["creditorName"]);

    let key = new_key(Algorithm::Es256);
    let metadata = json!({
        "client_name": "Signing App", "token_endpoint_auth_method": "none", "scope": "openid",
        "redirect_uris": ["https://signed.example/cb"], "jwks": {"keys": [key.public().to_value()]},
        "authorization_details_types": ["payment_initiation"],
    });
    declare_client(&visit.bank, "signed-app", metadata).await.unwrap();
    let app =
        RelyingParty::new(&visit.bank.issuer, "signed-app", ClientAuth::None, "https://signed.example/cb");
    let attempt = app.attempt("openid");
    let signed = |details: Value| {
        let mut object: serde_json::Map<String, Value> =
            attempt.parameters.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let more = [
            ("iss", json!("signed-app")),
            ("aud", json!(visit.bank.issuer)),
            ("authorization_details", details),
        ];
        object.extend(more.map(|(name, value)| (name.to_owned(), value)));
        let object = key.sign("oauth-authz-req+jwt", &object).unwrap();
        let mut outside = attempt.clone();
        outside.parameters.retain(|(name, _)| name == "client_id" || name == "response_type");
        outside.with("request", &object)
    };
    let mut wrong = payment();
    wrong["instructedAmount"]["amount"] = json!("1e3");
    assert_eq!(refused(&signed(json!([wrong]))).await, "invalid_authorization_details");
    let url = signed(json!([payment()])).url();
    assert!(visit.open(url).await.text().contains("EUR 1,234.50"));
}

#[tokio::test]
async fn rar_02_rar_04_grants_without_a_page() {
    let visit = Visit::of(Engine::Sqlite, "alice").await;
    let own = async |details: Value| {
        let fields = [
            ("grant_type", "client_credentials"),
            ("scope", "cards:read"),
            ("authorization_details", &details.to_string()),
        ];
        visit.app.token(&fields).await
    };
    let limit = || json!({"type": "card_limit", "limit": "500"});
    let tokens = own(json!([limit()])).await.expect(200);
    assert_eq!(tokens["authorization_details"], json!([limit()]));
    let seen = async || visit.bank.api("cards-api").introspect(tokens.str("access_token")).await;
    assert_eq!(seen().await["authorization_details"], json!([limit()]));
    own(json!([payment()])).await.expect_error(400, "invalid_authorization_details");
    own(json!([{"type": "card_limit", "limit": "500", "locations": [API]}]))
        .await
        .expect_error(400, "invalid_authorization_details");
    // What the operator takes from the client, its own tokens lose.
    let registered = |types: Value, scope: &str| {
        json!({
            "client_name": "RAR App", "redirect_uris": ["https://rar.example/cb"], "scope": scope,
            "grant_types": ["authorization_code", "client_credentials"], "authorization_details_types": types,
        })
    };
    declare_client(&visit.bank, "rar-app", registered(json!([]), "openid cards:read")).await.unwrap();
    let less = seen().await;
    assert_eq!((less.json.get("authorization_details"), &less["scope"]), (None, &json!("cards:read")));
    declare_client(&visit.bank, "rar-app", registered(json!([]), "openid")).await.unwrap();
    assert_eq!(seen().await.json, json!({"active": false}));
    // A device can't show what it asks for.
    let details = json!([reading(&["read_balances"])]).to_string();
    let device = json!({
        "client_name": "TV", "token_endpoint_auth_method": "none", "scope": "openid",
        "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"], "response_types": [],
        "authorization_details_types": ["account_information"],
    });
    declare_client(&visit.bank, "tv", device).await.unwrap();
    let tv = RelyingParty::new(&visit.bank.issuer, "tv", ClientAuth::None, "https://unused.example/cb");
    let fields = [("scope", "openid"), ("authorization_details", &details)];
    tv.post("/device_authorization", &fields).await.expect_error(400, "invalid_authorization_details");
}

#[tokio::test]
async fn f2_17_what_is_taken_away_leaves_tokens_and_the_account_page_shows_what_is_left() {
    for engine in ENGINES {
        let mut visit = Visit::of(engine, "alice").await;
        let asked = json!([reading(&["read_balances"])]);
        let tokens = visit.tokens("openid accounts:read", asked, &[("accounts-0-0", "everyday")]).await;
        let token = tokens.str("access_token").to_owned();
        let api = visit.bank.api("accounts-api");
        assert_eq!(api.introspect(&token).await["authorization_details"][0]["accounts"], json!(["everyday"]));
        let account = visit.browser.open(visit.bank.url("/account")).await;
        let text = account.text();
        assert!(text.contains("See accounts exactly") && text.contains("Everyday <b>alice</b>"), "{text}");
        // The person chooses anew: what was chosen before is no more.
        let attempt = asking(&visit.app, "openid accounts:read", json!([reading(&["read_balances"])]));
        let page = visit.ask(&attempt.clone().with("prompt", "consent")).await;
        visit.allow(&attempt, &page, &[("accounts-0-2", "card")]).await;
        let seen = api.introspect(&token).await;
        assert_eq!(seen.json.get("authorization_details"), None);
        assert_eq!(seen["active"], true, "the scope stands");
    }
}
