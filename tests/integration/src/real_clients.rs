//! Certified and widely used client libraries against the running binary: `openidconnect` (Rust),
//! `openid-client` (JavaScript) and Authlib (Python). Each runs discovery → code with PKCE → ID token →
//! userinfo → refresh → revocation, as a confidential and as a public client; and openid-client once more under
//! FAPI 2.0, with and without message signing.

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreErrorResponseType, CoreProviderMetadata, CoreRevocableToken,
    CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, RequestTokenError,
    RevocationUrl, Scope, TokenResponse,
};
use testkit::{Departure, Person, scripts, totp};

use crate::bank::Engine;
use crate::running::Installation;

const BANK: &str = include_str!("bank.toml");
const SCOPE: &str = "openid profile offline_access accounts:read";

/// A registration of `bank.toml`, and who connects it.
struct Registration {
    client_id: &'static str,
    secret: Option<&'static str>,
    redirect_uri: &'static str,
    person: Person,
}

/// The confidential client is connected by a customer who sets up a second factor on the way, the public one
/// by a customer with a password alone.
fn registrations() -> [Registration; 2] {
    [
        Registration {
            client_id: "web-app",
            secret: Some("web-app-secret-0123456789abcd"),
            redirect_uri: "https://web.example/cb",
            person: Person::new("carol", "walnut-comet-ribbon"),
        },
        Registration {
            client_id: "native-app",
            secret: None,
            redirect_uri: "http://127.0.0.1:4711/cb",
            person: Person::new("bob", "granite-teapot-orbit"),
        },
    ]
}

impl Registration {
    /// What the scripts read from their environment.
    fn environment<'a>(&'a self, bank: &'a Installation) -> Vec<(&'a str, &'a str)> {
        let mut environment = vec![
            ("ISSUER", bank.issuer.as_str()),
            ("CLIENT_ID", self.client_id),
            ("REDIRECT_URI", self.redirect_uri),
            ("SCOPE", SCOPE),
        ];
        environment.extend(self.secret.map(|secret| ("CLIENT_SECRET", secret)));
        environment
    }

    /// The customer goes where the client sent them; the answer is where the bank sends them back to.
    async fn sign_in(&self, bank: &Installation, url: impl AsRef<str>) -> Departure {
        self.person.clone().connect(&bank.browser(), url, totp::machine_time()).await
    }
}

/// What each script says when all went well.
fn assert_complete(printed: &str) {
    for step in ["ID token for ", "userinfo for ", "refreshed\n", "revoked\n"] {
        assert!(printed.contains(step), "{step:?} is not in:\n{printed}");
    }
}

#[tokio::test]
async fn openid_client_for_javascript() {
    let bank = Installation::plain(Engine::Sqlite);
    bank.apply(BANK);
    let _serving = bank.serve().await;
    for app in registrations() {
        let sign_in = async |url: String| app.sign_in(&bank, url).await.url.to_string();
        assert_complete(&scripts::node_client("openid-client.mjs", &app.environment(&bank), sign_in).await);
    }
}

/// The key of RFC 7515 §A.3, which is nobody's.
const KEY: &str = r#"{"kty":"EC","crv":"P-256","kid":"app","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

/// A client of this profile with the key.
fn fapi_client(id: &str, profile: &str) -> String {
    let mut key: serde_json::Value = serde_json::from_str(KEY).unwrap();
    key.as_object_mut().unwrap().remove("d");
    let key: Vec<String> =
        key.as_object().unwrap().iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!(
        "\n[[client]]\nclient_id = \"{id}\"\nprofile = \"{profile}\"\n\
         token_endpoint_auth_method = \"private_key_jwt\"\nredirect_uris = [\"https://fapi.example/cb\"]\n\
         grant_types = [\"authorization_code\", \"refresh_token\"]\nscope = \"{SCOPE}\"\n\
         jwks = {{ keys = [{{ {} }}] }}\n",
        key.join(", ")
    )
}

/// F2-09, F2-10, F2-12, F2-13, F2-19, DP-05, DP-07, DP-14: with nonces asked for everywhere. MS-01, MS-05, MS-06: signed
/// requests and signed answers.
#[tokio::test]
async fn openid_client_under_fapi2_and_message_signing() {
    let bank = Installation::plain(Engine::Sqlite);
    bank.configure("[dpop]\nnonce = \"required\"\nresource_nonce = \"required\"\n");
    bank.apply(
        &[BANK, &fapi_client("fapi-app", "fapi2"), &fapi_client("signing-app", "fapi2-message-signing")]
            .concat(),
    );
    let _serving = bank.serve().await;
    for (client_id, signing) in [("fapi-app", false), ("signing-app", true)] {
        let app = Registration {
            client_id,
            secret: None,
            redirect_uri: "https://fapi.example/cb",
            person: Person::new("bob", "granite-teapot-orbit"),
        };
        let mut environment = app.environment(&bank);
        environment.push(("KEY", KEY));
        environment.extend(signing.then_some(("MESSAGE_SIGNING", "1")));
        let sign_in = async |url: String| app.sign_in(&bank, url).await.url.to_string();
        assert_complete(&scripts::node_client("fapi-client.mjs", &environment, sign_in).await);
    }
}

#[tokio::test]
async fn authlib_for_python() {
    let bank = Installation::plain(Engine::Postgres);
    bank.apply(BANK);
    let _serving = bank.serve().await;
    for app in registrations() {
        let sign_in = async |url: String| app.sign_in(&bank, url).await.url.to_string();
        assert_complete(&scripts::python_client("authlib_client.py", &app.environment(&bank), sign_in).await);
    }
}

/// Over built-in TLS, because the crate revokes nothing over plain http.
#[tokio::test]
async fn openidconnect_for_rust() {
    let bank = Installation::tls(Engine::Sqlite);
    bank.apply(BANK);
    let _serving = bank.serve().await;
    for app in registrations() {
        rust_client(&bank, &app).await;
    }
}

/// The crate's transport: no redirects, and no authority but the bank's own certificate.
async fn exchange(client: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let response = client.execute(request.try_into()?).await?;
    let mut answer = http::Response::builder().status(response.status());
    for (name, value) in response.headers() {
        answer = answer.header(name, value);
    }
    Ok(answer.body(response.bytes().await?.to_vec()).expect("what was received can be represented"))
}

async fn rust_client(bank: &Installation, app: &Registration) {
    let certificate = reqwest::Certificate::from_pem(bank.certificate.as_bytes()).unwrap();
    let transport = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .tls_certs_only([certificate])
        .build()
        .unwrap();
    let http = |request: HttpRequest| exchange(transport.clone(), request);

    let issuer = IssuerUrl::new(bank.issuer.clone()).unwrap();
    let metadata = CoreProviderMetadata::discover_async(issuer, &http).await.unwrap();
    // The crate's core metadata lacks RFC 8414's own members.
    let more = bank.web_app().get("/.well-known/oauth-authorization-server").await.expect(200);
    let revocation = RevocationUrl::new(more.str("revocation_endpoint").to_owned()).unwrap();
    let secret = app.secret.map(|secret| ClientSecret::new(secret.to_owned()));
    let auth = if app.secret.is_some() { AuthType::BasicAuth } else { AuthType::RequestBody };
    let client =
        CoreClient::from_provider_metadata(metadata, ClientId::new(app.client_id.to_owned()), secret)
            .set_auth_type(auth)
            .set_redirect_uri(RedirectUrl::new(app.redirect_uri.to_owned()).unwrap())
            .set_revocation_url(revocation);

    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let (url, state, nonce) = client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random)
        .add_scopes(SCOPE.split(' ').skip(1).map(|scope| Scope::new(scope.to_owned())))
        .set_pkce_challenge(challenge)
        .url();
    let departure = app.sign_in(bank, url).await;
    assert_eq!(departure.parameter("state"), Some(state.secret().as_str()));

    let code = AuthorizationCode::new(departure.code().to_owned());
    let tokens =
        client.exchange_code(code).unwrap().set_pkce_verifier(verifier).request_async(&http).await.unwrap();
    let id_token = tokens.id_token().expect("an ID token came");
    let id_token_verifier = client.id_token_verifier();
    let claims = id_token.claims(&id_token_verifier, &nonce).unwrap();
    let algorithm = id_token.signing_alg().unwrap();
    let key = id_token.signing_key(&id_token_verifier).unwrap();
    let hash = AccessTokenHash::from_token(tokens.access_token(), algorithm, key).unwrap();
    assert!(claims.access_token_hash().is_none_or(|claimed| *claimed == hash));

    let subject = Some(claims.subject().clone());
    let userinfo = client.user_info(tokens.access_token().clone(), subject.clone()).unwrap();
    let userinfo: CoreUserInfoClaims = userinfo.request_async(&http).await.unwrap();
    assert!(userinfo.name().is_some());

    let refresh = tokens.refresh_token().expect("a refresh token came");
    let refreshed = client.exchange_refresh_token(refresh).unwrap().request_async(&http).await.unwrap();
    assert_ne!(refreshed.access_token().secret(), tokens.access_token().secret());
    let userinfo = client.user_info(refreshed.access_token().clone(), subject.clone()).unwrap();
    let _: CoreUserInfoClaims = userinfo.request_async(&http).await.unwrap();

    // A public client's refresh token was rotated; a confidential one's stays.
    let current = refreshed.refresh_token().unwrap_or(refresh).clone();
    assert_eq!(current.secret() == refresh.secret(), app.secret.is_some());
    let token = CoreRevocableToken::RefreshToken(current.clone());
    client.revoke_token(token).unwrap().request_async(&http).await.unwrap();
    match client.exchange_refresh_token(&current).unwrap().request_async(&http).await {
        Err(RequestTokenError::ServerResponse(refusal)) => {
            assert_eq!(*refusal.error(), CoreErrorResponseType::InvalidGrant);
        }
        other => panic!("a revoked refresh token still works: {other:?}"),
    }
    let userinfo = client.user_info(refreshed.access_token().clone(), subject).unwrap();
    let dead: Result<CoreUserInfoClaims, _> = userinfo.request_async(&http).await;
    assert!(dead.is_err(), "the access token of a revoked grant is dead");
}
