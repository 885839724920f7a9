//! The main job in a real browser: headless Chromium goes through sign-in, enrolment, recovery codes, consent,
//! the app, withdrawal and sign-out, in the light scheme, in the dark one and without JavaScript, and checks
//! every page for accessibility, policy violations and overflow.

use testkit::scripts;
use tokio::net::TcpListener;

use crate::bank::Engine;
use crate::running::Installation;

/// The demonstration's own bank, so that what people click through is what is tested.
const DEMO: &str = include_str!("../../../examples/demo/bank.toml");
const PASSWORD: &str = "harbour-lantern-violet";
const CUSTOMERS: [&str; 3] = ["ingrid", "jamal", "keiko"];

/// The demonstration's bank on other ports, with three more customers, who have no second factor yet. The last
/// need not have one, until the bank's API wants it (SU-01).
fn described(app: u16, api: u16) -> String {
    let mut bank = DEMO
        .replace("127.0.0.1:8402", &format!("127.0.0.1:{app}"))
        .replace("127.0.0.1:8403", &format!("127.0.0.1:{api}"));
    for name in CUSTOMERS {
        let policy = if name == "keiko" { "if-enrolled" } else { "required" };
        bank.push_str(&format!(
            "\n[[user]]\nusername = \"{name}\"\npassword = \"{PASSWORD}\"\nsecond_factor = \"{policy}\"\n\
             roles = [\"account-viewer\", \"payment-initiator\"]\n[user.claims]\nname = \"{name}\"\n\
             email = \"{name}@meridian.example\"\n"
        ));
    }
    bank
}

#[tokio::test]
async fn a_customer_connects_uses_and_withdraws_in_every_scheme() {
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (app_port, api_port) = (app.local_addr().unwrap().port(), api.local_addr().unwrap().port());
    let (app_url, api_url) = (format!("http://127.0.0.1:{app_port}"), format!("http://127.0.0.1:{api_port}"));
    let bank = Installation::plain(Engine::Sqlite);
    let ledgerline = std::sync::Arc::new(fintech_app::Keys::draw().unwrap());
    bank.write("ledgerline.jwks", &ledgerline.jwks().to_string());
    bank.apply(&described(app_port, api_port));
    let _serving = bank.serve().await;
    let apps = fintech_app::Config {
        issuer: bank.issuer.clone(),
        bank_name: "Meridian Bank".into(),
        bank_account_url: Some(bank.url("/account").parse().unwrap()),
        bank_api: api_url.parse().unwrap(),
        public_url: app_url.parse().unwrap(),
        brands: vec![fintech_app::Brand::ledgerline(ledgerline), fintech_app::Brand::pocketwise()],
    };
    let accounts = bank_api::Config {
        issuer: bank.issuer.clone(),
        audience: api_url,
        introspection: Some(bank_api::IntrospectionCredentials {
            client_id: "meridian-api".into(),
            client_secret: "demo-only-meridian-api-secret-41d8".into(),
        }),
        clock: bank_api::Clock::default(),
    };
    tokio::spawn(fintech_app::serve(apps, app, std::future::pending()));
    tokio::spawn(bank_api::serve(accounts, api, std::future::pending()));

    let customers = CUSTOMERS.map(|name| serde_json::json!({ "username": name, "password": PASSWORD }));
    let customers = serde_json::Value::from(customers.to_vec()).to_string();
    let environment = [("ISSUER", bank.issuer.as_str()), ("APP", &app_url), ("CUSTOMERS", &customers)];
    let printed = scripts::browser_script("journey.mjs", &environment).await;
    for pass in ["light: ", "dark: ", "no-javascript: "] {
        let line = printed.lines().find(|line| line.starts_with(pass));
        let line = line.unwrap_or_else(|| panic!("{pass:?} is not in:\n{printed}"));
        for page in [
            "sign-in",
            "enrol",
            "recovery-codes",
            "consent",
            "app-connected",
            "app-paid",
            "account-withdrawn",
        ] {
            assert!(line.contains(page), "{page} is not in {line}");
        }
        // SU-01, SU-02: one factor was enough to connect, and is not enough for a larger payment.
        assert_eq!(line.contains("step-up"), pass == "no-javascript: ", "{line}");
    }
}
