//! What is measured: each scenario is a loop with the state that it needs between its requests.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, header::LOCATION};
use testkit::{Browser, ClientAuth, Person, RelyingParty};
use url::Url;

use crate::drive::Work;

const SECRET: &str = "app-secret-0123456789abcdefgh";

/// A client with a connection of its own.
fn connection() -> Client {
    let builder = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.pool_max_idle_per_host(1).build().expect("a plain client can be made")
}

/// The same GET or form post again and again.
pub struct Repeat {
    client: Client,
    url: String,
    body: Option<String>,
    authorization: Option<String>,
}

impl Repeat {
    /// GET of a path.
    pub fn get(issuer: &str, path: &str) -> Self {
        Self { client: connection(), url: format!("{issuer}{path}"), body: None, authorization: None }
    }

    /// A form post with Basic credentials.
    pub fn post(issuer: &str, path: &str, body: &str, (user, password): (&str, &str)) -> Self {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        Self {
            client: connection(),
            url: format!("{issuer}{path}"),
            body: Some(body.to_owned()),
            authorization: Some(format!("Basic {credentials}")),
        }
    }

    /// A client credentials request for a JWT.
    pub fn client_credentials(issuer: &str) -> Self {
        Self::post(issuer, "/token", "grant_type=client_credentials&scope=accounts:read", ("app", SECRET))
    }
}

impl Work for Repeat {
    async fn once(&mut self) -> bool {
        let mut request = match &self.body {
            None => self.client.get(&self.url),
            Some(body) => self
                .client
                .post(&self.url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.clone()),
        };
        if let Some(value) = &self.authorization {
            request = request.header("authorization", value);
        }
        match request.send().await {
            Ok(response) => response.status().is_success() && response.bytes().await.is_ok(),
            Err(_) => false,
        }
    }
}

/// Rotating refresh: each answer holds the token of the next request.
pub struct Rotate {
    party: RelyingParty,
    token: String,
}

impl Rotate {
    /// With the first token of a family.
    pub fn new(party: RelyingParty, token: String) -> Self {
        Self { party, token }
    }
}

impl Work for Rotate {
    async fn once(&mut self) -> bool {
        let answer = self.party.refresh(&self.token).await;
        let ok = answer.status == 200;
        if ok {
            self.token = answer.str("refresh_token").to_owned();
        }
        ok
    }
}

/// The code flow from a session with remembered consent: authorize, then token.
pub struct CodeFlow {
    party: RelyingParty,
    client: Client,
    cookies: String,
}

impl CodeFlow {
    /// With the cookies of a browser that has a session.
    pub fn new(party: RelyingParty, cookies: String) -> Self {
        Self { party, client: connection(), cookies }
    }
}

impl Work for CodeFlow {
    async fn once(&mut self) -> bool {
        let attempt = self.party.attempt("openid accounts:read");
        let sent = self.client.get(attempt.url()).header("cookie", &self.cookies).send().await;
        let Ok(response) = sent else { return false };
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let Some(code) = location.and_then(code) else { return false };
        self.party.redeem(&attempt, &code).await.status == 200
    }
}

fn code(location: &str) -> Option<String> {
    let url = Url::parse(location).ok()?;
    url.query_pairs().find(|(name, _)| name == "code").map(|(_, value)| value.into_owned())
}

/// The whole flow with an empty browser: sign-in, consent where it is missing, token.
pub struct Login {
    party: RelyingParty,
}

impl Login {
    /// By this client.
    pub fn new(party: RelyingParty) -> Self {
        Self { party }
    }
}

impl Work for Login {
    async fn once(&mut self) -> bool {
        let attempt = self.party.attempt("openid accounts:read").with("prompt", "consent");
        let departure = alice().connect(&Browser::new(), attempt.url(), testkit::totp::machine_time()).await;
        self.party.redeem(&attempt, departure.code()).await.status == 200
    }
}

const PASSWORD: &str = "harbour-lantern-violet";

/// How many customers there are beside alice, so that few of a rush share an account and its delay.
const CUSTOMERS: u64 = 100;

/// The bank, as a file for `chancery apply`.
pub fn bank() -> String {
    let customers = (0..CUSTOMERS).map(|number| {
        format!("\n[[user]]\nusername = \"customer-{number}\"\npassword = \"{PASSWORD}\"\nroles = [\"account-viewer\"]\nsecond_factor = \"if-enrolled\"\n")
    });
    std::iter::once(include_str!("bank.toml").to_owned()).chain(customers).collect()
}

/// The customer that most scenarios are about.
pub fn alice() -> Person {
    Person::new("alice", PASSWORD)
}

/// One of the others.
pub fn customer(number: u64) -> Person {
    Person::new(&format!("customer-{}", number % CUSTOMERS), PASSWORD)
}

/// The confidential client.
pub fn app(issuer: &str) -> RelyingParty {
    RelyingParty::new(issuer, "app", ClientAuth::Basic(SECRET.to_owned()), "https://app.example/cb")
}

/// The same kind of client with pairwise subjects and encrypted ID tokens.
pub fn private_app(issuer: &str) -> RelyingParty {
    let auth = ClientAuth::Basic(SECRET.to_owned());
    RelyingParty::new(issuer, "private-app", auth, "https://private.example/cb")
}

/// The public client, whose refresh tokens rotate.
pub fn public_app(issuer: &str) -> RelyingParty {
    RelyingParty::new(issuer, "public-app", ClientAuth::None, "http://127.0.0.1:4711/cb")
}
