//! node-oidc-provider as the bank, against the running binary, set up as an operator would.

use testkit::{Browser, Page, Person, Process, free_port, scripts, totp};

use crate::{bank::Engine, running::Installation};

/// Goes through node-oidc-provider's own pages: a name, then "continue".
async fn through(there: &Browser, url: &str) -> String {
    let mut page = there.open(url).await;
    for _ in 0..10 {
        if let Some(departure) = &page.departure {
            return departure.url.to_string();
        }
        page = next(there, &page).await;
    }
    panic!("no end: {} {}", page.url, page.text());
}

/// Its forms have a button without an id, which is all that the testkit's browser goes by.
async fn next(there: &Browser, page: &Page) -> Page {
    let body = page.body.replace("type=\"submit\"", "type=\"submit\" id=\"go\"");
    let named = Page { body, ..page.clone() };
    let mut form = named.form("go");
    if form.has("login") {
        form = form.with("login", "frieda").with("password", "any");
    }
    there.send(form).await
}

#[tokio::test]
async fn node_oidc_provider_brings_people() {
    let bank = Installation::tls(Engine::Sqlite);
    let port = free_port();
    let foreign = format!("https://localhost:{port}");
    bank.write("upstream-secret", "a-secret-of-the-foreign-bank-0123456789\n");
    let certificate = bank.write("root.pem", &bank.certificate);
    bank.configure_tls(&format!(
        "[outbound]\nallow = [\"localhost:{port}\"]\nroot_certificate = \"root.pem\"\n\
         [[upstream]]\nid = \"foreign\"\nissuer = \"{foreign}\"\nclient_id = \"south\"\n\
         client_secret_file = \"upstream-secret\"\nnames = {{ en = \"Foreign Bank\" }}\n\
         just_in_time = true\nroles_claim = \"groups\"\n\
         roles = {{ staff = \"account-viewer\" }}\n"
    ));
    bank.apply(include_str!("../bank.toml"));
    let callback = bank.url("/federation/callback/foreign");
    let signed_out = bank.url("/federation/signed-out/foreign");
    let (port, key) = (port.to_string(), bank.directory().join("tls.key").display().to_string());
    let certificate = certificate.display().to_string();
    let environment = [
        ("PORT", port.as_str()),
        ("ISSUER", foreign.as_str()),
        ("CERTIFICATE", certificate.as_str()),
        ("KEY", key.as_str()),
        ("CLIENT_ID", "south"),
        ("CLIENT_SECRET", "a-secret-of-the-foreign-bank-0123456789"),
        ("REDIRECT_URI", callback.as_str()),
        ("POST_LOGOUT_REDIRECT_URI", signed_out.as_str()),
    ];
    let mut node = scripts::node_command("tests/clients", "provider.mjs", &environment).await;
    let provider = Process::start("node-oidc-provider", node.as_std_mut());
    let _provider = provider.ready(&format!("{foreign}/.well-known/openid-configuration")).await;
    let _serving = bank.serve().await;

    let (browser, there) = (bank.browser(), Browser::trusting(&bank.roots()));
    let app = bank.web_app();
    let attempt = app.attempt("openid profile email accounts:read");
    let page = browser.open(attempt.url()).await;
    let to = browser.submit(&page, "upstream-foreign", &[]).await.departed().url.to_string();
    let back = through(&there, &to).await;
    let page = browser.open(&back).await;
    let mut frieda = Person::new("frieda", "any");
    let page = frieda.walk(&browser, page, "", totp::machine_time()).await;
    let tokens = app.redeem(&attempt, &attempt.code(page.departed())).await.expect(200);
    let id_token = testkit::claims_of(tokens.str("id_token"));
    assert_eq!(id_token["acr"], "urn:openbanking:psd2:ca");
    let access = testkit::claims_of(tokens.str("access_token"));
    assert_eq!(access["roles"], serde_json::json!(["account-viewer"]), "mapped from userinfo's groups");
    let userinfo = app.userinfo(tokens.str("access_token")).await.expect(200);
    assert_eq!(userinfo.str("name"), "frieda Foreign");

    // Signing out here leads through the provider and back.
    let page = browser.open(bank.url("/account")).await;
    let to = browser.submit(&page, "sign-out", &[]).await.departed().url.to_string();
    assert!(to.starts_with(&format!("{foreign}/session/end?")), "{to}");
    let back = through(&there, &to).await;
    assert!(back.starts_with(&signed_out), "{back}");
    assert_eq!(browser.open(&back).await.url.path(), "/signed-out");
}
