//! A PostgreSQL of one test's own, which may be stopped, started and paused without hurting another test.
//! It is as durable as in production: what it acknowledged survives its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::{as_owner, initialize, postmaster_of, query, run, start_on, start_on_a_free_port, tool, watch};

const DURABLE: &str = "-c shared_buffers=32MB -c jit=off";

/// How a cluster ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Its clients are sent away and it writes everything to its files, as an operator's restart does.
    Fast,
    /// At once, as in a crash; the next start recovers from the write-ahead log.
    Immediate,
}

/// A running cluster. Dropping it ends it and removes its files.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    dir: PathBuf,
    port: u16,
    watchdog: Child,
}

impl Cluster {
    /// A new cluster; takes about two seconds.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, with the line that installs it.
    #[must_use]
    pub fn start_new() -> Self {
        let initdb = tool("initdb");
        let bin = initdb.parent().expect("a program lies in a directory").to_owned();
        let dir =
            PathBuf::from(run(as_owner("mktemp").args(["-d", "/tmp/chancery-postgres-XXXXXXXX"])).trim());
        let watchdog = watch(&dir, &bin);
        initialize(&initdb, &dir);
        let port = start_on_a_free_port(&bin, &dir, DURABLE);
        Self { bin, dir, port, watchdog }
    }

    /// The URL of the database of this name, which is made if it is not there.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        let url = |name: &str| format!("postgres://postgres@127.0.0.1:{}/{name}", self.port);
        let known = query(&url("postgres"), &format!("SELECT 1 FROM pg_database WHERE datname = '{name}'"));
        if known.is_empty() {
            let _ = query(&url("postgres"), &format!("CREATE DATABASE {name}"));
        }
        url(name)
    }

    /// Ends the server. Its files stay.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        run(as_owner(self.bin.join("pg_ctl")).arg("-D").arg(self.data()).args(["-m", mode, "-w", "stop"]));
    }

    /// Starts it again, on the same port, and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&self) {
        assert!(start_on(&self.bin, &self.dir, self.port, DURABLE), "PostgreSQL starts again");
    }

    /// Halts every process of the cluster where it stands. Connections stay open and nothing answers.
    ///
    /// # Panics
    /// When it is not running.
    pub fn pause(&self) {
        // The postmaster first, so that no process is added; twice, for those that were just being added.
        for _ in 0..2 {
            self.signal("-STOP");
        }
    }

    /// Lets a halted cluster go on.
    ///
    /// # Panics
    /// When it is not running.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let postmaster = postmaster_of(&self.data()).expect("the cluster runs");
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let mut command = as_owner("kill");
        command.args([signal, &postmaster.to_string()]);
        command.args(children.unwrap_or_default().split_whitespace()).stderr(Stdio::null());
        // A backend may end between the listing and the signal; the postmaster may not.
        let _ = command.status();
        let state = fs::read_to_string(format!("/proc/{postmaster}/stat")).expect("the postmaster runs");
        assert!(state.contains(") "), "{state}");
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Where its files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // It fails only if it is gone already, which is what is wanted.
        let _ = self.watchdog.wait();
    }
}

/// Whether a process is halted.
#[cfg(test)]
fn is_halted(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_cluster_stops_starts_pauses_and_keeps_its_rows() {
        let cluster = Cluster::start_new();
        let url = cluster.database("proof");
        assert!(query(&url, "CREATE TABLE proof (id INT); INSERT INTO proof VALUES (7)").is_empty());
        for how in [Stop::Immediate, Stop::Fast] {
            cluster.stop(how);
            let tried = Command::new(tool("psql")).args(["-X", "-d", &url, "-c", "SELECT 1"]).output();
            assert!(!tried.unwrap().status.success());
            cluster.start();
            assert_eq!(query(&url, "SELECT id FROM proof"), ["7"]);
        }
        let postmaster = postmaster_of(&cluster.data()).unwrap();
        cluster.pause();
        assert!(is_halted(postmaster));
        cluster.resume();
        assert_eq!(query(&cluster.database("proof"), "SELECT id FROM proof"), ["7"]);
        let dir = cluster.directory().to_owned();
        drop(cluster);
        assert!(!dir.exists());
    }
}
