//! The load: customers who consent, apps that redeem codes, rotate refresh tokens and act for themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use testkit::{Answer, Attempt, Browser, Page, RelyingParty};
use tokio::task::JoinSet;

use super::ledger::{Ask, Code, Exchange, Family, Heard, Ledger, Stage};
use super::now;
use super::site::{Site, customer};

/// What rotating refresh tokens need.
pub const LASTING: &str = "openid offline_access accounts:read";
const ROTATORS: usize = 3;
/// The first customers; the others are left for tests.
pub const CONSENTING: usize = 4;
/// One code of so many is kept in hand.
const KEPT: usize = 8;

/// Customers with a session each, and apps.
pub struct Actors {
    browsers: Vec<Arc<Browser>>,
    web_app: RelyingParty,
    native_app: RelyingParty,
    batch_job: RelyingParty,
    /// The address of another node, which every second worker without a browser asks instead.
    other: Option<String>,
}

impl Actors {
    /// Signs everybody in, and lets the web app be remembered.
    pub async fn signed_in(site: &Site) -> Self {
        let web_app = site.installation.web_app();
        let mut browsers = Vec::new();
        for number in 0..CONSENTING {
            let (browser, mut person) = (Browser::new(), customer(number));
            let attempt = web_app.attempt("openid accounts:read");
            let departure = person.connect(&browser, attempt.url(), testkit::totp::machine_time()).await;
            web_app.redeem(&attempt, departure.code()).await.expect(200);
            browsers.push(Arc::new(browser));
        }
        Self { browsers, web_app, native_app: site.native_app(), batch_job: site.batch_job(), other: None }
    }
}

impl Actors {
    /// Shares the work out to another node as well.
    pub fn also_at(self, address: &str) -> Self {
        Self { other: Some(address.to_owned()), ..self }
    }

    fn spread(&self, app: &RelyingParty, number: usize) -> RelyingParty {
        let mut app = app.clone();
        if let Some(other) = self.other.as_ref().filter(|_| number.is_multiple_of(2)) {
            app.issuer = other.parse().unwrap();
        }
        app
    }
}

/// A running load.
pub struct Load {
    stop: Arc<AtomicBool>,
    running: JoinSet<()>,
}

#[derive(Clone)]
struct Worker {
    ledger: Ledger,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
}

impl Load {
    /// Starts every actor.
    pub fn start(actors: &Actors, ledger: &Ledger) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker { ledger: ledger.clone(), stop: stop.clone(), count: Arc::default() };
        let mut running = JoinSet::new();
        for browser in &actors.browsers {
            let (w, b, app) = (worker.clone(), browser.clone(), actors.native_app.clone());
            running.spawn(async move { while w.rested(w.consent(&b, &app).await).await {} });
            let (w, b, app) = (worker.clone(), browser.clone(), actors.web_app.clone());
            running.spawn(async move { while w.rested(w.code(&b, &app).await).await {} });
        }
        for number in 0..ROTATORS {
            let (w, app) = (worker.clone(), actors.spread(&actors.native_app, number));
            running.spawn(async move { while w.rested(w.rotate(&app).await).await {} });
        }
        for (ask, scope) in [(Ask::Own, "accounts:read"), (Ask::Opaque, "cards:read")] {
            let (w, app) = (worker.clone(), actors.spread(&actors.batch_job, 0));
            running.spawn(async move { while w.rested(w.own(&app, ask, scope).await).await {} });
        }
        Self { stop, running }
    }

    /// Lets every actor finish what it has begun.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.running.join_all().await;
    }
}

impl Worker {
    /// Whether the load goes on; who was sent away comes back a little later.
    async fn rested(&self, done: bool) -> bool {
        if !done {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        !self.stop.load(Ordering::Relaxed)
    }

    /// Notes a request; gives its answer.
    async fn ask<T>(
        &self,
        ask: Ask,
        request: impl Future<Output = Result<T, reqwest::Error>>,
        status: impl Fn(&T) -> u16,
    ) -> Option<T> {
        let sent = now();
        let answer = request.await.ok();
        let heard = match answer.as_ref().map(status) {
            None => Heard::Nothing,
            Some(status) if status < 400 => Heard::Acknowledged,
            Some(status) => Heard::Refused(status),
        };
        self.ledger.book().exchanges.push(Exchange { ask, sent, took: sent.elapsed(), heard });
        answer
    }

    /// A page, if there is one and it is no trouble.
    async fn page(&self, request: impl Future<Output = Result<Page, reqwest::Error>>) -> Option<Page> {
        let page = self.ask(Ask::Page, request, |page| page.status).await?;
        if (400..500).contains(&page.status) {
            self.ledger.odd(format_args!("{} at {}: {}", page.status, page.url, page.text()));
        }
        (page.status < 400).then_some(page)
    }

    async fn endpoint(&self, ask: Ask, app: &RelyingParty, fields: &[(&str, &str)]) -> Option<Answer> {
        self.ask(ask, app.try_post("/token", fields), |answer| answer.status).await
    }

    /// Consents once more: a new family.
    async fn consent(&self, browser: &Browser, app: &RelyingParty) -> bool {
        let attempt = app.attempt(LASTING).with("prompt", "consent");
        let Some(page) = self.page(browser.try_open(attempt.url())).await else { return false };
        if !page.has("consent-allow") {
            self.ledger.odd(format_args!("no question at {}: {}", page.url, page.text()));
            return false;
        }
        let form = page.form("consent-allow");
        let Some(page) = self.page(browser.try_send(form)).await else { return false };
        self.departed(app, attempt, &page).await
    }

    /// A code from a session with remembered consent.
    async fn code(&self, browser: &Browser, app: &RelyingParty) -> bool {
        let attempt = app.attempt("openid accounts:read");
        let Some(page) = self.page(browser.try_open(attempt.url())).await else { return false };
        self.departed(app, attempt, &page).await
    }

    async fn departed(&self, app: &RelyingParty, attempt: Attempt, page: &Page) -> bool {
        let departure = page.departure.as_ref();
        let Some(code) = departure.and_then(|departure| departure.parameter("code")) else {
            let at = departure.map_or(&page.url, |departure| &departure.url);
            // Trouble of its own is told to the app in words (RFC 6749 §4.1.2.1); everything else is odd.
            if !at.as_str().contains("error=temporarily_unavailable") {
                self.ledger.odd(format_args!("no code but {at}: {}", page.text()));
            }
            return false;
        };
        let code = code.to_owned();
        let keep = self.count.fetch_add(1, Ordering::Relaxed).is_multiple_of(KEPT);
        let stage = if keep { Stage::InHand } else { Stage::Unsure };
        let noted = Code { app: app.clone(), attempt: attempt.clone(), code: code.clone(), stage };
        let index = {
            let mut book = self.ledger.book();
            book.codes.push(noted);
            book.codes.len() - 1
        };
        keep || self.redeem(app, &attempt, &code, index).await
    }

    async fn redeem(&self, app: &RelyingParty, attempt: &Attempt, code: &str, index: usize) -> bool {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", app.redirect_uri.as_str()),
            ("code_verifier", attempt.verifier.as_str()),
        ];
        let Some(answer) = self.endpoint(Ask::Redeem, app, &fields).await else { return false };
        match answer.status {
            200 => {
                self.ledger.token(Ask::Redeem, &answer);
                let mut book = self.ledger.book();
                book.codes[index].stage = Stage::Redeemed;
                if app.client_id == "native-app" {
                    let chain = vec![answer.str("refresh_token").to_owned()];
                    book.families.push(Family { chain, unsure: false });
                }
                true
            }
            500.. => false,
            _ => {
                self.ledger.odd(format_args!("a fresh code: {}", answer.text));
                false
            }
        }
    }

    async fn rotate(&self, app: &RelyingParty) -> bool {
        let Some(mut family) = self.ledger.take_family() else { return false };
        let presented = family.chain.last().expect("a family has a token").clone();
        family.unsure = true;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", presented.as_str())];
        let answer = self.endpoint(Ask::Rotate, app, &fields).await;
        match answer {
            Some(answer) if answer.status == 200 => {
                self.ledger.token(Ask::Rotate, &answer);
                family.chain.push(answer.str("refresh_token").to_owned());
                family.unsure = false;
            }
            Some(answer) if answer.status < 500 => {
                self.ledger.odd(format_args!("an unused refresh token: {}", answer.text));
            }
            _ => {}
        }
        let done = !family.unsure;
        self.ledger.book().families.push(family);
        done
    }

    async fn own(&self, app: &RelyingParty, ask: Ask, scope: &str) -> bool {
        let fields = [("grant_type", "client_credentials"), ("scope", scope)];
        let Some(answer) = self.endpoint(ask, app, &fields).await else { return false };
        match answer.status {
            200 => self.ledger.token(ask, &answer),
            500.. => return false,
            _ => self.ledger.odd(format_args!("a client of its own: {}", answer.text)),
        }
        true
    }
}
