//! A bank customer who goes through the pages: signs in, enrols an authenticator, types its codes, keeps
//! recovery codes, allows what is asked.

use chrono::{DateTime, Utc};

use crate::browser::Browser;
use crate::page::{Departure, Page};
use crate::totp;

/// Where an enrolment page shows the base32 secret, and where the recovery codes are listed.
const SECRET: &str = "#secret";
const RECOVERY_CODES: &str = "#recovery-codes li";

/// A customer with what they know and hold.
#[derive(Debug, Clone)]
pub struct Person {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: String,
    /// The base32 TOTP secret, once enrolled.
    pub secret: Option<String>,
    /// The recovery codes, once shown.
    pub recovery_codes: Vec<String>,
    last_step: u64,
}

impl Person {
    /// A customer who has not enrolled a second factor.
    #[must_use]
    pub fn new(username: &str, password: &str) -> Self {
        Self {
            username: username.to_owned(),
            password: password.to_owned(),
            secret: None,
            recovery_codes: Vec::new(),
            last_step: 0,
        }
    }

    /// The next code that the server has not seen: that of the current step, or, when it was used, of the
    /// one after it, which servers accept because clocks differ.
    ///
    /// # Panics
    /// When no secret was enrolled, or two codes were already used around this time: the test's clock must
    /// move on.
    pub fn code(&mut self, now: DateTime<Utc>) -> String {
        let secret = self.secret.as_deref().expect("the person has enrolled an authenticator");
        let current = u64::try_from(now.timestamp()).expect("tests happen after 1970") / totp::STEP;
        let step = current.max(self.last_step + 1);
        assert!(step <= current + 1, "both codes around {now} are used up; move the clock by 30 seconds");
        self.last_step = step;
        totp::code(secret, step * totp::STEP)
    }

    /// Opens an authorization request and goes through every page up to and including consent. Returns the
    /// authorization response.
    pub async fn connect(
        &mut self,
        browser: &Browser,
        url: impl AsRef<str>,
        now: DateTime<Utc>,
    ) -> Departure {
        let page = browser.open(url).await;
        self.walk(browser, page, "", now).await.departed().clone()
    }

    /// Goes on from `page` until one shows an element with the id `stop`, or the navigation leaves the site.
    ///
    /// # Panics
    /// When a page asks for something this person does not know, with its text.
    pub async fn walk(&mut self, browser: &Browser, page: Page, stop: &str, now: DateTime<Utc>) -> Page {
        let mut page = page;
        for _ in 0..10 {
            if page.departure.is_some() || (!stop.is_empty() && page.has(stop)) {
                return page;
            }
            page = self.answer(browser, &page, now).await;
        }
        panic!("ten pages and no end; the last one, {}, says: {}", page.url, page.text());
    }

    /// Answers one page.
    ///
    /// # Panics
    /// As [`Person::walk`] does.
    pub async fn answer(&mut self, browser: &Browser, page: &Page, now: DateTime<Utc>) -> Page {
        if let Some(form) = page.form_to_another_site() {
            return browser.send(form).await;
        }
        if page.has("login-submit") {
            let fields = [("username", self.username.as_str()), ("password", self.password.as_str())];
            return browser.submit(page, "login-submit", &fields).await;
        }
        if page.has("enrol-submit") {
            let shown = page.texts(SECRET).pop();
            self.secret =
                Some(shown.unwrap_or_else(|| panic!("no {SECRET} at {}: {}", page.url, page.text())));
            return browser.submit(page, "enrol-submit", &[("otp", &self.code(now))]).await;
        }
        if page.has("otp-submit") {
            return browser.submit(page, "otp-submit", &[("otp", &self.code(now))]).await;
        }
        if page.has("codes-saved") {
            self.recovery_codes = page.texts(RECOVERY_CODES);
            assert!(!self.recovery_codes.is_empty(), "no {RECOVERY_CODES} at {}: {}", page.url, page.text());
            return browser.submit(page, "codes-saved", &[]).await;
        }
        if page.has("continue-as") {
            return browser.submit(page, "continue-as", &[]).await;
        }
        if page.has("consent-allow") {
            return browser.submit(page, "consent-allow", &[]).await;
        }
        panic!("nothing to answer at {} ({}), which says: {}", page.url, page.status, page.text());
    }
}
