//! Runs the scripts that bring what Rust cannot: a real browser, and client libraries of other languages.
//!
//! A script reads its input from the environment, says what it does on standard output, and fails with a
//! non-zero status. What it needs is installed by `./test`; when it is missing, the panic names the line.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::process::{target_dir, workspace_root};

/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs `script` with Node.js in `dir` (relative to the workspace) and returns what it printed.
///
/// # Panics
/// When it fails, with all it printed; when Node.js or the modules are missing, with the installing line.
pub async fn node_script(dir: &str, script: &str, environment: &[(&str, &str)]) -> String {
    let (node, dir) = node(dir).await;
    run(command(node, &dir, script, environment), script).await
}

/// A command that runs `script` with Node.js in `dir`, for whoever wants to talk with it. It is killed when
/// it is dropped.
///
/// # Panics
/// When Node.js or the modules are missing, with the installing line.
pub async fn node_command(dir: &str, script: &str, environment: &[(&str, &str)]) -> Command {
    let (node, dir) = node(dir).await;
    command(node, &dir, script, environment)
}

/// Runs a script that drives Chromium, which it finds at `$CHROMIUM`.
///
/// # Panics
/// As [`node_script`], and when Chromium is missing, with the installing line.
pub async fn browser_script(script: &str, environment: &[(&str, &str)]) -> String {
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    assert!(
        Path::new(&chromium).exists(),
        "Chromium is missing. Install it with:\n\napt-get install chromium\n"
    );
    let mut environment = environment.to_vec();
    environment.push(("CHROMIUM", &chromium));
    node_script("tests/browser", script, &environment).await
}

/// Runs a relying party of `tests/clients` on openid-client. It prints `AUTHORIZE <url>`; `sign_in` takes that
/// address through the pages and returns the one the browser was sent back to.
///
/// # Panics
/// As [`node_script`].
pub async fn node_client(
    script: &str,
    environment: &[(&str, &str)],
    sign_in: impl AsyncFnOnce(String) -> String,
) -> String {
    let (node, dir) = node("tests/clients").await;
    converse(command(node, &dir, script, environment), script, sign_in).await
}

/// Runs a relying party of `tests/clients` on Authlib; otherwise as [`node_client`].
///
/// # Panics
/// When it fails, with all it printed; when the Python environment is missing, with the lines that make it.
pub async fn python_client(
    script: &str,
    environment: &[(&str, &str)],
    sign_in: impl AsyncFnOnce(String) -> String,
) -> String {
    let dir = workspace_root().join("tests/clients");
    let venv = target_dir().join("clients-venv");
    let python = venv.join("bin/python");
    assert!(
        python.exists(),
        "{python} is missing. Make it with:\n\napt-get install python3-venv\npython3 -m venv {venv}\n\
         {python} -m pip install -r {dir}/requirements.txt\n",
        python = python.display(),
        venv = venv.display(),
        dir = dir.display()
    );
    converse(command(python, &dir, script, environment), script, sign_in).await
}

async fn node(dir: &str) -> (PathBuf, PathBuf) {
    let dir = workspace_root().join(dir);
    let version = Command::new("node").arg("--version").stdout(Stdio::null()).status().await;
    let found = version.is_ok_and(|status| status.success());
    assert!(found, "Node.js is missing. Install it with:\n\napt-get install nodejs npm\n");
    let modules = dir.join("node_modules");
    let line = format!("npm ci --prefix {}", dir.display());
    assert!(modules.is_dir(), "{} is missing. Install it with:\n\n{line}\n", modules.display());
    ("node".into(), dir)
}

fn command(program: PathBuf, dir: &Path, script: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.arg(script).current_dir(dir).envs(environment.iter().copied()).kill_on_drop(true);
    command
}

async fn run(mut command: Command, script: &str) -> String {
    let output = in_time(script, command.stdin(Stdio::null()).output())
        .await
        .unwrap_or_else(|e| panic!("{script} does not start: {e}"));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} failed ({}):\n{printed}{errors}", output.status);
    printed
}

/// Runs a script that asks one question. Its errors go to a file, so that neither side waits for the other.
async fn converse(mut command: Command, script: &str, sign_in: impl AsyncFnOnce(String) -> String) -> String {
    let errors = tempfile::NamedTempFile::new().expect("the temporary directory is writable");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors.reopen().expect("a temporary file can be opened again"))
        .spawn()
        .unwrap_or_else(|e| panic!("{script} does not start: {e}"));
    let mut input = child.stdin.take().expect("the input was piped");
    let mut output = BufReader::new(child.stdout.take().expect("the output was piped")).lines();
    let conversation = async {
        let (mut printed, mut sign_in) = (String::new(), Some(sign_in));
        while let Some(line) = output.next_line().await.expect("the script prints text") {
            if let Some(url) = line.strip_prefix("AUTHORIZE ") {
                let sign_in = sign_in.take().expect("a client asks once");
                let answer = sign_in(url.to_owned()).await;
                input.write_all(format!("{answer}\n").as_bytes()).await.expect("the script reads the answer");
            }
            printed.push_str(&line);
            printed.push('\n');
        }
        (child.wait().await, printed)
    };
    let (status, printed) = in_time(script, conversation).await;
    let errors = std::fs::read_to_string(errors.path()).unwrap_or_default();
    assert!(status.is_ok_and(|status| status.success()), "{script} failed:\n{printed}{errors}");
    printed
}

async fn in_time<T>(script: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| panic!("{script} did not end within {} seconds", PATIENCE.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).kill_on_drop(true);
        command
    }

    #[tokio::test]
    async fn a_client_is_answered_once() {
        let client = shell("echo AUTHORIZE http://a; read back; echo got $back");
        let printed = converse(client, "client", async |url| format!("{url}/cb")).await;
        assert_eq!(printed, "AUTHORIZE http://a\ngot http://a/cb\n");
    }

    #[tokio::test]
    #[should_panic(expected = "because of this")]
    async fn a_failing_client_says_why() {
        converse(shell("echo because of this >&2; exit 1"), "client", async |url| url).await;
    }
}
