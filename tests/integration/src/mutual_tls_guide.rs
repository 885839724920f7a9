//! The guide to mutual TLS, step by step: every `sh` block of `docs/mutual-tls.md` is run, in its order, by one
//! shell with the real binary on its path.

use std::{fs, process::Command};

use testkit::{chancery_binary, free_port, workspace_root};

use crate::running::Answered;

fn script() -> String {
    let guide = fs::read_to_string(workspace_root().join("docs/mutual-tls.md")).unwrap();
    let blocks: Vec<&str> = guide.split("```").skip(1).step_by(2).collect();
    let commands: Vec<&str> = blocks.iter().filter_map(|block| block.strip_prefix("sh\n")).collect();
    assert!(commands.len() > 3, "{} blocks", commands.len());
    // What the shell started ends with it, whatever happens.
    let mut script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    script.push_str(&commands.concat());
    // Ports of this test, so that it disturbs nobody.
    for known in ["8400", "8401", "8402"] {
        script = script.replace(known, &free_port().to_string());
    }
    script
}

#[test]
fn mt_01_mt_05_every_command_of_the_guide_to_mutual_tls_works() {
    let directory = testkit::tempdir().unwrap();
    let file = directory.path().join("guide.sh");
    fs::write(&file, script()).unwrap();
    let binary = chancery_binary();
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHANCERY")) {
        command.env_remove(name);
    }
    command.arg(&file).current_dir(directory.path()).env("PATH", path);
    let answered = Answered::of(&mut command);
    let log = fs::read_to_string(directory.path().join("chancery.log")).unwrap_or_default();
    assert_eq!(answered.code, Some(0), "{}\n{}\n{log}", answered.stdout, answered.stderr);
    assert!(answered.stdout.contains("x5t#S256"), "{}", answered.stdout);
    assert!(answered.stdout.contains("invalid_client"), "{}", answered.stdout);
}
