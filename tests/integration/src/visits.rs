//! Short ways through the bank's pages that several subjects share.

use testkit::{Browser, Form, Page, Person};

use crate::bank::Bank;

/// The session cookie of a bank on plain http.
pub const SESSION: &str = "chancery-session-dev";

/// Signs a person in to the account pages, with everything that is asked on the way.
pub async fn sign_in(bank: &Bank, person: &mut Person, browser: &Browser) -> Page {
    let page = browser.open(bank.url("/account")).await;
    person.walk(browser, page, "sign-out", bank.now()).await.expect(200)
}

/// Whether the account pages are open to a browser.
pub async fn is_signed_in(bank: &Bank, browser: &Browser) -> bool {
    browser.open(bank.url("/account")).await.expect(200).has("sign-out")
}

/// Gives an account a second factor: enrols an authenticator from the account pages.
pub async fn enrol(bank: &Bank, person: &mut Person, browser: &Browser) -> Page {
    let account = sign_in(bank, person, browser).await;
    let page = browser.submit(&account, "totp-enrol", &[]).await;
    person.walk(browser, page, "sign-out", bank.now()).await.expect(200)
}

/// Types a password on a sign-in page.
pub async fn type_password(browser: &Browser, page: &Page, username: &str, password: &str) -> Page {
    browser.submit(page, "login-submit", &[("username", username), ("password", password)]).await
}

/// The session cookie of a browser.
pub fn session(bank: &Bank, browser: &Browser) -> String {
    browser.cookie(&bank.issuer, SESSION).expect("the browser has a session cookie")
}

/// A browser that holds a session cookie by other means than signing in.
pub fn with_session(bank: &Bank, cookie: &str) -> Browser {
    let browser = Browser::new();
    browser.plant_cookie(&bank.issuer, &format!("{SESSION}={cookie}; Path=/"));
    browser
}

/// Posts a form and stops at its answer, without following where that leads.
pub async fn post(browser: &Browser, form: &Form) -> reqwest::Response {
    let request = browser.client().post(form.action.clone()).form(&form.fields);
    request.send().await.expect("the server answers")
}

/// The ids of the buttons whose id begins like this.
pub fn buttons(page: &Page, beginning: &str) -> Vec<String> {
    page.attributes(&format!("button[id^={beginning}]"), "id")
}
