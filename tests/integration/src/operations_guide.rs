//! The operations guide, step by step: every `sh` block of `docs/operations.md` is run, in its order, by one
//! shell with the real binary on its path. A block may name the engine that it is for. Where the guide needs
//! a customer at a browser, a comment `<!-- test: … -->` says so, and the shell waits for them.

use std::{
    fmt::Write,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use flows::{Clock, SystemClock};
use testkit::{Browser, ClientAuth, Person, RelyingParty, chancery_binary, free_port, workspace_root};

use crate::bank::Engine;

/// What the guide says, and how the shell marks that it waits.
const CAROL: &str = "<!-- test: carol connects budget -->";
const WAIT: &str = "touch waiting; until [ -e go ]; do sleep 0.05; done";

/// The commands of the guide for an engine, each block after a line that names it.
fn script(guide: &str, engine: Engine) -> String {
    let name = match engine {
        Engine::Sqlite => "sqlite",
        Engine::Postgres => "postgres",
    };
    // What the shell started ends with it, whatever happens.
    let mut script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    let (mut wanted, mut inside) = (false, false);
    for (number, line) in guide.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if inside => inside = false,
            Some(kind) => {
                inside = true;
                wanted = kind == "sh" || kind == format!("sh {name}");
                if wanted {
                    let _ = writeln!(script, "echo '-- docs/operations.md:{}' >&2", number + 1);
                }
            }
            None if inside && wanted => {
                let _ = writeln!(script, "{line}");
            }
            None if !inside && line == CAROL => {
                let _ = writeln!(script, "{WAIT}");
            }
            None => {}
        }
    }
    script
}

/// Carol allows the app of the guide.
async fn connect(directory: &Path, issuer: &str) {
    let password = fs::read_to_string(directory.join("secrets/carol")).unwrap();
    let mut carol = Person::new("carol", password.trim());
    let app = RelyingParty::new(issuer, "budget", ClientAuth::None, "http://127.0.0.1:4711/callback");
    let attempt = app.attempt("openid offline_access accounts:read");
    let departure = carol.connect(&Browser::new(), attempt.url(), SystemClock.now()).await;
    app.redeem(&attempt, &attempt.code(&departure)).await.expect(200);
}

async fn follow(engine: Engine) {
    let guide = fs::read_to_string(workspace_root().join("docs/operations.md")).unwrap();
    let directory = testkit::tempdir().unwrap();
    let mut script = script(&guide, engine);
    let blocks = script.matches("-- docs/operations.md:").count();
    assert!(blocks > 15, "{blocks} blocks");
    // Ports and databases of this test, so that it disturbs nobody.
    let ports = ["8400", "8401", "8410", "8411"].map(|known| (known, free_port().to_string()));
    for (known, free) in &ports {
        script = script.replace(known, free);
    }
    let [(_, public), (_, admin), ..] = &ports;
    let databases = format!("guide_{}", std::process::id());
    script = script.replace("createdb chancery", &format!("createdb {databases}"));
    script = script.replace("postgres:///chancery", &format!("postgres:///{databases}"));
    let file = directory.path().join("guide.sh");
    fs::write(&file, script).unwrap();

    let binary = chancery_binary();
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let issuer = format!("http://localhost:{public}");
    let log = fs::File::create(directory.path().join("guide.log")).unwrap();
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHANCERY")) {
        command.env_remove(name);
    }
    command.arg(&file).current_dir(directory.path()).env("PATH", path);
    command.env("CHANCERY__ISSUER", &issuer);
    command.env("CHANCERY__LISTEN__PUBLIC", format!("127.0.0.1:{public}"));
    command.env("CHANCERY__LISTEN__ADMIN", format!("127.0.0.1:{admin}"));
    if engine == Engine::Postgres {
        let url = url::Url::parse(&testkit::postgres::fresh_database()).unwrap();
        command.env("PGHOST", url.host_str().unwrap()).env("PGPORT", url.port().unwrap().to_string());
        command.env("PGUSER", url.username()).env("PGPASSWORD", url.password().unwrap_or_default());
    }
    let output = || Stdio::from(log.try_clone().unwrap());
    let mut shell = command.stdin(Stdio::null()).stdout(output()).stderr(output()).spawn().unwrap();
    let said = || {
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap_or_default();
        format!("{}\n---- chancery.log\n{}", read("guide.log"), read("chancery.log"))
    };
    let mut connected = false;
    for _ in 0..1200 {
        if let Some(status) = shell.try_wait().unwrap() {
            assert!(status.success(), "{engine:?}: {status}\n{}", said());
            assert!(connected, "the guide has no customer any more");
            return;
        }
        if !connected && directory.path().join("waiting").exists() {
            connect(directory.path(), &issuer).await;
            fs::write(directory.path().join("go"), "").unwrap();
            connected = true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
    panic!("{engine:?}: the guide does not end\n{}", said());
}

#[tokio::test]
async fn every_command_of_the_operations_guide_works_on_sqlite() {
    follow(Engine::Sqlite).await;
}

#[tokio::test]
async fn every_command_of_the_operations_guide_works_on_postgresql() {
    follow(Engine::Postgres).await;
}

#[test]
fn blocks_are_run_in_their_order_for_their_engine() {
    let guide =
        "```sh\none\n```\ntext\n```console\n# no\n```\n```sh sqlite\ntwo\n```\n```sh postgres\nthree\n```\n";
    let of = |engine| {
        let script = script(guide, engine);
        script.lines().skip(2).filter(|line| !line.starts_with("echo")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!((of(Engine::Sqlite).as_str(), of(Engine::Postgres).as_str()), ("one two", "one three"));
}
