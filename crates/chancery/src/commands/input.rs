//! What a command is given beside its arguments: documents, secrets, passwords, a yes.
//!
//! Secrets never stand in arguments, where every process of the machine could read them.

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Read, Write},
    path::Path,
};

use protocol::secret::{ClientSecret, Password};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Failure, MISCONFIGURED};
use crate::{
    cli::{Confirm, SecretSource, users::PasswordSource},
    config::Span,
};

/// A file as text; `-` is standard input.
///
/// # Errors
/// With exit code 2, if it can't be read.
pub fn read(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    text.map_err(|error| Failure::given(format_args!("{} cannot be read: {error}", path.display())))
}

/// A secret in a file: its text without the line feed at the end.
fn read_secret(path: &Path) -> Result<String, Failure> {
    let text = read(path)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::given(format_args!("{} is empty", path.display())));
    }
    Ok(secret.to_owned())
}

/// The secret that was given, if one was.
///
/// # Errors
/// With exit code 2, if it can't be read.
pub fn secret(source: &SecretSource) -> Result<Option<ClientSecret>, Failure> {
    source.secret_file.as_deref().map(|path| read_secret(path).map(ClientSecret::new)).transpose()
}

/// Where a password came from.
pub enum GivenPassword {
    /// It was given.
    Given(Password),
    /// It is to be made.
    Generate,
}

/// The password from where the arguments say, or asked for at the terminal, twice, unseen.
///
/// # Errors
/// With exit code 2, if there is none.
pub fn password(source: &PasswordSource) -> Result<GivenPassword, Failure> {
    if source.generate_password {
        return Ok(GivenPassword::Generate);
    }
    if let Some(path) = &source.password_file {
        return read_secret(path).map(|text| GivenPassword::Given(Password::new(text)));
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::given(
            "there is nobody to ask for the password; say --password-file FILE (- is standard input) or --generate-password",
        ));
    }
    let first = rpassword::prompt_password("Password: ").map_err(Failure::new)?;
    let second = rpassword::prompt_password("Again: ").map_err(Failure::new)?;
    if first != second {
        return Err(Failure::given("the passwords differ"));
    }
    Ok(GivenPassword::Given(Password::new(first)))
}

/// Asks before something is taken away.
///
/// # Errors
/// If the answer is no, or there is nobody to ask.
pub fn confirm(confirm: Confirm, question: &str) -> Result<(), Failure> {
    if confirm.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new("nothing was changed: there is nobody to ask; repeat with --yes"));
    }
    let mut stderr = io::stderr();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).map_err(Failure::new)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::new)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::new("nothing was changed")),
    }
}

/// A JSON object from a file; the empty one without a file.
///
/// # Errors
/// With exit code 2, if it is none.
pub fn document(path: Option<&Path>) -> Result<Map<String, Value>, Failure> {
    let Some(path) = path else { return Ok(Map::new()) };
    protocol::json::from_slice(read(path)?.as_bytes())
        .map_err(|fault| Failure::given(format_args!("{}: {fault}", path.display())))
}

/// Puts a member that was given as an option.
pub fn put(members: &mut Map<String, Value>, name: &str, value: Option<impl Serialize>) {
    if let Some(value) = value {
        members.insert(name.to_owned(), super::answer::json(value));
    }
}

/// Puts a member that was given as a repeated option, unless it was not given at all.
pub fn put_all(members: &mut Map<String, Value>, name: &str, values: &[impl Serialize]) {
    put(members, name, (!values.is_empty()).then_some(values));
}

/// Applies a JSON merge patch (RFC 7396): members replace, `null` takes away, objects are merged.
pub fn merge(members: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match (members.get_mut(&name), value) {
            (_, Value::Null) => drop(members.remove(&name)),
            (Some(Value::Object(inner)), Value::Object(patch)) => merge(inner, patch),
            (_, value) => drop(members.insert(name, value)),
        }
    }
}

/// Lets a lifetime be written as `180d` in a document, too.
///
/// # Errors
/// Says what is wrong.
pub fn lifetime_in_seconds(members: &mut Map<String, Value>, name: &str) -> Result<(), String> {
    let Some(Value::String(text)) = members.get(name) else { return Ok(()) };
    let span: Span =
        text.parse().map_err(|fault: crate::config::value::SpanFault| format!("{name}: {fault}"))?;
    members.insert(name.to_owned(), span.as_seconds().into());
    Ok(())
}

/// Reads the type from its members.
///
/// # Errors
/// Says what is wrong.
pub fn typed<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(members)).map_err(|fault| fault.to_string())
}

impl Failure {
    /// What was given is wrong: exit code 2.
    pub fn given(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), code: MISCONFIGURED }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_patch_replaces_merges_and_takes_away() {
        let mut members = object(json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": 4 }));
        merge(&mut members, object(json!({ "a": [5], "b": { "c": null, "f": 6 }, "e": null, "g": null })));
        assert_eq!(Value::Object(members), json!({ "a": [5], "b": { "d": 3, "f": 6 } }));
    }

    #[test]
    fn lifetimes_are_written_either_way() {
        let mut members = object(json!({ "long": "2h", "short": 5, "bad": "soon" }));
        for name in ["long", "short", "absent"] {
            lifetime_in_seconds(&mut members, name).unwrap();
        }
        assert_eq!((&members["long"], &members["short"]), (&json!(7200), &json!(5)));
        assert!(lifetime_in_seconds(&mut members, "bad").unwrap_err().starts_with("bad: "));
    }

    #[test]
    fn a_secret_file_has_one_line_feed_too_many() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(read_secret(&path).unwrap(), "s3cret");
        fs::write(&path, "\n").unwrap();
        assert_eq!(read_secret(&path).unwrap_err().code, MISCONFIGURED);
        assert_eq!(document(Some(&path)).unwrap_err().code, MISCONFIGURED);
        assert_eq!(read(&directory.path().join("absent")).unwrap_err().code, MISCONFIGURED);
    }

    #[test]
    fn nobody_to_ask_is_a_failure() {
        // Tests have no terminal.
        let source = PasswordSource::default();
        assert!(confirm(Confirm { yes: true }, "?").is_ok());
        if !io::stdin().is_terminal() {
            assert_eq!(password(&source).err().unwrap().code, MISCONFIGURED);
            assert!(confirm(Confirm::default(), "?").unwrap_err().message.contains("--yes"));
        }
    }
}
