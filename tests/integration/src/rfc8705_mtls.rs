//! Mutual TLS (RFC 8705): clients that authenticate with a certificate, and tokens that are bound to one.
//! What a proxy forwards is in `rfc8705_proxy`.

use chrono::TimeDelta;
use flows::declare::DeclareFault;
use jose::Algorithm;
use protocol::client::Profile;
use rcgen::ExtendedKeyUsagePurpose;
use serde_json::{Value, json};
use testkit::{Answer, Attempt, ClientAuth, RelyingParty, claims_of};

use crate::{
    bank::Bank,
    dpop_key::{self, DpopKey},
    mutual::{Authority, Caller, Identity, MutualBank},
    publisher::Publisher,
    rfc7591_registration::{register, rules},
    steps::{answer, code_for, declare_client},
};

const REDIRECT: &str = "https://tls.example/cb";

/// Metadata of a client that acts for itself and for people.
fn metadata(more: &Value) -> Value {
    let mut metadata = json!({
        "client_name": "Tls App",
        "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
        "scope": "openid profile offline_access accounts:read",
        "token_endpoint_auth_method": "tls_client_auth",
    });
    metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    metadata
}

async fn declare(bank: &Bank, id: &str, more: Value) {
    declare_client(bank, id, metadata(&more)).await.unwrap();
}

fn by_name(name: &str) -> Value {
    json!({ "tls_client_auth_san_dns": format!("{name}.example") })
}

fn by_key(identity: &Identity) -> Value {
    json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": identity.jwks() })
}

fn bound(mut more: Value) -> Value {
    more["tls_client_certificate_bound_access_tokens"] = true.into();
    more
}

/// A public client with bound tokens.
fn public() -> Value {
    bound(json!({
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    }))
}

/// The app as the browser knows it: at the issuer, where nobody asks for certificates.
fn app(bank: &Bank, id: &str) -> RelyingParty {
    RelyingParty::new(&bank.issuer, id, ClientAuth::None, REDIRECT)
}

async fn redeem(caller: &Caller, id: &str, attempt: &Attempt, code: &str) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", id),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", &attempt.verifier),
    ];
    caller.post("/token", &fields).await
}

async fn refresh(caller: &Caller, id: &str, token: &str) -> Answer {
    let fields = [("grant_type", "refresh_token"), ("client_id", id), ("refresh_token", token)];
    caller.post("/token", &fields).await
}

/// Tokens of Alice's for an app that shows a certificate.
async fn tokens(house: &MutualBank, caller: &Caller, id: &str) -> Answer {
    let (attempt, code) =
        code_for(&house.bank, &app(&house.bank, id), "openid offline_access accounts:read").await;
    redeem(caller, id, &attempt, &code).await.expect(200)
}

#[tokio::test]
async fn mt_01_a_trusted_certificate_for_the_registered_name_authenticates_and_no_other_does() {
    let house = MutualBank::open().await;
    for (id, subject) in [
        ("dn-app", json!({ "tls_client_auth_subject_dn": "CN=Ledgerline,O=ledgerline  ltd,C=GB" })),
        ("dns-app", json!({ "tls_client_auth_san_dns": "Ledgerline.example" })),
        ("uri-app", json!({ "tls_client_auth_san_uri": "https://ledgerline.example/id" })),
        ("ip-app", json!({ "tls_client_auth_san_ip": "192.0.2.7" })),
        ("mail-app", json!({ "tls_client_auth_san_email": "tls@LEDGERLINE.example" })),
    ] {
        declare(&house.bank, id, subject).await;
        let own = house.authority.issue("ledgerline");
        house.shows(&own).own_token(id).await.expect(200);
        let other = house.authority.issue_with("pocketwise", |it| drop(it.subject_alt_names.remove(2)));
        let foreign = Authority::new().issue("ledgerline");
        let server = house.authority.issue_with("ledgerline", |it| {
            it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        });
        for stranger in [other, foreign, server, Identity::self_signed()] {
            house.shows(&stranger).own_token(id).await.expect_error(401, "invalid_client");
        }
        house.shows_none().own_token(id).await.expect_error(401, "invalid_client");
        // Where nobody asks for a certificate, none is shown.
        let elsewhere = house.shows(&own).at(&house.public);
        elsewhere.own_token(id).await.expect_error(401, "invalid_client");
    }
}

#[tokio::test]
async fn mt_02_exactly_one_name_is_registered_by_operators_and_by_clients_themselves() {
    let house = MutualBank::with(|policies| policies.registration = Some(rules(true))).await;
    for subject in [
        json!({}),
        json!({ "tls_client_auth_san_dns": "a.example", "tls_client_auth_san_uri": "urn:a" }),
        json!({ "tls_client_auth_subject_dn": "nonsense" }),
    ] {
        let refused = declare_client(&house.bank, "tls-app", metadata(&subject)).await;
        assert!(matches!(refused, Err(DeclareFault::Client { .. })), "{refused:?}");
        let mut wish = metadata(&subject);
        wish["grant_types"] = json!(["authorization_code"]);
        wish["scope"] = json!("openid");
        let refused = register(&house.bank, None, &wish).await;
        refused.expect_error(400, "invalid_client_metadata");
    }
    let mut wish = metadata(&by_name("ledgerline"));
    wish["grant_types"] = json!(["authorization_code"]);
    wish["scope"] = json!("openid");
    let made = register(&house.bank, None, &wish).await.expect(201);
    assert_eq!(made["tls_client_auth_san_dns"], "ledgerline.example");
    assert_eq!(made.json.get("client_secret"), None);
    let challenge = "a".repeat(43);
    let pushed = [
        ("client_id", made.str("client_id")),
        ("response_type", "code"),
        ("scope", "openid"),
        ("redirect_uri", REDIRECT),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    house.shows(&house.authority.issue("ledgerline")).post("/par", &pushed).await.expect(201);
    house
        .shows(&house.authority.issue("other"))
        .post("/par", &pushed)
        .await
        .expect_error(401, "invalid_client");
}

#[tokio::test]
async fn mt_02_where_nobody_asks_for_certificates_nobody_registers_one() {
    let bank = Bank::open().await;
    for more in [by_name("ledgerline"), by_key(&Identity::self_signed()), public()] {
        let refused = declare_client(&bank, "tls-app", metadata(&more)).await.unwrap_err().to_string();
        assert!(refused.contains("needs mtls.listen"), "{refused}");
    }
    let metadata = bank.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    assert!(!metadata.text.contains("tls_client"), "{}", metadata.text);
    assert_eq!(metadata.json.get("mtls_endpoint_aliases"), None);
    let alone = MutualBank::with(|policies| policies.mutual_tls.authorities = Default::default()).await;
    let refused = declare_client(&alone.bank, "tls-app", self::metadata(&by_name("a"))).await.unwrap_err();
    assert!(refused.to_string().contains("needs mtls.authorities_file"), "{refused}");
    declare(&alone.bank, "tls-app", by_key(&Identity::self_signed())).await;
    let said = alone.bank.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    let methods = said["token_endpoint_auth_methods_supported"].to_string();
    assert!(methods.contains("\"self_signed_tls_client_auth\"") && !methods.contains("\"tls_client_auth\""));
}

#[tokio::test]
async fn mt_03_a_self_signed_certificate_counts_by_its_key_by_value_and_by_reference() {
    let publisher = Publisher::open().await;
    let mut policy = publisher.policy();
    policy.retry_after = std::time::Duration::ZERO;
    let house = MutualBank::with(|policies| policies.outbound = policy).await;
    let own = Identity::self_signed();
    declare(&house.bank, "key-app", by_key(&own)).await;
    house.shows(&own).own_token("key-app").await.expect(200);
    house.shows(&own.renewed(2029)).own_token("key-app").await.expect(200);
    for stranger in [Identity::self_signed(), house.authority.issue("ledgerline")] {
        house.shows(&stranger).own_token("key-app").await.expect_error(401, "invalid_client");
    }
    house.shows_none().own_token("key-app").await.expect_error(401, "invalid_client");

    publisher.publish("/keys", &own.jwks());
    let more = json!({
        "token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks_uri": publisher.url("/keys"),
    });
    declare(&house.bank, "remote-app", more).await;
    house.shows(&own).own_token("remote-app").await.expect(200);
    // A new key is found although the old set is still fresh.
    let next = Identity::self_signed();
    publisher.publish("/keys", &next.jwks());
    house.shows(&next).own_token("remote-app").await.expect(200);
    house.shows(&own).own_token("remote-app").await.expect_error(401, "invalid_client");
    assert_eq!(publisher.read("/keys"), 2, "a stranger's certificate does not make us ask again and again");
}

#[tokio::test]
async fn mt_04_the_request_names_the_client_and_the_certificate_must_be_its() {
    let house = MutualBank::open().await;
    let (one, two) = (house.authority.issue("one"), Identity::self_signed());
    declare(&house.bank, "one-app", by_name("one")).await;
    declare(&house.bank, "two-app", by_key(&two)).await;
    let unnamed = [("grant_type", "client_credentials"), ("scope", "accounts:read")];
    house.shows(&one).post("/token", &unnamed).await.expect_error(401, "invalid_client");
    house.shows(&one).own_token("two-app").await.expect_error(401, "invalid_client");
    house.shows(&two).own_token("one-app").await.expect_error(401, "invalid_client");
    // It is no second method beside a secret, and no way around one.
    house.shows(&one).own_token("batch-job").await.expect_error(401, "invalid_client");
    let secret = [&unnamed[..], &[("client_id", "one-app"), ("client_secret", "x")]].concat();
    house.shows(&one).post("/token", &secret).await.expect_error(401, "invalid_client");
}

#[tokio::test]
async fn mt_05_f2_38_a_bound_token_opens_nothing_without_its_certificate() {
    let house = MutualBank::open().await;
    let (own, other) = (house.authority.issue("ledgerline"), house.authority.issue("other"));
    declare(&house.bank, "tls-app", bound(by_name("ledgerline"))).await;
    let caller = house.shows(&own);
    let tokens = tokens(&house, &caller, "tls-app").await;
    assert_eq!(tokens.str("token_type"), "Bearer");
    let access = tokens.str("access_token");
    let thumbprint = json!({ "x5t#S256": own.thumbprint() });
    assert_eq!(claims_of(access)["cnf"], thumbprint);
    let active = house.bank.api("accounts-api").introspect(access).await.expect(200);
    assert_eq!(active["active"], true);
    assert_eq!((&active["cnf"], &active["token_type"]), (&thumbprint, &json!("Bearer")));

    caller.userinfo(access).await.expect(200);
    for thief in [house.shows(&other), house.shows_none(), caller.at(&house.public)] {
        let refused = thief.userinfo(access).await;
        refused.expect_error(401, "invalid_token");
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    }
    // In a body no bound token is taken, not even from its owner.
    caller.post("/userinfo", &[("access_token", access)]).await.expect_error(401, "invalid_token");
}

#[tokio::test]
async fn mt_05_opaque_tokens_are_bound_too() {
    let house = MutualBank::open().await;
    let own = Identity::self_signed();
    let mut more = bound(by_key(&own));
    more["scope"] = json!("cards:read");
    declare(&house.bank, "tls-app", more).await;
    let fields = [("grant_type", "client_credentials"), ("client_id", "tls-app"), ("scope", "cards:read")];
    let tokens = house.shows(&own).post("/token", &fields).await.expect(200);
    assert!(!tokens.str("access_token").contains('.'), "opaque");
    let active = house.bank.api("cards-api").introspect(tokens.str("access_token")).await.expect(200);
    assert_eq!(active["cnf"]["x5t#S256"], own.thumbprint());
}

#[tokio::test]
async fn mt_06_what_a_client_registered_decides_what_its_tokens_are_bound_to() {
    let house = MutualBank::open().await;
    let own = Identity::self_signed();
    declare(&house.bank, "plain-app", by_key(&own)).await;
    let plain = house.shows(&own).own_token("plain-app").await.expect(200);
    assert_eq!(claims_of(plain.str("access_token")).get("cnf"), None, "it only authenticates");

    // Whoever authenticates in another way shows any certificate, and must.
    let mut secret = bound(json!({ "token_endpoint_auth_method": "private_key_jwt" }));
    let key = crate::steps::new_key(Algorithm::Es256);
    secret["jwks"] = json!({ "keys": [key.public().to_value()] });
    declare(&house.bank, "jwt-app", secret).await;
    let token = async |caller: &Caller, proof: Option<String>| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        // The endpoint has two names, and an assertion may be for either (MT-07).
        let audience = json!(format!("{}/token", house.alias));
        let assertion = dpop_key::assertion(&key, "jwt-app", &audience, house.bank.now().timestamp());
        let fields = [
            ("grant_type", "client_credentials"),
            ("scope", "accounts:read"),
            ("client_assertion_type", kind),
            ("client_assertion", &assertion),
        ];
        let mut request = caller.http.post(format!("{}/token", caller.base)).form(&fields);
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        answer(request).await
    };
    let bound = token(&house.shows(&own), None).await.expect(200);
    assert_eq!(claims_of(bound.str("access_token"))["cnf"]["x5t#S256"], own.thumbprint());
    token(&house.shows_none(), None).await.expect_error(400, "invalid_request");
    // A proof is sent on purpose: it decides, under either name of the endpoint.
    let dpop = DpopKey::new(Algorithm::Es256);
    for base in [&house.alias, &house.bank.issuer] {
        let mut claims = dpop_key::claims(&house.bank, "POST", "/token");
        claims["htu"] = json!(format!("{base}/token"));
        let bound = token(&house.shows(&own), Some(dpop.sign(&claims))).await.expect(200);
        assert_eq!(bound.str("token_type"), "DPoP");
        assert_eq!(claims_of(bound.str("access_token"))["cnf"], json!({ "jkt": dpop.thumbprint() }));
    }
}

#[tokio::test]
async fn mt_06_mt_07_metadata_says_where_certificates_are_asked_for_and_all_of_it_works_there() {
    let house = MutualBank::open().await;
    let own = house.authority.issue("ledgerline");
    let mut more = bound(by_name("ledgerline"));
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    more["grant_types"] = json!(["authorization_code", "refresh_token", "client_credentials", device]);
    declare(&house.bank, "tls-app", more).await;
    let metadata = house.bank.app("web-app").get("/.well-known/openid-configuration").await.expect(200);
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    for member in ["token_endpoint_auth_methods_supported", "revocation_endpoint_auth_methods_supported"] {
        let methods = metadata[member].as_array().unwrap();
        for method in ["tls_client_auth", "self_signed_tls_client_auth"] {
            assert!(methods.contains(&json!(method)), "{member}: {methods:?}");
        }
    }
    let aliases = metadata["mtls_endpoint_aliases"].as_object().unwrap();
    let caller = house.shows(&own);
    for (member, url) in aliases {
        let path = url.as_str().unwrap().strip_prefix(&house.alias).unwrap();
        assert_eq!(metadata[member.as_str()], format!("{}{path}", house.bank.issuer), "{member}");
        let answered =
            caller.post(path, &[("client_id", "tls-app"), ("token", "x"), ("scope", "openid")]).await;
        let expected = match path {
            "/token" | "/par" => 400,
            "/revoke" | "/device_authorization" => 200,
            // For resource servers, and for tokens.
            _ => 401,
        };
        assert_eq!(answered.status, expected, "{member}: {}", answered.text);
        let stranger = house.shows(&house.authority.issue("other"));
        let refused = stranger.post(path, &[("client_id", "tls-app"), ("token", "x")]).await;
        assert_eq!(refused.status, 401, "{member}: {}", refused.text);
    }
    assert_eq!(aliases.len(), 6);
    // No page is served where browsers would be asked for a certificate.
    for path in ["/authorize", "/login", "/account", "/end-session", "/.well-known/openid-configuration"] {
        let page = answer(caller.http.get(format!("{}{path}", house.alias))).await;
        assert_eq!(page.status, 404, "{path}");
    }
}

#[tokio::test]
async fn mt_09_what_a_proxy_shows_itself_is_nobodys_behind_it() {
    for (proxy, status) in [("127.0.0.2/32", 200), ("127.0.0.1/32", 401)] {
        let house = MutualBank::behind(&[proxy], |_| {}).await;
        let own = Identity::self_signed();
        declare(&house.bank, "tls-app", by_key(&own)).await;
        house.shows(&own).own_token("tls-app").await.expect(status);
    }
}

#[tokio::test]
async fn mt_07_only_the_listener_for_them_asks_for_certificates() {
    let house = MutualBank::open().await;
    for (base, asked) in [(&house.alias, true), (&house.public, false)] {
        let place = base.strip_prefix("https://").unwrap().replace("localhost", "127.0.0.1");
        for version in ["-tls1_2", "-tls1_3"] {
            let said = tokio::process::Command::new("openssl")
                .args(["s_client", "-connect", &place, version, "-trace"])
                .stdin(std::process::Stdio::null())
                .output()
                .await
                .unwrap();
            let said = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(said.contains("ServerHello"), "{base} {version}: {said}");
            assert_eq!(said.contains("CertificateRequest"), asked, "{base} {version}: {said}");
        }
    }
}

#[tokio::test]
async fn mt_08_expired_certificates_fail_and_renewed_ones_go_on() {
    let house = MutualBank::open().await;
    let own = Identity::self_signed();
    declare(&house.bank, "tls-app", bound(by_key(&own))).await;
    declare(&house.bank, "public-app", public()).await;
    let caller = house.shows(&own);
    let first = tokens(&house, &caller, "tls-app").await;
    let of_public = tokens(&house, &caller, "public-app").await;
    // RFC 8705 §7.1: who authenticates binds anew.
    let renewed = own.renewed(2029);
    let again = refresh(&house.shows(&renewed), "tls-app", first.str("refresh_token")).await.expect(200);
    assert_eq!(claims_of(again.str("access_token"))["cnf"]["x5t#S256"], renewed.thumbprint());

    // Not yet valid, and no longer.
    let early = house.authority.issue_with("early", |it| it.not_before = rcgen::date_time_ymd(2027, 6, 1));
    let late = house.authority.issue_with("late", |it| it.not_after = rcgen::date_time_ymd(2027, 6, 1));
    declare(&house.bank, "early-app", by_name("early")).await;
    declare(&house.bank, "late-app", by_name("late")).await;
    house.shows(&early).own_token("early-app").await.expect_error(401, "invalid_client");
    house.shows(&late).own_token("late-app").await.expect(200);
    house.bank.advance(TimeDelta::days(170));
    house.shows(&early).own_token("early-app").await.expect(200);
    house.shows(&late).own_token("late-app").await.expect_error(401, "invalid_client");

    // Of a self-signed one the time counts as well, and so it does where it only binds.
    house.bank.advance(TimeDelta::days(200));
    caller.own_token("tls-app").await.expect_error(401, "invalid_client");
    house.shows(&renewed).own_token("tls-app").await.expect(200);
    let refused = refresh(&caller, "public-app", of_public.str("refresh_token")).await;
    refused.expect_error(400, "invalid_request");
}

#[tokio::test]
async fn mt_08_userinfo_takes_no_expired_certificate() {
    let house = MutualBank::open().await;
    // The bank's clock begins at 2027-01-15 08:00.
    let brief = |it: &mut rcgen::CertificateParams| {
        it.not_after = rcgen::date_time_ymd(2027, 1, 15) + std::time::Duration::from_secs(8 * 3600 + 60);
    };
    let own = house.authority.issue_with("brief", brief);
    declare(&house.bank, "tls-app", bound(by_name("brief"))).await;
    let caller = house.shows(&own);
    let tokens = tokens(&house, &caller, "tls-app").await;
    caller.userinfo(tokens.str("access_token")).await.expect(200);
    house.bank.advance(TimeDelta::seconds(61));
    caller.userinfo(tokens.str("access_token")).await.expect_error(401, "invalid_token");
}

#[tokio::test]
async fn mt_08_refresh_tokens_of_public_clients_need_the_certificate_that_they_are_bound_to() {
    let house = MutualBank::open().await;
    let (own, other) = (Identity::self_signed(), Identity::self_signed());
    declare(&house.bank, "public-app", public()).await;
    let tokens = tokens(&house, &house.shows(&own), "public-app").await;
    assert_eq!(claims_of(tokens.str("access_token"))["cnf"]["x5t#S256"], own.thumbprint());
    let token = tokens.str("refresh_token");
    for thief in [house.shows(&other), house.shows(&own.renewed(2029))] {
        refresh(&thief, "public-app", token).await.expect_error(400, "invalid_grant");
    }
    refresh(&house.shows_none(), "public-app", token).await.expect_error(400, "invalid_request");
    // Nobody used it up (DP-15), and its successor is bound as well.
    let next = refresh(&house.shows(&own), "public-app", token).await.expect(200);
    let token = next.str("refresh_token");
    refresh(&house.shows(&other), "public-app", token).await.expect_error(400, "invalid_grant");
    refresh(&house.shows(&own), "public-app", token).await.expect(200);
}

#[tokio::test]
async fn f2_09_f2_10_clients_of_the_profile_work_with_certificates_alone() {
    let house = MutualBank::open().await;
    let (own, other) = (house.authority.issue("ledgerline"), Identity::self_signed());
    let settings = Some(Profile::Fapi2);
    let by_name = metadata(&by_name("ledgerline"));
    dpop_key::declare(&house.bank, "name-app", by_name, settings).await.unwrap();
    dpop_key::declare(&house.bank, "key-app", metadata(&by_key(&other)), settings).await.unwrap();
    for (id, identity) in [("name-app", &own), ("key-app", &other)] {
        let (caller, app) = (house.shows(identity), app(&house.bank, id));
        let attempt = app.attempt("openid accounts:read");
        let fields: Vec<_> = attempt.parameters.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        house.shows_none().post("/par", &fields).await.expect_error(401, "invalid_client");
        let pushed = caller.post("/par", &fields).await.expect(201);
        let url = dpop_key::pushed_url(&app, pushed.str("request_uri"));
        let alice = &mut house.bank.person("alice");
        let departure = house.bank.connect(alice, &testkit::Browser::new(), url).await;
        let code = attempt.code(&departure);
        let tokens = redeem(&caller, id, &attempt, &code).await.expect(200);
        let cnf = &claims_of(tokens.str("access_token"))["cnf"];
        assert_eq!(*cnf, json!({ "x5t#S256": identity.thumbprint() }));
        caller.userinfo(tokens.str("access_token")).await.expect(200);
    }
    // Who promised DPoP is not bound to what served to authenticate.
    let mut promised = metadata(&by_key(&other));
    promised["dpop_bound_access_tokens"] = true.into();
    dpop_key::declare(&house.bank, "dpop-app", promised, settings).await.unwrap();
    house.shows(&other).own_token("dpop-app").await.expect_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn tx_06_mt_05_a_bound_token_is_exchanged_by_its_owner_alone() {
    let house = MutualBank::open().await;
    let own = Identity::self_signed();
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let toml = format!(
        "[[client]]\nclient_id = \"tls-app\"\nclient_name = \"Tls App\"\nredirect_uris = [\"{REDIRECT}\"]\n\
         token_endpoint_auth_method = \"self_signed_tls_client_auth\"\n\
         tls_client_certificate_bound_access_tokens = true\n\
         grant_types = [\"authorization_code\", \"{exchange}\"]\nscope = \"openid accounts:read\"\n\
         jwks = {}\n[[client.exchange]]\naudience = \"https://api.bank.example\"\nscope = \"accounts:read\"\n",
        own.jwks().to_string().replace(':', "="),
    );
    house.bank.declare(&toml).await.unwrap();
    let caller = house.shows(&own);
    let (attempt, code) = code_for(&house.bank, &app(&house.bank, "tls-app"), "openid accounts:read").await;
    let tokens = redeem(&caller, "tls-app", &attempt, &code).await.expect(200);
    let fields = [
        ("grant_type", exchange),
        ("client_id", "tls-app"),
        ("subject_token", tokens.str("access_token")),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    caller.post("/token", &fields).await.expect(200);
    // Its other certificate authenticates it, but is not what the token is bound to.
    house.shows(&own.renewed(2029)).post("/token", &fields).await.expect_error(400, "invalid_request");
}
