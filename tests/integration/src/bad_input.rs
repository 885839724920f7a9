//! Hostile bytes at the endpoints for programs: always the standard's own error, never a crash, nothing
//! left behind.

use audit::EventKind;
use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use protocol::ErrorCode;
use reqwest::Method;
use testkit::{Answer, Browser};

use crate::{
    bank::{Bank, ENGINES},
    dpop_key::push,
    steps::answer,
};

const CASES: u32 = 150;
const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn o21_06_only_form_posts_are_taken() {
    let bank = Bank::open().await;
    let http = bank.app("web-app").http().clone();
    let secret = Some("batch-job-secret-0123456789ab");
    for path in ["/token", "/introspect", "/revoke"] {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD] {
            let found = answer(http.request(method.clone(), bank.url(path))).await;
            assert_eq!(found.status, 405, "{method} {path}");
            assert_eq!(found.header("allow"), Some("POST"), "{method} {path}");
        }
        for kind in
            ["application/json", "text/plain", "multipart/form-data; boundary=x", "application/x-www", ""]
        {
            let body = "grant_type=client_credentials&token=x";
            let mut request = http.post(bank.url(path)).basic_auth("batch-job", secret).body(body);
            if !kind.is_empty() {
                request = request.header("content-type", kind);
            }
            answer(request).await.expect_error(415, "invalid_request");
        }
        for kind in
            [FORM, "application/x-www-form-urlencoded; charset=UTF-8", "Application/X-WWW-Form-Urlencoded"]
        {
            let request =
                http.post(bank.url(path)).header("content-type", kind).body("client_id=ghost&token=x");
            answer(request).await.expect(401);
        }
    }
    for path in ["/.well-known/openid-configuration", "/jwks"] {
        answer(http.post(bank.url(path)).form(&[("a", "b")])).await.expect(405);
    }
    answer(http.delete(bank.url("/userinfo"))).await.expect(405);
}

#[tokio::test]
async fn oversized_bodies_and_parameters_are_refused() {
    let bank = Bank::open().await;
    let http = bank.app("web-app").http().clone();
    for path in ["/token", "/introspect", "/revoke", "/userinfo"] {
        let post = |body: String| {
            let request = http.post(bank.url(path)).header("content-type", FORM);
            answer(request.basic_auth("batch-job", Some("batch-job-secret-0123456789ab")).body(body))
        };
        let large = post(format!("token={}", "x".repeat(64 * 1024))).await;
        large.expect_error(413, "invalid_request");
        post(format!("token={}", "x".repeat(33 * 1024))).await.expect_error(400, "invalid_request");
        post("a=1&".repeat(101)).await.expect_error(400, "invalid_request");
        post("token=%ff%fe".into()).await.expect_error(400, "invalid_request");
        post("token=a%00b".into()).await.expect_error(400, "invalid_request");
    }
}

/// PostgreSQL keeps no U+0000 in a text, so one that came in escaped was a crash there.
#[tokio::test]
async fn jo_02_an_escaped_u_0000_reaches_no_database() {
    for engine in ENGINES {
        let bank = Bank::on(engine).await;
        let app = bank.app("web-app");
        for claims in
            [r#"{"id_token":{"sub":{"value":"\u0000"}}}"#, r#"{"id_token":{"nick\u0000name":null}}"#]
        {
            let attempt = app.attempt("openid").with("claims", claims);
            push(&app, &attempt, None).await.expect_error(400, "invalid_request");
            let browser = Browser::new();
            let page = browser.open(attempt.url()).await;
            assert_eq!(page.departed().error(), "invalid_request", "{engine:?}");
        }
    }
}

/// A request that somebody made up.
#[derive(Clone, Debug)]
struct Made {
    body: Vec<u8>,
    authorization: Option<Vec<u8>>,
    content_type: String,
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{0,80}",
        "[A-Za-z0-9_-]{43}",
        "[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{1,40}\\.[A-Za-z0-9_-]{0,40}",
        prop::sample::select(vec![
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "password",
            "web-app",
            "native-app",
            "spa",
            "accounts:read",
            "openid",
            "https://api.bank.example",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ3ZWItYXBwIn0.",
            "00000000-0000-0000-0000-000000000000",
        ])
        .prop_map(str::to_owned),
    ]
}

fn pairs() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(vec![
        "grant_type",
        "code",
        "redirect_uri",
        "code_verifier",
        "refresh_token",
        "scope",
        "resource",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "token",
        "token_type_hint",
        "access_token",
        "audience",
    ])
    .prop_map(str::to_owned);
    let names = prop_oneof![8 => names, 1 => any::<String>()];
    prop::collection::vec((names, values()), 0..8).prop_map(|pairs| {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs).finish().into_bytes()
    })
}

fn made() -> impl Strategy<Value = Made> {
    let bodies = prop_oneof![
        4 => pairs(),
        1 => prop::collection::vec(any::<u8>(), 0..600),
        1 => "[a-z_]{0,12}(=|%|&|\\+|%[0-9a-f]{2}){0,40}".prop_map(String::into_bytes),
    ];
    let basic = |user: &'static str, secret: &'static str| {
        Just(format!("Basic {}", STANDARD.encode(format!("{user}:{secret}"))).into_bytes())
    };
    let visible = prop::collection::vec(prop_oneof![0x20_u8..0x7f, 0x80_u8..=0xff], 0..120);
    let headers = prop_oneof![
        3 => Just(None),
        2 => basic("web-app", "web-app-secret-0123456789abcd").prop_map(Some),
        1 => basic("accounts-api", "accounts-api-secret-0123456789").prop_map(Some),
        1 => visible.prop_map(Some),
        1 => any::<Vec<u8>>().prop_map(|it| Some(format!("Basic {}", STANDARD.encode(it)).into_bytes())),
        1 => values().prop_map(|it| {
            let printable: String = it.chars().filter(|c| !c.is_control()).collect();
            Some(format!("Bearer {printable}").into_bytes())
        }),
    ];
    let kinds = prop_oneof![9 => Just(FORM.to_owned()), 1 => "[ -~]{0,40}"];
    (bodies, headers, kinds).prop_map(|(body, authorization, content_type)| Made {
        body,
        authorization,
        content_type,
    })
}

/// Runs a property against one path of a bank, and gives the bank back.
fn hold(path: &str, right: impl Fn(&Answer) -> bool) -> (tokio::runtime::Runtime, Bank) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let bank = runtime.block_on(Bank::open());
    let http = bank.app("web-app").http().clone();
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&made(), |made| {
        let mut request = http.post(bank.url(path)).header("content-type", made.content_type).body(made.body);
        if let Some(value) = made.authorization.and_then(|it| http::HeaderValue::from_bytes(&it).ok()) {
            request = request.header("authorization", value);
        }
        let found = runtime.block_on(answer(request));
        sane(&found).map_err(TestCaseError::fail)?;
        prop_assert!(found.status >= 400 || right(&found), "{}: {}", found.status, found.text);
        Ok(())
    });
    if let Err(fault) = outcome {
        panic!("{path}: {fault}");
    }
    (runtime, bank)
}

/// A 4xx with a code of the standards and a text within its alphabet; or a 200.
fn sane(found: &Answer) -> Result<(), String> {
    let complaint = |what: &str| Err(format!("{what}: {} {}", found.status, found.text));
    if !(found.status == 200 || (400..500).contains(&found.status)) {
        return complaint("neither success nor the caller's fault");
    }
    if found.header("cache-control") != Some("no-store") {
        return complaint("may be stored");
    }
    if found.status == 200 || found.text.is_empty() {
        return Ok(());
    }
    let code = found["error"].as_str().unwrap_or_default();
    if !ErrorCode::ALL.iter().any(|known| known.as_str() == code) {
        return complaint("an error of no standard");
    }
    let fits = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if found["error_description"].as_str().is_some_and(|text| text.bytes().all(fits)) {
        Ok(())
    } else {
        complaint("a description outside its alphabet (ER-01)")
    }
}

#[test]
fn er_01_token_requests_of_any_kind_get_a_standard_answer() {
    let (runtime, bank) = hold("/token", |_| false);
    for kind in [EventKind::CodeRedeemed, EventKind::TokenRefreshed, EventKind::TokenIssued] {
        assert_eq!(runtime.block_on(bank.audited(kind)), 0, "nothing half-created remains");
    }
}

#[test]
fn in_02_introspection_requests_of_any_kind_get_a_standard_answer() {
    hold("/introspect", |found| found.text == r#"{"active":false}"#);
}

#[test]
fn rv_01_revocation_requests_of_any_kind_get_a_standard_answer() {
    let (runtime, bank) = hold("/revoke", |found| found.text.is_empty());
    assert_eq!(runtime.block_on(bank.audited(EventKind::TokenRevoked)), 0);
}

#[test]
fn f2_38_userinfo_requests_of_any_kind_get_a_standard_answer() {
    hold("/userinfo", |_| false);
}
