//! Child processes that end with the test, and where the build put what they run.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;

/// A loopback TCP port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has a free port")
        .port()
}

/// The root of the workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the sources are where they were built")
}

/// Cargo's target directory.
#[must_use]
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => workspace_root().join(dir),
        None => workspace_root().join("target"),
    }
}

/// The `chancery` binary of this build: `$CHANCERY_BIN`, else the one beside the running test.
///
/// `cargo test --workspace` builds it, because the `chancery` package has an integration test; a test run
/// of one other package does not, hence the check that it is not older than the sources.
///
/// # Panics
/// When it is missing or older than a source of a room.
#[must_use]
pub fn chancery_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CHANCERY_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a process knows its executable");
    let profile = test.ancestors().nth(2).expect("cargo runs tests in target/<profile>/deps");
    let binary = profile.join("chancery");
    let built = fs::metadata(&binary).and_then(|file| file.modified()).ok();
    let newest = newest_source(&workspace_root().join("crates"));
    assert!(
        built.is_some_and(|built| built >= newest),
        "{} is missing or older than the sources. Build it with:\n\ncargo build -p chancery\n",
        binary.display()
    );
    binary
}

/// When a source that goes into a binary was last changed; files of tests do not.
fn newest_source(dir: &Path) -> SystemTime {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if stem == "tests" || stem.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            newest = newest.max(newest_source(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            newest = newest.max(entry.metadata().and_then(|file| file.modified()).unwrap_or(newest));
        }
    }
    newest
}

/// A running child. Dropping it kills the child and, when the test is failing, shows what it printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: NamedTempFile,
}

impl Process {
    /// Starts `command` with its output captured. `name` stands for it in messages.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let log = NamedTempFile::new().expect("the temporary directory is writable");
        let output = || Stdio::from(log.as_file().try_clone().expect("a file handle can be cloned"));
        let child =
            command.stdin(Stdio::null()).stdout(output()).stderr(output()).spawn().unwrap_or_else(|e| {
                panic!("{name} ({}) does not start: {e}", command.get_program().display())
            });
        Self { name: name.to_owned(), child, log }
    }

    /// Waits, up to half a minute, until `url` answers with a success.
    ///
    /// # Panics
    /// When the child ends first, or the time is over.
    pub async fn ready(mut self, url: &str) -> Self {
        let client = crate::http_client(&[])
            .tls_danger_accept_invalid_certs(true)
            .build()
            .expect("a plain client can be built");
        for _ in 0..600 {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended with {status} before it answered at {url}", self.name);
            }
            if client.get(url).send().await.is_ok_and(|response| response.status().is_success()) {
                return self;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} did not answer at {url} within 30 seconds", self.name);
    }

    /// The process id, for measurements.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything the child printed so far, both streams.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.log.path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Ends the child at once (SIGKILL), as a crash does, and waits until it is gone.
    ///
    /// # Panics
    /// When it has ended before.
    pub fn kill(mut self) {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(ended.is_none(), "{} has ended by itself: {ended:?}\n{}", self.name, self.log());
        self.child.kill().expect("a running child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// How the child ended, if it has.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Sends SIGTERM and waits, up to 20 seconds, for the child to end by itself.
    ///
    /// # Panics
    /// When it does not.
    pub async fn terminate(mut self) -> (ExitStatus, String) {
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} can be signalled", self.name);
        for _ in 0..400 {
            if let Ok(Some(status)) = self.child.try_wait() {
                return (status, self.log());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} did not end within 20 seconds of SIGTERM", self.name);
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "the harness shows what a failing test prints, and nothing else")]
    fn drop(&mut self) {
        // Both fail only when the child is already gone, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- output of {} ----\n{}", self.name, self.log());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_captured_and_ends_on_sigterm() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; trap 'echo ended; exit 3' TERM; while :; do sleep 0.05; done"]);
        let process = Process::start("shell", &mut command);
        while !process.log().contains("begun") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (status, log) = process.terminate().await;
        assert_eq!(status.code(), Some(3));
        assert_eq!(log, "begun\nended\n");
    }

    #[tokio::test]
    #[should_panic(expected = "before it answered")]
    async fn an_early_end_is_reported() {
        let url = format!("http://127.0.0.1:{}/", free_port());
        Process::start("false", &mut Command::new("false")).ready(&url).await;
    }

    #[test]
    fn dropping_kills() {
        let process = Process::start("sleep", Command::new("sleep").arg("60"));
        let proc = PathBuf::from(format!("/proc/{}", process.child.id()));
        assert!(proc.exists());
        drop(process);
        assert!(!proc.exists());
    }
}
