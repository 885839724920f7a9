//! Credential-less CORS (BCP-23, RFC 9700 §2.6): browser apps reach what they need, and never the pages.

use reqwest::Method;
use testkit::Answer;

use crate::{bank::Bank, steps::answer};

const ORIGIN: &str = "https://spa.example";
const SHARED: [(&str, Method); 7] = [
    ("/.well-known/openid-configuration", Method::GET),
    ("/.well-known/oauth-authorization-server", Method::GET),
    ("/jwks", Method::GET),
    ("/token", Method::POST),
    ("/revoke", Method::POST),
    ("/userinfo", Method::GET),
    ("/userinfo", Method::POST),
];

async fn send(bank: &Bank, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let app = bank.app("spa");
    let mut request = app.http().request(method, bank.url(path)).header("origin", ORIGIN);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(request).await
}

fn list(answer: &Answer, name: &str) -> Vec<String> {
    let value = answer.header(name).unwrap_or_default();
    value.split(',').map(|item| item.trim().to_ascii_lowercase()).filter(|item| !item.is_empty()).collect()
}

#[tokio::test]
async fn bcp_23_programs_in_browsers_may_read_the_answers() {
    let bank = Bank::open().await;
    for (path, method) in SHARED {
        let found = send(&bank, method.clone(), path, &[]).await;
        assert_eq!(found.header("access-control-allow-origin"), Some("*"), "{method} {path}");
        assert_eq!(found.header("access-control-allow-credentials"), None, "{method} {path}");
        let exposed = list(&found, "access-control-expose-headers");
        for name in ["dpop-nonce", "www-authenticate"] {
            assert!(exposed.iter().any(|it| it == name), "{method} {path} exposes {exposed:?}");
        }
        let preflight = send(
            &bank,
            Method::OPTIONS,
            path,
            &[
                ("access-control-request-method", method.as_str()),
                ("access-control-request-headers", "authorization,content-type,dpop"),
            ],
        )
        .await;
        assert!(preflight.status < 300, "{path}: {}", preflight.status);
        assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
        assert_eq!(preflight.header("access-control-allow-credentials"), None);
        assert!(list(&preflight, "access-control-allow-methods").contains(&method.as_str().to_lowercase()));
        let allowed = list(&preflight, "access-control-allow-headers");
        assert!(["authorization", "content-type", "dpop"].iter().all(|it| allowed.iter().any(|a| a == it)));
    }
    // The answer that a browser app came for, and a refusal that it must be able to read.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let refused = send(&bank, Method::POST, "/token", &form).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (401, Some("*")));
}

#[tokio::test]
async fn bcp_23_pages_and_introspection_are_nobody_elses() {
    let bank = Bank::open().await;
    let attempt = bank.app("spa").attempt("openid");
    let authorize = attempt.url().replace(&bank.issuer, "");
    let paths = [
        "/authorize",
        &authorize,
        "/account",
        "/end-session",
        "/introspect",
        "/interaction/x",
        "/login",
        "/",
    ];
    for path in paths {
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            let preflight = [
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "authorization"),
            ];
            let found = send(&bank, method.clone(), path, &preflight).await;
            let names = found.headers.keys().filter(|name| name.as_str().starts_with("access-control-"));
            assert_eq!(names.count(), 0, "{method} {path}");
        }
    }
}
