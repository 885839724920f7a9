//! A look into an SQLite file from outside, with Python's own library: the server's is what is tested.

use std::path::Path;
use std::process::Command;

/// Runs a statement on a file and returns its rows, columns separated by `|`.
///
/// # Panics
/// When the file is not a database, or the statement fails.
#[must_use]
pub fn query(file: &Path, sql: &str) -> Vec<String> {
    const SCRIPT: &str = "import sqlite3, sys\n\
        for row in sqlite3.connect(sys.argv[1], timeout=10).execute(sys.argv[2]):\n    \
        print('|'.join('' if value is None else str(value) for value in row))";
    let output = Command::new("python3").args(["-c", SCRIPT]).arg(file).arg(sql).output();
    let output =
        output.unwrap_or_else(|e| panic!("python3 does not start: {e}. Install it: apt-get install python3"));
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.db");
        assert_eq!(query(&file, "SELECT 1, NULL, 'x' UNION SELECT 2, 3, 'y'"), ["1||x", "2|3|y"]);
        assert_eq!(query(&file, "PRAGMA integrity_check"), ["ok"]);
    }
}
