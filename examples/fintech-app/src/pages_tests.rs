//! Every page is rendered with samples. With `FINTECH_APP_SAMPLES` set to a folder they are left there to look at.

use serde_json::json;

use super::*;
use crate::{bank::AccountView, claims, session::Notice};

const BANK: &str = "Meridian Bank";

fn accounts() -> Vec<AccountView> {
    let account = |id: &str, name: &str, kind: &str, amount: &str| AccountView {
        account: serde_json::from_value(
            json!({ "account_id": id, "name": name, "kind": kind, "number": "•••• 4821", "currency": "EUR" }),
        )
        .unwrap(),
        available: serde_json::from_value(
            json!({ "kind": "available", "amount": amount, "currency": "EUR" }),
        )
        .ok(),
        booked: serde_json::from_value(json!({ "kind": "booked", "amount": amount, "currency": "EUR" })).ok(),
    };
    vec![
        account("everyday-1", "Everyday account", "current", "2841.17"),
        account("rainy-day-1", "Rainy-day savings", "savings", "18200.00"),
        account("travel-1", "Travel pot", "savings", "640.35"),
    ]
}

fn tables() -> Vec<ClaimTable> {
    let id = json!({
        "iss": "http://localhost:8400", "sub": "0198c1f4-7a52-7cc0-8a3e-5d2b9e0f7a11", "aud": "ledgerline",
        "exp": 1_800_000_300, "iat": 1_800_000_000, "auth_time": 1_799_999_990, "acr": "urn:openbanking:psd2:sca",
        "amr": ["pwd", "otp", "mfa"], "nonce": "n-0S6_WzA2Mj", "sid": "b7b0e4f2",
    });
    let user = json!({ "sub": "0198c1f4", "name": "Alice Example", "email": "alice@example.com", "email_verified": true });
    let access = json!({
        "iss": "http://localhost:8400", "aud": "http://127.0.0.1:8403", "client_id": "ledgerline",
        "scope": "accounts:read balances:read", "roles": ["account-viewer"], "exp": 1_800_000_300, "jti": "01JC",
    });
    [
        ("id-token-claims", "ID token", id),
        ("userinfo-claims", "Userinfo", user),
        ("access-token-claims", "Access token", access),
    ]
    .map(|(id, title, json)| ClaimTable {
        id,
        title,
        about: "What this is, in one sentence.",
        claims: claims::of_json(&json),
        otherwise: "There is none.",
    })
    .into()
}

fn dashboard(brand: &Brand) -> Dashboard<'_> {
    Dashboard {
        brand,
        bank: BANK,
        bank_account_url: Some("http://localhost:8400/account"),
        notice: Some(Notice::good("Refreshed: the bank has issued a new access token.")),
        person: Some("Alice Example".into()),
        accounts: accounts(),
        accounts_problem: None,
        scopes: ["accounts:read", "balances:read", "openid", "payments:write"].map(str::to_owned).into(),
        can_ask: true,
        can_pay: true,
        can_refresh: true,
        expires: "08:05:00 UTC".into(),
        refreshed: 1,
        tables: tables(),
    }
}

fn rendered(name: &str, template: &impl Template) -> String {
    let html = template.render().unwrap();
    if let Ok(folder) = std::env::var("FINTECH_APP_SAMPLES") {
        std::fs::write(format!("{folder}/{name}.html"), html.replace("/assets/", "")).unwrap();
        std::fs::write(format!("{folder}/app.css"), STYLE).unwrap();
    }
    html
}

#[test]
fn every_page_renders_and_has_its_buttons() {
    let (ledgerline, pocketwise) =
        (Brand::ledgerline(std::sync::Arc::new(crate::Keys::draw().unwrap())), Brand::pocketwise());
    let brands = [ledgerline.clone(), pocketwise.clone()];
    let notice = Some(Notice::bad("The bank says access was withdrawn."));
    let detail = Some("access_denied: the user said no".into());
    let (title, text) = ("Nothing was connected", "You declined at the bank. Nothing was shared.");
    let empty = Dashboard {
        accounts: Vec::new(),
        accounts_problem: Some("the bank's API cannot be reached".into()),
        can_refresh: false,
        person: None,
        notice: None,
        ..dashboard(&ledgerline)
    };
    let table = [
        (rendered("home", &Home { brands: &brands, bank: BANK }), vec!["open-ledgerline", "open-pocketwise"]),
        (
            rendered("connect", &Connect { brand: &ledgerline, bank: BANK, notice: None }),
            vec!["connect-ledgerline", "payments"],
        ),
        (
            rendered("withdrawn", &Connect { brand: &pocketwise, bank: BANK, notice }),
            vec!["connect-pocketwise", "notice"],
        ),
        (
            rendered("dashboard", &dashboard(&ledgerline)),
            vec![
                "refresh",
                "revoke",
                "sign-out-bank",
                "pay",
                "account-travel-1",
                "id-token-claims",
                "access-token-claims",
            ],
        ),
        (rendered("dashboard-pocketwise", &dashboard(&pocketwise)), vec!["refresh", "userinfo-claims"]),
        (rendered("dashboard-empty", &empty), vec!["accounts-problem", "revoke"]),
        (
            rendered("problem", &Problem { brand: Some(&ledgerline), bank: BANK, title, text, detail }),
            vec!["retry"],
        ),
        (
            rendered("not-found", &Problem { brand: None, bank: BANK, title, text, detail: None }),
            vec!["problem"],
        ),
    ];
    for (html, ids) in table {
        for id in ids {
            assert!(html.contains(&format!("id=\"{id}\"")), "{id} is not in {html}");
        }
        assert!(!html.contains("<script"));
    }
}

#[test]
fn what_the_bank_says_cannot_become_markup() {
    let brand = Brand::pocketwise();
    let detail = Some("<img src=x onerror=alert(1)>".into());
    let html = Problem { brand: Some(&brand), bank: BANK, title: "t", text: "t", detail }.render().unwrap();
    assert!(!html.contains("<img"));
}
