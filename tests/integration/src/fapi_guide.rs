//! `docs/fapi.md`, step by step: its `sh` blocks are run in their order by one shell with the real binary on
//! its path, until the guide's program has its first bound token (F2-09, F2-13, F2-19, DP-07).

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use flows::{Clock, SystemClock};
use testkit::{Browser, Person, chancery_binary, free_port, workspace_root};

/// The `sh` blocks of the guide.
fn script(guide: &str) -> String {
    let blocks = guide.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```\n").next());
    let blocks: Vec<&str> = blocks.collect();
    assert_eq!(blocks.len(), 5, "the blocks of docs/fapi.md");
    // What the shell started ends with it, whatever happens.
    format!("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}\n", blocks.join("\n"))
}

/// The address that the program prints, when it does.
async fn address(said: &Path) -> String {
    for _ in 0..1200 {
        let text = fs::read_to_string(said).unwrap_or_default();
        if let Some(url) = text.lines().find_map(|line| line.strip_prefix("open ")) {
            return url.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no address came:\n{}", fs::read_to_string(said).unwrap_or_default());
}

#[tokio::test]
async fn the_guide_to_a_first_bound_token_works_as_it_is_written() {
    let guide = fs::read_to_string(workspace_root().join("docs/fapi.md")).unwrap();
    let directory = testkit::tempdir().unwrap();
    let modules = workspace_root().join("tests/clients/node_modules");
    // Ports of this test, and the libraries that are there already.
    let (public, admin) = (free_port().to_string(), free_port().to_string());
    let listen =
        format!("listen.public = \"127.0.0.1:{public}\"\nlisten.admin = \"127.0.0.1:{admin}\"\nissuer = ");
    let mut script =
        script(&guide).replacen("issuer = \"", &format!("{listen}\""), 1).replace("8400", &public);
    let install = script.lines().find(|line| line.starts_with("npm install")).unwrap().to_owned();
    script = script.replace(&install, &format!("ln -s {} node_modules", modules.display()));
    fs::write(directory.path().join("guide.sh"), script).unwrap();
    let said = directory.path().join("said");
    let file = fs::File::create(&said).unwrap();
    let path =
        format!("{}:{}", chancery_binary().parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHANCERY")) {
        command.env_remove(name);
    }
    command.arg("guide.sh").current_dir(directory.path()).env("PATH", path).stdin(Stdio::null());
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let shell = tokio::task::spawn_blocking(move || command.status().unwrap());
    let mut carol = Person::new("carol", "lantern-orbit-violet-teapot");
    let departure = carol.connect(&Browser::new(), address(&said).await, SystemClock.now()).await;
    // Her browser goes where it was sent: to the app on her own machine.
    reqwest::get(departure.url.clone()).await.unwrap();
    let status = shell.await.unwrap();
    let said = fs::read_to_string(&said).unwrap();
    assert!(status.success(), "{said}");
    for line in [
        "nothing keeps client ledgerline from profile fapi2",
        "token of type dpop for funds:read offline_access openid profile",
        "name: 'Carol Example'",
        "without the key 401 DPoP error=\"invalid_token\"",
        "refreshed dpop true",
    ] {
        assert!(said.contains(line), "{line:?} is not in:\n{said}");
    }
}
