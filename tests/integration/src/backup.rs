//! Backups of the real binary: taken under load, restored on either engine, and refused when they are none.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use flows::{Clock, SystemClock};
use serde_json::Value;
use testkit::{Browser, ClientAuth, Person, RelyingParty};
use tokio::task::JoinHandle;

use crate::bank::{ENGINES, Engine};
use crate::running::{Answered, Installation, shown};

const BANK: &str = include_str!("bank.toml");
const WRONG_KEY: &str = "/HMsEGwgI69r1IoSmtHQ95nAsgBrQrYbU6v8Ou5x5ZA=";

/// A bank on the real binary, and a file that is not there yet.
fn bank_on(engine: Engine) -> (Installation, String) {
    let bank = Installation::plain(engine);
    bank.apply(BANK);
    let file = shown(&bank.config().with_file_name("backup.chancery"));
    (bank, file)
}

fn app(bank: &Installation, id: &str, secret: Option<&str>, redirect: &str) -> RelyingParty {
    let auth = secret.map_or(ClientAuth::None, |secret| ClientAuth::Basic(secret.to_owned()));
    RelyingParty::new(&bank.issuer, id, auth, redirect)
}

fn native(bank: &Installation) -> RelyingParty {
    app(bank, "native-app", None, "http://127.0.0.1:4711/cb")
}

/// Another, empty database for the same bank.
fn another_database(bank: &Installation, engine: Engine) -> PathBuf {
    let file = bank.config().with_file_name("restored.db");
    let url = match engine {
        Engine::Sqlite => format!("sqlite://{}", file.display()),
        Engine::Postgres => testkit::postgres::fresh_database(),
    };
    bank.write("database-url", &format!("{url}\n"));
    file
}

fn json(answer: &Answered) -> Value {
    assert_eq!(answer.code, Some(0), "{}\n{}", answer.stdout, answer.stderr);
    serde_json::from_str(&answer.stdout).unwrap_or_else(|fault| panic!("{fault}: {}", answer.stdout))
}

/// Somebody allows an app; gives the refresh token.
async fn connect(bank: &Installation, app: &RelyingParty, person: &mut Person, scope: &str) -> String {
    let attempt = app.attempt(scope);
    let departure = person.connect(&Browser::new(), attempt.url(), SystemClock.now()).await;
    let tokens = app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
    assert!(bank.port > 0);
    tokens.str("refresh_token").to_owned()
}

/// Clients that get tokens of their own for as long as the test wants: each is a row.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(bank: &Installation) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let secret = Some("batch-job-secret-0123456789ab");
        let one = || {
            let app = app(bank, "batch-job", secret, "https://unused.example/cb");
            let (stop, answered) = (stop.clone(), answered.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    app.client_credentials("cards:read").await.expect(200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let tasks = (0..4).map(|_| one()).collect();
        Self { stop, answered, tasks }
    }

    async fn reaches(&self, count: u64) {
        while self.answered.load(Ordering::Relaxed) < count {
            assert!(self.tasks.iter().all(|task| !task.is_finished()), "a request failed under load");
            tokio::task::yield_now().await;
        }
    }

    async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.answered.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_restores_and_what_was_issued_is_over() {
    for engine in ENGINES {
        let (bank, file) = bank_on(engine);
        let serving = bank.serve().await;
        let web = bank.web_app();
        let mut carol = Person::new("carol", "walnut-comet-ribbon");
        let stable = connect(&bank, &web, &mut carol, "openid accounts:read offline_access").await;
        let mut bob = Person::new("bob", "granite-teapot-orbit");
        let rotating = connect(&bank, &native(&bank), &mut bob, "openid accounts:read offline_access").await;

        let load = Load::on(&bank);
        load.reaches(20).await;
        let acknowledged = load.answered.load(Ordering::Relaxed);
        let backup = json(&bank.run(&["backup", "--to", &file, "--json"]));
        let during = load.answered.load(Ordering::Relaxed) - acknowledged;
        load.reaches(acknowledged + during + 5).await;
        load.end().await;
        assert!(during > 0, "{engine:?}: the server went on meanwhile");
        let tokens = backup["tables"]["access_tokens"].as_u64().unwrap();
        assert!(
            tokens >= acknowledged,
            "{engine:?}: {tokens} of {acknowledged}: nothing acknowledged is missing"
        );
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&file).unwrap();
        bank.run(&["backup", "--to", &file]).expect(1, &["exists", "nothing was overwritten"]);
        assert_eq!(fs::read(&file).unwrap(), before);
        let told = bank.run(&["audit", "search", "--kind", "database_copied", "--json"]);
        assert_eq!(json(&told).as_array().unwrap().len(), 1);

        // After the backup, a rotating token is spent. In the backup it is not.
        native(&bank).refresh(&rotating).await.expect(200);
        serving.terminate().await;

        another_database(&bank, engine);
        let restored = json(&bank.run(&["restore", "--from", &file, "--json"]));
        for table in
            ["clients", "scopes", "users", "totp_credentials", "recovery_codes", "consents", "access_tokens"]
        {
            assert_eq!(restored["tables"][table], backup["tables"][table], "{engine:?}: {table}");
        }
        let opened = restored["sealed_records_opened"].as_u64().unwrap();
        assert!(opened >= 2, "signing keys and an authenticator: {opened}");
        assert_eq!((&restored["ended"]["grants"], &restored["ended"]["consents"]), (&2.into(), &0.into()));
        bank.run(&["restore", "--from", &file])
            .expect(1, &["is not empty", "nothing was changed", "--replace"]);

        let _serving = bank.serve().await;
        // Neither the one that was spent since, nor the other one.
        native(&bank).refresh(&rotating).await.expect_error(400, "invalid_grant");
        web.refresh(&stable).await.expect_error(400, "invalid_grant");
        // Everybody connects again, without being asked again, because consents are kept.
        let browser = Browser::new();
        let page = browser.open(native(&bank).attempt("openid accounts:read offline_access").url()).await;
        let page = bob.answer(&browser, &page, SystemClock.now()).await;
        assert!(page.departure.is_some(), "{}", page.text());
        let shown = json(&bank.run(&["users", "show", "carol", "--json"]));
        assert!(shown.to_string().contains("totp") || shown.to_string().contains("authenticator"), "{shown}");
        // A code of this moment may have been used after the backup, so none of this moment counts.
        let browser = Browser::new();
        let page = browser.open(bank.url("/account")).await;
        let page = carol.answer(&browser, &page, SystemClock.now()).await;
        assert!(page.has("otp-submit"), "{}", page.text());
        let page = carol.answer(&browser, &page, SystemClock.now()).await;
        assert!(page.has("otp-submit"), "the code counted: {}", page.text());
        let told = bank.run(&["audit", "search", "--kind", "database_restored", "--json"]);
        assert_eq!(json(&told)[0]["detail"]["grants"], "2");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_moves_is_restored_as_it_was() {
    for engine in ENGINES {
        let (bank, file) = bank_on(engine);
        let serving = bank.serve().await;
        let web = bank.web_app();
        let mut carol = Person::new("carol", "walnut-comet-ribbon");
        let stable = connect(&bank, &web, &mut carol, "openid accounts:read offline_access").await;
        let mut bob = Person::new("bob", "granite-teapot-orbit");
        let rotating = connect(&bank, &native(&bank), &mut bob, "openid offline_access").await;
        let kids = json(&bank.run(&["keys", "list", "--json"]));
        serving.terminate().await;
        bank.run(&["backup", "--to", &file]).expect(0, &["key-encryption key"]);

        another_database(&bank, engine);
        let restored = json(&bank.run(&["restore", "--from", &file, "--as-it-was", "--json"]));
        assert_eq!(restored["ended"]["grants"], 0);
        let _serving = bank.serve().await;
        assert_eq!(json(&bank.run(&["keys", "list", "--json"])), kids);
        web.refresh(&stable).await.expect(200);
        native(&bank).refresh(&rotating).await.expect(200);
        // The authenticator as well: its next code counts.
        let browser = Browser::new();
        let page = browser.open(bank.url("/account")).await;
        carol.walk(&browser, page, "sign-out", SystemClock.now()).await.expect(200);
    }
}

#[tokio::test]
async fn a_restore_under_another_key_says_why_and_leaves_nothing() {
    for engine in ENGINES {
        let (bank, file) = bank_on(engine);
        bank.serve().await.terminate().await;
        bank.run(&["backup", "--to", &file]).expect(0, &[]);
        let restored = another_database(&bank, engine);
        let restore = |key: Option<&str>| {
            let mut command = bank.command(&["restore", "--from", &file]);
            command.envs(key.map(|key| ("CHANCERY__SECRETS__KEY_ENCRYPTION_KEY", key)));
            Answered::of(&mut command)
        };
        restore(Some(WRONG_KEY)).expect(1, &["another key-encryption key", "signing key"]);
        assert!(!restored.exists());
        bank.run(&["serve"]).expect(1, &["schema is behind"]);
        restore(None).expect(0, &["Do it again before you serve"]);
    }
}

#[tokio::test]
async fn what_is_there_is_replaced_only_when_told_and_kept_aside() {
    for engine in ENGINES {
        let (bank, file) = bank_on(engine);
        bank.run(&["backup", "--to", &file]).expect(0, &[]);
        bank.run(&["users", "disable", "bob", "--yes"]).expect(0, &[]);
        let serving = bank.serve().await;
        let replace: &[&str] = &["restore", "--from", &file, "--replace", "--yes", "--json"];
        bank.run(replace).expect(1, &["stop it first"]);
        bank.run(&["restore", "--from", &file, "--replace"]).expect(1, &["nobody to ask"]);
        serving.terminate().await;
        // What fails leaves what was there.
        let mut wrong = bank.command(replace);
        wrong.env("CHANCERY__SECRETS__KEY_ENCRYPTION_KEY", WRONG_KEY);
        let damaged = shown(&bank.write("damaged", ""));
        let whole = fs::read(&file).unwrap();
        fs::write(&damaged, &whole[..whole.len() / 2]).unwrap();
        let answer = bank.run(&["restore", "--from", &damaged, "--replace", "--yes"]);
        assert_eq!(answer.code, Some(1), "{}{}", answer.stdout, answer.stderr);
        let bob = |bank: &Installation| json(&bank.run(&["users", "show", "bob", "--json"]))["state"].clone();
        assert_eq!(bob(&bank), "disabled", "{engine:?}: the database is as it was");

        let answer = json(&bank.run(replace));
        let aside = answer["former_kept_in"].as_str().unwrap();
        assert!(aside.contains("replaced_"), "{aside}");
        assert_eq!(bob(&bank), "active");
        if engine == Engine::Sqlite {
            assert!(fs::metadata(aside).unwrap().len() > 0);
        }
        bank.serve().await.terminate().await;
    }
}

#[test]
fn what_is_no_backup_is_refused() {
    let sqlite = bank_on(Engine::Sqlite);
    let postgres = bank_on(Engine::Postgres);
    for (bank, file) in [&sqlite, &postgres] {
        bank.run(&["backup", "--to", file]).expect(0, &[]);
    }
    for ((bank, file), (_, other), engine) in
        [(&sqlite, &postgres, Engine::Sqlite), (&postgres, &sqlite, Engine::Postgres)]
    {
        another_database(bank, engine);
        bank.run(&["restore", "--from", other]).expect(2, &["no backup of this engine"]);
        let garbage = shown(&bank.write("garbage", "Dear Sir or Madam"));
        bank.run(&["restore", "--from", &garbage]).expect(2, &["no backup"]);
        bank.run(&["restore", "--from", "/nowhere"]).expect(2, &["/nowhere", "cannot be read"]);
        // Half of one is none, either.
        let whole = fs::read(file).unwrap();
        let half = bank.write("half", "");
        fs::write(&half, &whole[..whole.len() / 2]).unwrap();
        let answer = bank.run(&["restore", "--from", &shown(&half)]);
        assert_eq!(answer.code, Some(1), "{}{}", answer.stdout, answer.stderr);
        // There is nothing yet, so there is nothing to back up.
        let nothing = shown(&bank.config().with_file_name("nothing"));
        bank.run(&["backup", "--to", &nothing]).expect(1, &["nothing to back up"]);
        bank.run(&["restore", "--from", file]).expect(0, &[]);
        bank.run(&["backup", "--to", "/nowhere/backup"]).expect(1, &["/nowhere/backup", "cannot be written"]);
    }
}

#[test]
fn a_missing_pg_dump_is_explained() {
    let (bank, file) = bank_on(Engine::Postgres);
    let mut command = bank.command(&["backup", "--to", &file]);
    Answered::of(command.env("PATH", "/nowhere"))
        .expect(1, &["pg_dump is not on the path", "postgresql-client"]);
    assert!(!std::path::Path::new(&file).exists());
    let left = fs::read_dir(bank.config().parent().unwrap()).unwrap();
    assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().ends_with(".partial")));
}
