//! Signing in with a bank or an employer. The upstream provider is a second Chancery ([`sign_in`],
//! [`parting`]), a provider that forges what it likes ([`hijack`]), or node-oidc-provider ([`foreign`]).

mod foreign;
mod forger;
mod front;
mod hijack;
mod parting;
mod sign_in;

use audit::EventKind;
use federation::{ClientProof, UpstreamConfig};
use flows::Policies;
use jose::Algorithm;
use protocol::acr::Acr;
use testkit::{Browser, ClientAuth, Departure, Page, Person, RelyingParty};

use crate::bank::{Bank, Engine};
use front::Pair;

/// The two-factor class of Chancery, as North says it and South's table values it.
const TWO_FACTORS: &str = "urn:openbanking:psd2:sca";

/// What South says of a provider at an issuer.
fn upstream(issuer: &str) -> UpstreamConfig {
    let proof = ClientProof::OwnKey(Algorithm::Es256);
    let mut config = UpstreamConfig::new("north".parse().unwrap(), issuer, "south", proof);
    config.names.insert("en".into(), "North Bank".into());
    config.domains = vec!["north.example".into()];
    config.acr.insert(TWO_FACTORS.into(), Acr::StrongCustomerAuthentication);
    config
}

/// Two banks: people of North sign in at South.
struct Banks {
    north: Bank,
    south: Bank,
    fronts: Pair,
}

impl Banks {
    async fn open(engine: Engine, change: impl FnOnce(&mut UpstreamConfig)) -> Self {
        let fronts = Pair::open().await;
        let north_policy = fronts.outbound();
        let north = fronts.north.bank(engine, |policies| policies.outbound = north_policy).await;
        let mut config = upstream(&north.issuer);
        change(&mut config);
        let outbound = fronts.outbound();
        let set = |policies: &mut Policies| {
            policies.upstreams = vec![config];
            policies.outbound = outbound;
        };
        let south = fronts.south.bank(engine, set).await;
        let banks = Self { north, south, fronts };
        banks.register().await;
        banks
    }

    /// South is a client of North, by its own published key.
    async fn register(&self) {
        let declared = self.south.service.declared();
        let keys: serde_json::Value = serde_json::from_str(declared.keyring.jwks_json()).unwrap();
        let toml = |key: &serde_json::Value| {
            let members = key.as_object().unwrap().iter().filter(|(_, value)| value.is_string());
            let members: Vec<_> = members.map(|(name, value)| format!("{name} = {value}")).collect();
            format!("{{ {} }}", members.join(", "))
        };
        let keys: Vec<_> = keys["keys"].as_array().unwrap().iter().map(toml).collect();
        let south = &self.south.issuer;
        let client = format!(
            "[[client]]\nclient_id = \"south\"\nclient_name = \"South Bank\"\n\
             token_endpoint_auth_method = \"private_key_jwt\"\njwks = {{ keys = [{}] }}\n\
             redirect_uris = [\"{south}/federation/callback/north\"]\n\
             post_logout_redirect_uris = [\"{south}/federation/signed-out/north\"]\n\
             backchannel_logout_uri = \"{south}/federation/backchannel-logout/north\"\n\
             backchannel_logout_session_required = true\n\
             scope = \"openid profile email\"\n",
            keys.join(", ")
        );
        self.north.declare(&client).await.unwrap();
    }

    fn browser(&self) -> Browser {
        self.fronts.browser()
    }

    /// An app of South.
    fn app(&self, id: &str) -> RelyingParty {
        let app = self.south.app(id);
        let ClientAuth::Basic(secret) = app.auth.clone() else { panic!("a confidential app") };
        let roots = self.fronts.roots();
        let auth = ClientAuth::Basic(secret);
        RelyingParty::trusting(&roots, &self.south.issuer, id, auth, &app.redirect_uri)
    }

    /// Goes to North from a sign-in page of South; gives where North wants the browser.
    async fn to_north(&self, browser: &Browser, page: &Page) -> Departure {
        let page = browser.submit(page, "upstream-north", &[]).await;
        page.departed().clone()
    }

    /// Signs in at North, in a browser of its own (cookies know no ports), and comes back to South.
    async fn through_north(&self, there: &Browser, person: &mut Person, to: &Departure) -> Departure {
        self.north.connect(person, there, to.url.as_str()).await
    }

    /// All of it: from a request of an app to whatever South shows when the person is back.
    async fn arrive(&self, browser: &Browser, there: &Browser, person: &mut Person, url: &str) -> Page {
        let page = browser.open(url).await;
        let to = self.to_north(browser, &page).await;
        let back = self.through_north(there, person, &to).await;
        browser.open(back.url.as_str()).await
    }

    /// Links the South account of `local` with the North account of `person`.
    async fn link(
        &self,
        browser: &Browser,
        there: &Browser,
        local: &mut Person,
        person: &mut Person,
    ) -> Page {
        let now = self.south.now();
        let page = browser.open(self.south.url("/account")).await;
        let page = local.walk(browser, page, "link-north", now).await;
        let to = browser.submit(&page, "link-north", &[]).await.departed().clone();
        let back = self.through_north(there, person, &to).await;
        browser.open(back.url.as_str()).await
    }

    async fn audited(&self, kind: EventKind) -> usize {
        self.south.audited(kind).await
    }
}

/// A page of `page` with the sign-in form and what it says is wrong.
fn problem(page: &Page) -> String {
    assert!(page.has("login-submit"), "not the sign-in page: {} {}", page.url, page.text());
    page.texts("#error").join(" ")
}
