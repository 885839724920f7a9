//! PostgreSQL's own tools, `pg_dump` and `pg_restore`: where they connect to, and what they say.
//!
//! They learn the address and the password by environment variables, because arguments can be read by
//! every process of the machine.

use std::{ffi::OsStr, io, path::Path, process::Stdio};

use tokio::process::Command;
use url::Url;

use super::Failure;

/// How the beginning of the file looks (`--format=custom`).
pub const MAGIC: &[u8] = b"PGDMP";

/// The variables by which PostgreSQL's programs connect as this URL says.
///
/// # Errors
/// If it is no URL of PostgreSQL.
pub fn environment(url: &str) -> Result<Vec<(&'static str, String)>, Failure> {
    let url = Url::parse(url).map_err(|_| Failure::given("database.url is not a PostgreSQL URL"))?;
    let plain = |text: &str| {
        let pair = format!("v={}", text.replace('+', "%2B"));
        let decoded = url::form_urlencoded::parse(pair.as_bytes()).next();
        decoded.map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let mut variables: Vec<(&'static str, String)> = Vec::new();
    let mut set = |name, value: String| {
        variables.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            variables.push((name, value));
        }
    };
    let host = url.host_str().unwrap_or_default();
    set("PGHOST", plain(host.trim_start_matches('[').trim_end_matches(']')));
    set("PGPORT", url.port().map(|port| port.to_string()).unwrap_or_default());
    set("PGUSER", plain(url.username()));
    set("PGPASSWORD", plain(url.password().unwrap_or_default()));
    set("PGDATABASE", plain(url.path().trim_start_matches('/')));
    for (name, value) in url.query_pairs() {
        let variable = match &*name {
            "host" => "PGHOST",
            "hostaddr" => "PGHOSTADDR",
            "port" => "PGPORT",
            "user" => "PGUSER",
            "password" => "PGPASSWORD",
            "dbname" => "PGDATABASE",
            "sslmode" | "ssl-mode" => "PGSSLMODE",
            "sslrootcert" | "ssl-root-cert" | "ssl-ca" => "PGSSLROOTCERT",
            "sslcert" | "ssl-cert" => "PGSSLCERT",
            "sslkey" | "ssl-key" => "PGSSLKEY",
            _ => continue,
        };
        set(variable, value.into_owned());
    }
    Ok(variables)
}

/// Runs one of the programs to its end.
///
/// # Errors
/// What it says, or that it is not installed.
pub async fn run(
    program: &str,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    url: &str,
) -> Result<(), Failure> {
    let mut command = Command::new(program);
    command.args(arguments).envs(environment(url)?).env("PGAPPNAME", format!("chancery {program}"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new(format_args!(
            "{program} is not on the path\n    Install PostgreSQL's client programs, of the server's version or a \
             later one (on Debian: apt-get install postgresql-client)."
        )),
        _ => Failure::new(format_args!("{program} does not start: {error}")),
    };
    let output = command.output().await.map_err(missing)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format_args!("{program} failed: {}", said.trim())))
}

/// Reads a whole dump as `pg_restore` would, and restores nothing.
///
/// # Errors
/// If it is damaged.
pub async fn verify(file: &Path, url: &str) -> Result<(), Failure> {
    run("pg_restore", [OsStr::new("--file=/dev/null"), file.as_os_str()], url).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_url_becomes_variables_and_never_arguments() {
        let url = "postgres://chan%40cery:p%2Bw%20+@[::1]:5433/bank%2Fone?sslmode=verify-full&ssl-root-cert=/ca.pem&x=y";
        let variables = environment(url).unwrap();
        let expected = [
            ("PGHOST", "::1"),
            ("PGPORT", "5433"),
            ("PGUSER", "chan@cery"),
            ("PGPASSWORD", "p+w +"),
            ("PGDATABASE", "bank/one"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca.pem"),
        ];
        assert_eq!(variables, expected.map(|(name, value)| (name, value.to_owned())));
        // What a URL does not say is left to the environment, as the server leaves it.
        assert_eq!(environment("postgres:///bank").unwrap(), [("PGDATABASE", "bank".to_owned())]);
        let socket = environment("postgres://%2Frun%2Fpostgresql/bank?dbname=other").unwrap();
        assert_eq!(socket, [("PGHOST", "/run/postgresql".to_owned()), ("PGDATABASE", "other".to_owned())]);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named_with_its_remedy() {
        let fault = run("pg_dump_of_nowhere", ["x"], "postgres://h/d").await.unwrap_err();
        assert!(fault.message.contains("pg_dump_of_nowhere") && fault.message.contains("postgresql-client"));
    }
}
