//! A full disk under SQLite, and space again.
//!
//! Two ways to have one without harming the machine: a small file system of the server's own (a tmpfs in a
//! mount namespace), which gives what a full disk gives (ENOSPC, SQLITE_FULL), where the system permits it;
//! and a limit on the size of files, lowered and raised while the server runs (EFBIG, an I/O error to
//! SQLite), which works everywhere.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use testkit::Process;
use tokio::time::sleep;

use super::ledger::{ASKS, Ask, Book, Heard, Ledger, Tally};
use super::load::{Actors, Load};
use super::site::{Database, Site};
use super::verdict::verdict;
use super::{now, rounds};
use crate::bank::Engine;

/// The size of the small file system.
const SIZE: &str = "size=48m";
/// Files may not grow beyond this many bytes. The write-ahead log is larger at once.
const LIMIT: &str = "65536";
const RECOVERY: Duration = Duration::from_secs(5);

/// How the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    SmallFileSystem,
    FileLimit,
}

/// The disk that a running server writes to.
struct Disk {
    way: Way,
    server: u32,
    directory: PathBuf,
}

impl Disk {
    fn ballast(&self) -> PathBuf {
        self.directory.join("ballast")
    }

    fn fill(&self) {
        match self.way {
            Way::SmallFileSystem => {
                let mut ballast = File::create(self.ballast()).unwrap();
                for size in [1 << 20, 1 << 12] {
                    while ballast.write_all(&vec![0; size]).is_ok() {}
                }
            }
            // The soft limit only: whoever runs the server may raise it again.
            Way::FileLimit => self.limit(LIMIT),
        }
    }

    fn free(&self) {
        match self.way {
            Way::SmallFileSystem => fs::remove_file(self.ballast()).unwrap(),
            Way::FileLimit => self.limit("unlimited"),
        }
    }

    fn limit(&self, soft: &str) {
        let mut command = Command::new("prlimit");
        command.args(["--pid", &self.server.to_string(), &format!("--fsize={soft}:")]);
        assert!(command.status().expect("prlimit is part of every Debian").success(), "{command:?}");
    }
}

/// Whether this system lets us mount a small file system for one process, and with which flags.
fn mounting() -> Option<&'static str> {
    ["-Urm", "-m"].into_iter().find(|flags| {
        let script = "mount -t tmpfs -o size=1m tmpfs /mnt";
        let mut tried = Command::new("unshare");
        tried.args([flags, "sh", "-c", script]).output().is_ok_and(|output| output.status.success())
    })
}

/// A server whose database is on such a disk. The files are those of the site, which has been applied.
async fn serve(site: &mut Site, way: Way) -> (Process, Disk) {
    let Database::File(made) = site.database.clone() else { panic!("this is about SQLite") };
    let directory = made.with_file_name("disk");
    fs::create_dir(&directory).unwrap();
    let file = directory.join("chancery.db");
    site.installation.write("database-url", &format!("sqlite://{}", file.display()));
    let serve = site.installation.command(&["serve"]);
    let (shell, script) = match way {
        // The namespace is the server's own: nothing of it remains when it ends.
        Way::SmallFileSystem => (
            vec!["unshare", mounting().unwrap(), "sh"],
            format!("mount -t tmpfs -o {SIZE} tmpfs \"$1\" && cp \"$0\"* \"$1\" && shift && exec \"$@\""),
        ),
        // A limit that is ignored is an error of the write; else it ends the process.
        Way::FileLimit => {
            (vec!["sh"], "cp \"$0\"* \"$1\" && shift && trap '' XFSZ && exec \"$@\"".to_owned())
        }
    };
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", &script]).arg(&made).arg(&directory);
    command.arg(serve.get_program()).args(serve.get_args());
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(serve.get_current_dir().unwrap());
    let process = Process::start("chancery serve", &mut command);
    let process = process.ready(&format!("{}/health/ready", site.installation.admin)).await;
    let directory = match way {
        Way::FileLimit => directory,
        Way::SmallFileSystem => {
            let inside = PathBuf::from(format!("/proc/{}/root", process.id()));
            inside.join(directory.strip_prefix("/").unwrap())
        }
    };
    let file = directory.join("chancery.db");
    site.database = if way == Way::FileLimit { Database::File(file) } else { Database::Elsewhere(file) };
    let disk = Disk { way, server: process.id(), directory };
    (process, disk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_disk_refuses_and_leaves_nothing_half_written() {
    let mut ways = vec![Way::FileLimit];
    if mounting().is_some() {
        ways.push(Way::SmallFileSystem);
    } else {
        eprintln!("no file system may be mounted here: the full disk is shown by a limit on files only");
    }
    for way in ways {
        let mut site = Site::new(Engine::Sqlite, None, "");
        // Lines of the log would count against the limit on files.
        site.installation.set("CHANCERY__LOG__FILTER", "off");
        let (mut process, disk) = serve(&mut site, way).await;
        let actors = Actors::signed_in(&site).await;
        for _ in 0..rounds(1, Duration::from_secs(8)) {
            fill_and_free(&site, &actors, &disk, &mut process).await;
        }
    }
}

async fn fill_and_free(site: &Site, actors: &Actors, disk: &Disk, process: &mut Process) {
    let ledger = Ledger::default();
    let load = Load::start(actors, &ledger);
    let began = now();
    sleep(Duration::from_secs(1)).await;
    disk.fill();
    let full = now();
    sleep(Duration::from_secs(2)).await;
    let before_freed = now();
    disk.free();
    let free = now();
    let recovered = super::wait_for("everything works", Duration::from_secs(20), async || {
        ASKS.into_iter().all(|ask| works(&ledger.book(), ask, free))
    });
    let recovered = recovered.await;
    sleep(Duration::from_millis(500)).await;
    load.stop().await;
    assert!(process.ended().is_none(), "the server runs on");
    let book = ledger.book().clone();
    let tally = Tally::between(&book, began, now());
    let during = Tally::between(&book, full, before_freed);
    let odd: Vec<u16> = tally.refused.keys().copied().filter(|status| *status != 503).collect();
    let verdict = verdict(site, book, None).await;
    println!("disk full, {:?}: {tally}", disk.way);
    println!("    meanwhile: {during}");
    println!("    everything works after {:.2} s; {verdict}", recovered.as_secs_f64());
    assert!(
        during.refused.get(&503).is_some_and(|count| *count > 10),
        "what can't be kept is refused: {during}"
    );
    assert!(odd.is_empty() && tally.unanswered == 0, "only 503: {tally}");
    assert!(tally.slowest < Duration::from_secs(7), "requests fail fast: {tally}");
    assert!(recovered < RECOVERY, "{recovered:?}");
    verdict.assert_clean("disk full");
}

fn works(book: &Book, ask: Ask, since: std::time::Instant) -> bool {
    book.exchanges.iter().any(|e| e.ask == ask && e.sent >= since && e.heard == Heard::Acknowledged)
}
