//! The rules of the house, read from the workspace itself: who may know whom, how long a file may be, and
//! that nothing in the repository depends on one machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use testkit::workspace_root;

/// The rooms from left to right; a room may use what stands in an earlier line, never a neighbour in its own.
const ROOMS: &[&[&str]] = &[
    &["protocol"],
    &["jose", "audit", "outbound"],
    &["keys", "consent", "mfa", "federation", "resource-server"],
    &["tokens"],
    &["store"],
    &["flows"],
    &["web"],
    &["chancery"],
];

/// What stands around the house, and which rooms each may use. The examples share no code with the server, but
/// a bank's API may stand behind the layer that is made for it; the demo starts the server, as an operator would.
const AROUND: &[(&str, &[&str])] = &[
    ("bank-api", &["resource-server"]),
    ("fintech-app", &[]),
    ("demo", &["chancery"]),
    ("testkit", &[]),
    ("bench", &["testkit", "jose"]),
];

/// May use every room: they test them.
const TESTING: [&str; 2] = ["integration", "fuzz"];

/// Rooms whose decisions are pure: values in, data out.
const PURE: &[&str] = &["protocol", "jose", "audit", "keys", "consent", "mfa", "tokens"];

/// Third-party crates that only these packages may use in what they ship; tests may use any.
const KEEPERS: &[(&str, &[&str])] = &[
    ("axum", &["web", "chancery", "bank-api", "fintech-app", "demo", "bench"]),
    ("josekit", &["jose", "fintech-app"]),
    ("openidconnect", &["federation", "fintech-app"]),
    ("openssl", &["jose"]),
    ("opentelemetry", &["chancery"]),
    ("opentelemetry-otlp", &["chancery"]),
    ("opentelemetry_sdk", &["chancery"]),
    ("oxide-auth", &["tokens"]),
    ("reqwest", &["outbound", "resource-server", "fintech-app", "demo", "testkit", "bench"]),
    ("sqlx", &["store"]),
    ("tracing-opentelemetry", &["chancery"]),
];

/// What a pure room may not touch: runtimes, sockets, ambient randomness.
const IMPURE: &[&str] = &["tokio", "getrandom", "rand", "hyper", "reqwest", "sqlx", "axum"];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(workspace_root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo describes its own workspace")
}

fn rank(package: &str) -> Option<usize> {
    ROOMS.iter().position(|line| line.contains(&package))
}

/// The names of a package's dependencies of these kinds.
fn uses<'a>(package: &'a Package, kinds: &'a [DependencyKind]) -> impl Iterator<Item = &'a str> {
    package.dependencies.iter().filter(|d| kinds.contains(&d.kind)).map(|d| d.name.as_str())
}

const SHIPPED: &[DependencyKind] = &[DependencyKind::Normal, DependencyKind::Build];
const EVERY: &[DependencyKind] =
    &[DependencyKind::Normal, DependencyKind::Build, DependencyKind::Development];

#[test]
fn every_package_has_a_place() {
    let root = workspace_root();
    for package in metadata().packages {
        let manifest = package.manifest_path.as_std_path();
        let name = package.name.as_str();
        let is_room = manifest.starts_with(root.join("crates"));
        assert_eq!(rank(name).is_some(), is_room, "{name}: rooms are in crates/ and have a line in ROOMS");
        let around = TESTING.contains(&name) || AROUND.iter().any(|(known, _)| *known == name);
        assert!(is_room || around, "{name} has no place in the house");
    }
}

#[test]
fn rooms_use_only_what_stands_to_their_left() {
    let packages = metadata().packages;
    let ours: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let mut wrong = Vec::new();
    for package in &packages {
        let name = package.name.as_str();
        for used in uses(package, EVERY).filter(|used| ours.contains(used)) {
            let allowed = match (rank(name), rank(used)) {
                (Some(own), Some(other)) => other < own,
                (None, Some(_)) => {
                    TESTING.contains(&name)
                        || AROUND.iter().any(|(n, rooms)| *n == name && rooms.contains(&used))
                }
                // The testkit serves the tests of all; the examples are started by the demo and by tests.
                (_, None) if used == "testkit" => {
                    name == "bench" || uses(package, SHIPPED).all(|d| d != used)
                }
                (_, None) => name == "demo" || TESTING.contains(&name),
            };
            if !allowed {
                wrong.push(format!("{name} may not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn third_party_crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for package in metadata().packages.iter().filter(|p| !TESTING.contains(&p.name.as_str())) {
        let name = package.name.as_str();
        for used in uses(package, SHIPPED) {
            let kept = KEEPERS.iter().any(|(krate, keepers)| *krate == used && !keepers.contains(&name));
            if kept || (PURE.contains(&name) && IMPURE.contains(&used)) {
                wrong.push(format!("{name} may not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The workspace's files, without what is built, installed or kept by tools.
fn files() -> Vec<PathBuf> {
    const SKIPPED: &[&str] = &[".git", "target", "node_modules", "demo-data", "__pycache__"];
    let mut files = Vec::new();
    let mut dirs = vec![workspace_root()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a directory of the workspace can be read").flatten() {
            let path = entry.path();
            let skipped = entry.file_name().to_str().is_some_and(|name| SKIPPED.contains(&name));
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !skipped => dirs.push(path),
                Ok(kind) if kind.is_file() => files.push(path),
                _ => {}
            }
        }
    }
    assert!(files.len() > 50, "the workspace was found");
    files
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace_root()).unwrap_or(path).display().to_string()
}

#[test]
fn no_source_file_is_over_600_lines() {
    let long: Vec<String> = files()
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| {
            let lines = fs::read_to_string(path).expect("Rust sources are text").lines().count();
            (lines > 600).then(|| format!("{}: {lines} lines", shown(path)))
        })
        .collect();
    assert!(long.is_empty(), "split these by topic: {long:#?}");
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    // In two halves, or this file would name them.
    let homes = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/wo", "rk/")];
    let mut found = Vec::new();
    for path in files() {
        // Images and other binary files say nothing that a person reads.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            if homes.iter().any(|home| names_path(line, home)) {
                found.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Whether a line names an absolute path that begins like this; part of a longer path or address is none.
fn names_path(line: &str, beginning: &str) -> bool {
    line.match_indices(beginning).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "./-_~}".contains(before))
    })
}

#[test]
fn lock_files_name_no_registry_host() {
    for suite in ["browser", "clients"] {
        let lock = workspace_root().join("tests").join(suite).join("package-lock.json");
        let text = fs::read_to_string(&lock).expect("the lock file is committed");
        assert!(!text.contains("\"resolved\""), "{}: see .npmrc beside it", shown(&lock));
    }
}

#[test]
fn paths_are_told_from_addresses() {
    assert!(names_path("see /srv/x/y", "/srv/x/"));
    assert!(names_path("\"/srv/x/y\"", "/srv/x/"));
    assert!(!names_path("https://bank.example/srv/x/y", "/srv/x/"));
    assert!(!names_path("../srv/x/y", "/srv/x/"));
}
