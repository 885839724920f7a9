//! The binary as an operator meets it: configuration, schema, declared resources, listeners, shutdown.

use std::time::Duration;

use testkit::{Browser, Process, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bank::{ENGINES, Engine};
use crate::running::{Answered, Installation, shown};
use crate::visits::type_password;

const BANK: &str = include_str!("bank.toml");

#[test]
fn config_check_explains_every_mistake_with_file_key_and_remedy() {
    let mut bank = Installation::plain(Engine::Sqlite);
    let fine = bank.run(&["config", "check"]);
    fine.expect(0, &[]);
    assert!(fine.stdout.contains("the configuration is fine"));

    let file = bank.write(
        "chancery.toml",
        "issuer = \"http://login.bank.example\"\n[tokens]\ncode = \"2h\"\nacces_token = \"5m\"\n\
         [second_factor]\npolicy = \"sometimes\"\n[listn]\nport = 1\n",
    );
    bank.set("CHANCERY__SESSIONS__IDEL", "15m");
    let wrong = bank.run(&["config", "check"]);
    let file = shown(&file);
    wrong.expect(
        2,
        &[
            &format!("{file}: tokens.code: "),
            "write 60s or less",
            // Unknown keys are mistakes; the one that was meant is named.
            &format!("{file}: tokens.acces_token: "),
            "access_token",
            &format!("{file}: listn"),
            "sessions.idel",
            "sessions.idle",
            &format!("{file}: second_factor.policy: "),
            "if-enrolled",
            &format!("{file}: issuer: "),
            "Write the https URL",
            &format!("{file}: database.url: is missing"),
            "postgres://user@host/name",
            "mistakes",
        ],
    );
    assert!(wrong.stdout.is_empty());
    // Nothing runs on it, either.
    for command in [&["serve"][..], &["migrate"], &["keys", "list"]] {
        bank.run(command).expect(2, &["tokens.code"]);
    }
    Answered::of(bank.bare(&["config", "check"]).args(["--config", "/nowhere/chancery.toml"]))
        .expect(2, &["/nowhere/chancery.toml", "cannot be read", "--config"]);
    bank.run(&["nonsense"]).expect(2, &["nonsense"]);
}

#[test]
fn production_wants_its_secrets() {
    let bank = Installation::tls(Engine::Sqlite);
    bank.run(&["config", "check"]).expect(0, &[]);
    bank.configure("[tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n");
    bank.run(&["serve"]).expect(
        2,
        &[
            "secrets.key_encryption_key: is missing",
            "secrets.password_pepper: is missing",
            "openssl rand -base64 32",
        ],
    );
    // Plain http beyond this machine is refused.
    bank.configure("");
    bank.run(&["config", "check"]).expect(2, &["proxy.trusted", "tls.certificate"]);
    bank.write("tls.key", "no key");
    bank.configure(
        "[tls]\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\n[secrets]\n\
         key_encryption_key_file = \"nowhere\"\npassword_pepper_file = \"password-pepper\"\n",
    );
    bank.run(&["config", "check"]).expect(2, &["nowhere", "secrets.key_encryption_key_file"]);
}

#[tokio::test]
async fn serve_refuses_a_schema_that_is_behind_unless_told_to_migrate() {
    for engine in ENGINES {
        let bank = Installation::plain(engine);
        bank.run(&["serve"]).expect(1, &["schema is behind", "chancery migrate", "--migrate"]);
        bank.run(&["apply", "--yes", "--file", shown(&bank.write("b.toml", BANK)).as_str()])
            .expect(1, &["schema is behind"]);
        let process = bank.serve().await;
        let (status, log) = process.terminate().await;
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("plain http"), "what an operator should know is said: {log}");
        // Now it is not behind any more.
        let again = Process::start("chancery serve", &mut bank.command(&["serve"]));
        again.ready(&format!("{}/health/ready", bank.admin)).await;
        bank.run(&["migrate"]).expect(0, &[]);
    }
}

#[tokio::test]
async fn apply_shows_the_difference_and_is_idempotent() {
    for engine in ENGINES {
        let bank = Installation::plain(engine);
        bank.run(&["migrate"]).expect(0, &[]);
        let file = shown(&bank.write("bank.toml", BANK));
        let apply = |more: &[&str]| bank.run(&[&["apply", "--file", &file], more].concat());

        let dry = apply(&["--dry-run"]);
        dry.expect(0, &[]);
        for name in ["web-app", "accounts:read", "alice", "account-viewer", "https://api.bank.example"] {
            assert!(dry.stdout.contains(name), "{name} is not in:\n{}", dry.stdout);
        }
        for secret in ["harbour-lantern-violet", "web-app-secret", "accounts-api-secret"] {
            assert!(!dry.stdout.contains(secret) && !dry.stderr.contains(secret), "{secret}");
        }
        assert_eq!(apply(&["--dry-run"]).stdout, dry.stdout, "a dry run changes nothing");
        // Neither does a run that nobody agreed to.
        apply(&[]).expect(1, &["--yes"]);
        assert_eq!(apply(&["--dry-run"]).stdout, dry.stdout);

        let applied = apply(&["--yes"]);
        applied.expect(0, &[]);
        assert!(applied.stdout.contains("applied"));
        let again = apply(&["--yes"]);
        again.expect(0, &[]);
        assert!(!again.stdout.contains("applied"), "{}", again.stdout);

        // One change is one line; what the file does not mention stays.
        bank.write("bank.toml", &BANK.replace("client_name = \"Web App\"", "client_name = \"Webb App\""));
        let changed = apply(&["--dry-run"]);
        let marked: Vec<&str> =
            changed.stdout.lines().filter(|line| line.starts_with(['+', '-', '~'])).collect();
        assert_eq!(marked.len(), 1, "{}", changed.stdout);
        assert!(marked[0].contains("web-app") && changed.stdout.contains("Webb App"), "{}", changed.stdout);
    }
}

#[tokio::test]
async fn a_running_server_notices_what_is_applied() {
    for engine in ENGINES {
        let bank = Installation::plain(engine);
        let _serving = bank.serve().await;
        let (browser, url) = (Browser::new(), bank.web_app().attempt("openid").url());
        assert_eq!(browser.open(&url).await.status, 400, "nobody knows that app yet");
        bank.apply(BANK);
        let mut page = browser.open(&url).await;
        for _ in 0..200 {
            if page.status == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            page = browser.open(&url).await;
        }
        assert!(page.expect(200).has("login-submit"));
    }
}

#[test]
fn apply_explains_mistakes_and_changes_nothing() {
    let bank = Installation::plain(Engine::Sqlite);
    bank.run(&["migrate"]).expect(0, &[]);
    let apply = |text: &str| {
        let file = shown(&bank.write("bad.toml", text));
        bank.run(&["apply", "--yes", "--file", &file])
    };
    apply("[[role]]\nname = \"x\"\ndescription = \"X\"\ncolour = \"red\"\n")
        .expect(2, &["bad.toml:4", "colour"]);
    // The first half is fine, the second is not: neither is done.
    let half = "[[role]]\nname = \"fine\"\ndescription = \"Fine\"\n[[scope]]\nname = \"s\"\ntitle = \"S\"\n\
                description = \"S.\"\naudience = \"https://nobody.example\"\n";
    apply(half).expect(2, &["nobody.example"]);
    let dry = bank.run(&["apply", "--dry-run", "--file", &shown(&bank.write("bank.toml", BANK))]);
    assert!(!dry.stdout.contains("fine"), "{}", dry.stdout);
    apply(
        "[[client]]\nclient_id = \"x\"\nclient_name = \"X\"\nredirect_uris = [\"http://web.example/cb\"]\n\
           client_secret = \"0123456789abcdef0123456789\"\n",
    )
    .expect(2, &["http://web.example/cb"]);
}

#[tokio::test]
async fn f2_03_se_01_built_in_tls_on_both_engines() {
    for engine in ENGINES {
        let bank = Installation::tls(engine);
        bank.apply(BANK);
        let _serving = bank.serve().await;
        let browser = bank.browser();
        let page = browser.open(bank.url("/account")).await.expect(200);
        assert_eq!(page.header("strict-transport-security"), Some("max-age=31536000; includeSubDomains"));
        assert!(browser.cookie(&bank.issuer, "__Host-chancery-browser").is_some());
        let form = page.form("login-submit").with("username", "bob").with("password", "granite-teapot-orbit");
        let answer = crate::visits::post(&browser, &form).await;
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.starts_with("__Host-chancery-session="), "{cookie}");
        for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{attribute} in {cookie}");
        }
        assert!(!cookie.contains("Domain"));
        assert!(browser.open(bank.url("/account")).await.expect(200).has("sign-out"));

        let app = bank.web_app();
        let metadata = app.get("/.well-known/openid-configuration").await.expect(200);
        assert_eq!(metadata.str("issuer"), bank.issuer);
        assert_eq!(metadata.header("strict-transport-security"), Some("max-age=31536000; includeSubDomains"));
        // Nothing is said in clear.
        let answer =
            speak(bank.port, b"GET /jwks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    }
}

/// Says something to a port, and returns all that comes back.
async fn speak(port: u16, said: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(said).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut answer)).await;
    answer
}

/// Bytes behind their length, written in so many bytes.
fn prefixed(width: usize, body: &[u8]) -> Vec<u8> {
    let length = body.len().to_be_bytes();
    [&length[length.len() - width..], body].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &prefixed(2, body)].concat()
}

/// A ClientHello (RFC 5246 §7.4.1.2) of this version, which offers these suites and these extensions besides
/// those that every client sends.
fn client_hello(version: [u8; 2], suites: &[u16], more: &[u8]) -> Vec<u8> {
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let extensions = [
        &extension(10, &prefixed(2, &[0, 29, 0, 23])), // supported_groups: x25519, secp256r1
        &extension(11, &prefixed(1, &[0])),            // ec_point_formats: uncompressed
        &extension(13, &prefixed(2, &[4, 3, 8, 4, 4, 1])), // signature_algorithms
        &extension(23, &[]),                           // extended_master_secret
        more,
    ]
    .concat();
    let hello = [
        &version[..],
        &[7; 32],
        &prefixed(1, &[]),
        &prefixed(2, &suites),
        &prefixed(1, &[0]),
        &prefixed(2, &extensions),
    ]
    .concat();
    let handshake = [&[1][..], &prefixed(3, &hello)].concat();
    [&[22, 3, 1][..], &prefixed(2, &handshake)].concat()
}

/// The first record of the server's answer: its content type and what is in it.
async fn first_record(port: u16, said: &[u8]) -> (u8, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(said).await.unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut record).await.unwrap();
    (head[0], record)
}

#[tokio::test]
async fn f2_01_f2_02_old_versions_and_suites_are_refused_with_an_alert() {
    const TLS13_AES128_GCM: u16 = 0x1301;
    const ECDSA_AES128_GCM: u16 = 0xC02B;
    const ECDSA_AES128_CBC: u16 = 0xC009;
    const ECDSA_CHACHA20: u16 = 0xCCA9;
    const RSA_AES128_GCM: u16 = 0x009C;
    const HANDSHAKE_FAILURE: u8 = 40;
    const PROTOCOL_VERSION: u8 = 70;
    let (alert, handshake) = (21, 22);
    let bank = Installation::tls(Engine::Sqlite);
    let _serving = bank.serve().await;
    let (tls10, tls11, tls12) = ([3, 1], [3, 2], [3, 3]);
    let all = [ECDSA_AES128_GCM, ECDSA_AES128_CBC, ECDSA_CHACHA20, RSA_AES128_GCM];
    for (version, suites, why) in [
        (tls10, &all[..], PROTOCOL_VERSION),
        (tls11, &all, PROTOCOL_VERSION),
        (tls12, &[ECDSA_AES128_CBC], HANDSHAKE_FAILURE),
        (tls12, &[ECDSA_CHACHA20], HANDSHAKE_FAILURE),
        (tls12, &[RSA_AES128_GCM], HANDSHAKE_FAILURE),
    ] {
        let answer = first_record(bank.port, &client_hello(version, suites, &[])).await;
        // 2: fatal.
        assert_eq!(answer, (alert, vec![2, why]), "{version:?} {suites:04x?}");
    }
    // The same hello with what may be is answered with a ServerHello (2) of TLS 1.2 and that suite.
    let (kind, hello) = first_record(bank.port, &client_hello(tls12, &all, &[])).await;
    assert_eq!((kind, hello[0], &hello[4..6]), (handshake, 2, &tls12[..]));
    let session = usize::from(hello[38]);
    assert_eq!(hello[39 + session..41 + session], ECDSA_AES128_GCM.to_be_bytes());
    // And who also offers TLS 1.3, after 1.2, gets that: supported_versions of the ServerHello says so.
    let shares = prefixed(2, &[&[0, 29][..], &prefixed(2, &[9; 32])].concat());
    let more = [extension(43, &prefixed(1, &[3, 3, 3, 4])), extension(51, &shares)].concat();
    let both = [ECDSA_AES128_GCM, TLS13_AES128_GCM];
    let (kind, hello) = first_record(bank.port, &client_hello(tls12, &both, &more)).await;
    assert_eq!((kind, hello[0]), (handshake, 2));
    assert!(hello.windows(6).any(|bytes| bytes == extension(43, &[3, 4])), "{hello:02x?}");
}

#[tokio::test]
async fn a_stop_lets_requests_in_progress_finish() {
    let bank = Installation::plain(Engine::Sqlite);
    bank.apply(BANK);
    let process = bank.serve().await;
    let mut stream = TcpStream::connect(("127.0.0.1", bank.port)).await.unwrap();
    let body = "grant_type=client_credentials&scope=accounts:read";
    let head = format!(
        "POST /token HTTP/1.1\r\nhost: localhost:{}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         authorization: Basic YmF0Y2gtam9iOmJhdGNoLWpvYi1zZWNyZXQtMDEyMzQ1Njc4OWFi\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        bank.port,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request is in progress.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");

    let finish = async {
        // Told to stop, it says so to load balancers and takes no new connection, but waits for this one.
        let ready = format!("{}/health/ready", bank.admin);
        let admin = Browser::new();
        let mut last = admin.open(&ready).await;
        for _ in 0..200 {
            if last.status == 503 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            last = admin.open(&ready).await;
        }
        assert_eq!((last.status, last.body.as_str()), (503, "stopping\n"));
        assert_eq!(admin.open(format!("{}/health/live", bank.admin)).await.status, 200);
        // Readiness falls first, so that balancers may look away; the door shuts right after.
        let mut shut = false;
        for _ in 0..200 {
            shut = TcpStream::connect(("127.0.0.1", bank.port)).await.is_err();
            if shut {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(shut, "new connections are still taken");
        stream.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let ((status, log), answer) = tokio::join!(process.terminate(), finish);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"access_token\""), "{answer}");
    assert_eq!(status.code(), Some(0), "{log}");
    for secret in
        ["batch-job-secret", answer.split("\"access_token\":\"").nth(1).unwrap().split('"').next().unwrap()]
    {
        assert!(!log.contains(secret), "BCP-17: {secret} is in the log");
    }
}

#[tokio::test]
async fn health_and_metrics_are_the_admin_listeners_alone() {
    let bank = Installation::plain(Engine::Sqlite);
    bank.run(&["health"]).expect(1, &[]);
    let _serving = bank.serve().await;
    bank.run(&["health"]).expect(0, &[]);
    let browser = Browser::new();
    let page = browser.open(bank.url("/account")).await.expect(200);
    type_password(&browser, &page, "nobody", "wrong-password-in-metrics").await.expect(403);
    for (path, content) in
        [("/health/live", "live"), ("/health/ready", "ready"), ("/metrics", "chancery_logins_total")]
    {
        let answer = browser.open(format!("{}{path}", bank.admin)).await.expect(200);
        assert!(answer.body.contains(content), "{path}: {}", answer.body);
        assert!(!answer.body.contains("wrong-password-in-metrics") && !answer.body.contains("nobody"));
        assert_eq!(browser.open(bank.url(path)).await.status, 404, "{path}");
    }
    for path in ["/jwks", "/token", "/authorize", "/account", "/.well-known/openid-configuration"] {
        assert_eq!(browser.open(format!("{}{path}", bank.admin)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn every_setting_can_come_from_the_environment() {
    let mut bank = Installation::plain(Engine::Sqlite);
    bank.configure("[pages]\nbank_name = \"Bank of the File\"\n");
    bank.set("CHANCERY__PAGES__BANK_NAME", "Bank of the Environment");
    let serving = bank.serve().await;
    let page = Browser::new().open(bank.url("/account")).await.expect(200);
    assert!(page.text().contains("Bank of the Environment") && !page.text().contains("Bank of the File"));
    serving.terminate().await;

    // Without any file.
    let (port, admin) = (free_port(), free_port());
    let url = format!("sqlite://{}", bank.write("other.db", "").display());
    let issuer = format!("http://localhost:{port}");
    let mut command = bank.bare(&["serve"]);
    command.envs([
        ("CHANCERY__ISSUER", issuer.clone()),
        ("CHANCERY__DATABASE__URL", url),
        ("CHANCERY__DATABASE__MIGRATE_ON_START", "true".to_owned()),
        ("CHANCERY__LISTEN__PUBLIC", format!("127.0.0.1:{port}")),
        ("CHANCERY__LISTEN__ADMIN", format!("127.0.0.1:{admin}")),
        ("CHANCERY__LOG__FORMAT", "json".to_owned()),
    ]);
    let serving = Process::start("chancery serve", &mut command);
    let serving = serving.ready(&format!("{issuer}/.well-known/openid-configuration")).await;
    assert!(serving.log().lines().all(|line| line.starts_with('{')), "{}", serving.log());
}

#[tokio::test]
async fn sealed_keys_open_with_their_key_only() {
    let bank = Installation::tls(Engine::Sqlite);
    let first = bank.serve().await;
    let jwks = bank.web_app().get("/jwks").await.expect(200).json;
    first.terminate().await;
    // A restart signs with the same keys.
    let second = bank.serve().await;
    assert_eq!(bank.web_app().get("/jwks").await.expect(200).json, jwks);
    second.terminate().await;
    // Another key-encryption key opens nothing, and the server says so rather than make new keys.
    bank.write("key-encryption-key", "u5ODl6pfMGi623+1FpsZKpgKgIPkLpA49amAmfMAg4c=\n");
    let refused = bank.run(&["serve"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
}
