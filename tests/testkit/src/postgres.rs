//! A throw-away PostgreSQL: one cluster per test process, started at the first call, gone at exit.
//!
//! Statics are never dropped and a test run may be killed, so the cluster is ended by a watchdog: a shell
//! that waits for the end of its standard input, which only this process holds open. However this process
//! ends, the kernel closes the pipe, and the shell stops the server and removes its directory.
//!
//! The server refuses to run as root; there it runs as Debian's `postgres` user. Durability is off.

mod cluster;

pub use cluster::{Cluster, Stop};

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::free_port;

/// Names an existing server to use instead of a cluster of our own: the URL of a role that may create and
/// drop databases. Databases that tests make there are left behind, and replaced by later runs.
pub const EXISTING_SERVER: &str = "CHANCERY_TEST_POSTGRES_URL";

/// If set, the cluster keeps what it acknowledged, as in production; for measurements.
pub const DURABLE: &str = "CHANCERY_TEST_POSTGRES_DURABLE";

/// What a cluster that lives for one test run can do without.
const FORGETFUL: &str = "-c shared_buffers=32MB -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
    -c wal_level=minimal -c max_wal_senders=0 -c autovacuum=off -c jit=off";

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

struct Server {
    /// The URL of an existing database, from which statements about databases are run.
    maintenance: url::Url,
    psql: PathBuf,
    /// The process that all others of the cluster descend from; unknown for an existing server.
    postmaster: Option<u32>,
    /// Held for its standard input; see the module's text.
    _watchdog: Option<Child>,
}

/// Creates an empty database and returns its URL (`postgres://…/name`). Blocks for some tens of
/// milliseconds; the first call also starts the cluster (about two seconds).
///
/// # Panics
/// When PostgreSQL is not installed, with the line that installs it.
#[must_use]
pub fn fresh_database() -> String {
    let server = SERVER.get_or_init(start);
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("chancery_test_{}_{number}", std::process::id());
    let mut psql = Command::new(&server.psql);
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", server.maintenance.as_str()])
        .args(["-c", &format!("DROP DATABASE IF EXISTS {name}")])
        .args(["-c", &format!("CREATE DATABASE {name}")])
        .env("PGOPTIONS", "-c client_min_messages=warning");
    run(&mut psql);
    let mut url = server.maintenance.clone();
    url.set_path(&name);
    url.into()
}

/// The process id of the cluster's postmaster, for measurements; `None` for an existing server.
#[must_use]
pub fn postmaster() -> Option<u32> {
    SERVER.get_or_init(start).postmaster
}

/// Runs a statement on a database and returns its rows, columns separated by `|`.
///
/// # Panics
/// When the statement fails.
#[must_use]
pub fn query(url: &str, sql: &str) -> Vec<String> {
    let flags = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql];
    run(Command::new(tool("psql")).args(flags)).lines().map(str::to_owned).collect()
}

fn start() -> Server {
    match std::env::var(EXISTING_SERVER) {
        Ok(url) if !url.is_empty() => {
            let maintenance = url::Url::parse(&url).unwrap_or_else(|e| panic!("{EXISTING_SERVER}: {e}"));
            Server { maintenance, psql: tool("psql"), postmaster: None, _watchdog: None }
        }
        _ => start_cluster(),
    }
}

fn start_cluster() -> Server {
    let initdb = tool("initdb");
    let bin = initdb.parent().expect("a program lies in a directory").to_owned();
    let dir = run(as_owner("mktemp").args(["-d", "/tmp/chancery-postgres-XXXXXXXX"]));
    let dir = Path::new(dir.trim());
    let watchdog = watch(dir, &bin);
    let data = initialize(&initdb, dir);
    let settings = if std::env::var_os(DURABLE).is_some() { "-c shared_buffers=256MB" } else { FORGETFUL };
    let port = start_on_a_free_port(&bin, dir, settings);
    let maintenance = url::Url::parse(&format!("postgres://postgres@127.0.0.1:{port}/postgres"))
        .expect("the address of our own server is a URL");
    let postmaster = postmaster_of(&data);
    Server { maintenance, psql: bin.join("psql"), postmaster, _watchdog: Some(watchdog) }
}

/// Makes an empty cluster in `dir`; returns its data directory.
fn initialize(initdb: &Path, dir: &Path) -> PathBuf {
    let data = dir.join("data");
    run(as_owner(initdb).arg("-D").arg(&data).args([
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--no-locale",
        "--no-sync",
    ]));
    data
}

fn postmaster_of(data: &Path) -> Option<u32> {
    let pid_file = run(as_owner("cat").arg(data.join("postmaster.pid")));
    pid_file.lines().next().and_then(|pid| pid.trim().parse().ok())
}

/// Another process may take a port between our finding it free and the server's binding it: try again.
fn start_on_a_free_port(bin: &Path, dir: &Path, settings: &str) -> u16 {
    for _ in 0..5 {
        let port = free_port();
        if start_on(bin, dir, port, settings) {
            return port;
        }
    }
    let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
    panic!("PostgreSQL does not start; its log says:\n{log}");
}

fn start_on(bin: &Path, dir: &Path, port: u16, settings: &str) -> bool {
    let dir_shown = dir.display();
    let options =
        format!("-p {port} -k {dir_shown} -c listen_addresses=127.0.0.1 -c max_connections=300 {settings}");
    let started = as_owner(bin.join("pg_ctl"))
        .arg("-D")
        .arg(dir.join("data"))
        .arg("-l")
        .arg(dir.join("log"))
        .args(["-o", &options, "-w", "start"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    started.is_ok_and(|status| status.success())
}

fn watch(dir: &Path, bin: &Path) -> Child {
    // A cluster that a test paused hears nothing until it goes on.
    const SCRIPT: &str = r#"cat >/dev/null
        if read -r pid <"$1/data/postmaster.pid"; then
            kill -CONT "$pid" $(cat "/proc/$pid/task/$pid/children")
        fi
        "$2/pg_ctl" -D "$1/data" -m immediate stop; rm -rf "$1""#;
    as_owner("sh")
        .args(["-c", SCRIPT, "watchdog"])
        .args([dir, bin])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own process group, so that Ctrl-C reaches it only as the end of its input.
        .process_group(0)
        .spawn()
        .expect("a shell starts")
}

/// A command that runs as the user who may own a cluster, with nothing inherited that could mislead it.
fn as_owner(program: impl AsRef<Path>) -> Command {
    let program = program.as_ref();
    // The owner of /proc/self is the effective user; without /proc there is no Debian and no root either.
    let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
    let mut command = if root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    command.env_clear().env("PATH", path).env("LC_ALL", "C").current_dir("/");
    command
}

/// Debian keeps the server's programs outside PATH, one directory per version; the newest wins.
fn tool(name: &str) -> PathBuf {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let path = std::env::var_os("PATH").unwrap_or_default();
    versions
        .into_iter()
        .map(|(_, bin)| bin)
        .chain(std::env::split_paths(&path))
        .map(|bin| bin.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| {
            panic!("PostgreSQL's {name} is not installed. Install it with:\n\napt-get install postgresql\n")
        })
}

fn run(command: &mut Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{} does not start: {e}", command.get_program().display()));
    assert!(
        output.status.success(),
        "{command:?} failed:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_empty_and_separate() {
        let (one, two) = (fresh_database(), fresh_database());
        assert_ne!(one, two);
        assert!(query(&one, "CREATE TABLE proof (id INT)").is_empty());
        let count = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'proof'";
        assert_eq!(query(&one, count), ["1"]);
        assert_eq!(query(&two, count), ["0"]);
    }

    #[test]
    fn the_watchdog_removes_the_directory_when_its_input_ends() {
        let initdb = tool("initdb");
        let dir = run(as_owner("mktemp").args(["-d", "/tmp/chancery-postgres-XXXXXXXX"]));
        let dir = Path::new(dir.trim());
        let mut watchdog = watch(dir, initdb.parent().unwrap());
        assert!(dir.exists());
        drop(watchdog.stdin.take());
        watchdog.wait().unwrap();
        assert!(!dir.exists());
    }
}
