//! The binary starts at all. An integration test in this package also makes `cargo test --workspace` build
//! the binary, which the workspace's own integration tests run.

#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn the_binary_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_chancery")).arg("--version").output().unwrap();
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        concat!("chancery ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
