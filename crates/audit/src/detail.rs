//! What may stand in an event beside its identifiers.
//!
//! Two rules, applied to everything that is recorded. *Redaction*: a key that names a bearer value,
//! or a value that has the form of one, is written as [`REDACTED`], so that a careless caller shows
//! in the audit trail but leaks nothing (BCP-17). *One line*: control and line-separating characters
//! become spaces and long values are cut, so that nobody can forge a second record with a line feed
//! in a user name.

use std::borrow::Cow;

/// What stands in the place of a value that may not be recorded.
pub const REDACTED: &str = "redacted";

/// The longest value, in characters.
pub const VALUE_LIMIT: usize = 200;

/// The longest key or reason, in characters.
pub const NAME_LIMIT: usize = 64;

/// Words that make a key a secret's key, wherever they stand between underscores.
const SECRET_WORDS: &[&str] = &[
    "assertion",
    "authorization",
    "code",
    "codes",
    "cookie",
    "credential",
    "csrf",
    "jwt",
    "otp",
    "passphrase",
    "password",
    "pepper",
    "pin",
    "proof",
    "secret",
    "secrets",
    "seed",
    "token",
    "tokens",
    "totp",
    "verifier",
];

/// Last words that make such a key harmless again: `token_type` is not a token.
const HARMLESS_ENDINGS: &[&str] =
    &["count", "digest", "format", "id", "kind", "lifetime", "method", "name", "step", "type"];

/// Whether a value under this key would be a secret.
pub fn names_a_secret(key: &str) -> bool {
    let words = || key.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let is_among = |list: &[&str], word: &str| list.iter().any(|known| known.eq_ignore_ascii_case(word));
    let harmless = words().next_back().is_some_and(|last| is_among(HARMLESS_ENDINGS, last));
    !harmless && words().any(|word| is_among(SECRET_WORDS, word))
}

/// Whether the value itself has the form of a secret: a JWT or another compact JOSE object, a
/// password hash, a private key.
pub fn looks_like_a_secret(value: &str) -> bool {
    value.contains("$argon2")
        || value.contains("PRIVATE KEY")
        || value.split_inclusive(|c: char| !is_base64url(c)).any(ends_like_a_jose_part)
}

fn is_base64url(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Whether a run of base64url with what follows it ends as the first part of a token does: `eyJ` is `{"` in
/// base64url, and a dot after the part tells it from an unlucky word. The first `eyJ` of a run has the longest
/// part, so no other is looked at: the time stays linear, whatever somebody sent.
fn ends_like_a_jose_part(run: &str) -> bool {
    let part = run.strip_suffix('.').and_then(|run| run.find("eyJ").map(|at| run.len() - at));
    part.is_some_and(|length| length >= 8)
}

/// The value as it may be recorded under `key`.
pub fn recorded<'a>(key: &str, value: &'a str) -> Cow<'a, str> {
    if names_a_secret(key) {
        Cow::Borrowed(REDACTED)
    } else if is_uuid_like(value) {
        Cow::Borrowed(value)
    } else if looks_like_a_secret(value) {
        Cow::Borrowed(REDACTED)
    } else {
        one_line(value)
    }
}

/// Most values are identifiers of ours: of 36 characters that fit neither a JWT nor a second line. Not
/// having to look for those makes events cheap.
fn is_uuid_like(value: &str) -> bool {
    value.len() == 36 && value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// The value on one line, cut at [`VALUE_LIMIT`] characters.
pub fn one_line(value: &str) -> Cow<'_, str> {
    let breaks = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if value.len() <= VALUE_LIMIT && !value.contains(breaks) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.chars().map(|c| if breaks(c) { ' ' } else { c }).take(VALUE_LIMIT).collect())
}

/// A key or reason code: lower-case letters, digits, `_`, `.`; anything else becomes `_`.
pub fn code(text: &str) -> String {
    let mend = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '_' };
    text.chars().map(mend).take(NAME_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("access_token", true)]
    #[case("token", true)]
    #[case("client_secret", true)]
    #[case("Set-Cookie", true)]
    #[case("code", true)]
    #[case("code_verifier", true)]
    #[case("new_password_value", true)]
    #[case("token_type", false)]
    #[case("code_challenge_method", false)]
    #[case("token_id", false)]
    #[case("scope", false)]
    #[case("redirect_uri", false)]
    #[case("encoded", false)]
    fn bcp_17_keys_of_secrets(#[case] key: &str, #[case] secret: bool) {
        assert_eq!(names_a_secret(key), secret);
    }

    #[rstest]
    #[case("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", true)]
    #[case("hint was eyJhbGciOiJFUzI1NiJ9.eyJ", true)]
    #[case("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", true)]
    #[case("eyJ eyJ-eyJ.eyJ", false)]
    #[case("é:eyJeyJeyJ.", true)]
    #[case("eyJhbGci", false)]
    #[case("eyJust a name", false)]
    #[case("https://app.example/cb", false)]
    fn bcp_17_values_that_are_secrets(#[case] value: &str, #[case] secret: bool) {
        assert_eq!(looks_like_a_secret(value), secret);
        assert_eq!(recorded("note", value) == REDACTED, secret);
    }

    /// Of two megabytes of `eyJ`, read to the end from each, nobody would see the end.
    #[test]
    fn bcp_17_hostile_text_is_read_once() {
        let hostile = "eyJ".repeat(700_000);
        assert!(!looks_like_a_secret(&hostile));
        assert!(looks_like_a_secret(&format!("{hostile}.")));
    }

    proptest! {
        #[test]
        fn a_value_never_leaves_its_line(value in any::<String>()) {
            let shown = recorded("note", &value);
            prop_assert!(shown.chars().count() <= VALUE_LIMIT);
            prop_assert!(!shown.chars().any(char::is_control));
        }

        #[test]
        fn a_code_stays_in_its_alphabet(text in any::<String>()) {
            let shown = code(&text);
            prop_assert!(shown.len() <= NAME_LIMIT);
            prop_assert!(shown.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.'));
        }
    }

    #[test]
    fn log_lines_cannot_be_forged() {
        assert_eq!(one_line("alice\r\nlogin_succeeded"), "alice  login_succeeded");
        assert_eq!(one_line("alice"), "alice");
    }
}
